from __future__ import annotations

import json
import math
import struct
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.json import JsonDecoder, JsonEncoder
from pipeline.formats.mapping import InputMapping, JoinMapping, SeriesMapping, TimeMapping
from pipeline.monitor.assembly import Assembly
from pipeline.records import Ignored, Readings, Reason, Why, join

PUMPS = InputMapping(series=SeriesMapping(field="pump"), time=TimeMapping("ts"), channels={"temp": "t"})
NOON = 1_387_214_700_000_000  # 2013-12-16T17:25:00Z


class Arrived(NamedTuple):
    """A record as the decoder sees it."""

    value: bytes | None
    key: bytes | None = b"pump-7"
    topic: str = "readings"
    partition: int = 3
    offset: int = 40


def pump(**fields):
    return Arrived(json.dumps({"pump": "pump-7", "ts": "2013-12-16T17:25:00Z", "t": 71.5, "flow": 3} | fields).encode())


def decode(*records, mapping=PUMPS, channels=("temp", "flow")):
    return JsonDecoder(mapping, channels).decode(records)


def reason(record, mapping=PUMPS):
    """Why a record is no reading, in the decoder's words."""
    decoded = decode(record, mapping=mapping)
    assert len(decoded.readings) == 0
    return decoded.rejected[0].reason, decoded.rejected[0].detail


def test_a_record_becomes_a_reading_with_its_coordinates():
    decoded = decode(pump(), pump(pump="pump-8", ts="2013-12-16T18:25:00.000001+01:00", t=-1e300)._replace(offset=41))

    assert decoded.readings.names == ["pump-7", "pump-8"]
    assert decoded.readings.series.tolist() == [0, 1]
    assert decoded.readings.at.tolist() == [NOON, NOON + 1]
    assert decoded.readings.values.tolist() == [[71.5, 3.0], [-1e300, 3.0]]
    assert not decoded.readings.missing.any()
    assert decoded.readings.partition.tolist() == [3, 3]
    assert decoded.readings.offset.tolist() == [40, 41]
    assert decoded.rows.tolist() == [0, 1]
    assert decoded.rejected == ()


def test_the_list_of_names_grows_and_a_code_keeps_its_meaning():
    decoder = JsonDecoder(PUMPS, ("temp", "flow"))
    first = decoder.decode([pump(pump="a"), pump(pump="b")]).readings
    second = decoder.decode([pump(pump="c"), pump(pump="a")]).readings

    assert first.names is second.names
    assert second.names == ["a", "b", "c"]
    assert second.series.tolist() == [2, 0]


def test_null_and_absent_channels_are_missing_and_never_zero():
    decoded = decode(
        pump(t=None), Arrived(b'{"pump": 7, "ts": "2013-12-16T17:25:00Z", "t": 1}'), pump(t=None, flow=None)
    )

    assert decoded.readings.missing.tolist() == [[True, False], [False, True], [True, True]]
    assert np.isnan(decoded.readings.values[decoded.readings.missing]).all()
    assert decoded.readings.names == ["pump-7", "7"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Arrived(None), Reason.SYNTAX),
        (Arrived(b""), Reason.SYNTAX),
        (Arrived(b'{"pump": "a", '), Reason.SYNTAX),
        (Arrived(b"[" * 100_000), Reason.SYNTAX),
        (Arrived(b'\xef\xbb\xbf{"pump": "a"}'), Reason.SYNTAX),  # a byte order mark
        (Arrived('{"pump": "Kühlpumpe"}'.encode("latin-1")), Reason.ENCODING),
        (Arrived('{"pump": "a"}'.encode("utf-16")), Reason.ENCODING),
        (Arrived(b'{"pump": "\\ud800", "ts": "2013-12-16", "t": 1}'), Reason.ENCODING),
        (Arrived(b"[1, 2]"), Reason.TYPE),
        (Arrived(b"NaN"), Reason.TYPE),
        (Arrived(b'{"ts": "2013-12-16", "t": 1}'), Reason.FIELD),
        (pump(pump=None), Reason.FIELD),
        (pump(pump=""), Reason.FIELD),
        (pump(pump=1.5), Reason.TYPE),
        (pump(pump=True), Reason.TYPE),
        (pump(pump=10**30), Reason.TYPE),
        (Arrived(b'{"pump": "a", "t": 1}'), Reason.FIELD),
        (Arrived(b'{"pump": "a", "ts": "2013-12-16"}'), Reason.FIELD),
        (pump(ts=None), Reason.TIME),
        (pump(ts="yesterday"), Reason.TIME),
        (pump(ts="10000-01-01T00:00:00Z"), Reason.TIME),
        (pump(ts=1387214700), Reason.TYPE),
        (pump(t="71.5"), Reason.TYPE),
        (pump(t=True), Reason.TYPE),
        (pump(t=[71.5]), Reason.TYPE),
        (pump(t=math.nan), Reason.NOT_FINITE),
        (pump(flow=-math.inf), Reason.NOT_FINITE),
        (Arrived(b'{"pump": "a", "ts": "2013-12-16", "t": 1e999}'), Reason.NOT_FINITE),
        (pump(t=10**400), Reason.NOT_FINITE),
        (pump(note="x" * 1_048_576), Reason.OVERSIZE),
    ],
)
def test_what_is_no_reading_is_rejected_with_its_reason(record, expected):
    found, detail = reason(record)

    assert found == expected
    assert 0 < len(detail) < 200


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        (pump(t="71,5"), "temp is '71,5' instead of a number"),
        (pump(t=math.nan), "temp is NaN"),
        (pump(ts="yesterday"), "ts is 'yesterday', which is no time in iso8601"),
        (Arrived(b'{"pump": "a", "t": 1}'), "there is no field ts"),
        (Arrived(b'{"pump": "a", "ts": "2013-12-16"}'), "none of the channels is there: temp, flow"),
    ],
)
def test_a_rejection_names_the_field_and_what_was_found(record, detail):
    assert reason(record)[1] == detail


