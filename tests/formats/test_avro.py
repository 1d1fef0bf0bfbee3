from __future__ import annotations

import decimal
import io
import json
import math
from typing import NamedTuple

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exceptions import RegistryError
from pipeline.formats.avro import AvroDecoder
from pipeline.formats.avro_schema import writer_of
from pipeline.formats.mapping import InputMapping, SeriesMapping, TimeMapping
from pipeline.formats.schemas import Schema
from pipeline.records import Reason, Why
from tests.registry_server import framed

NOON = 1_387_214_700_000_000  # 2013-12-16T17:25:00Z
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
PUMP = {
    "type": "record",
    "name": "Pump",
    "namespace": "plant",
    "fields": [
        {"name": "pump", "type": "string"},
        {"name": "ts", "type": MILLIS},
        {"name": "temp", "type": ["null", "double"], "default": None},
        {"name": "flow", "type": "float"},
    ],
}
MAPPING = InputMapping("avro", series=SeriesMapping(field="pump"), time=TimeMapping("ts", "ms"))


class Arrived(NamedTuple):
    """A record as the decoder sees it."""

    value: bytes | None
    key: bytes | None = None
    topic: str = "readings"
    partition: int = 3
    offset: int = 40


class Kept:
    """Schemas in memory, and how often each was asked for; away while `away` says so."""

    def __init__(self, *schemas):
        self.texts = {number: _text(schema) for number, schema in enumerate(schemas, 1)}
        self.asked = []
        self.away = False

    def schema(self, number):
        self.asked.append(number)
        if self.away:
            raise RegistryError("http://registry cannot be reached: it is away")
        text = self.texts.get(number)
        return Schema(text, "" if text else f"the registry knows no schema {number}")


def _text(schema):
    return schema if isinstance(schema, str) else json.dumps(schema)


def written(document, schema=PUMP, number=1):
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), document)
    return framed(number, body.getvalue())


