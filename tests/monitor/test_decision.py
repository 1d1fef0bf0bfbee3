"""The bar: its start, its steps, and the promise that it keeps."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detector.calibration import calibrate
from pipeline.exceptions import SettingsError
from pipeline.monitor.decision import Decision, no_bars, promised
from pipeline.monitor.policy import WEEK_MICROSECONDS, FalseAlarms, Policy
from tests.fixtures import unmoved

SERIES, ROWS = 30, 6000
HOUR, DAY = 3_600_000_000, 86_400_000_000


def decided(x, policy, detector=None, begun=None):
    """Decide on x (series, readings) as they come; which exceed and the bars they were compared with, both alike."""
    detector = detector or unmoved()
    bars = begun or no_bars()
    if begun is None:
        bars.grow(len(x))
    decision = Decision(detector, policy, bars)
    slots = np.tile(np.arange(len(x)), x.shape[1])
    flat = x.T.ravel()
    target = np.full(len(flat), decision.target)
    exceeds, bar = decision.exceeding(flat, np.ones(len(flat), bool), target, np.zeros(len(flat), np.int64), slots)
    return exceeds.reshape(x.T.shape).T, bar.reshape(x.T.shape).T, bars


def normal(rng, rows=ROWS):
    """A detector calibrated on 1,000 errors, and iid errors like them."""
    sample = np.log(rng.exponential(1, 1000) + 0.2)
    return unmoved(sample=sample), np.log(rng.exponential(1, (SERIES, rows)) + 0.2)


@pytest.mark.parametrize("probability", [1e-1, 1e-2, 1e-3])
def test_on_readings_like_its_calibration_the_promise_is_kept(rng, probability):
    detector, x = normal(rng)
    exceeds, _, _ = decided(x, Policy(FalseAlarms(probability=probability)), detector)
    rates = exceeds.mean(axis=1)

    assert rates.mean() <= 1.2 * probability if probability < 0.05 else rates.mean() <= 0.06
    assert rates.mean() >= 0.5 * min(probability, 0.05)
    assert (rates <= 2 * probability + 3 / ROWS).all()


@pytest.mark.parametrize("probability", [1e-2, 1e-3])
@pytest.mark.parametrize("rise", [0.5, 3.0])
def test_the_promise_is_kept_though_the_level_of_errors_rises_for_good(rng, probability, rise):
    detector, x = normal(rng)
    x[:, 1000:] += rise
    exceeds, _, _ = decided(x, Policy(FalseAlarms(probability=probability)), detector)
    static, _, _ = decided(x, Policy(FalseAlarms(probability=probability), bar="static"), detector)

    assert exceeds.mean() <= 2 * probability
    assert static.mean() > 3 * probability


def test_where_errors_fall_for_good_the_bar_never_sinks_below_what_is_common(rng):
    detector, x = normal(rng, 3000)
    exceeds, bar, _ = decided(x - 2.0, Policy(FalseAlarms(probability=0.2)), detector)

    assert (bar >= detector.calibrations[0].floor).all()
    assert exceeds.mean() < 0.01


def test_a_static_bar_stands_still_where_it_started(rng):
    detector, x = normal(rng, 500)
    _, bar, _ = decided(x, Policy(FalseAlarms(probability=0.01), bar="static"), detector)

    assert set(bar.ravel().tolist()) == {detector.calibrations[0].start_of_bar(0.01)}


def test_a_static_bar_follows_the_promise_it_is_given_after_a_restart(rng):
    detector, x = normal(rng, 50)
    _, _, begun = decided(x, Policy(FalseAlarms(probability=0.01), bar="static"), detector)
    _, bar, _ = decided(x, Policy(FalseAlarms(probability=0.04), bar="static"), detector, begun)

    assert set(bar.ravel().tolist()) == {detector.calibrations[0].start_of_bar(0.04)}


def test_the_bars_steps_are_those_of_the_definition():
    detector = unmoved()
    calibration = detector.calibrations[0]
    x = np.array([[9.0, 0.0, 9.0] + [0.0] * 5])
    exceeds, bar, bars = decided(x, Policy(FalseAlarms(probability=0.01)), detector)
    expected, where, jump = [], calibration.start_of_bar(0.01), calibration.step
    for t, exceeding in enumerate(exceeds[0]):
        expected.append(where)
        jump = calibration.step * (1 + 2 / (1 + t / 200)) if exceeding else jump
        where = max(where + jump * (exceeding - 0.01), calibration.floor)

    assert exceeds[0].tolist() == [True, False, True] + [False] * 5
    assert bar[0].tolist() == pytest.approx(expected)
    assert (bars.scored[0], bars.exceeded[0]) == (8, 2)
    assert bars.bar[0] == pytest.approx(where)


def test_the_first_step_is_thrice_the_last():
    detector = unmoved()
    _, first, _ = decided(np.array([[9.0, 9.0]]), Policy(FalseAlarms(probability=0.01)), detector)
    x = np.zeros((1, 100_000))
    x[0, -2] = 9.0
    _, late, _ = decided(x, Policy(FalseAlarms(probability=0.01)), detector)
    step = detector.calibrations[0].step

    assert first[0, 1] - first[0, 0] == pytest.approx(3 * step * 0.99)
    assert late[0, -1] - late[0, -2] == pytest.approx(step * 0.99, rel=0.01)


@pytest.mark.parametrize("early", [0, 1000])
def test_after_one_exceedance_the_bar_is_back_in_as_many_readings_as_one_is_promised_for(early):
    x = np.full((1, early + 1200), -1.6)
    x[0, early] = 9.0
    _, bar, _ = decided(x, Policy(FalseAlarms(probability=0.001)))
    before = bar[0, early]

    assert bar[0, early + 1] > before
    assert np.flatnonzero(bar[0, early + 1 :] <= before + 1e-9)[0] == pytest.approx(999, abs=1)


def test_exceeding_is_strict():
    detector = unmoved()
    start = detector.calibrations[0].start_of_bar(0.01)
    x = np.array([[start], [np.nextafter(start, 9)]])
    exceeds, _, _ = decided(x, Policy(FalseAlarms(probability=0.01)), detector)

    assert exceeds.ravel().tolist() == [False, True]


def test_readings_that_are_not_scored_leave_the_bar_alone():
    detector = unmoved()
    bars = no_bars()
    bars.grow(1)
    decision = Decision(detector, Policy(FalseAlarms(probability=0.01)), bars)
    scored = np.array([True, False, False, True])
    exceeds, compared = decision.exceeding(
        np.full(4, 9.0), scored, np.full(4, 0.01), np.zeros(4, np.int64), np.zeros(4, np.int64)
    )

    assert exceeds.tolist() == [True, False, False, True]
    assert compared[1:3].tolist() == [0.0, 0.0]
    assert bars.scored[0] == 2


def test_each_series_has_a_bar_and_a_calibration_of_its_own():
    wide = calibrate(np.ones(2), np.ones(1), np.ones(2), np.array([[-1.0] * 2, [1.0] * 2]), np.linspace(0, 5, 100))
    detector = unmoved()
    detector = replace(detector, calibrations=(*detector.calibrations, wide))
    bars = no_bars()
    bars.grow(2)
    decision = Decision(detector, Policy(FalseAlarms(probability=0.01)), bars)
    decision.exceeding(np.full(2, 1.0), np.ones(2, bool), np.full(2, 0.01), np.array([0, 1]), np.array([0, 1]))

    assert bars.exceeded.tolist() == [1, 0]
    assert bars.bar[1] == pytest.approx(wide.start_of_bar(0.01) - wide.step * 0.01)


@pytest.mark.parametrize(
    ("promise", "step", "expected"),
    [
        (None, HOUR, 1 / 168),
        (None, DAY, 0.05),  # 1 in 7 is more than the bar's floor lets through
        (FalseAlarms(rate=1.0), HOUR, 1 / 168),
        (FalseAlarms(rate=4.0), 300_000_000, 4 / 2016),
        (FalseAlarms(rate=2.0), DAY, 2 / 7),
        (FalseAlarms(probability=1e-4), DAY, 1e-4),
    ],
)
def test_the_target_is_the_step_over_a_week_or_the_probability_itself(promise, step, expected):
    assert Decision(unmoved(step=step), Policy(promise), no_bars()).target == pytest.approx(expected)


@pytest.mark.parametrize("changes", [{"clock": "index", "step": 1}, {"regular": False}])
def test_where_weeks_mean_nothing_the_default_is_a_probability(changes):
    detector = unmoved(**changes)

    assert Decision(detector, Policy(), no_bars()).target == 1e-4
    assert promised(Policy(), detector) == FalseAlarms(probability=1e-4)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"clock": "index", "step": 1}, "its clock is an index"), ({"regular": False}, "its readings come irregularly")],
)
def test_a_rate_per_week_is_refused_where_weeks_mean_nothing(changes, why):
    with pytest.raises(SettingsError) as refused:
        Decision(unmoved(**changes), Policy(FalseAlarms(rate=2.0)), no_bars())

    assert str(refused.value) == (
        f"false_alarms asks for 2 per series-week, but weeks mean nothing here: {why}. "
        "Ask for a share of readings, {probability: 1e-4}"
    )


def test_a_rate_of_half_of_all_readings_is_refused():
    with pytest.raises(SettingsError) as refused:
        Decision(unmoved(step=DAY), Policy(FalseAlarms(rate=3.5)), no_bars())

    assert str(refused.value) == (
        "false_alarms asks for 3.5 per series-week, which at a step of 86400 s is 0.5 of all readings: "
        "ask for less than half of them"
    )


def test_the_promise_of_a_series_goes_by_its_own_step():
    decision = Decision(unmoved(step=HOUR), Policy(FalseAlarms(rate=1.0)), no_bars())
    targets = decision.targets(np.array([HOUR, 2 * HOUR, HOUR]), np.array([True, True, False]))

    assert targets.tolist() == pytest.approx([1 / 168, 2 / 168, 1e-4])


def test_a_week_has_604800_seconds():
    assert WEEK_MICROSECONDS == 604_800_000_000
