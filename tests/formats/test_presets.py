"""The presets on records as these senders write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.formats.json import JsonDecoder, JsonEncoder
from pipeline.records import Reason, Why
from pipeline.settings import parse_settings

NOON = 1_387_214_700_000_000  # 2013-12-16T17:25:00Z
CPU = {
    "fields": {"usage_idle": 97.5, "usage_user": 1},
    "name": "cpu",
    "tags": {"cpu": "cpu0", "host": "web-1"},
    "timestamp": 1387214700,
}
CHANGE = {  # as Debezium writes a change of a row of PostgreSQL
    "before": None,
    "after": {"id": 7, "machine": "pump-7", "temp": 71.5, "note": "fine"},
    "source": {"version": "3.0.0.Final", "connector": "postgresql", "ts_ms": 1387214700000, "db": "plant"},
    "transaction": None,
    "op": "c",
    "ts_ms": 1387214701234,
}


class Arrived(NamedTuple):
    """A record as the decoder sees it."""

    value: bytes | None
    key: bytes | None = None
    topic: str = "readings"
    partition: int = 0
    offset: int = 0


def mapping_of(text):
    """The mapping that the section `input` and the channels come to."""
    return parse_settings(f"detectors: {{pumps: {text}}}", Path("a.yaml")).detector().input


def decode(mapping, channels, *documents):
    values = [None if each is None else json.dumps(each).encode() for each in documents]
    return JsonDecoder(mapping, channels).decode([Arrived(value) for value in values])


def debezium(preset, prefix=""):
    return mapping_of(
        f"{{input: {{topic: a, format: {{preset: {preset}}}, series: {{field: {prefix}after.machine}}}}, "
        "channels: {temp: , level: {field: l}}}"
    )


def test_telegraf_has_its_channels_below_fields_and_its_time_in_seconds():
    mapping = mapping_of(
        '{input: {topic: a, format: {preset: telegraf}, series: {template: "{tags.host}/{tags.cpu}"}}}'
    )
    decoded = decode(mapping, ["usage_idle", "usage_user"], CPU)

    assert decoded.readings.names == ["web-1/cpu0"]
    assert decoded.readings.at.tolist() == [NOON]
    assert decoded.readings.values.tolist() == [[97.5, 1.0]]


def test_of_many_measurements_in_a_topic_one_is_selected_and_the_others_are_ignored():
    mapping = mapping_of(
        "{input: {topic: a, format: {preset: telegraf}, series: {field: tags.host}, only: {name: cpu}, "
        "time: {unit: ms}}, channels: {idle: {field: usage_idle}}}"
    )
    memory = CPU | {"name": "mem", "fields": {"free": 1}}
    decoded = decode(mapping, ["idle"], memory, CPU | {"timestamp": 1387214700000})

    assert decoded.readings.at.tolist() == [NOON]
    assert decoded.readings.values.tolist() == [[97.5]]
    assert [(one.row, one.why) for one in decoded.ignored] == [(0, Why.UNSELECTED)]


@pytest.mark.parametrize("preset", ["debezium", "debezium_bare"])
def test_a_change_event_is_the_row_after_it_at_the_time_of_the_database(preset):
    bare = preset == "debezium_bare"
    events = [CHANGE, CHANGE | {"op": "r"}, CHANGE | {"op": "u", "before": CHANGE["after"]}]
    wrapped = events if bare else [{"schema": {"type": "struct"}, "payload": each} for each in events]
    decoded = decode(debezium(preset, "" if bare else "payload."), ["temp", "level"], *wrapped)

    assert decoded.rejected == decoded.ignored == ()
    assert decoded.readings.names == ["pump-7"]
    assert decoded.readings.at.tolist() == [NOON] * 3
    assert decoded.readings.values[:, 0].tolist() == [71.5] * 3
    assert decoded.readings.missing[:, 1].all()


def test_deletes_and_tombstones_are_outcomes_and_no_errors():
    gone = CHANGE | {"op": "d", "after": None, "before": CHANGE["after"]}
    decoded = decode(debezium("debezium_bare"), ["temp", "level"], gone, None, CHANGE | {"op": "t", "after": None})

    assert decoded.rejected == ()
    assert [one.why for one in decoded.ignored] == [Why.DELETED, Why.TOMBSTONE, Why.DELETED]


def test_an_envelope_that_is_not_the_presets_is_rejected():
    decoded = decode(debezium("debezium", "payload."), ["temp", "level"], CHANGE, {"payload": CHANGE | {"after": None}})

    assert [one.reason for one in decoded.rejected] == [Reason.FIELD] * 2


@pytest.mark.parametrize(
    "text",
    [
        "{input: {topic: a, format: {preset: telegraf}, series: {field: tags.host}, only: {name: cpu}}}",
        "{input: {topic: a, format: {preset: debezium}, series: {field: payload.after.machine}}}",
    ],
)
def test_what_publish_writes_is_read_back(text):
    mapping = mapping_of(text)
    before = decode(mapping_of("{input: {topic: a}}"), ["x"], {"timestamp": "2013-12-16T17:25:00Z", "x": 1.5})
    ((key, value),) = JsonEncoder(mapping, ["x"]).encode(before.readings)
    after = JsonDecoder(mapping, ["x"]).decode([Arrived(value, key)])

    assert after.readings.names == before.readings.names
    assert after.readings.at.tolist() == before.readings.at.tolist()
    assert after.readings.values.tolist() == [[1.5]]