def pump(**fields):
    return written({"pump": "pump-7", "ts": NOON // 1000, "temp": 71.5, "flow": 3.0} | fields)


def decode(*values, schemas=None, mapping=MAPPING, channels=("temp", "flow")):
    decoder = AvroDecoder(mapping, channels, schemas or Kept(PUMP))
    return decoder.decode([Arrived(value, offset=40 + row) for row, value in enumerate(values)])


def test_a_record_becomes_a_reading_by_the_schema_that_it_was_written_with():
    decoded = decode(pump(), pump(pump="pump-8", temp=None, flow=0.1))

    assert decoded.rejected == ()
    assert decoded.readings.names == ["pump-7", "pump-8"]
    assert decoded.readings.at.tolist() == [NOON, NOON]
    assert decoded.readings.missing.tolist() == [[False, False], [True, False]]
    assert decoded.readings.values[0].tolist() == [71.5, 3.0]
    assert decoded.readings.values[1, 1] == float(np.float32(0.1))


def test_a_schema_is_asked_for_once_and_records_of_several_are_read_side_by_side():
    later = {**PUMP, "fields": [*PUMP["fields"], {"name": "note", "type": "string"}]}
    schemas = Kept(PUMP, later)
    decoder = AvroDecoder(MAPPING, ("temp", "flow"), schemas)
    second = written({"pump": "b", "ts": 0, "temp": 2.0, "flow": 1.0, "note": "x"}, later, number=2)
    for _ in range(3):
        decoded = decoder.decode([Arrived(pump()), Arrived(second), Arrived(pump())])

    assert decoded.readings.values[:, 0].tolist() == [71.5, 2.0, 71.5]
    assert schemas.asked == [1, 2]


def test_what_the_schema_says_of_a_number_is_what_it_is():
    exact = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3}
    schema = {
        "type": "record",
        "name": "R",
        "fields": [
            {"name": "id", "type": {"type": "enum", "name": "Id", "symbols": ["a", "b"]}},
            {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
            {"name": "exact", "type": ["null", exact]},
            {"name": "inside", "type": {"type": "map", "values": "int"}},
        ],
    }
    mapping = InputMapping(
        "avro",
        series=SeriesMapping(field="id"),
        time=TimeMapping("at", "us"),
        channels={"whole": "inside.whole"},
    )
    document = {"id": "b", "at": NOON + 1, "exact": decimal.Decimal("-1234567.891"), "inside": {"whole": 7}}
    decoded = decode(written(document, schema), schemas=Kept(schema), mapping=mapping, channels=("exact", "whole"))

    assert decoded.rejected == ()
    assert decoded.readings.names == ["b"]
    assert decoded.readings.at.tolist() == [NOON + 1]
    assert decoded.readings.values.tolist() == [[-1234567.891, 7.0]]


def test_debezium_in_avro_is_the_bare_envelope():
    row = {
        "type": "record",
        "name": "Value",
        "fields": [{"name": "machine", "type": "string"}, {"name": "temp", "type": "double"}],
    }
    envelope = {
        "type": "record",
        "name": "Envelope",
        "namespace": "plant.public.readings",
        "fields": [
            {"name": "before", "type": ["null", row], "default": None},
            {"name": "after", "type": ["null", "Value"], "default": None},
            {
                "name": "source",
                "type": {"type": "record", "name": "Source", "fields": [{"name": "ts_ms", "type": "long"}]},
            },
            {"name": "op", "type": "string"},
        ],
    }
    change = {"before": None, "after": {"machine": "a", "temp": 1.5}, "source": {"ts_ms": NOON // 1000}, "op": "c"}
    mapping = InputMapping(
        "avro",
        series=SeriesMapping(field="after.machine"),
        time=TimeMapping("source.ts_ms", "ms"),
        under="after",
        deletes={"op": ("d",)},
    )
    gone = written(change | {"before": change["after"], "after": None, "op": "d"}, envelope)
    decoded = decode(written(change, envelope), gone, None, schemas=Kept(envelope), mapping=mapping, channels=["temp"])

    assert decoded.readings.values.tolist() == [[1.5]]
    assert decoded.readings.names == ["a"]
    assert [one.why for one in decoded.ignored] == [Why.DELETED, Why.TOMBSTONE]


def test_while_the_registry_is_away_nothing_is_decoded_and_the_partitions_that_need_it_are_named():
    schemas = Kept(PUMP, PUMP)
    decoder = AvroDecoder(MAPPING, ("temp", "flow"), schemas)
    decoder.decode([Arrived(pump())])
    schemas.away = True
    known, new = Arrived(pump(), partition=0), Arrived(b"\x00\x00\x00\x00\x02" + pump()[5:], partition=1)
    with pytest.raises(RegistryError, match="away") as refused:
        decoder.decode([known, new, Arrived(framed(7, b""), partition=4)])

    assert refused.value.partitions == {1, 4}
    assert len(decoder.decode([known]).readings) == 1
    schemas.away = False
    assert len(decoder.decode([known, new]).readings) == 2


def test_a_registry_that_is_away_is_asked_once_for_all_records_in_hand():
    schemas = Kept()
    schemas.away = True
    with pytest.raises(RegistryError):
        decode(*(framed(number, b"") for number in range(20)), schemas=schemas)

    assert len(schemas.asked) == 1


def test_a_number_that_was_unknown_is_read_when_it_was_registered():
    schemas = Kept()
    decoder = AvroDecoder(MAPPING, ("temp", "flow"), schemas)
    first = decoder.decode([Arrived(pump())])
    schemas.texts[1] = _text(PUMP)

    assert [(one.reason, one.detail) for one in first.rejected] == [(Reason.SCHEMA, "the registry knows no schema 1")]
    assert len(decoder.decode([Arrived(pump())]).readings) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.SYNTAX),
        (b"", Reason.SYNTAX),
        (b"\x00\x00\x00\x00", Reason.SYNTAX),
        (b'{"pump": "a"}', Reason.SYNTAX),
        (b"\x01" + pump()[1:], Reason.SYNTAX),
        (pump()[:-1], Reason.SYNTAX),
        (pump() + b"\x00", Reason.SYNTAX),
        (framed(1, b"\xff" * 200), Reason.SYNTAX),
        (framed(1, b"\x02\xff"), Reason.SYNTAX),  # a name that is not UTF-8
        (framed(9, b""), Reason.SCHEMA),
        (pump(pump=""), Reason.FIELD),
        (pump(ts=2**62), Reason.TIME),
        (pump(temp=math.nan), Reason.NOT_FINITE),
        (pump(flow=-math.inf), Reason.NOT_FINITE),
        (pump(pump="x" * 1_048_576), Reason.OVERSIZE),
    ],
)
def test_what_is_no_reading_is_rejected_with_its_reason(value, reason):
    decoded = decode(value)

    assert [one.reason for one in decoded.rejected] == [reason]
    assert 0 < len(decoded.rejected[0].detail) < 200


def fields(*types):
    return {"type": "record", "name": "R", "fields": [{"name": f"f{n}", "type": kind} for n, kind in enumerate(types)]}


LINKED = {"type": "record", "name": "N", "namespace": "a", "fields": [{"name": "next", "type": ["null", "a.N"]}]}
DEEP = "long"
for _ in range(80):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{", "Expecting property name"),
        ('"long"', "it is of type long, and a record is needed"),
        ("7", "it is no schema of Avro"),
        ("{}", "it is no schema of Avro"),
        ({"type": "record", "name": "R"}, "it is no schema of Avro"),
        (fields("longer"), "it has the type longer, which it does not define"),
        (fields({"type": "fixed", "name": "F"}), "it is no schema of Avro"),
        (fields({"type": "enum", "name": "E", "symbols": ["a"]}, {"type": "fixed", "name": "E", "size": 1}), "twice"),
        (LINKED, "a.N contains itself"),
        (fields({"type": "array", "items": "null"}), "elements take no bytes"),
        (fields({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}), "elements take no bytes"),
        (fields({"type": "array", "items": fields("null", "null")}), "twice|contains itself|take no bytes"),
        (fields(DEEP), "nested deeper than 64"),
        (fields({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 10**9}), "a decimal of scale"),
        ({**fields("long"), "fields": [{"name": "ts", "type": MILLIS}]}, "counted in ms, and time.unit is s"),
        (
            {**fields(), "fields": [{"name": "ts", "type": {"type": "long", "logicalType": "local-timestamp-millis"}}]},
            "a clock on a wall",
        ),
    ],
)
def test_a_schema_that_cannot_be_used_says_why_and_makes_its_records_invalid(schema, words):
    with pytest.raises(ValueError, match=words):
        writer_of(_text(schema), ("ts",), "s", [("temp",)])

    mapping = InputMapping("avro", series=SeriesMapping(field="pump"), time=TimeMapping("ts", "s"))
    rejected = decode(framed(1, b"\x02" * 100_000), schemas=Kept(schema), mapping=mapping).rejected
    assert [one.reason for one in rejected] == [Reason.SCHEMA]
    assert "schema 1 is of no use: " in rejected[0].detail


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9),
            st.integers(-62_135_596_800_000, 253_402_300_799_999),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.floats(allow_nan=False, allow_infinity=False, width=32),
        ),
        max_size=6,
    )
)
def test_what_another_program_writes_is_read_equal(rows):
    records = [pump(pump=name, ts=at, temp=temp, flow=flow) for name, at, temp, flow in rows]
    decoded = decode(*records)

    assert decoded.rejected == ()
    assert [decoded.readings.names[code] for code in decoded.readings.series] == [name for name, *_ in rows]
    assert decoded.readings.at.tolist() == [at * 1000 for _, at, _, _ in rows]
    expected = np.array([[temp, flow] for _, _, temp, flow in rows], dtype=float).reshape(len(rows), 2)
    np.testing.assert_array_equal(decoded.readings.values, expected)


