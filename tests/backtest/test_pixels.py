from __future__ import annotations

import numpy as np
import pytest

from pipeline.backtest.pixels import COLUMNS, MICROSECONDS_PER_DAY, Pixels


def drawn(at, values, rows=None, clock="index"):
    rows = np.ones(len(at), bool) if rows is None else rows
    points = Pixels(np.array(at, np.int64), clock).points(rows)
    low, high = points.extremes(np.array(values, float)[rows])
    return points, low, high


def test_few_readings_are_drawn_one_by_one():
    points, low, high = drawn([10, 11, 12, 13], [5.0, 7.0, 6.0, 8.0], np.array([True, True, False, True]))

    assert points.x.tolist() == [10.0, 11.0, 13.0]
    assert low.tolist() == high.tolist() == [5.0, 7.0, 8.0]


def test_every_spike_of_a_long_series_survives(rng):
    rows = 100_000
    values = rng.normal(size=rows)
    spikes = rng.choice(rows, 50, replace=False)
    values[spikes] = np.where(rng.random(50) < 0.5, -100.0, 100.0) + np.arange(50)
    points, low, high = drawn(np.arange(rows), values)
    nearest = np.searchsorted(points.x, spikes, side="right") - 1

    assert len(points.x) <= COLUMNS + 1
    assert (low[nearest] <= values[spikes]).all()
    assert (high[nearest] >= values[spikes]).all()
    assert set(low[nearest]) | set(high[nearest]) >= set(values[spikes])
    assert (low.min(), high.max()) == (values.min(), values.max())


def test_columns_agree_with_a_plain_loop(rng):
    at = np.cumsum(rng.integers(1, 5, 4000))
    values = rng.normal(size=4000)
    points, low, high = drawn(at, values)
    columns = {}
    for moment, value in zip(at, values, strict=True):
        columns.setdefault(int((moment - at[0]) / ((at[-1] - at[0]) / COLUMNS)), []).append((moment, value))

    assert points.x.tolist() == [float(inside[0][0]) for inside in columns.values()]
    assert low.tolist() == [min(value for _, value in inside) for inside in columns.values()]
    assert high.tolist() == [max(value for _, value in inside) for inside in columns.values()]


def test_no_line_is_drawn_across_a_gap():
    points, low, _ = drawn([0, 1, 2, 12, 23, 24, 25, 26], np.arange(8))

    assert points.x.tolist() == [0, 1, 2, 12, 23, 23, 24, 25, 26]
    assert np.flatnonzero(np.isnan(low)).tolist() == [4]  # 10 steps are bridged, 11 are not


def test_a_reading_between_two_gaps_stands_alone():
    points, low, high = drawn([0, 1, 2, 3, 50, 100, 101, 102], np.arange(8))
    single, _, _ = drawn([7], [1.0])

    assert points.x[points.alone].tolist() == [50]
    assert low[points.alone].tolist() == high[points.alone].tolist() == [4.0]
    assert single.alone.tolist() == [True]


def test_days_are_counted_from_1970():
    points, _, _ = drawn([0, MICROSECONDS_PER_DAY, 2 * MICROSECONDS_PER_DAY], [1, 2, 3], clock="time")

    assert points.x.tolist() == [0.0, 1.0, 2.0]


def test_nothing_to_draw_is_nothing():
    points, low, high = drawn([1, 2, 3], [1, 2, 3], np.zeros(3, bool))

    assert len(points.x) == len(low) == len(high) == len(points.alone) == 0
    assert Pixels(np.arange(3), "index").runs(np.zeros(3, bool)) == []


def test_spans_are_wide_enough_to_be_seen_and_joined_where_they_touch():
    pixels = Pixels(np.arange(140_001), "index")  # a hundred samples a column
    starts, ends = np.array([50_000, 1_000, 50_100, 90_000, 91_000]), np.array([50_000, 9_000, 50_100, 99_000, 92_000])

    assert pixels.spans(starts, ends) == [
        (1_000, pytest.approx(8_000)),
        (pytest.approx(49_875), pytest.approx(350)),  # two incidents of one reading, side by side
        (90_000, pytest.approx(9_000)),  # one inside another
    ]


def test_runs_of_rows_are_spans():
    pixels = Pixels(np.arange(0, 10_000, 10), "index")
    rows = np.zeros(1_000, bool)
    rows[:100] = rows[400:500] = rows[990:] = True

    assert pixels.runs(rows) == [(0.0, 990.0), (4_000.0, 990.0), (9_900.0, 90.0)]
