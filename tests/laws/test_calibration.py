"""What fit calls normal is what the monitor says of the same readings; and it never reaches the weights."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Outcome
from tests.fixtures import SETTINGS, fitted
from tests.streams import BEGIN, STEP, Series, series, stream, wave


def of_calibration(history):
    """Which readings of a history belong to its calibration part; those of no value belong to no part."""
    there = (~history.missing).any(axis=1)
    return there & (np.cumsum(there) > there.sum() * 80 // 100)


@pytest.mark.parametrize("kind", ["one", "channels", "counter"])
def test_scores_of_the_calibration_part_are_its_own_rarities(kind, request):
    known = request.getfixturevalue(kind)
    history, (calibration,) = known.histories[0], known.detector.calibrations
    monitor = Monitor(known.detector, known.policy, fresh=True)
    scores = monitor.observe(stream(history))[0][of_calibration(history)]
    scores = scores[scores.scored]
    n = len(scores)
    rank = np.array([(scores.fused >= x).sum() for x in scores.fused])  # 1 for the largest; calm readings may tie

    assert n == len(calibration.sample)
    np.testing.assert_array_equal(np.sort(scores.fused), calibration.sample)
    np.testing.assert_allclose(scores.score, np.log10((n + 1) / rank), 0, 1e-9)


def test_a_series_of_a_fleet_is_calibrated_by_itself_where_it_can_be(fleet):
    detector, histories = fleet.detector, {history.name: history for history in fleet.histories}
    own = {"a": detector.calibrations[1], "b": detector.calibrations[2]}
    for name, calibration in own.items():
        history = histories[name]
        scores = Monitor(detector, fresh=True).observe(stream(history))[0][of_calibration(history)]
        rank = len(scores) - np.argsort(np.argsort(scores.fused))

        np.testing.assert_array_equal(np.sort(scores.fused), calibration.sample)
        np.testing.assert_allclose(scores.score, np.log10((len(scores) + 1) / rank), 0, 1e-9)


def test_the_others_are_held_against_all_series_together(fleet):
    pooled, history = fleet.detector.calibrations[0].sample, fleet.histories[2]
    scores = Monitor(fleet.detector, fresh=True).observe(stream(history))[0][of_calibration(history)]
    rank = np.array([(pooled >= x).sum() for x in scores.fused])

    assert len(pooled) == 2 * 1012 + 120
    assert np.isin(scores.fused, pooled).all()
    np.testing.assert_allclose(scores.score, np.log10((len(pooled) + 1) / rank), 0, 1e-9)


def test_a_series_too_short_has_no_slot_and_is_gathered_like_one_never_seen(fleet):
    scores, _ = Monitor(fleet.detector, fleet.policy).observe(fleet.later)

    assert fleet.detector.series == ("a", "b", "c")
    assert fleet.detector.figures["short_series"] == ["d"]
    for name in ("d", "new"):
        mine = scores.outcome[fleet.later.series == fleet.later.names.index(name)]
        assert mine[:48].tolist() == [Outcome.WARMING] * 48
        assert (mine[48:] == Outcome.SCORED).all()


def test_a_series_never_seen_is_scored_by_what_is_pooled_as_soon_as_it_is_warm(fleet):
    pooled, p = fleet.detector.calibrations[0], 0.01
    later = fleet.later[fleet.later.series == fleet.later.names.index("new")]
    scores, _, parts = Monitor(fleet.detector, Policy(FalseAlarms(probability=p), bar="static")).observe_in_parts(later)
    warm, n = 2 * SETTINGS.warm_up, len(pooled.sample)
    fused = scores.fused[warm:]
    above = (pooled.sample[None, :] >= fused[:, None]).sum(axis=1)  # of the pooled errors, at each reading
    inside = (above > 0) & (above < n)

    assert (scores.outcome[warm:] == Outcome.SCORED).all()
    assert inside.any()
    assert (scores.score[warm:][inside] <= np.log10((n + 1) / above[inside]) + 1e-9).all()
    assert (scores.score[warm:][inside] >= np.log10((n + 1) / (above[inside] + 1)) - 1e-9).all()
    assert (parts.bar[warm:] == pooled.start_of_bar(p)).all()
    assert pooled.start_of_bar(p) not in {own.start_of_bar(p) for own in fleet.detector.calibrations[1:]}
    assert scores.alert[warm:].any()  # the fault in it is found


def test_the_end_of_the_history_is_where_the_monitor_begins(case):
    """Running the history and taking the bundle's slots come to the same, but for the bar, which fit does not move."""
    ran = Monitor(case.detector, Policy(FalseAlarms(probability=0.4), bar="static"), fresh=True)
    taken = Monitor(case.detector, Policy(FalseAlarms(probability=0.4), bar="static"))
    for history in case.histories:
        if history.name in case.detector.series:
            ran.observe(stream(history))
    ahead = case.later[np.isin(case.later.series, [case.later.names.index(name) for name in case.detector.series])]
    one, other = ran.observe(ahead)[0], taken.observe(ahead)[0]

    np.testing.assert_array_equal(one.outcome, other.outcome)
    np.testing.assert_allclose(one.score, other.score, 0, 1e-6)
    np.testing.assert_allclose(one.expected, other.expected, 1e-6)


