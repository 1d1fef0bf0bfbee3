"""What the views that look back learn: the recurrence, states far apart, components, and from which rows."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detector.past import Past, Recalled
from pipeline.training.history import History
from pipeline.training.looking_back import farthest_first, legendre, line_of, look_back, thinned
from pipeline.training.preparing import prepared
from tests.streams import machine, wave

SCORED_ONE, SCORED_TWO = np.array([True]), np.array([True, True, False])


def history(values, name="pump"):
    values = np.asarray(values, float).reshape(len(values), -1)
    return History(name, np.arange(len(values)), values, np.isnan(values))


def looked(*histories, scored=SCORED_ONE, period=20):
    return look_back(prepared(histories, ["c"] * histories[0].values.shape[1]), scored, period, max_gap=10)


def states_of(z, reach, order):
    transition, entry = legendre(reach, order)
    past = Past(transition.astype(np.float32), entry.astype(np.float32), reach, 0)
    state = np.zeros((1, 1, order), np.float32)
    for reading in z:
        state = past.step(state, np.array([[reading]], np.float32))
    return state[0, 0]


def test_a_constant_past_is_its_value_on_the_first_polynomial_alone():
    assert states_of(np.full(400, 3.0), 64, 16) == pytest.approx([3.0] + [0.0] * 15, abs=1e-3)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_distance_of_two_states_is_that_of_the_readings_that_they_stand_for(shift):
    row = np.arange(400)
    one, other = np.sin(row / 15), np.sin(row / 15 + shift)
    apart = np.linalg.norm(states_of(one, 64, 16) - states_of(other, 64, 16))

    assert apart == pytest.approx(np.sqrt(np.mean((one - other)[-64:] ** 2)), abs=0.05)


def test_what_came_before_its_reach_is_forgotten():
    calm = np.zeros(400)
    calm[:200] = 9.0

    assert np.abs(states_of(calm, 64, 16)).max() < 1e-3


def test_states_are_chosen_far_from_each_other_and_never_twice():
    points = np.array([[0.0], [0.1], [10.0], [10.0], [5.0]])

    assert farthest_first(points, 3).ravel().tolist() == [0.0, 10.0, 5.0]
    assert farthest_first(points, 9).ravel().tolist() == [0.0, 10.0, 5.0, 0.1]


def test_rows_are_thinned_evenly_over_all_parts():
    parts = [np.arange(3.0)[:, None], np.zeros((0, 1)), np.arange(3.0, 10.0)[:, None]]

    assert thinned(parts, 99).ravel().tolist() == list(range(10))
    assert thinned(parts, 4).ravel().tolist() == [0, 3, 6, 9]


def test_one_channel_keeps_a_window_of_two_periods_and_many_keep_none():
    one, many = looked(history(wave(1200))), looked(history(machine(1600)), scored=SCORED_TWO)

    assert (one.past.reach, one.past.order, one.past.window) == (32, 16, 40)
    assert one.components.mean.shape == (40,)
    assert one.shape.states.shape[1] == one.memory.states.shape[1] - 1
    assert many.shape is None
    assert (many.past.reach, many.past.order, many.past.window) == (16, 4, 0)
    assert many.memory.states.shape[1] == many.components.mean.shape[0] == 2 * 4


def test_the_views_know_how_many_readings_of_the_past_they_look_at():
    one, many = looked(history(wave(1200))), looked(history(machine(1600)), scored=SCORED_TWO)

    assert (one.memory.length, one.shape.length, one.components.length) == (32, 32, 40)
    assert (many.memory.length, many.components.length) == (16, 16)


@pytest.mark.parametrize(("period", "reach"), [(8, 32), (64, 32), (200, 100), (256, 128)])
def test_the_past_reaches_half_a_period_back_and_no_less_than_32_readings(period, reach):
    assert looked(history(wave(1200)), period=period).past.reach == reach


def test_a_series_that_moved_to_another_level_has_the_same_shapes():
    here, there = looked(history(wave(1200))), looked(history(wave(1200) + 1000.0))

    np.testing.assert_allclose(there.shape.states, here.shape.states, 0, 1e-4)


def test_a_short_history_keeps_a_short_past():
    short = looked(history(wave(100)), period=128)

    assert short.past.longest <= 72 // 3
    assert short.past.order <= short.past.reach


@pytest.mark.parametrize("rows", [100, 400, 1200])
def test_nothing_of_the_calibration_part_is_remembered(rows):
    calm, changed = wave(rows), wave(rows)
    changed[rows * 80 // 100 :] += 50.0
    first, second = looked(history(calm)), looked(history(changed))

    np.testing.assert_array_equal(first.memory.states, second.memory.states)
    np.testing.assert_array_equal(first.components.basis, second.components.basis)


def test_nothing_of_the_calibration_part_teaches_the_line():
    changed = tones()
    changed[960:] += 50.0
    first, second = (looked(history(values), scored=SCORED_TWO) for values in (tones(), changed))

    np.testing.assert_array_equal(first.linear.weights, second.linear.weights)


def tones(rows=1200):
    return np.stack([np.sin(np.arange(rows) / 9), np.cos(np.arange(rows) / 5), np.zeros(rows)], axis=1)


def off_the_line(back, values):
    """The mean error of the line over the last rows of values (T, 3), of which two channels are scored."""
    (series,) = prepared([history(values)], list("abc"))
    z = series.grid(10).z[:, :2]
    before = np.stack([states_of(z[:-1, c], back.past.reach, back.past.order) for c in (0, 1)]).reshape(1, -1)
    seen = Recalled(before, np.zeros((1, 0)), np.array([True]), before.astype(float), np.array([True]))
    return float(back.linear.error(z[-1:], np.ones((1, 2), bool), seen)[0])


def test_the_line_forecasts_what_repeats_far_better_than_the_mean_does():
    back = looked(history(tones()), scored=SCORED_TWO)

    assert back.linear.weights.shape == (2, back.past.order)
    assert off_the_line(back, tones()) < 0.1 * np.abs(tones()[-1, :2]).mean()


def test_the_line_of_a_channel_is_not_that_of_another():
    silent = tones()
    silent[:, 1] = 0.0
    alone, both = (looked(history(values), scored=SCORED_TWO).linear.weights for values in (silent, tones()))

    np.testing.assert_allclose(alone[0], both[0], 1e-6)
    assert not alone[1].any()


def test_a_reading_that_was_missing_teaches_the_line_nothing(rng):
    states, present = rng.normal(size=(50, 4)), np.ones((50, 2), bool)  # two channels of two coefficients
    z = states.reshape(50, 2, 2) @ np.array([2.0, -1.0])
    present[7, 0], z[7, 0] = False, 1e6

    weights = line_of([(states[:20], z[:20], present[:20]), (states[20:], z[20:], present[20:])], 2).weights
    np.testing.assert_allclose(weights, [[2.0, -1.0]] * 2, 0.01)


def test_one_scored_channel_has_no_line():
    assert looked(history(wave(1200))).linear is None


def test_a_series_that_never_moves_has_one_state_and_no_error_to_count():
    constant = looked(history(np.full(400, 20.0)))

    assert len(constant.memory.states) == 1
    assert np.isfinite(constant.components.basis).all()


def test_a_history_of_nothing_but_long_gaps_has_no_past():
    broken = history(wave(400))
    at = np.arange(400) + 100 * (np.arange(400) // 12)

    assert looked(replace(broken, at=at)) is None


def test_a_history_whose_stretches_hardly_fill_the_past_has_none():
    broken = history(wave(1200))
    at = np.arange(1200) + 100 * (np.arange(1200) // 40)

    assert looked(replace(broken, at=at), period=64) is None  # two periods are 128 readings, a stretch has 40


def test_a_standstill_that_was_trimmed_is_not_remembered():
    row = np.arange(1200)
    values, trimmed = wave(1200), (row >= 300) & (row < 500)
    (clean,) = prepared([history(values)], ["c"])
    stuck = values.copy()
    stuck[trimmed] = values[300]
    (series,) = prepared([history(stuck)], ["c"])
    back = look_back([series.without(trimmed)], SCORED_ONE, 20, max_gap=10)
    assert back is not None

    away = np.abs(back.shape.states).sum(axis=1).min()
    assert away > 0.1  # a line without a move has no shape at all
    assert np.abs(look_back([series], SCORED_ONE, 20, max_gap=10).shape.states).sum(axis=1).min() < 0.1
    assert clean.period == series.period


def test_all_series_of_a_fleet_are_remembered_together():
    low, high = wave(600), wave(600, 3)
    both = looked(history(low, "low"), history(high, "high"))

    assert len(both.memory.states) == 256
