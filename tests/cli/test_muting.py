"""Mutes of a control topic: beside those of the configuration, and nothing that cannot be read."""

import json
import logging
from pathlib import Path

import pytest

from pipeline.cli.muting import NoDocuments, with_mutes
from pipeline.exceptions import SettingsError
from pipeline.monitor.mutes import Mute
from pipeline.settings import parse_mute, parse_settings

SIX = 1_772_344_800_000_000
SETTINGS = parse_settings("detectors: {a: {mute: [{series: x, reason: own}]}, b: }", Path("a.yaml"))


def document(**fields):
    return json.dumps({"series": "pump-*", "reason": "bearings"} | fields).encode()


def mutes(**documents):
    found = with_mutes(SETTINGS, {key.encode(): value for key, value in documents.items()})
    return {name: [each.series for each in one.policy.mutes] for name, one in found.detectors.items()}


def test_a_mute_is_read_as_that_of_a_configuration():
    detector, mute = parse_mute(document(**{"from": "2026-03-01T06:00:00Z", "to": "2026-03-01T08:00:00+01:00"}))

    assert detector is None
    assert mute == Mute("pump-*", SIX, SIX + 3_600_000_000, "bearings")
    assert parse_mute(document(detector="a", to=7))[0] == "a"


def test_those_of_a_topic_come_behind_those_of_the_configuration_and_are_for_one_detector_or_all():
    assert mutes(k=document(), l=document(series="y", detector="b"), m=document(series="z", detector="c")) == {
        "a": ["x", "pump-*"],
        "b": ["pump-*", "y"],
    }
    assert mutes() == {"a": ["x"], "b": []}
    assert with_mutes(SETTINGS, NoDocuments().documents) == SETTINGS


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"{", "invalid JSON"),
        (b"[]", "a mapping of keys to values is needed"),
        (b"\xff", "invalid JSON"),
        (document(reason=" "), "reason: a name is needed"),
        (document(**{"from": "soon"}), "from is 'soon': a time with its offset is needed"),
        (document(until=3), "until: unknown; known here: detector, from, reason, series, to"),
    ],
)
def test_what_cannot_be_read_is_said_and_left_out_and_the_others_hold(value, message, caplog):
    with pytest.raises(SettingsError, match=message.replace("[", r"\[")):
        parse_mute(value)
    with caplog.at_level(logging.ERROR):
        assert mutes(k=value, l=document())["b"] == ["pump-*"]
    assert caplog.records[0].facts["key"] == "k"
