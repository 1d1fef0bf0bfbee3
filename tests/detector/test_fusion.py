"""Levels and their fusion: exact values."""

import math

import numpy as np
import pytest

from pipeline.detector.fusion import HABIT_SPAN, fuse, levels, opinions, unaccustomed


def test_an_error_at_its_own_99_percent_quantile_has_level_point_three_ln_2():
    assert levels(np.array([[2.0]]), np.array([[2.0]]))[0, 0] == pytest.approx(0.3 * math.log(2))


def test_a_level_far_above_is_the_plain_logarithm_and_far_below_it_is_nothing():
    above, below = levels(np.array([[1000.0, 0.0]]), np.array([[1.0, 1000.0]]))[0]

    assert above == pytest.approx(math.log(1000.001 / 1.001))
    assert 0 <= below < 1e-18


def test_a_level_is_finite_where_calibration_never_erred_and_where_an_error_is_huge():
    errors = np.array([[0.0, 1e300, 1e-300]])

    assert np.isfinite(levels(errors, np.zeros((1, 3)))).all()


def test_views_count_alike_and_so_do_the_spans_of_a_view():
    softened = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])

    assert opinions(softened, np.array([0, 0, 1])).tolist() == [[1.5, 3.0], [0.0, 0.0]]


def test_x_is_the_logarithm_of_the_fused_error_and_a_fifth():
    assert fuse(np.array([[1.5, 3.0], [0.0, 0.0]])).tolist() == pytest.approx([math.log(2.25 + 0.2), math.log(0.2)])


def test_a_calm_view_does_not_pull_down_one_that_sees_the_fault():
    high, owner = np.ones((1, 3)), np.array([0, 0, 1])
    seen = fuse(opinions(levels(np.array([[50.0, 50.0, 0.9]]), high), owner))
    seen_beside_a_calm_one = fuse(opinions(levels(np.array([[50.0, 50.0, 1e-9]]), high), owner))

    assert seen - seen_beside_a_calm_one < 0.1


def test_a_view_that_was_always_high_is_heard_for_what_is_beyond_its_habit():
    opinion, habit = np.array([[2.0]]), np.array([[0.0]])
    first, habit = unaccustomed(opinion, habit)
    for _ in range(5 * HABIT_SPAN):
        last, habit = unaccustomed(opinion, habit)

    assert first[0, 0] == 2.0
    assert last[0, 0] == pytest.approx(0.4 * 2.0, rel=1e-3)
    assert unaccustomed(np.array([[1.0]]), habit)[0][0, 0] == 0.0
