"""What reads bytes that others wrote, each as one function that must not raise, whatever it is given."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.exceptions import DataError, SettingsError, StateError
from pipeline.formats import times
from pipeline.formats.avro import AvroDecoder
from pipeline.formats.frames import FrameDecoder, FrameMapping
from pipeline.formats.json import JsonDecoder
from pipeline.formats.line_protocol import LineDecoder
from pipeline.formats.mapping import InputMapping, SeriesMapping, TimeMapping
from pipeline.formats.schemas import Schema
from pipeline.monitor import snapshot
from pipeline.service.letters import letter_of, sent_back
from pipeline.settings import parse_settings
from tests.registry_server import framed

DIGEST = "ab" * 32
MAPPINGS = (
    InputMapping(series=SeriesMapping(field="pump"), time=TimeMapping("ts"), channels={"temp": "t.c"}),
    InputMapping(time=TimeMapping("ts", "s"), only={"pump": ("a", "1")}, deletes={"op": ("d",)}, under="after"),
)
LINES = InputMapping(
    "line_protocol", series=SeriesMapping(field="tags.host"), time=TimeMapping("timestamp", "ns"), under="fields"
)
AVRO = InputMapping("avro", series=SeriesMapping(field="pump"), time=TimeMapping("ts", "ms"))
SCHEMAS = (
    {
        "type": "record",
        "name": "Pump",
        "fields": [
            {"name": "pump", "type": "string"},
            {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "temp", "type": ["null", "double", "string"]},
            {"name": "flow", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}},
            {"name": "list", "type": {"type": "array", "items": ["null", "int", {"type": "map", "values": "float"}]}},
            {"name": "on", "type": {"type": "enum", "name": "On", "symbols": ["yes", "no"]}},
            {"name": "raw", "type": {"type": "fixed", "name": "Raw", "size": 2}},
        ],
    },
)


class Arrived(NamedTuple):
    """A record of Kafka."""

    value: bytes | None
    key: bytes | None = b"pump-7"
    topic: str = "readings"
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class Kept:
    """Some schemas, and for another number the text that it is given."""

    def __init__(self, other: str = "") -> None:
        self._texts = [json.dumps(schema) for schema in SCHEMAS]
        self._other = other

    def schema(self, number: int) -> Schema:
        return Schema(self._texts[number] if number < len(self._texts) else self._other)


def _holds(decoder, record: Arrived) -> None:
    """Every record has an outcome, and what is a reading is finite."""
    decoded = decoder.decode([record])
    readings = decoded.readings
    assert len(decoded.rows) + len(decoded.rejected) + len(decoded.ignored) >= 1
    assert np.isfinite(readings.values[~readings.missing]).all()
    assert all(0 < len(one.detail) < 1_000 for one in decoded.rejected)
    for name in decoder.names:
        name.encode()


def read_json(data: bytes) -> None:
    for mapping in MAPPINGS:
        _holds(JsonDecoder(mapping, ("temp", "flow")), Arrived(data, data[:8]))


def read_lines(data: bytes) -> None:
    _holds(LineDecoder(LINES, ("temp", "flow")), Arrived(data))


def read_avro(data: bytes) -> None:
    """A whole record; a body of a known schema; a schema with the body behind its first zero byte."""
    _holds(AvroDecoder(AVRO, ("temp", "flow"), Kept()), Arrived(data))
    _holds(AvroDecoder(AVRO, ("temp", "flow"), Kept()), Arrived(framed(0, data)))
    schema, _, body = data.partition(b"\0")
    _holds(AvroDecoder(AVRO, ("temp", "flow"), Kept(schema.decode(errors="replace"))), Arrived(framed(9, body)))


def read_times(data: bytes) -> None:
    at = times.parse(data.decode(errors="surrogateescape"), times.zone("Europe/Berlin"))
    assert at is None or times.within(at, "time") == at


def read_mapping(data: bytes) -> None:
    text = data.decode(errors="replace")
    for field in ("field", "template"):
        try:
            SeriesMapping(**{field: text}).parts()
        except ValueError:
            continue


def read_frame(data: bytes) -> None:
    """Columns of text that nobody checked."""
    half = len(data) // 2
    ends = np.array([0, half, len(data)], dtype=np.int32)
    texts = pa.StringArray.from_buffers(2, pa.py_buffer(ends), pa.py_buffer(data))
    table = pa.table({"timestamp": texts, "series": texts, "temp": [1.0, 2.0]})
    mapping = FrameMapping()
    try:
        layout = mapping.layout(table.schema)
    except DataError:
        return
    decoded = FrameDecoder(mapping, layout).decode(table, "series")
    assert len(decoded.rows) + len(decoded.rejected) == 2


def read_letter(data: bytes) -> None:
    """Headers, one after the other; those of a letter with what was found."""
    parts = data.split(b"\0")
    names = ("reason", "detail", "topic", "partition", "offset", "truncated")
    ours = tuple((f"plumbline-{name}", part) for name, part in zip(names, parts, strict=False))
    letter_of(Arrived(data, headers=ours))
    sent_back([Arrived(data, headers=(("plumbline-republished", data),))])


def read_slot(data: bytes) -> None:
    """Any bytes as a slot, and as what stands behind a header that is right."""
    right = snapshot.HEADER.pack(snapshot.MAGIC, snapshot.VERSION, bytes.fromhex(DIGEST), zlib.crc32(data)) + data
    for one in (data, right):
        try:
            snapshot.decode(one, DIGEST, 8)
        except StateError:
            continue


def read_settings(data: bytes) -> None:
    try:
        parse_settings(data.decode(errors="replace"), Path("a.yaml"))
    except SettingsError:
        return


class Target(NamedTuple):
    """Something that reads bytes, and examples to begin with."""

    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


TARGETS: dict[str, Target] = {
    "json": Target(
        read_json,
        (
            b'{"pump": "a", "ts": "2013-12-16T17:25:00Z", "t": {"c": 71.5}, "flow": null}',
            b'{"pump": "a", "ts": 1387214700, "op": "d", "after": {"temp": NaN, "flow": 1e999}}',
        ),
    ),
    "line_protocol": Target(
        read_lines,
        (
            b'pump,host=a\\ b,site=n temp=71.5,flow=3i,s="x\\"y",on=t 1387214700000000000\n# c\npump temp=1u\r\n',
            b"m,t=x temp=NaN,flow=-1e999 -1\n",
        ),
    ),
    "avro": Target(
        read_avro,
        (
            b"\x02a\xc8\x01\x02\x00\x00\x00\x00\x00\x00\x00\x00\x04\x01\x02\x04\x02\x06\x00\x00\x00ab",
            json.dumps(SCHEMAS[0]).encode() + b"\x00\x02a\xc8\x01\x00",
            b'{"type": "record", "name": "R", "fields": [{"name": "temp", "type": "double"}]}\x00' + bytes(8),
        ),
    ),
    "times": Target(read_times, (b"2013-12-16T17:25:00.123456Z", b"0001-01-01T00:00:00+05:00", b"2024-W01-1")),
    "mapping": Target(read_mapping, (b"{site}/{pump.name} of {key}", b"{{a}}{b!r:>3}")),
    "frame": Target(read_frame, (b"2013-12-16T17:25:00Z" * 2, b"a\xff")),
    "letter": Target(
        read_letter, (b"field\0no such field\0readings\x003\x0017", b"readings[3]@17 by letter dead[0]@1")
    ),
    "slot": Target(read_slot, (bytes(8) + b"\x93\xc4\x00\xc4\x00\xc4\x00", snapshot.MAGIC)),
    "settings": Target(
        read_settings,
        tuple(path.read_bytes() for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))),
    ),
}
