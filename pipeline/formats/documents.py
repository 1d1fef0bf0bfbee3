"""What a record says once it is parsed, whatever it was written in: values below keys below keys."""

from __future__ import annotations

import json
from typing import Any

from pipeline.formats.mapping import Path
from pipeline.records import Reason

Document = dict[str, Any]


class NoReadingError(Exception):
    """One record, or a part of one, is no reading; caught where its batch is decoded."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class NotFinite(str):
    """A number as it was written that is none: NaN, Infinity, 1e999."""

    __slots__ = ()


def value_at(document: Document, path: Path) -> Any:
    """The value at a path; None where there is none or null."""
    found: Any = document
    for key in path:
        if type(found) is not dict:
            return None
        found = found.get(key)
    return found


def is_there(document: Document, path: Path) -> bool:
    """Whether the path leads to a value, be it null."""
    parent = value_at(document, path[:-1])
    return type(parent) is dict and path[-1] in parent


def check_there(document: Document, path: Path) -> None:
    """NoReadingError unless the path leads to a value, be it null."""
    if not is_there(document, path):
        raise NoReadingError(Reason.FIELD, f"there is no field {'.'.join(path)}")


def put(document: Document, path: Path, value: Any) -> None:
    """The reverse of `value_at`: set the value at a path."""
    for key in path[:-1]:
        document = document.setdefault(key, {})
    document[path[-1]] = value


def shown(value: Any) -> str:
    """A value for a message, short whatever was sent."""
    if type(value) is dict or type(value) is list:
        return "an object" if type(value) is dict else "a list"
    if value is None or type(value) is bool:
        return json.dumps(value)
    if type(value) is int and value.bit_length() > 128:
        return "a whole number of many digits"  # Python refuses to write the longest
    if type(value) is NotFinite:
        return value[:40]
    return repr(value[:42] if isinstance(value, str | bytes) else value)[:42]
