"""Records of JSON to readings.

The decoder never raises for what a record holds: every record becomes a reading, or is rejected with one reason.
Numbers are read as the nearest float64; null is a missing value. The way back is json_encoder.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from pipeline.formats import times
from pipeline.formats.mapping import InputMapping, Part, Path, path_of
from pipeline.records import Decoded, Readings, Reason, Rejected

_NUMBERS = {float, int, type(None)}  # exact types: a truth value is no number, though Python's is an int


class Record(Protocol):
    """What the decoder needs of a record of Kafka."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class _RefusedError(Exception):
    """One record is no reading; caught where its batch is decoded."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _IgnoredError(Exception):
    """One record is of a sensor that is no channel; caught where its batch is decoded."""


class _NotFinite(str):
    """A number as it was written that is none: NaN, Infinity, 1e999."""

    __slots__ = ()


class JsonDecoder:
    """Records of one mapping to readings of these channels; it keeps the growing list of series.

    A channel that is null or absent is missing; a record without any of the channels is rejected. Where records are to
    be joined, each becomes a reading in which all other channels are missing.
    """

    def __init__(self, mapping: InputMapping, channels: Sequence[str]) -> None:
        self.names: list[str] = []
        self._channels = tuple(channels)
        self._paths = mapping.paths(channels)
        self._flat = all(len(path) == 1 for path in self._paths)
        self._keys = [path[0] for path in self._paths]
        self._time_path = path_of(mapping.time.field)
        self._unit: times.Unit = mapping.time.unit
        self._local = times.zone(mapping.time.timezone)
        self._parts = mapping.series.parts() if mapping.join is None else mapping.join.by.parts()
        self._sensors = None if mapping.join is None else mapping.sensors(channels)
        self._sensor_parts = mapping.series.parts()
        self._max_bytes = mapping.max_bytes
        self._codes: dict[str, int] = {}
        self._json = msgspec.json.Decoder()

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Each record as a reading or rejected; `missing` is true, and `values` NaN, where a channel has no value."""
        codes, at, values, rows, rejected, ignored = [], [], [], [], [], []
        for row, record in enumerate(records):
            try:
                document = self._document(record.value)
                name = self._name(self._parts, document, record)
                moment = self._moment(document)
                reading = self._values(document) if self._sensors is None else self._value(document, record)
            except _IgnoredError:
                ignored.append(row)
                continue
            except _RefusedError as refused:
                rejected.append(Rejected(row, refused.reason, str(refused)))
                continue
            codes.append(self._code(name))
            at.append(moment)
            values.append(reading)
            rows.append(row)
        array = np.array(values, dtype=np.float64).reshape(len(rows), len(self._channels))  # None becomes NaN
        readings = Readings(
            names=self.names,
            series=np.array(codes, dtype=np.int32),
            at=np.array(at, dtype=np.int64),
            values=array,
            missing=np.isnan(array),
            partition=np.array([records[row].partition for row in rows], dtype=np.int32),
            offset=np.array([records[row].offset for row in rows], dtype=np.int64),
        )
        return Decoded(readings, np.array(rows, dtype=np.int64), tuple(rejected), tuple(ignored))

    def _document(self, value: bytes | None) -> dict[str, Any]:
        if value is None:
            raise _RefusedError(Reason.SYNTAX, "the record has no value")
        if len(value) > self._max_bytes:
            raise _RefusedError(Reason.OVERSIZE, f"{len(value)} bytes, of at most {self._max_bytes}")
        try:
            document = self._json.decode(value)
        except (ValueError, RecursionError):
            document = _slowly(value)
        if type(document) is not dict:
            raise _RefusedError(Reason.TYPE, f"{_shown(document)} instead of an object")
        return document

    def _name(self, parts: Sequence[Part], document: dict[str, Any], record: Record) -> str:
        """The name of the series, or of the sensor."""
        return "".join([self._piece(part, document, record) for part in parts])

    def _piece(self, part: Part, document: dict[str, Any], record: Record) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "field":
            return _name_in(document, part.path)
        if part.kind == "topic" or (part.kind == "key_or_topic" and record.key is None):
            return record.topic
        if not record.key:
            raise _RefusedError(Reason.FIELD, "the record has no key, which names the series")
        try:
            return record.key.decode()
        except UnicodeDecodeError as error:
            raise _RefusedError(Reason.ENCODING, f"the key, which names the series, is not UTF-8: {error}") from error

    def _moment(self, document: dict[str, Any]) -> int:
        """Microseconds since 1970 UTC, or the sample number."""
        found = _at(document, self._time_path)
        field = ".".join(self._time_path)
        at: int | None = None
        if found is None:
            _check_there(document, self._time_path)
        elif self._unit == "iso8601":
            if type(found) is not str:
                raise _RefusedError(Reason.TYPE, f"{field} is {_shown(found)} instead of text")
            at = times.parse(found, self._local)
        else:
            if type(found) is not int and type(found) is not float:
                raise _RefusedError(Reason.TYPE, f"{field} is {_shown(found)} instead of a number")
            at = times.from_number(found, self._unit)
        if at is None:
            raise _RefusedError(Reason.TIME, f"{field} is {_shown(found)}, which is no time in {self._unit}")
        return at

    def _values(self, document: dict[str, Any]) -> list[float | None]:
        """The channels' values, None where missing; at least one of the channels is there."""
        if self._flat:
            values = [document.get(key) for key in self._keys]
        else:
            values = [_at(document, path) for path in self._paths]
        kinds = set(map(type, values))
        if not kinds <= _NUMBERS:
            self._refuse(values)
        if kinds == {type(None)} and not any(_is_there(document, path) for path in self._paths):
            raise _RefusedError(Reason.FIELD, f"none of the channels is there: {', '.join(self._channels[:8])}")
        if int in kinds:
            return [self._widened(value, position) for position, value in enumerate(values)]
        return values

    def _value(self, document: dict[str, Any], record: Record) -> list[float | None]:
        """A sensor's value as that of its channel, all others missing."""
        assert self._sensors is not None
        position = self._sensors.get(self._name(self._sensor_parts, document, record))
        if position is None:
            raise _IgnoredError
        value = _at(document, self._paths[position])
        if value is None:
            _check_there(document, self._paths[position])
        values = [None] * len(self._channels)
        values[position] = value
        if type(value) not in _NUMBERS:
            self._refuse(values)
        return [self._widened(each, place) for place, each in enumerate(values)]

    def _widened(self, value: float | int | None, position: int) -> float | None:
        try:
            return None if value is None else float(value)
        except OverflowError as error:
            raise _RefusedError(
                Reason.NOT_FINITE, f"{self._channels[position]} is a whole number beyond any float"
            ) from error

    def _refuse(self, values: list[Any]) -> None:
        """Say which channel is no number."""
        position = next(position for position, value in enumerate(values) if type(value) not in _NUMBERS)
        name, value = self._channels[position], values[position]
        if type(value) is _NotFinite:
            raise _RefusedError(Reason.NOT_FINITE, f"{name} is {value[:40]}")
        raise _RefusedError(Reason.TYPE, f"{name} is {_shown(value)} instead of a number")

    def _code(self, name: str) -> int:
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code


