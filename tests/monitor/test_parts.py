"""What the Monitor tells of a score: the numbers it was made of, and nothing else than without asking."""

from dataclasses import fields, replace

import numpy as np
import pytest

from pipeline.detector.fusion import FUSED_OFFSET
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.parts import Warming
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Outcome
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream


def test_asking_for_the_parts_changes_no_score_no_alert_and_nothing_that_is_remembered(case):
    asked, unasked = (Monitor(case.detector, case.policy) for _ in range(2))
    scores, alerts, parts = asked.observe_in_parts(case.later)
    plain, plain_alerts = unasked.observe(case.later)

    for column in fields(plain):
        assert getattr(scores, column.name).tobytes() == getattr(plain, column.name).tobytes()
    assert alerts == plain_alerts
    assert asked.snapshot() == unasked.snapshot()
    assert len(parts.fused) == len(scores)


def test_asking_where_a_series_stands_changes_nothing_that_comes(case):
    asked, unasked = (Monitor(case.detector, case.policy) for _ in range(2))
    names, half = case.later.names, len(case.later) // 2
    for name in names:
        asked.standing(name)
    first = asked.observe(case.later[:half])
    for name in names:
        asked.standing(name)
    second = asked.observe(case.later[half:])

    assert first[1] + second[1] == unasked.observe(case.later[:half])[1] + unasked.observe(case.later[half:])[1]
    assert asked.snapshot() == unasked.snapshot()


def test_the_parts_add_up_to_the_score(case):
    scores, _, parts = Monitor(case.detector, case.policy).observe_in_parts(case.later)
    scored = scores.scored
    fused = np.log((parts.softened * parts.weights).sum(axis=1) + FUSED_OFFSET)

    np.testing.assert_array_equal(scores.fused[scored], parts.fused[scored])
    np.testing.assert_allclose(parts.fused[scored], fused[scored], 0, 1e-12)
    np.testing.assert_array_equal(scores.exceeds[scored], (parts.fused > parts.bar)[scored])
    np.testing.assert_array_equal(
        case.detector.rarity(parts.bar[scored], parts.calibration[scored]), scores.bar[scored]
    )
    assert parts.weights.sum() == pytest.approx(1)
    assert (parts.target[scored] == 0.01).all()
    there = ~case.later.missing & case.detector.scored
    change = np.where(there & scored[:, None], case.later.values - scores.expected, 0.0)[scored]
    inside = np.abs(parts.residual[scored] * parts.spread[scored] - change) < 1e-6
    assert inside.mean() > 0.9  # the others are so far off that they are clipped


def test_a_series_stands_where_its_readings_left_it():
    """Eight readings warm up; the forecast is the last reading, so that a step of 30 deviations is all there is."""
    monitor = Monitor(unmoved(), Policy(FalseAlarms(probability=0.01), bar="static"))
    calm = series("pump", np.zeros((12, 2)), BEGIN).with_values(10, 9.0)
    before = monitor.standing("pump")
    readings = stream(calm)
    stood = []
    for row in range(12):
        monitor.observe(readings[row : row + 1])
        stood.append(monitor.standing("pump"))

    assert (before.at, before.unscored, before.bar, before.scored, before.incident) == (None, 8, None, 0, None)
    assert before.spans == (5, 20)
    assert [each.unscored for each in stood] == [7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0]
    assert [each.scored for each in stood[7:]] == [0, 1, 2, 3, 4]
    assert [each.exceeded for each in stood[7:]] == [0, 0, 0, 1, 2]
    assert stood[9].incident is None
    assert stood[10].incident.start == stood[10].at == BEGIN + 10 * STEP
    assert stood[8].bar == pytest.approx(monitor.detector.calibrations[0].start_of_bar(0.01))


def test_a_series_never_seen_gathers_and_then_warms_up():
    monitor = Monitor(replace(unmoved(), slots={}), Policy(FalseAlarms(probability=0.01)))
    readings = stream(series("any", np.random.default_rng(0).normal(0, 3, (20, 2)), BEGIN))
    before = monitor.standing("any").unscored
    left, outcomes = [], []
    for row in range(20):
        outcomes.append(monitor.observe(readings[row : row + 1])[0].outcome[0])
        left.append(monitor.standing("any").unscored)

    assert before == 16 == outcomes.count(Outcome.WARMING)
    assert left == [*range(15, 0, -1), 0, 0, 0, 0, 0]


def test_the_series_that_warm_up_are_counted_with_the_longest_of_what_they_still_need():
    """`pump` is scaled, and eight readings warm it up; one never seen gathers its scaling with eight more before."""
    detector = unmoved()
    monitor = Monitor(detector, Policy(FalseAlarms(probability=0.01)))
    values = np.random.default_rng(0).normal(0, 0.3, (20, 2))
    readings = [stream(series(name, values, BEGIN)) for name in ("pump", "new")]
    none = monitor.warming()
    for one in readings:
        monitor.observe(one[:5])
    both = monitor.warming()
    monitor.observe(readings[0][5:])
    new = monitor.warming()
    monitor.observe(readings[1][5:])

    assert none == Warming(0, 0, 0.0)
    assert both == Warming(2, 11, 11 * STEP / 1e6)
    assert new == Warming(1, 11, 11 * STEP / 1e6)
    assert monitor.warming() == none


def test_a_series_warms_up_again_after_a_gap_and_a_sample_number_is_no_time():
    monitor = Monitor(unmoved(clock="index", step=1), Policy(FalseAlarms(probability=0.01)))
    readings = stream(series("pump", np.zeros((20, 2)), 0, 1).shifted(12, 50, 1))
    monitor.observe(readings[:12])
    before = monitor.warming()
    monitor.observe(readings[12:14])

    assert before == Warming(0, 0, None)
    assert monitor.warming() == Warming(1, 6, None)


def test_some_rows_of_the_parts_are_the_parts_of_some_rows(one):
    parts = Monitor(one.detector, one.policy).observe_in_parts(one.later)[2]
    some = parts[3:5]

    assert some.weights.tolist() == parts.weights.tolist()
    for column in fields(parts):
        if column.name != "weights":
            np.testing.assert_array_equal(getattr(some, column.name), getattr(parts, column.name)[3:5])
