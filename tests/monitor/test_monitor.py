"""The Monitor's other answers: what it refuses, counts and remembers."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.exceptions import StateError
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.monitor.scorer import shares
from pipeline.records import Outcome
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream, wave


def test_readings_of_another_number_of_channels_are_refused(one):
    with pytest.raises(ValueError, match="readings of 3 channels, a detector of 1: temp"):
        Monitor(one.detector).observe(stream(series("pump", np.zeros((5, 3)))))


def test_no_readings_are_no_scores(one):
    scores, alerts = Monitor(one.detector).observe(one.later[:0])

    assert (len(scores), alerts) == (0, [])
    assert scores.expected.shape == (0, 1)


def test_a_fresh_monitor_remembers_nobody_and_promises_its_target(one):
    monitor = Monitor(one.detector)

    assert len(monitor) == 0
    assert monitor.snapshot() == {}
    assert monitor.open_incidents() == {"warning": 0, "critical": 0}
    assert monitor.target == pytest.approx(STEP / 604_800_000_000)
    assert monitor.tally().scored == 0


def test_the_tally_adds_up(case):
    monitor = Monitor(case.detector, case.policy)
    scores, events = monitor.observe(case.later)
    alerts = [alert for alert in events if alert.kind == "anomaly"]
    tally = monitor.tally()
    raised = [alert for alert in alerts if alert.event == "raised"]
    cleared = {alert.id for alert in alerts if alert.event == "cleared"}

    assert tally.target == 0.01
    assert tally.scored == scores.scored.sum()
    assert tally.exceeded == scores.exceeds.sum()
    assert sum(tally.raised.values()) == len(raised)
    assert sum(monitor.open_incidents().values()) == len(raised) - len(cleared)
    assert sum(tally.quiet.values()) == sum(alert.event == "raised" for alert in events) - len(raised)


def test_what_is_not_scored_is_zero_and_says_so(case):
    scores, _ = Monitor(case.detector, case.policy).observe(case.later)
    silent = ~scores.scored

    for column in (scores.score, scores.bar, scores.expected, scores.lower, scores.upper, scores.fused):
        assert not column[silent].any()
        assert np.isfinite(column).all()
    assert not scores.exceeds[silent].any()
    assert (scores.exceeds == (scores.score > scores.bar))[scores.scored].all()
    assert (scores.outcome == Outcome.SCORED).tolist() == scores.scored.tolist()


def test_the_band_holds_the_central_99_percent_of_calm_readings(one):
    calm = series("pump", wave(2000, first=1200), BEGIN + 1200 * STEP)
    scores, _ = Monitor(one.detector).observe(stream(calm))
    inside = (calm.values >= scores.lower) & (calm.values <= scores.upper)

    assert (scores.lower < scores.expected).all()
    assert (scores.expected < scores.upper).all()
    assert 0.96 < inside.mean() <= 1


def test_every_slot_has_the_same_size(fleet):
    monitor = Monitor(fleet.detector)
    monitor.observe(fleet.later)
    sizes = {len(slot) for slot in monitor.snapshot().values()}

    assert len(sizes) == 1
    assert monitor.slot_bytes < sizes.pop() < monitor.slot_bytes + 64


def test_alerts_carry_the_name_given(one):
    _, alerts = Monitor(one.detector, one.policy, name="pumps").observe(one.later)

    assert {alert.detector for alert in alerts} == {"pumps"}
    assert {alert.digest for alert in alerts} == {one.detector.digest}


def test_alerts_say_where_the_reading_came_from(one):
    elsewhere = replace(one.later, partition=np.full(len(one.later), 3, np.int32), offset=one.later.offset + 10_000)
    _, alerts = Monitor(one.detector, one.policy).observe(elsewhere)
    at = {int(at): int(offset) for at, offset in zip(one.later.at, elsewhere.offset, strict=True)}

    assert {alert.partition for alert in alerts} == {3}
    for alert in alerts:
        assert alert.offset == at[alert.at]


def test_a_growing_list_of_names_is_followed(one):
    """A source appends to the one list that it hands out with every poll."""
    names = ["pump"]
    first, second = (series(name, wave(100, 4), BEGIN + 1300 * STEP) for name in ("pump", "new"))
    whole, pieces = Monitor(one.detector, one.policy), Monitor(one.detector, one.policy)
    both = stream(first, second)
    said = whole.observe(both)[0]
    one_way = pieces.observe(replace(both[both.series == 0], names=names))[0]
    names.append("new")
    other_way = pieces.observe(replace(both[both.series == 1], names=names))[0]

    np.testing.assert_array_equal(one_way.score, said.score[both.series == 0])
    np.testing.assert_array_equal(other_way.score, said.score[both.series == 1])
    assert pieces.snapshot().keys() == {"pump", "new"}


def test_a_detector_without_slots_serves_series_never_seen():
    monitor = Monitor(replace(unmoved(), slots={}), Policy(FalseAlarms(probability=0.01)))
    scores, _ = monitor.observe(stream(series("any", np.random.default_rng(0).normal(0, 3, (30, 2)))))

    assert scores.outcome.tolist() == [Outcome.WARMING] * 16 + [Outcome.SCORED] * 14


def test_a_slot_that_does_not_belong_to_the_bundles_detector_is_refused_when_it_is_needed(one):
    stolen = replace(one.detector, period=26)  # another digest, the slots of the first

    with pytest.raises(StateError, match="belongs to detector"):
        Monitor(stolen).observe(one.later)


def test_shares_of_a_calm_reading_are_alike_over_the_channels_that_are_there():
    weighted = np.array([[1.0, 3.0, 5.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    there = np.array([[True, True, False], [True, True, False], [False, True, False]])

    assert shares(weighted, there).tolist() == [[0.25, 0.75, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]


def test_the_times_of_an_index_clock_are_sample_numbers(counter):
    _, alerts = Monitor(counter.detector, counter.policy).observe(counter.later)

    assert {alert.clock for alert in alerts} == {"index"}
    assert 900 <= min(alert.at for alert in alerts) < 1600