def test_rejected_records_do_not_disturb_those_beside_them():
    decoded = decode(pump(t=1), pump(t="x"), pump(t=2), Arrived(None), pump(t=3))

    assert decoded.rows.tolist() == [0, 2, 4]
    assert decoded.readings.values[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert [rejected.row for rejected in decoded.rejected] == [1, 3]


def test_a_field_that_is_no_channel_may_hold_anything():
    assert len(decode(pump(other=math.nan)).readings) == 1


@pytest.mark.parametrize(
    ("series", "name"),
    [
        (SeriesMapping(), "pump-7"),
        (SeriesMapping(key=True), "pump-7"),
        (SeriesMapping(topic=True), "readings"),
        (SeriesMapping(field="at.site"), "north"),
        (SeriesMapping(template="{at.site}/{key} of {topic}"), "north/pump-7 of readings"),
    ],
)
def test_the_series_is_named_by_key_topic_field_or_template(series, name):
    record = Arrived(b'{"timestamp": "2013-12-16", "at": {"site": "north"}, "t": 1}')

    assert decode(record, mapping=InputMapping(series=series), channels=["t"]).readings.names == [name]


def test_without_a_key_the_topic_names_the_series_unless_a_key_is_asked_for():
    record = Arrived(b'{"timestamp": "2013-12-16", "t": 1}', key=None)
    keyed = JsonDecoder(InputMapping(series=SeriesMapping(key=True)), ["t"])

    assert decode(record, mapping=InputMapping(), channels=["t"]).readings.names == ["readings"]
    assert keyed.decode([record]).rejected[0].reason == Reason.FIELD
    assert keyed.decode([record._replace(key=b"\xff")]).rejected[0].reason == Reason.ENCODING


def test_a_long_record_is_one_reading_of_its_sensor():
    mapping = InputMapping(
        shape="long", series=SeriesMapping(field="sensor"), time=TimeMapping("ts", "ms"), channels={"value": "v"}
    )
    decoded = decode(Arrived(b'{"sensor": "t1", "ts": 1387214700000, "v": 2}'), mapping=mapping, channels=["value"])

    assert decoded.readings.names == ["t1"]
    assert decoded.readings.at.tolist() == [NOON]


JOINED = InputMapping(
    shape="long",
    series=SeriesMapping(field="sensor"),
    time=TimeMapping("ts", "ms"),
    channels={"temp": "t"},
    join=JoinMapping(SeriesMapping(field="machine"), "v"),
)


def single(**fields):
    return Arrived(json.dumps({"machine": "pump-7", "sensor": "t", "ts": 1387214700000, "v": 2} | fields).encode())


def test_a_record_that_is_to_be_joined_has_its_value_in_the_channel_of_its_sensor():
    decoded = decode(single(), single(sensor="flow", v=3.5), single(v=None), mapping=JOINED)

    assert decoded.readings.names == ["pump-7"]
    assert decoded.readings.at.tolist() == [NOON] * 3
    assert decoded.readings.missing.tolist() == [[False, True], [True, False], [True, True]]
    assert decoded.readings.values[~decoded.readings.missing].tolist() == [2.0, 3.5]


def test_a_record_of_a_sensor_that_is_no_channel_is_ignored_whatever_its_value():
    decoded = decode(single(sensor="door", v="open"), single(), single(sensor="temp"), mapping=JOINED)

    assert decoded.ignored == (Ignored(0, Why.SENSOR), Ignored(2, Why.SENSOR))
    assert decoded.rows.tolist() == [1]
    assert decoded.rejected == ()


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (single(v="3"), (Reason.TYPE, "temp is '3' instead of a number")),
        (single(v=True), (Reason.TYPE, "temp is true instead of a number")),
        (single(v=10**400), (Reason.NOT_FINITE, "temp is a whole number beyond any float")),
        (single(sensor=None), (Reason.FIELD, "sensor, which names the series, is null")),
        (single(machine=1.5), (Reason.TYPE, "machine, which names the series, is 1.5 instead of text")),
        (Arrived(b'{"machine": "a", "sensor": "t", "ts": 1}'), (Reason.FIELD, "there is no field v")),
    ],
)
def test_a_record_that_is_to_be_joined_is_refused_with_its_reason(record, why):
    assert reason(record, JOINED) == why


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-1, 1), st.floats(-1, 1)), max_size=8, unique_by=lambda r: r[0]))
def test_what_is_encoded_as_records_of_single_sensors_is_joined_to_the_same_readings(rows):
    rows = [("pump-7", 1000 * minute, (one, None if minute % 3 else other)) for minute, one, other in sorted(rows)]
    readings = readings_of(rows)
    records = JsonEncoder(JOINED, ("temp", "flow")).encode(readings)
    arrived = [Arrived(value, key, offset=offset) for offset, (key, value) in enumerate(records)]
    decoded = decode(*arrived, mapping=JOINED)
    assembly = Assembly(2, 10**9, joins=True)
    released, _ = assembly.take(decoded.readings)
    found = join([released, assembly.flush(decoded.readings.names)])

    assert {key for key, _ in records} <= {b"pump-7"}
    assert len(records) == (~readings.missing).sum()
    assert found.at.tolist() == readings.at.tolist()
    assert found.missing.tolist() == readings.missing.tolist()
    assert _bits(found.values[~found.missing]) == _bits(readings.values[~readings.missing])


