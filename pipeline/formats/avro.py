"""Records of Avro in Confluent's wire format to readings: a zero byte, the number of a schema in four, the body.

The schema that a record was written with is kept in a registry. Where that is away nothing is decoded and nothing is
lost: the records have to wait. Where it says that there is no such schema, the record is invalid.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from io import BytesIO

import fastavro

from pipeline.exceptions import RegistryError
from pipeline.formats.avro_schema import Writer, writer_of
from pipeline.formats.decoder import Record, RecordDecoder
from pipeline.formats.documents import Document, NoReadingError, put, value_at
from pipeline.formats.mapping import InputMapping, Path, path_of
from pipeline.formats.schemas import Schema, Schemas
from pipeline.records import Decoded, Reason

MAGIC, HEAD = 0, 5  # the first byte, and how many bytes come before the body
LONGEST_DECIMAL = 128  # bytes

# What a reader of Cython comes to on bytes that are no record of the schema
_NO_RECORD = (EOFError, ValueError, LookupError, ArithmeticError, TypeError, struct.error)


class AvroDecoder(RecordDecoder):
    """Records of Avro, each with the number of its schema."""

    def __init__(self, mapping: InputMapping, channels: Sequence[str], schemas: Schemas) -> None:
        super().__init__(mapping, channels)
        self._schemas = schemas
        self._where = path_of(mapping.time.field), mapping.time.unit, mapping.paths(channels)
        self._writers: dict[int, Writer] = {}
        self._useless: dict[int, str] = {}  # for the records in hand: there may be a schema later

    def decode(self, records: Sequence[Record]) -> Decoded:
        """As any decoder; RegistryError, with the partitions, where a schema is needed and cannot be had for now.

        Then nothing was decoded, and records of the other partitions can be.
        """
        self._useless.clear()
        lacking: dict[int, set[int]] = {}
        for record in records:
            number = _number(record.value)
            if number is not None and number not in self._writers and len(record.value or b"") <= self._max_bytes:
                lacking.setdefault(number, set()).add(record.partition)
        for number in list(lacking):
            try:
                self._learn(number, self._schemas.schema(number))
            except RegistryError as error:
                raise RegistryError(str(error), frozenset().union(*lacking.values())) from error
            del lacking[number]
        return super().decode(records)

    def parse(self, value: bytes) -> list[Document]:
        """The record, by the schema that it was written with."""
        number = _number(value)
        if number is None:
            raise NoReadingError(
                Reason.SYNTAX, f"it begins with {value[:HEAD]!r}: a zero byte and the number of a schema are needed"
            )
        if number in self._useless:
            raise NoReadingError(Reason.SCHEMA, self._useless[number])
        writer, body = self._writers[number], BytesIO(value[HEAD:])
        try:
            document = fastavro.schemaless_reader(body, writer.schema, None)
        except _NO_RECORD as error:
            what = str(error)[:80] or type(error).__name__
            raise NoReadingError(Reason.SYNTAX, f"it is no record of schema {number}: {what}") from error
        left = len(value) - HEAD - body.tell()
        if left or not isinstance(document, dict):
            raise NoReadingError(Reason.SYNTAX, f"it is no record of schema {number}: {left} bytes are left over")
        for path, scale in writer.scales:
            _settle(document, path, scale)
        return [document]

    def _learn(self, number: int, found: Schema) -> None:
        if found.text is None:
            self._useless[number] = found.why
            return
        try:
            self._writers[number] = writer_of(found.text, *self._where)
        except ValueError as error:
            self._useless[number] = f"schema {number} is of no use: {error}"

    def _numbers(self, document: Document, record: Record) -> list[float | None]:
        """As of any record; Avro has numbers that are none."""
        values = super()._numbers(document, record)
        for position, value in enumerate(values):
            if value is not None and not math.isfinite(value):
                raise NoReadingError(Reason.NOT_FINITE, f"{self._channels[position]} is {value}")
        return values


def _number(value: bytes | None) -> int | None:
    """The number of the schema of a record; None where it has none."""
    if value is None or len(value) < HEAD or value[0] != MAGIC:
        return None
    return int.from_bytes(value[1:HEAD], "big")


def _settle(document: Document, path: Path, scale: int) -> None:
    """Put a number in the place of a decimal: the nearest float to its bytes, a whole number of parts."""
    found = value_at(document, path)
    if type(found) is not bytes:
        return
    if len(found) > LONGEST_DECIMAL:
        raise NoReadingError(Reason.TYPE, f"{'.'.join(path)} is a decimal of {len(found)} bytes")
    parts = int.from_bytes(found, "big", signed=True)
    try:
        put(document, path, parts / 10**scale)
    except OverflowError as error:
        raise NoReadingError(Reason.NOT_FINITE, f"{'.'.join(path)} is a decimal beyond any float") from error
