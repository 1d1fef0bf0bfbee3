from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from pipeline.cli.guess import guess
from pipeline.exceptions import DataError
from pipeline.formats.mapping import JoinMapping, SeriesMapping, TimeMapping

TIMES = "ISO 8601, or a number called timestamp, time or ts"
BY_HAND = "write the configuration by hand, plumbline schema names the keys"


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None


def records(documents, key=None):
    return [Record(key, json.dumps(document).encode()) for document in documents]


def wide(rows=20):
    """Two pumps in turn, a reading every minute."""
    return [
        {"ts": f"2026-03-01T14:{row:02}:00Z", "pump": f"pump-{row % 2}", "temp": 71.5 + row, "on": row % 2 == 0}
        for row in range(rows)
    ]


def test_a_time_a_name_and_numbers_are_found_with_the_reasons():
    found = guess(records(wide()), "readings")

    assert found.mapping.time == TimeMapping("ts", "iso8601")
    assert found.mapping.series == SeriesMapping(field="pump")
    assert found.channels == ("temp",)
    assert found.reasons == (
        "ts is the time: every value reads as ISO 8601",
        "pump names the series: 2 in 20 records",
        "not read, for they are no numbers: on",
    )


@pytest.mark.parametrize(
    ("moment", "unit"),
    [(1_772_374_500, "s"), (1_772_374_500_123, "ms"), (1_772_374_500_123_456, "us"), (1_772_374_500_123_456_789, "ns")],
)
def test_the_unit_of_a_time_is_told_by_its_size(moment, unit):
    found = guess(records([{"time": moment + row, "x": row} for row in range(5)]), "readings")

    assert found.mapping.time == TimeMapping("time", unit)
    assert found.channels == ("x",)


def test_a_counter_is_no_time_however_large():
    documents = [{"litres": 1_500_000_000 + row, "logged": f"2026-03-01T14:00:{row:02}+01:00"} for row in range(5)]
    found = guess(records(documents), "readings")

    assert found.mapping.time == TimeMapping("logged", "iso8601")
    assert found.channels == ("litres",)


def test_fields_of_objects_are_found_by_their_path():
    documents = [
        {"at": 1_772_374_500 + row, "meta": {"device": "d1"}, "data": {"t": 1.5, "p": None}} for row in range(5)
    ]
    documents[0]["data"]["p"] = 3
    found = guess(records(documents), "readings")

    assert found.mapping.series == SeriesMapping(field="meta.device")
    assert found.channels == ("data_t", "data_p")
    assert found.mapping.channels == {"data_t": "data.t", "data_p": "data.p"}


def test_the_key_names_the_series_where_no_field_does():
    documents = [{"at": 1_772_374_500 + row, "x": row} for row in range(20)]

    assert guess(records(documents, b"pump"), "readings").mapping.series == SeriesMapping(key=True)
    assert guess(records(documents), "readings").mapping.series == SeriesMapping(topic=True)


def test_keys_that_never_repeat_name_records_and_no_series():
    documents = [{"at": 1_772_374_500 + row, "x": row} for row in range(20)]
    keyed = [record._replace(key=str(row).encode()) for row, record in enumerate(records(documents))]

    assert guess(keyed, "readings").mapping.series == SeriesMapping(topic=True)


def single(rows=24, sensor="metric", machine="pump"):
    """Two pumps of three sensors each, a value a record."""
    return [
        {
            "ts": f"2026-03-01T14:{row // 6:02}:00Z",
            machine: f"pump-{row // 3 % 2}",
            sensor: ("temp.in", "flow", "p")[row % 3],
            "value": 1.5 * row,
        }
        for row in range(rows)
    ]


def test_records_of_single_sensors_are_joined_by_their_machine():
    found = guess(records(single()), "readings")

    assert found.mapping.shape == "long"
    assert found.mapping.series == SeriesMapping(field="metric")
    assert found.mapping.join == JoinMapping(SeriesMapping(field="pump"), "value")
    assert found.channels == ("flow", "p", "temp_in")
    assert found.mapping.channels == {"temp_in": "temp.in"}
    assert found.reasons == (
        "ts is the time, in iso8601",
        "metric names a sensor: 3 of them",
        "pump names the series: 2 in 24 records; its sensors are joined to readings",
    )


def test_the_key_may_name_the_machine():
    documents = [{key: value for key, value in one.items() if key != "pump"} for one in single(sensor="sensor")]
    keyed = [one._replace(key=b"pump-%d" % (row // 3 % 2)) for row, one in enumerate(records(documents))]

    assert guess(keyed, "readings").mapping.join == JoinMapping(SeriesMapping(key=True), "value")


def test_sensors_of_no_machine_are_series_of_their_own():
    documents = [{key: value for key, value in one.items() if key != "pump"} for one in single(sensor="sensor")]
    keyed = [records([document], document["sensor"].encode())[0] for document in documents]

    for given in (records(documents), keyed):
        assert guess(given, "readings").mapping.join is None
        assert guess(given, "readings").mapping.series == SeriesMapping(field="sensor")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([Record(None, b"a;b"), Record(None, None)], "none of 2 records is a JSON object, which is what can be read"),
        (
            records([{"x": 1, "y": "a"}]),
            f"no field looks like a time ({TIMES}), found x, y; {BY_HAND}",
        ),
        (records([{"ts": "2026-03-01T14:00:00Z", "y": "a"}]), "no field but ts is always a number, found ts, y"),
    ],
)
def test_records_that_cannot_be_guessed_are_refused(given, message):
    with pytest.raises(DataError) as refused:
        guess(given, "readings")

    assert str(refused.value) == f"topic readings: {message}"
