"""The schema that a record was written with, made ready for reading: plain numbers, nothing that bytes could misuse.

Logical types are left out, so that numbers stay as they were written; decimals of channels are put in order afterwards.
Refused are schemas by which a few bytes could keep the reader busy for ever, or deeper than the machine's stack: one
that contains itself, and arrays whose elements take no bytes. Specification: avro.apache.org, 1.12.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import fastavro

from pipeline.formats.mapping import Path
from pipeline.formats.times import Unit

DEEPEST = 64  # levels of a schema
LARGEST_SCALE = 1_000  # digits behind the point of a decimal

_PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
_MOMENTS: Mapping[str, Unit] = {"timestamp-millis": "ms", "timestamp-micros": "us", "timestamp-nanos": "ns"}


class Writer(NamedTuple):
    """A schema as fastavro reads by it, and what is to be done afterwards."""

    schema: Any
    scales: tuple[tuple[Path, int], ...]  # where decimals stand that are wanted, and their digits behind the point


def writer_of(text: str, time_path: Path, unit: Unit, paths: Sequence[Path]) -> Writer:
    """The schema in a text, for records whose time and channels stand at these paths; ValueError where it is none."""
    try:
        written = json.loads(text)
        top = _Walk().plain(written, "", 0)
        if top.kind != "record":
            raise ValueError(f"it is of type {top.kind}, and a record is needed")
        schema = fastavro.parse_schema(top.schema)
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType, RecursionError) as error:
        raise ValueError(f"it is no schema of Avro: {str(error)[:120]}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no schema of Avro: {str(error)[:120] or type(error).__name__}") from error
    _check_unit(top.logical(time_path), ".".join(time_path), unit)
    scales = [(path, found.scale) for path in paths if (found := top.logical(path)).name == "decimal"]
    return Writer(schema, tuple(dict.fromkeys(scales)))


class Logical(NamedTuple):
    """What a type means beyond its bytes."""

    name: str = ""
    scale: int = 0


NOTHING = Logical()


@dataclass(slots=True)
class _Type:
    """A type without its logical part, and what is known of it."""

    kind: str
    schema: Any
    empty: bool = False  # it may take no bytes at all
    meaning: Logical = NOTHING
    below: dict[str, _Type] = field(default_factory=dict)  # of a record
    any_below: _Type | None = None  # of a map
    choices: list[_Type] = field(default_factory=list)  # of a union

    def logical(self, path: Path) -> Logical:
        """What the value at a path means; nothing where none stands there."""
        if self.choices:
            found = [choice.logical(path) for choice in self.choices]
            return next((one for one in found if one.name), NOTHING)
        if not path:
            return self.meaning
        inside = self.below.get(path[0], self.any_below)
        return NOTHING if inside is None else inside.logical(path[1:])


class _Walk:
    """Goes through a schema once, names resolved."""

    def __init__(self) -> None:
        self._known: dict[str, _Type] = {}
        self._open: set[str] = set()  # names that are just being defined

    def plain(self, schema: Any, space: str, depth: int) -> _Type:
        """A type and all within it; `space` is the namespace that it stands in."""
        if depth > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
        if isinstance(schema, str):
            return self._named(schema, space)
        if isinstance(schema, list):
            choices = [self.plain(each, space, depth + 1) for each in schema]
            return _Type("union", [each.schema for each in choices], choices=choices)
        kind = schema["type"]
        if not isinstance(kind, str):
            return self.plain(kind, space, depth + 1)
        if kind == "array":
            items = self.plain(schema["items"], space, depth + 1)
            if items.empty:
                raise ValueError("it has an array whose elements take no bytes: a few could stand for billions")
            return _Type(kind, {"type": kind, "items": items.schema})
        if kind == "map":
            values = self.plain(schema["values"], space, depth + 1)
            return _Type(kind, {"type": kind, "values": values.schema}, any_below=values)
        if kind in ("record", "error", "enum", "fixed"):
            return self._defined(kind, schema, space, depth)
        found = self._named(kind, space)
        return _Type(found.kind, found.schema, found.empty, _meaning(schema), found.below)

    def _named(self, name: str, space: str) -> _Type:
        if name in _PRIMITIVES:
            return _Type(name, name, empty=name == "null")
        full = _full(name, space)
        if full in self._open:
            raise ValueError(f"{full} contains itself, and so may be of any depth")
        if full not in self._known:
            raise ValueError(f"it has the type {full}, which it does not define")
        return self._known[full]

    def _defined(self, kind: str, schema: dict[str, Any], space: str, depth: int) -> _Type:
        full = _full(schema["name"], schema.get("namespace") or space)
        within = full.rpartition(".")[0]
        if full in self._known or full in self._open:
            raise ValueError(f"{full} is defined twice")
        made: dict[str, Any] = {"type": kind, "name": full}
        found = _Type(kind, made, meaning=_meaning(schema))
        if kind == "enum":
            made["symbols"] = schema["symbols"]
        elif kind == "fixed":
            made["size"] = schema["size"]
            found.empty = made["size"] == 0
        else:
            self._open.add(full)
            found.kind = "record"
            found.below = {each["name"]: self.plain(each["type"], within, depth + 1) for each in schema["fields"]}
            made["fields"] = [{"name": name, "type": inside.schema} for name, inside in found.below.items()]
            found.empty = all(inside.empty for inside in found.below.values())
            self._open.discard(full)
        self._known[full] = _Type(found.kind, full, found.empty, found.meaning, found.below)  # by name from now on
        return found


def _full(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"


def _meaning(schema: dict[str, Any]) -> Logical:
    name, scale = schema.get("logicalType", ""), schema.get("scale", 0)
    if name == "decimal" and not (isinstance(scale, int) and 0 <= scale <= LARGEST_SCALE):
        raise ValueError(f"it has a decimal of scale {scale}: 0 to {LARGEST_SCALE} is needed")
    return Logical(name if isinstance(name, str) else "", scale)


def _check_unit(found: Logical, field_name: str, unit: Unit) -> None:
    """Hold what the schema says of the time against what the settings say."""
    if found.name.startswith("local-timestamp"):
        raise ValueError(f"{field_name} is {found.name}, a clock on a wall of which nobody knows where it hangs")
    meant = _MOMENTS.get(found.name)
    if meant is not None and meant != unit:
        raise ValueError(f"{field_name} is {found.name}, which is counted in {meant}, and time.unit is {unit}: mend it")