def test_times_without_an_offset_are_read_in_the_zone_of_the_mapping():
    mapping = InputMapping(time=TimeMapping("ts", timezone="Europe/Berlin"))
    decoded = decode(Arrived(b'{"ts": "2013-12-16 18:25", "t": 1}'), mapping=mapping, channels=["t"])

    assert decoded.readings.at.tolist() == [NOON]


KINDS = InputMapping(only={"kind": ("pump", "7")}, deletes={"op.code": ("d",)}, under="now", channels={"temp": "t.c"})


def test_channels_are_found_below_a_field():
    decoded = decode(
        Arrived(b'{"kind": "pump", "timestamp": "2013-12-16", "now": {"t": {"c": 1.5}, "flow": 2}}'),
        Arrived(b'{"kind": 7, "timestamp": "2013-12-16", "now": {"flow": 2}, "t": {"c": 3}, "op": {"code": "c"}}'),
        Arrived(b'{"kind": 7, "timestamp": "2013-12-16", "now": null}'),
        mapping=KINDS,
    )

    assert decoded.readings.values[0].tolist() == [1.5, 2.0]
    assert decoded.readings.missing.tolist() == [[False, False], [True, False]]
    assert [(one.row, one.reason) for one in decoded.rejected] == [(2, Reason.FIELD)]


def test_what_is_about_something_else_is_ignored_with_its_reason_and_never_rejected():
    decoded = decode(
        Arrived(b'{"kind": "fan"}'),
        Arrived(b'{"kind": ["pump"]}'),
        Arrived(b"{}"),
        Arrived(b'{"kind": "fan", "op": {"code": "d"}}'),
        Arrived(None),
        mapping=KINDS,
    )

    assert decoded.rejected == ()
    assert [one.why for one in decoded.ignored] == [*[Why.UNSELECTED] * 3, Why.DELETED, Why.TOMBSTONE]


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
rows = st.tuples(names, st.integers(0, 2**33 * 1_000_000), st.tuples(numbers, numbers))


