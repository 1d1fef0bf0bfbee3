"""Scaling: exact values, constants, huge values, missing ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detector.scaling import CLIP, LARGEST, learn_scaling, scale, unscale


def learnt(*columns, missing=None):
    values = np.array(columns, dtype=float).T
    gone = np.isnan(values) if missing is None else missing
    mean, spread = learn_scaling(values, gone)
    return mean.tolist(), spread.tolist()


def test_mean_and_deviation_are_those_of_the_readings_that_are_there():
    assert learnt([1.0, 3.0, np.nan, 5.0, 7.0]) == ([4.0], [pytest.approx(5**0.5)])


def test_a_constant_channel_has_deviation_one():
    assert learnt([0.1] * 7, [-3.0, np.nan] * 3 + [-3.0]) == ([0.1, -3.0], [1.0, 1.0])


def test_a_channel_that_is_never_there_has_mean_zero_and_deviation_one():
    assert learnt([np.nan] * 4, [1.0, 2.0, 1.0, 2.0]) == ([0.0, 1.5], [1.0, 0.5])


def test_small_movement_on_a_large_level_is_kept():
    mean, spread = learnt(1e9 + np.array([0.0, 1e-3, 2e-3, 3e-3]))

    assert mean == [pytest.approx(1e9 + 1.5e-3, abs=1e-6)]
    assert spread == [pytest.approx(np.std([0.0, 1e-3, 2e-3, 3e-3]), rel=1e-3)]


def test_a_huge_value_in_the_history_leaves_finite_numbers():
    mean, spread = learnt([1.0, 2.0, 1e300, -1e308])

    assert np.isfinite(mean).all()
    assert 0 < spread[0] <= LARGEST


def test_a_reading_is_clipped_to_ten_deviations():
    mean, spread = np.array([1.0]), np.array([2.0])
    values = np.array([[1.0], [3.0], [-5.0], [21.1], [1e300], [-1.7e308]])

    assert scale(values, mean, spread).ravel().tolist() == [0.0, 1.0, -3.0, CLIP, CLIP, -CLIP]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.floats(-9.9, 9.9))
def test_unscaling_takes_scaling_back(mean, spread, z):
    value = unscale(np.array([[z]]), np.array([mean]), np.array([spread]))

    assert scale(value, np.array([mean]), np.array([spread]))[0, 0] == pytest.approx(z, abs=1e-3)


@given(st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=30))
def test_any_history_of_finite_readings_gives_a_scale_to_divide_by(values):
    mean, spread = learn_scaling(np.array(values)[:, None], np.zeros((len(values), 1), bool))

    assert np.isfinite(mean).all()
    assert np.isfinite(spread).all()
    assert (spread > 0).all()
    assert (np.abs(scale(np.array(values)[:, None], mean, spread)) <= CLIP).all()