MANY_TYPES = {
    **PUMP,
    "fields": [
        *PUMP["fields"],
        {"name": "list", "type": {"type": "array", "items": ["null", "string", "int"]}},
        {"name": "map", "type": {"type": "map", "values": "bytes"}},
        {"name": "enum", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 3}},
        {"name": "on", "type": "boolean"},
        {"name": "x", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 400}},
    ],
}


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.binary(max_size=60),
            st.builds(framed, st.integers(0, 3), st.binary(max_size=60)),
            st.builds(
                lambda start, rest: pump()[:start] + rest,
                st.integers(5, 40),
                st.binary(max_size=12),
            ),
        ),
        max_size=5,
    )
)
def test_arbitrary_bytes_never_raise_and_every_record_has_one_outcome(values):
    decoded = decode(*values, schemas=Kept(PUMP, MANY_TYPES, LINKED), channels=("temp", "x"))

    others = [one.row for one in (*decoded.rejected, *decoded.ignored)]
    assert sorted([*decoded.rows.tolist(), *others]) == list(range(len(values)))
    assert np.isfinite(decoded.readings.values[~decoded.readings.missing]).all()


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.sampled_from(["null", "long", "string", "record", "enum", "R", ""])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "name", "fields", "items", "values", "symbols", "size", "logicalType", "scale"]),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@given(json_values, json_values)
def test_any_schema_is_used_or_refused_in_words(kind, other):
    for schema in (kind, fields(kind, other)):
        try:
            writer_of(_text(schema), ("f0",), "ms", [("f1",)])
        except ValueError:
            continue
