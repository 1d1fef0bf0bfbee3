from __future__ import annotations

import json

import pytest

from pipeline.bundle import load
from pipeline.cli.main import main
from pipeline.connectors.state_folder import StateFolder
from pipeline.monitor.monitor import Monitor
from pipeline.service.ports import Partition, SavedState
from tests.service.small import bundled, calm_values, readings_of


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture
def state(tmp_path):
    """State of two partitions."""
    with StateFolder(tmp_path / "state") as folder:
        folder.save("pumps", Partition("readings", 0), SavedState(17, "d" * 64, {"a": b"12345", "b": b"12345"}))
        folder.save("pumps", Partition("readings", 1), SavedState(3, "d" * 64, {}))
    return tmp_path / "state"


def inspected(capsys, *words):
    assert main(["inspect", *map(str, words)]) == 0
    return capsys.readouterr().out


def test_a_bundle_is_told_in_lines(bundle, capsys):
    lines = [" ".join(line.split()) for line in inspected(capsys, bundle).splitlines()]

    assert lines[:8] == [
        f"bundle {bundle}",
        "format 6",
        f"digest {load(bundle).digest}",
        "channels 2: temp, flow",
        "clock time",
        "step a reading every 1 min",
        "period 20",
        "series 1: pump",
    ]
    assert lines[8].startswith("calibration ")
    assert lines[8].endswith("errors pooled, 0 series with their own")


def test_a_bundle_is_told_as_json(bundle, capsys):
    facts = json.loads(inspected(capsys, bundle, "--json"))
    detector = load(bundle)

    assert facts["digest"] == detector.digest
    assert facts["channels"] == {"temp": "sensor", "flow": "sensor"}
    assert facts["calibration"] == [len(detector.calibrations[0].sample)]
    assert facts["slot_bytes"] == len(detector.slots["pump"])
    assert facts["bundle_bytes"] == sum(file.stat().st_size for file in bundle.iterdir())


def test_saved_state_is_told_by_partition(state, capsys):
    lines = [line.split() for line in inspected(capsys, state).splitlines()]

    assert lines[0] == ["detector", "topic", "partition", "offset", "series", "slot_bytes", "file_bytes", "digest"]
    assert [line[:6] for line in lines[1:]] == [
        ["pumps", "readings", "0", "17", "2", "5"],
        ["pumps", "readings", "1", "3", "0", "0"],
    ]


def test_one_file_of_saved_state_is_told_as_json(state, capsys):
    facts = json.loads(inspected(capsys, state / "pumps" / "readings" / "0.state", "--json"))

    assert [part["series"] for part in facts["partitions"]] == [["a", "b"]]


@pytest.fixture
def warming(bundle, tmp_path):
    """State of a series that is scored, and of two that are not yet."""
    detector = load(bundle)
    monitor = Monitor(detector)
    for name, rows in (("pump", 60), ("early", 3), ("nearly", 15)):
        monitor.observe(readings_of(calm_values(rows), name))
    with StateFolder(tmp_path / "warming") as folder:
        folder.save("pumps", Partition("readings", 0), SavedState(78, detector.digest, monitor.snapshot()))
        folder.save("fans", Partition("air", 0), SavedState(3, "d" * 64, {}))
    return tmp_path / "warming"


def test_series_that_warm_up_are_listed_with_what_they_need(warming, bundle, capsys):
    lines = inspected(capsys, warming, "--bundle", bundle).splitlines()

    assert [" ".join(line.split()) for line in lines[3:]] == [
        "",
        "warming up is scored after",
        "early 13 readings, about 13 min",
        "nearly 1 reading, about 60 s",
    ]
    facts = json.loads(inspected(capsys, warming, "--bundle", bundle, "--json"))
    assert facts["warming"] == [
        {"series": "early", "readings": 13, "seconds": 780.0},
        {"series": "nearly", "readings": 1, "seconds": 60.0},
    ]


def test_a_bundle_says_when_a_series_never_seen_is_scored(bundle, capsys):
    assert "a series never seen is scored after 16 readings, about 16 min" in inspected(capsys, bundle)


def test_state_of_another_bundle_is_refused_with_both_digests(state, bundle, capsys):
    assert main(["inspect", str(state), "--bundle", str(bundle)]) == 2
    assert capsys.readouterr().err == (
        f"plumbline: {bundle} is detector {load(bundle).digest[:12]}; this state belongs to {'d' * 12}\n"
    )


def test_what_is_neither_is_refused(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"plumbline: {tmp_path} holds neither a bundle (manifest.json) nor saved state (.state files)\n"
    )


def test_damaged_state_is_said_to_be_so(state, capsys):
    file = state / "pumps" / "readings" / "0.state"
    file.write_bytes(file.read_bytes()[:-1])

    assert main(["inspect", str(state)]) == 1
    assert capsys.readouterr().err == (
        f"plumbline: {file} is truncated or damaged: delete it, and the series warm up again\n"
    )
