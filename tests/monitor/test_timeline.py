"""Where a reading stands in its series, and the rounds of a batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.monitor.timeline import rounds_of, steps_since


def steps(*since, step=100, regular=True):
    at = np.array(since)
    return steps_since(at, np.zeros_like(at), np.full(len(at), step), np.full(len(at), regular)).tolist()


def test_a_distance_is_rounded_half_up_and_at_least_one_step():
    assert steps(1, 49, 50, 100, 149, 150, 151, 249, 250, 1049, 1050) == [1, 1, 1, 1, 1, 2, 2, 2, 3, 10, 11]


def test_half_of_an_odd_step_is_rounded_up_too():
    assert steps(4, 7, 8, step=5) == [1, 1, 2]


def test_distances_of_years_in_microseconds_are_exact():
    year = 365 * 86_400_000_000

    assert steps(200 * year, step=1) == [200 * year]
    assert steps(20 * year, step=300_000_000) == [20 * year // 300_000_000]


def test_an_irregular_series_is_taken_row_by_row():
    assert steps(1, 100_000, 10**15, regular=False) == [1, 1, 1]


def test_before_the_last_reading_there_is_no_negative_distance():
    assert steps(-500, 0) == [1, 1]


@given(st.lists(st.integers(0, 5), max_size=60))
def test_rounds_hold_every_row_once_and_every_series_at_most_once_in_its_order(slots):
    slots = np.array(slots, np.int64)
    rounds = rounds_of(slots)

    assert sorted(row for rows in rounds for row in rows.tolist()) == list(range(len(slots)))
    for rows in rounds:
        assert len(set(slots[rows].tolist())) == len(rows) > 0
    for slot in set(slots.tolist()):
        mine = [row for rows in rounds for row in rows.tolist() if slots[row] == slot]
        assert mine == sorted(mine)
        places = [number for number, rows in enumerate(rounds) if slot in slots[rows]]
        assert places == list(range(len(mine)))  # the i-th reading of a series is in the i-th round


def test_there_are_as_few_rounds_as_the_longest_series_has_readings():
    assert len(rounds_of(np.array([3, 3, 1, 3, 2, 1]))) == 3
    assert rounds_of(np.zeros(0, np.int64)) == []


@pytest.mark.parametrize("rows", [1, 5])
def test_rows_of_one_series_are_a_round_each(rows):
    assert [chosen.tolist() for chosen in rounds_of(np.zeros(rows, np.int64))] == [[row] for row in range(rows)]
