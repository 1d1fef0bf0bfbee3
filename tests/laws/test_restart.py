"""A monitor that is stopped and goes on from its slots says what one that never stopped says."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.exceptions import StateError
from pipeline.monitor.monitor import Monitor
from pipeline.records import Outcome, join
from tests.laws.agreement import assert_agree, assert_alerts_agree, collected, observed
from tests.streams import BEGIN, STEP, series, stream, wave

# Rows of the case `one`, by what the series is in the middle of there.
MOMENTS = {
    "calm": 40,
    "an incident just raised": 61,
    "an incident that lasts": 90,
    "an incident that calms down": 114,
    "missing readings": 204,
    "an incident before a gap": 302,
    "warming": 320,
    "the last warming reading": 328,
}


@pytest.mark.parametrize("row", MOMENTS.values(), ids=MOMENTS)
def test_restart_from_a_snapshot_changes_nothing(case, row):
    whole, first, second = (Monitor(case.detector, case.policy) for _ in range(3))
    said = observed(whole, case.later)
    before = first.observe(case.later[:row])
    second.restore(first.snapshot())
    after = second.observe(case.later[row:])

    assert_agree((before[0], before[1]), (said[0][:row], said[1][: len(before[1])]))
    assert_agree((after[0], after[1]), (said[0][row:], said[1][len(before[1]) :]))
    assert second.snapshot() == whole.snapshot()
    assert second.open_incidents() == whole.open_incidents()


def test_the_moments_are_what_they_are_called(one):
    outcomes = observed(Monitor(one.detector, one.policy), one.later)[0]

    assert not outcomes.alert[MOMENTS["calm"] - 1]
    assert outcomes.exceeds[MOMENTS["an incident just raised"] - 1]
    for name in ("an incident that calms down", "an incident that lasts", "an incident before a gap"):
        assert outcomes.alert[MOMENTS[name] - 1]
        assert outcomes.alert[MOMENTS[name]] or name == "an incident before a gap"
    assert outcomes.outcome[MOMENTS["missing readings"] - 1] == Outcome.MISSING
    warming = outcomes.outcome[MOMENTS["the last warming reading"] - 1 :][:3]
    assert outcomes.outcome[MOMENTS["warming"]] == Outcome.WARMING
    assert warming.tolist() == [Outcome.WARMING, Outcome.WARMING, Outcome.SCORED]


@pytest.mark.parametrize("rows", [1, 10, 23, 24, 25, 47, 48, 49])
def test_a_new_series_goes_on_gathering_and_warming_where_it_stopped(one, rows):
    new = stream(series("never seen", wave(120, 7, mean=-400.0, size=0.01), BEGIN).with_values(100, 7.0))
    whole, first, second = (Monitor(one.detector, one.policy) for _ in range(3))
    said = observed(whole, new)
    first.observe(new[:rows])
    second.restore(first.snapshot())

    assert_agree(second.observe(new[rows:]), (said[0][rows:], said[1]))
    assert said[0].outcome.tolist() == [Outcome.WARMING] * 48 + [Outcome.SCORED] * 72
    assert 100 in [alert.offset for alert in said[1]]


@pytest.mark.parametrize("gap", [2, 10, 11])
def test_a_gap_is_found_after_a_restart_as_before(one, gap):
    readings = stream(series("pump", wave(60, first=1200), BEGIN + 1200 * STEP).shifted(30, gap - 1))
    whole, first, second = (Monitor(one.detector, one.policy) for _ in range(3))
    said = observed(whole, readings)
    before = first.observe(readings[:30])[1]
    second.restore(first.snapshot())

    assert_agree(second.observe(readings[30:]), (said[0][30:], said[1][len(before) :]))
    assert (said[0].outcome[30] == Outcome.WARMING) == (gap > 10)


def test_many_restarts_one_after_another_change_nothing(case):
    said = observed(Monitor(case.detector, case.policy), case.later)
    slots = {}

    def restarted(readings):
        nonlocal slots
        monitor = Monitor(case.detector, case.policy)
        monitor.restore(slots)
        answer = monitor.observe(readings)
        slots = monitor.snapshot()
        return answer

    assert_agree(
        collected(restarted, np.split(np.arange(len(case.later)), range(9, len(case.later), 9)), case.later), said
    )


def test_asking_changes_nothing(case):
    asked, left_alone = (Monitor(case.detector, case.policy) for _ in range(2))

    def asking(readings):
        answer = asked.observe(readings)
        slots = asked.snapshot()
        assert slots == asked.snapshot()
        for question in (asked.tally, asked.open_incidents, asked.tallies_aside, lambda: asked.target):
            assert question() == question()
        assert [asked.last(name) for name in slots] == [asked.last(name) for name in slots]
        assert asked.last("nobody") is None
        assert (len(asked), asked.snapshot()) == (len(slots), slots)
        return answer

    pieces = np.split(np.arange(len(case.later)), [50, 61, 140, 302, 320])

    assert_agree(collected(asking, pieces, case.later), collected(left_alone.observe, pieces, case.later))
    assert asked.snapshot() == left_alone.snapshot()
    assert asked.tally() == left_alone.tally()


def test_slots_go_to_other_monitors_by_series(fleet):
    """As partitions do when a group settles anew: every series goes on in one of two monitors."""
    readings = fleet.later
    rows, cut = np.arange(len(readings)), 1400
    said = observed(Monitor(fleet.detector, fleet.policy), readings)
    first = Monitor(fleet.detector, fleet.policy)
    first.observe(readings[:cut])
    slots = first.snapshot()
    heirs = {code: Monitor(fleet.detector, fleet.policy) for code in (0, 1)}
    for code, heir in heirs.items():
        heir.restore({name: slots[name] for place, name in enumerate(readings.names) if place % 2 == code})
    for code, heir in heirs.items():
        mine = rows[(rows >= cut) & (readings.series % 2 == code)]
        scores, alerts = heir.observe(readings[mine])

        assert_agree((scores, alerts), (said[0][mine], [a for a in said[1] if a.offset in set(mine.tolist())]))


def test_a_snapshot_of_a_partition_holds_the_series_last_seen_there(fleet):
    monitor, readings = Monitor(fleet.detector, fleet.policy), fleet.later
    there = replace(readings, partition=(readings.series % 3).astype(np.int32))
    monitor.observe(there)
    everything = monitor.snapshot()
    parts = [monitor.snapshot(monitor.series_of(partition)) for partition in range(3)]

    assert [sorted(part) for part in parts] == [["a", "d"], ["b", "new"], ["c"]]
    assert {name: slot for part in parts for name, slot in part.items()} == everything
    assert sum(len(part) for part in parts) == len(everything) == 5
    assert monitor.snapshot(monitor.series_of(7)) == {}


def test_a_series_that_moves_to_another_partition_belongs_there(one):
    monitor, readings = Monitor(one.detector, one.policy), one.later
    monitor.observe(readings[:10])
    monitor.observe(replace(readings, partition=np.full(len(readings), 4, np.int32))[10:20])

    assert list(monitor.snapshot(monitor.series_of(4))) == ["pump"]
    assert monitor.snapshot(monitor.series_of(0)) == {}


def test_a_dropped_partition_is_forgotten_and_its_series_begin_as_the_bundle_left_them(fleet):
    readings = replace(fleet.later, partition=(fleet.later.series == 1).astype(np.int32))
    monitor = Monitor(fleet.detector, fleet.policy)
    monitor.observe(readings)
    kept = monitor.snapshot(monitor.series_of(0))
    dropped = monitor.drop(1)
    mine = readings[readings.series == 1]

    assert dropped == 1
    assert "b" not in monitor.snapshot()
    assert monitor.snapshot() == kept
    assert monitor.drop(1) == 0
    assert_agree(monitor.observe(mine), Monitor(fleet.detector, fleet.policy).observe(mine))
    assert {name: monitor.snapshot()[name] for name in kept} == kept


def test_an_incident_that_is_dropped_is_no_longer_counted_as_open(one):
    monitor = Monitor(one.detector, one.policy)
    monitor.observe(one.later[:61])
    before = monitor.open_incidents()
    monitor.drop(0)

    assert sum(before.values()) == 1
    assert sum(monitor.open_incidents().values()) == 0


def test_a_used_slot_is_given_on_as_new(one):
    """A dropped series leaves nothing to the one that takes its place in the table."""
    used, fresh = Monitor(one.detector, one.policy), Monitor(one.detector, one.policy)
    used.observe(one.later[:61])
    used.drop(0)
    new = stream(series("other", wave(200, 3), BEGIN))

    assert_agree(used.observe(new), fresh.observe(new))
    assert used.snapshot() == fresh.snapshot()


def test_restore_replaces_what_a_series_was_and_leaves_the_others(fleet):
    monitor = Monitor(fleet.detector, fleet.policy)
    monitor.observe(fleet.later[:300])
    early = monitor.snapshot()
    monitor.observe(fleet.later[300:700])
    late = monitor.snapshot()
    monitor.restore({"a": early["a"]})

    assert monitor.snapshot() == late | {"a": early["a"]}


def test_the_same_readings_after_a_restart_raise_the_same_ids(one):
    """What at-least-once repeats is said again to the letter."""
    first, second = Monitor(one.detector, one.policy), Monitor(one.detector, one.policy)
    first.observe(one.later[:110])
    saved = first.snapshot()
    sent = first.observe(one.later[110:320])[1]
    second.restore(saved)
    again = second.observe(one.later[110:320])[1]

    assert sent
    assert_alerts_agree(sent, again)
    assert [alert.id for alert in sent] == [alert.id for alert in again]


def test_a_slot_of_another_detector_is_refused(one, counter):
    monitor = Monitor(one.detector)
    foreign = counter.detector.slots["press"]

    with pytest.raises(StateError, match=rf"belongs to detector {counter.detector.digest[:12]}, not to"):
        monitor.restore({"press": foreign})
    assert len(monitor) == 0


def test_restore_is_all_or_nothing(one):
    monitor = Monitor(one.detector)
    monitor.observe(one.later[:50])
    before = monitor.snapshot()
    good = one.detector.slots["pump"]
    with pytest.raises(StateError, match="damaged"):
        monitor.restore({"pump": good, "other": good[:-1] + bytes([good[-1] ^ 1])})

    assert monitor.snapshot() == before


def test_fresh_is_cold_but_keeps_the_scaling(one):
    cold, warm = Monitor(one.detector, one.policy, fresh=True), Monitor(one.detector, one.policy)
    later = one.later[:60]
    outcomes = cold.observe(later)[0].outcome

    assert outcomes.tolist() == [Outcome.WARMING] * 24 + [Outcome.SCORED] * 36
    assert (warm.observe(later)[0].outcome == Outcome.SCORED).all()


def test_fresh_takes_readings_from_before_the_end_of_the_history(one):
    history = stream(one.histories[0])[600:]

    assert (Monitor(one.detector).observe(history)[0].outcome[:-1] == Outcome.LATE).all()
    assert (Monitor(one.detector, fresh=True).observe(history)[0].outcome[24:] == Outcome.SCORED).all()


def test_a_series_is_where_its_history_ended(one):
    monitor = Monitor(one.detector)

    assert monitor.last("pump") == one.histories[0].at[-1]
    assert len(monitor) == 1


def test_readings_joined_are_the_readings_apart(one):
    parts = [one.later[:200], one.later[200:]]

    assert_agree(Monitor(one.detector).observe(join(parts)), Monitor(one.detector).observe(one.later))
