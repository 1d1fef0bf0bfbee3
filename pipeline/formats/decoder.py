"""Records to readings, by one mapping; how the bytes of a record are parsed is left to each format.

The decoder never raises for what a record holds: it becomes readings, is ignored, or is rejected, each with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from pipeline.formats import times
from pipeline.formats.documents import Document, NoReadingError, NotFinite, check_there, is_there, shown, value_at
from pipeline.formats.mapping import InputMapping, Part, Path, path_of
from pipeline.records import Decoded, Ignored, Readings, Reason, Rejected, Why

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


class _IgnoredError(Exception):
    """One record, or a part of one, is about something else; caught where its batch is decoded."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class RecordDecoder:
    """Records of one mapping to readings of these channels; it keeps the growing list of series.

    A channel that is null or absent is missing; a record without any of the channels is rejected. Where records are to
    be joined, each becomes a reading in which all other channels are missing.
    """

    def __init__(self, mapping: InputMapping, channels: Sequence[str]) -> None:
        self.names: list[str] = []
        self._channels = tuple(channels)
        self._paths = mapping.paths(channels)
        self._parents = {path[:-1] for path in self._paths}
        self._keys = [path[-1] for path in self._paths]
        self._time_path = path_of(mapping.time.field)
        self._unit: times.Unit = mapping.time.unit
        self._local = times.zone(mapping.time.timezone)
        self._parts = mapping.series.parts() if mapping.join is None else mapping.join.by.parts()
        self._sensors = None if mapping.join is None else mapping.sensors(channels)
        self._sensor_parts = mapping.series.parts()
        self._only = [(path_of(name), frozenset(values)) for name, values in mapping.only.items()]
        self._deletes = [(path_of(name), frozenset(values)) for name, values in mapping.deletes.items()]
        self._selective = bool(mapping.only or mapping.deletes)
        self._max_bytes = mapping.max_bytes
        self._codes: dict[str, int] = {}

    def parse(self, value: bytes) -> Sequence[Document | NoReadingError]:
        """What a record says, piece by piece, with those that are none; NoReadingError where that is all of it."""
        raise NotImplementedError

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Each record as readings, ignored or rejected; `missing` is true and `values` NaN where there is no value."""
        codes, at, values, rows, rejected, ignored = [], [], [], [], [], []
        for row, record in enumerate(records):
            for document in self._documents(record):
                try:
                    if isinstance(document, Exception):
                        raise document
                    if self._selective:
                        self._check_meant(document)
                    name = self._name(self._parts, document, record)
                    moment = self._moment(document)
                    reading = self._numbers(document, record)
                except _IgnoredError as passed_over:
                    ignored.append(Ignored(row, passed_over.why))
                    continue
                except NoReadingError as refused:
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

    def _documents(self, record: Record) -> Sequence[Document | NoReadingError | _IgnoredError]:
        value = record.value
        if value is None:
            gone = _IgnoredError(Why.TOMBSTONE)
            return [gone if self._deletes else NoReadingError(Reason.SYNTAX, "the record has no value")]
        if len(value) > self._max_bytes:
            return [NoReadingError(Reason.OVERSIZE, f"{len(value)} bytes, of at most {self._max_bytes}")]
        try:
            return self.parse(value)
        except NoReadingError as refused:
            return [refused]

    def _check_meant(self, document: Document) -> None:
        """Pass over what the settings say is about something else."""
        for path, values in self._deletes:
            if _word(value_at(document, path)) in values:
                raise _IgnoredError(Why.DELETED)
        for path, values in self._only:
            if _word(value_at(document, path)) not in values:
                raise _IgnoredError(Why.UNSELECTED)

    def _name(self, parts: Sequence[Part], document: Document, record: Record) -> str:
        """The name of the series, or of the sensor."""
        return "".join([self._piece(part, document, record) for part in parts])

    def _piece(self, part: Part, document: Document, record: Record) -> str:
        if part.kind == "text":
            return part.text
        if part.kind == "field":
            return _name_in(document, part.path)
        if part.kind == "topic" or (part.kind == "key_or_topic" and record.key is None):
            return record.topic
        if not record.key:
            raise NoReadingError(Reason.FIELD, "the record has no key, which names the series")
        try:
            return record.key.decode()
        except UnicodeDecodeError as error:
            raise NoReadingError(Reason.ENCODING, f"the key, which names the series, is not UTF-8: {error}") from error

    def _moment(self, document: Document) -> int:
        """Microseconds since 1970 UTC, or the sample number."""
        found = value_at(document, self._time_path)
        field = ".".join(self._time_path)
        at: int | None = None
        if found is None:
            check_there(document, self._time_path)
        elif self._unit == "iso8601":
            if type(found) is not str:
                raise NoReadingError(Reason.TYPE, f"{field} is {shown(found)} instead of text")
            at = times.parse(found, self._local)
        else:
            if type(found) is not int and type(found) is not float:
                raise NoReadingError(Reason.TYPE, f"{field} is {shown(found)} instead of a number")
            at = times.from_number(found, self._unit)
        if at is None:
            raise NoReadingError(Reason.TIME, f"{field} is {shown(found)}, which is no time in {self._unit}")
        return at

    def _numbers(self, document: Document, record: Record) -> list[float | None]:
        """The value of each channel, None where it is missing."""
        return self._values(document) if self._sensors is None else self._value(document, record)

    def _values(self, document: Document) -> list[float | None]:
        """The channels' values, None where missing; at least one of the channels is there."""
        if len(self._parents) == 1:
            (parent,) = self._parents
            beside = value_at(document, parent)
            values: list[Any] = list(map(beside.get, self._keys)) if type(beside) is dict else [None] * len(self._keys)
        else:
            values = [value_at(document, path) for path in self._paths]
        kinds = set(map(type, values))
        if not kinds <= _NUMBERS:
            self._refuse(values)
        if kinds == {type(None)} and not any(is_there(document, path) for path in self._paths):
            raise NoReadingError(Reason.FIELD, f"none of the channels is there: {', '.join(self._channels[:8])}")
        if int in kinds:
            return [self._widened(value, position) for position, value in enumerate(values)]
        return values

    def _value(self, document: Document, record: Record) -> list[float | None]:
        """A sensor's value as that of its channel, all others missing."""
        assert self._sensors is not None
        position = self._sensors.get(self._name(self._sensor_parts, document, record))
        if position is None:
            raise _IgnoredError(Why.SENSOR)
        value = value_at(document, self._paths[position])
        if value is None:
            check_there(document, self._paths[position])
        values = [None] * len(self._channels)
        values[position] = value
        if type(value) not in _NUMBERS:
            self._refuse(values)
        return [self._widened(each, place) for place, each in enumerate(values)]

    def _widened(self, value: float | int | None, position: int) -> float | None:
        try:
            return None if value is None else float(value)
        except OverflowError as error:
            raise NoReadingError(
                Reason.NOT_FINITE, f"{self._channels[position]} is a whole number beyond any float"
            ) from error

    def _refuse(self, values: list[Any]) -> None:
        """Say which channel is no number."""
        position = next(position for position, value in enumerate(values) if type(value) not in _NUMBERS)
        name, value = self._channels[position], values[position]
        if type(value) is NotFinite:
            raise NoReadingError(Reason.NOT_FINITE, f"{name} is {value[:40]}")
        raise NoReadingError(Reason.TYPE, f"{name} is {shown(value)} instead of a number")

    def _code(self, name: str) -> int:
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code


def _name_in(document: Document, path: Path) -> str:
    """A field as a name, or a part of one: text, or a whole number."""
    found = value_at(document, path)
    if type(found) is str and found:
        if not found.isascii():
            _check_encodable(found, path)
        return found
    if type(found) is int and found.bit_length() <= 64:
        return str(found)
    check_there(document, path)
    if found is None or found == "":
        raise NoReadingError(Reason.FIELD, f"{'.'.join(path)}, which names the series, is {shown(found)}")
    raise NoReadingError(Reason.TYPE, f"{'.'.join(path)}, which names the series, is {shown(found)} instead of text")


def _check_encodable(name: str, path: Path) -> None:
    """Half a surrogate pair may stand in JSON and in no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise NoReadingError(Reason.ENCODING, f"{'.'.join(path)} is no Unicode text: {error.reason}") from error


def _word(value: object) -> str | None:
    """A value that is compared with a word; None where it is neither text nor a whole number."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int and value.bit_length() <= 64 else None