@pytest.fixture(scope="module")
def history():
    return series("pump", wave(700, 4))


def test_calibration_never_reaches_the_weights(history):
    calibrating = slice(560, None)
    rng = np.random.default_rng(1)
    wild = history.with_values(calibrating, rng.normal(500, 300, 140))
    one, other = fitted([history]), fitted([wild])

    for name, tensor in one.engine.tensors().items():
        np.testing.assert_array_equal(tensor, other.engine.tensors()[name], name)
    assert one.period == other.period
    assert one.calibrations[0].sample[-1] < other.calibrations[0].sample[-1]
    assert one.digest != other.digest


def test_rows_beside_the_borders_of_the_parts_reach_nothing_before_them(history):
    """The 32 rows before calibration belong to no part: neither scaling nor weights nor the stop know them."""
    between = slice(528, 560)
    one, other = fitted([history]), fitted([history.with_values(between, 1e6)])

    for name, tensor in one.engine.tensors().items():
        np.testing.assert_array_equal(tensor, other.engine.tensors()[name], name)


def test_validation_stops_the_training_and_teaches_nothing(history):
    one_look = replace(SETTINGS, steps=20, evaluate_every=20)  # one evaluation: nothing to choose from
    validating = slice(455, 528)
    turned = history.with_values(validating, history.values[validating, 0][::-1])  # the same mean and deviation
    one, other = fitted([history], settings=one_look), fitted([turned], settings=one_look)

    assert one.figures["validation_loss"] != other.figures["validation_loss"]
    for name, tensor in one.engine.tensors().items():
        np.testing.assert_allclose(tensor, other.engine.tensors()[name], 1e-4, 1e-6, err_msg=name)


def test_every_series_scales_alike_so_units_do_not_matter(history):
    """The same machine in other units scores the same: scaling is its own."""
    fahrenheit = replace(history, values=history.values * 1.8 + 32)
    one, other = fitted([history]), fitted([fahrenheit])
    later = series("pump", wave(200, 4, first=700), BEGIN + 700 * STEP).with_values(100, 60.0)
    scores = Monitor(one).observe(stream(later))[0]
    others = Monitor(other).observe(stream(replace(later, values=later.values * 1.8 + 32)))[0]

    np.testing.assert_allclose(scores.score, others.score, 0, 1e-3)
    np.testing.assert_allclose(scores.expected * 1.8 + 32, others.expected, 1e-4)


def test_series_of_one_detector_do_not_touch_each_other(fleet):
    """What is said of a series is the same whether others are there or not."""
    whole = Monitor(fleet.detector, fleet.policy).observe(fleet.later)
    for code, name in enumerate(fleet.later.names):
        mine = fleet.later.series == code
        alone = Monitor(fleet.detector, fleet.policy).observe(fleet.later[mine])

        np.testing.assert_array_equal(alone[0].outcome, whole[0].outcome[mine])
        np.testing.assert_array_equal(alone[0].score, whole[0].score[mine])
        assert alone[1] == [alert for alert in whole[1] if alert.series == name]


def test_a_history_with_late_and_double_rows_is_learnt_as_if_they_had_not_come(history):
    messy = history.repeated(100, 140).repeated(300, 300).repeated(500, 503)
    one, other = fitted([history]), fitted([messy])

    assert one.digest == other.digest
    assert other.figures["left_out"] == 3


def test_a_reading_without_any_value_is_a_gap_of_the_history():
    """Removed or null: the same is learnt of it."""
    whole = series("pump", wave(700, 4)).without([50, 51, 600])
    there = Series("pump", *(column[~whole.missing[:, 0]] for column in (whole.at, whole.values, whole.missing)))

    assert fitted([whole]).digest == fitted([there]).digest
