"""What is taken into a series and what is not: gaps, late and double rows, missing channels, new series."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.monitor.monitor import Monitor
from pipeline.monitor.slots import Slots
from pipeline.monitor.timeline import rounds_of
from pipeline.monitor.tracker import Tracker
from pipeline.records import Outcome
from tests.fixtures import fitted, unmoved
from tests.laws.agreement import assert_agree
from tests.streams import BEGIN, STEP, Series, machine, series, stream, wave


def after(known, rows=60):
    """What follows a history at once."""
    history = known.histories[0]
    begin = int(history.at[-1]) + STEP
    values = wave(rows, first=len(history)) if history.values.shape[1] == 1 else machine(rows, first=len(history))
    return series(history.name, values, begin)


def observed(known, part, **options):
    return Monitor(known.detector, known.policy, **options).observe(stream(part))


def delayed(part, row, by):
    """The same with everything from a row on later by so many microseconds."""
    at = part.at.copy()
    at[row:] += by
    return replace(part, at=at)


def test_a_reading_that_is_a_little_late_is_the_next_one(one):
    calm = after(one)
    on_time = observed(one, calm)

    for by in (-STEP // 2 + 1, STEP // 3, STEP // 2 - 1):
        np.testing.assert_array_equal(observed(one, delayed(calm, 30, by))[0].score, on_time[0].score)


def test_half_a_step_more_is_a_step_that_was_left_out(one):
    calm = after(one)
    by_half, by_one, by_nearly_two = (
        observed(one, delayed(calm, 30, by))[0] for by in (STEP // 2, STEP, STEP * 3 // 2 - 1)
    )

    np.testing.assert_array_equal(by_half.score, by_one.score)
    np.testing.assert_array_equal(by_nearly_two.score, by_one.score)
    assert (by_one.score != observed(one, calm)[0].score)[30:].any()


def test_a_short_gap_runs_on_the_own_forecast_and_is_bridged_without_a_reset(one):
    """A gap is as if the network had read its own forecasts; smoothed errors stand still meanwhile."""
    calm = after(one)
    for missing in (1, 4, 9):
        scores = observed(one, calm.shifted(30, missing))[0]

        assert (scores.outcome == Outcome.SCORED).all()
        ahead = forecasts(one, calm[:30], missing + 1)
        assert scores.expected[30, 0] == pytest.approx(ahead[-1], rel=1e-6)


def forecasts(known, part, count):
    """The forecasts after a series, each made from the one before."""
    found = []
    for _ in range(count):
        probe = Series(part.name, np.append(part.at, part.at[-1] + STEP), np.vstack((part.values, [[0.0]])), None)
        probe = replace(probe, missing=np.zeros(probe.values.shape, bool))
        found.append(observed(known, probe)[0].expected[-1, 0])
        part = replace(probe, values=np.vstack((part.values, [[found[-1]]])))
    return found


def test_a_gap_of_eleven_steps_resets_and_one_of_ten_does_not(one):
    calm = after(one, 80)
    bridged, reset = (observed(one, calm.shifted(30, missing))[0] for missing in (9, 10))

    assert (bridged.outcome == Outcome.SCORED).all()
    assert reset.outcome[30:54].tolist() == [Outcome.WARMING] * 24
    assert (np.delete(reset.outcome, range(30, 54)) == Outcome.SCORED).all()


def test_a_reset_forgets_what_was_before_the_gap_but_scaling_and_counts(one):
    calm = after(one, 80)
    spoilt = calm.with_values(slice(20, 30), 500.0)
    one_way, other_way = (Monitor(one.detector, one.policy) for _ in range(2))
    scores = one_way.observe(stream(calm.shifted(30, 50)))[0]
    others = other_way.observe(stream(spoilt.shifted(30, 50)))[0]

    np.testing.assert_array_equal(scores.score[30:], others.score[30:])
    np.testing.assert_array_equal(scores.expected[30:], others.expected[30:])
    assert one_way.tally().scored == other_way.tally().scored == 80 - 24
    assert (others.bar[30:][others.scored[30:]] > scores.bar[30:][scores.scored[30:]]).all()  # the bar stays


def test_an_incident_open_at_a_long_gap_closes_with_the_reason_gap_at_the_next_reading(one):
    part = after(one, 40).with_values(slice(28, 30), 60.0).shifted(30, 10)
    _, alerts = observed(one, part)
    last = alerts[-1]

    assert (last.event, last.closing, last.at, last.end) == ("cleared", "gap", part.at[30], part.at[30])
    assert last.channels[0].expected is None  # nothing was expected of the first reading after a reset


@pytest.mark.parametrize("gap", [0, 5, 30])
def test_late_and_double_readings_leave_the_series_as_it_was(one, gap):
    calm = after(one).shifted(30, gap)
    extra = slice(31, 34)
    mixed = calm[np.array([*range(31), 30, 12, 29, *range(31, 60)])].with_values(extra, 1e6)
    found, events = observed(one, mixed)
    kept = np.delete(np.arange(63), extra)
    scores, alerts = observed(one, calm)

    assert found.outcome[extra].tolist() == [Outcome.DUPLICATE, Outcome.LATE, Outcome.LATE]
    assert_agree((found[kept], events_without_offset(events)), (scores, events_without_offset(alerts)))


def events_without_offset(alerts):
    return [replace(alert, offset=0) for alert in alerts]


def test_a_reading_without_any_scored_value_is_as_if_it_had_not_come(channels):
    """Three in a row are a gap of four steps; the valve alone is no reading (docs/decisions/0004)."""
    calm = after(channels)
    null = calm.without(slice(20, 22)).without(22, slice(0, 2))
    found, alerts = observed(channels, null)
    kept = np.delete(np.arange(60), [20, 21, 22])
    without, events = observed(channels, calm[kept])

    assert found.outcome[20:23].tolist() == [Outcome.MISSING] * 3
    assert_agree((found[kept], events_without_offset(alerts)), (without, events_without_offset(events)))


def test_a_day_of_nulls_is_a_long_gap(channels):
    found, _ = observed(channels, after(channels, 400).without(slice(30, 320)))

    assert found.outcome[320:345].tolist() == [Outcome.WARMING] * 24 + [Outcome.SCORED]


def test_a_channel_missing_beside_others_enters_as_its_own_forecast_and_is_left_out_of_the_error():
    detector = unmoved()
    values = np.zeros((30, 2))
    values[20:, 1] = 4.0
    calm = series("pump", values)
    monitors = [Monitor(detector) for _ in range(2)]
    gone = monitors[0].observe(stream(calm.without(slice(20, 25), 1)))[0]
    there = monitors[1].observe(stream(calm))[0]

    np.testing.assert_allclose(gone.fused[20:25], gone.fused[19], 0, 1e-9)  # temp alone is judged, and it is calm
    assert there.fused[20] > there.fused[19]
    assert gone.fused[25] == pytest.approx(
        there.fused[20], abs=1e-9
    )  # flow is back at 4 and 0 was expected, as if it had come just now
    assert gone.expected[25].tolist() == [0.0, 0.0]


def test_a_missing_valve_is_replaced_by_its_forecast_and_scores_go_on(channels):
    calm = after(channels)
    scores = observed(channels, calm.without(slice(20, 23), 2))[0]

    assert (scores.outcome == Outcome.SCORED).all()
    np.testing.assert_array_equal(scores.score[:21], observed(channels, calm)[0].score[:21])


def test_before_there_is_a_forecast_a_missing_channel_enters_as_the_mean():
    detector = unmoved()
    values = np.full((20, 2), 3.0)
    scores = Monitor(detector).observe(stream(series("pump", values).without(slice(0, 8), 1)))[0]

    assert scores.outcome[8] == Outcome.SCORED
    assert scores.fused[8] > scores.fused[-1]  # flow rose from 0, its mean, to 3


def test_values_that_are_huge_do_not_poison_the_state():
    detector = unmoved()
    values = np.zeros((400, 2))
    values[20] = 1e300, -1e300
    values[21] = -1.7e308, 5e-324
    scores, _ = Monitor(detector).observe(stream(series("pump", values)))

    assert np.isfinite(scores.score).all()
    assert np.isfinite(scores.fused).all()
    assert scores.score[20] > 2
    assert scores.score[-1] == 0


def test_after_a_huge_value_a_real_network_comes_back(one):
    calm = after(one, 300)
    scores = observed(one, calm.with_values(50, 1e300))[0]
    plain = observed(one, calm)[0]

    np.testing.assert_allclose(scores.expected[250:], plain.expected[250:], 1e-3)
    assert scores.score[50] > 3


def test_an_irregular_series_is_taken_row_by_row_without_gaps():
    rng = np.random.default_rng(2)
    at = BEGIN + np.cumsum(rng.integers(1, 40, 400)) * STEP
    whole = series("pump", wave(400))
    history = replace(whole, at=at)
    detector = fitted([history])
    later = replace(series("pump", wave(60, first=400)), at=at[-1] + np.cumsum(rng.integers(1, 5000, 60)) * STEP)
    scores, _ = Monitor(detector).observe(stream(later))

    assert not detector.regular
    assert (scores.outcome == Outcome.SCORED).all()
    assert Monitor(detector).target == 1e-4


def test_an_index_clock_counts_gaps_in_its_own_steps():
    history = series("press", wave(400), 0, 5)  # 0, 5, 10: regular, with step 5
    detector = fitted([history], clock="index")
    later = series("press", wave(80, first=400), 2000, 5)
    scores, _ = Monitor(detector).observe(stream(later.shifted(30, 10, 5)))

    assert (detector.step, detector.regular) == (5, True)
    assert scores.outcome[30:54].tolist() == [Outcome.WARMING] * 24
    assert scores.outcome[54] == Outcome.SCORED


def test_a_new_series_gathers_its_own_mean_and_deviation(one):
    values = wave(200, 3, mean=-7000.0, size=0.25)
    scores, _ = Monitor(one.detector, one.policy).observe(stream(series("new", values, BEGIN)))
    near = np.abs(scores.expected - values)[scores.scored]

    assert scores.outcome.tolist() == [Outcome.WARMING] * 48 + [Outcome.SCORED] * 152
    assert np.median(near) < 0.25


def test_a_gap_while_a_series_gathers_loses_nothing_of_it(one):
    values = wave(120, 3)
    gap = series("new", values, BEGIN).shifted(10, 500)
    scores, _ = Monitor(one.detector, one.policy).observe(stream(gap))

    assert scores.outcome.tolist() == [Outcome.WARMING] * 48 + [Outcome.SCORED] * 72


def test_steps_that_were_bridged_are_counted(one):
    detector, part = one.detector, after(one).shifted(30, 4).shifted(40, 60).shifted(50, 9)
    slots = Slots(detector)
    slots.put(slots.read(detector.slots, detector))
    where = np.zeros(len(part), np.int64)
    tracked = Tracker(detector, slots.tracks).advance(stream(part), where, rounds_of(where))

    assert {row: int(n) for row, n in enumerate(tracked.imputed) if n} == {30: 4, 50: 9}
    assert np.flatnonzero(tracked.reset).tolist() == [40]
    middle = detector.settings.warm_up // 2
    assert (tracked.settled[40 : 41 + middle] == 1).all()  # smoothed errors begin again
    assert tracked.settled[40 + middle + 5] == 6


def test_how_wrong_a_cold_network_is_does_not_weigh_for_a_whole_span(one):
    detector, later = one.detector, series("never seen", wave(200), BEGIN)
    scores, _, parts = Monitor(detector).observe_in_parts(stream(later))
    first = int(np.flatnonzero(scores.scored)[0])
    settled = first - (detector.settings.warm_up + 1) // 2

    expected = parts.errors[settled : first + 1, 0].mean()
    assert parts.smoothed[first, 0] == pytest.approx(expected)


AHEAD = 1000 * STEP


def outcomes(known, part):
    return [Outcome(code).name for code in observed(known, part)[0].outcome]


def with_time(part, row, by):
    """The same with one reading whose clock is off."""
    at = part.at.copy()
    at[row] += by
    return replace(part, at=at)


def test_a_time_far_ahead_is_taken_back_by_the_third_reading_that_goes_on_as_before(one):
    found = outcomes(one, with_time(after(one, 120), 30, AHEAD))
    warm_up = one.detector.settings.warm_up

    assert found[30:34] == ["WARMING", "LATE", "LATE", "WARMING"]
    assert found[33 : 33 + warm_up] == ["WARMING"] * warm_up
    assert set(found[33 + warm_up :]) == {"SCORED"}


def test_after_it_was_taken_back_a_series_is_as_if_it_had_begun_there(one):
    jumped = with_time(after(one, 120), 30, AHEAD)
    gap = jumped[np.r_[:30, 33:120]].shifted(30, 100)  # a gap of its own, and no wrong clock

    np.testing.assert_array_equal(observed(one, jumped)[0].score[33:], observed(one, gap)[0].score[30:])


def test_a_clock_that_jumps_for_good_is_believed(one):
    found = outcomes(one, after(one, 120).shifted(30, 1000))

    assert "LATE" not in found
    assert found[-1] == "SCORED"


def test_readings_from_before_the_gap_or_shortly_before_the_last_one_take_nothing_back(one):
    calm = after(one, 60).shifted(30, 1000)
    rows = np.r_[:32, 5:15, 31:60]
    late = calm[rows]
    shortly = replace(late, at=np.r_[late.at[:32], late.at[31] - STEP * np.arange(10, 0, -1), late.at[42:]])

    assert outcomes(one, late)[32:42] == ["LATE"] * 10
    assert outcomes(one, shortly)[32:42] == ["LATE"] * 10


def test_readings_that_were_sent_again_between_new_ones_take_nothing_back(one):
    """Two late ones in a row at most: what was in the gap comes while the series goes on."""
    calm = after(one, 60).shifted(30, 1000)
    within = calm.at[29] + STEP * np.arange(1, 21)
    late = replace(calm[np.arange(20)], at=within)
    at, values = list(calm.at[:31]), list(calm.values[:31])
    for row in range(10):
        at += [within[2 * row], within[2 * row + 1], calm.at[31 + row]]
        values += [late.values[2 * row], late.values[2 * row + 1], calm.values[31 + row]]
    both = replace(calm, at=np.array(at), values=np.array(values), missing=np.isnan(np.array(values)))

    assert outcomes(one, both)[31:] == ["LATE", "LATE", "WARMING"] * 10


def test_a_series_that_is_warm_again_is_where_it_says(one):
    warm_up = one.detector.settings.warm_up
    calm = after(one, 60 + warm_up).shifted(30, 1000)
    last = 30 + warm_up
    at = np.r_[calm.at[:last], calm.at[29] + STEP * np.arange(1, 11)]
    found = outcomes(one, replace(calm[np.arange(last + 10)], at=at))

    assert found[last:] == ["LATE"] * 10