def readings_of(rows):
    """Readings of two channels from (name, time, values)."""
    known = list(dict.fromkeys(name for name, _, _ in rows))
    values = np.array([values for _, _, values in rows], dtype=float).reshape(len(rows), 2)
    return Readings(
        names=known,
        series=np.array([known.index(name) for name, _, _ in rows], dtype=np.int32),
        at=np.array([at for _, at, _ in rows], dtype=np.int64),
        values=values,
        missing=np.isnan(values),
        partition=np.zeros(len(rows), dtype=np.int32),
        offset=np.arange(len(rows)),
    )


@given(
    rows=st.lists(rows, max_size=8),
    series=st.sampled_from([SeriesMapping(), SeriesMapping(field="a.b"), SeriesMapping(key=True)]),
    unit=st.sampled_from(["iso8601", "s", "ms", "us", "ns", "index"]),
    channels=st.sampled_from([{}, {"temp": "v.t", "flow": "v.f"}]),
)
def test_what_is_encoded_decodes_to_the_same_readings(rows, series, unit, channels):
    mapping = InputMapping(series=series, time=TimeMapping("v.ts" if channels else "ts", unit), channels=channels)
    readings = readings_of(rows)
    records = JsonEncoder(mapping, ("temp", "flow")).encode(readings)
    arrived = [Arrived(value, key, offset=offset) for offset, (key, value) in enumerate(records)]
    decoded = JsonDecoder(mapping, ("temp", "flow")).decode(arrived)

    assert decoded.rejected == ()
    assert [decoded.readings.names[code] for code in decoded.readings.series] == [name for name, _, _ in rows]
    assert decoded.readings.at.tolist() == readings.at.tolist()
    assert decoded.readings.missing.tolist() == readings.missing.tolist()
    assert _bits(decoded.readings.values[~readings.missing]) == _bits(readings.values[~readings.missing])


def _bits(floats):
    """Equal bits, so that minus zero is not zero."""
    return [struct.pack("d", number) for number in floats]


def test_a_templated_name_is_put_back_into_its_fields():
    mapping = InputMapping(series=SeriesMapping(template="{site}/{pump}"))
    readings = readings_of([("north/7", NOON, (1.5, None))])

    assert JsonEncoder(mapping, ("temp", "flow")).encode(readings) == [
        (b"north/7", b'{"site":"north","pump":"7","timestamp":"2013-12-16T17:25:00Z","temp":1.5,"flow":null}')
    ]
    with pytest.raises(ValueError, match="series 'seven' does not fit the template"):
        JsonEncoder(mapping, ("temp", "flow")).encode(readings_of([("seven", NOON, (1.5, None))]))


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.just(10**400), st.just("\ud800")
)
documents = st.dictionaries(
    st.sampled_from(["pump", "ts", "t", "flow", "other"]),
    st.one_of(scalars, st.lists(scalars, max_size=2), st.just("2013-12-16T17:25:00Z"), st.just("1e999")),
)


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.binary(max_size=40),
            documents.map(lambda document: json.dumps(document).encode()),
            documents.map(lambda document: json.dumps(document).replace('"1e999"', "-1e999").encode()[:60]),
        ),
        max_size=6,
    ),
    st.sampled_from(
        [
            PUMPS,
            InputMapping(time=TimeMapping("ts", "s"), channels={"flow": "flow.x.y"}),
            InputMapping(only={"pump": ("1", "a")}, deletes={"other": ("", "0")}, under="t"),
        ]
    ),
)
def test_arbitrary_bytes_never_raise_and_every_record_has_one_outcome(values, mapping):
    decoded = decode(*[Arrived(value) for value in values], mapping=mapping)

    others = [one.row for one in (*decoded.rejected, *decoded.ignored)]
    assert sorted([*decoded.rows.tolist(), *others]) == list(range(len(values)))
    assert np.isfinite(decoded.readings.values[~decoded.readings.missing]).all()
    assert all(rejected.detail for rejected in decoded.rejected)


@given(st.text("0123456789.eE+-", min_size=1, max_size=30))
def test_a_number_is_read_as_the_nearest_float_however_it_is_written(text):
    try:
        expected = float(json.loads(text))
    except (ValueError, OverflowError):
        return
    decoded = decode(Arrived(b'{"pump": "a", "ts": "2013-12-16", "t": %s}' % text.encode()))

    assert math.isinf(expected) == bool(decoded.rejected)
    assert math.isinf(expected) or _bits([decoded.readings.values[0, 0]]) == _bits([expected])