def _slowly(value: bytes) -> Any:
    """What the fast parser refused, with the literals that JSON does not have as _NotFinite; else the reason."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise _RefusedError(Reason.ENCODING, f"not UTF-8: {error}") from error
    try:
        return json.loads(text, parse_constant=_NotFinite, parse_float=_float)
    except RecursionError as error:
        raise _RefusedError(Reason.SYNTAX, "nested too deeply") from error
    except ValueError as error:
        raise _RefusedError(Reason.SYNTAX, str(error)) from error


def _float(text: str) -> float | _NotFinite:
    number = float(text)
    return number if math.isfinite(number) else _NotFinite(text)


def _at(document: dict[str, Any], path: Path) -> Any:
    """The value at a path; None where there is none or null."""
    found: Any = document
    for key in path:
        if type(found) is not dict:
            return None
        found = found.get(key)
    return found


def _is_there(document: dict[str, Any], path: Path) -> bool:
    """Whether the path leads to a value, be it null."""
    parent = _at(document, path[:-1])
    return type(parent) is dict and path[-1] in parent


def _check_there(document: dict[str, Any], path: Path) -> None:
    if not _is_there(document, path):
        raise _RefusedError(Reason.FIELD, f"there is no field {'.'.join(path)}")


def _name_in(document: dict[str, Any], path: Path) -> str:
    """A field as a name, or a part of one: text, or a whole number."""
    found = _at(document, path)
    if type(found) is str and found:
        if not found.isascii():
            _check_encodable(found, path)
        return found
    if type(found) is int and found.bit_length() <= 64:
        return str(found)
    _check_there(document, path)
    if found is None or found == "":
        raise _RefusedError(Reason.FIELD, f"{'.'.join(path)}, which names the series, is {_shown(found)}")
    raise _RefusedError(Reason.TYPE, f"{'.'.join(path)}, which names the series, is {_shown(found)} instead of text")


def _check_encodable(name: str, path: Path) -> None:
    """Half a surrogate pair may stand in JSON and in no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise _RefusedError(Reason.ENCODING, f"{'.'.join(path)} is no Unicode text: {error.reason}") from error


def _shown(value: Any) -> str:
    """A value of JSON for a message, short whatever was sent."""
    if type(value) is dict or type(value) is list:
        return "an object" if type(value) is dict else "a list"
    if value is None or type(value) is bool:
        return json.dumps(value)
    if type(value) is int and value.bit_length() > 128:
        return "a whole number of many digits"  # Python refuses to write the longest
    return str(value)[:40] if type(value) is _NotFinite else repr(value)[:42]
