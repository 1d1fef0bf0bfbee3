"""The score's map, its tail, and where the bar begins: exact values, then laws over any sample."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.detector.calibration import STEP_FLOOR, TAIL_FLOOR, calibrate, rarity_of
from tests.laws.reference import decades

ONE = np.ones(1)
BAND = np.zeros((2, 1))


def calibration(values):
    return calibrate(ONE, ONE, ONE, BAND, np.array(values, dtype=float))


def score(values, *x):
    """The scores of x among these values."""
    rarity = rarity_of([calibration(values)])
    return rarity(np.array(x, dtype=float), np.zeros(len(x), np.int64)).tolist()


def test_the_kth_largest_of_n_scores_the_decades_of_n_plus_one_over_k():
    values = [5.0, 1.0, 4.0, 2.0, 3.0, 6.0, 7.0, 8.0, 9.0]

    assert score(values, 9, 8, 5, 1) == pytest.approx([1.0, math.log10(5), math.log10(2), math.log10(10 / 9)])


def test_between_two_values_the_score_is_linear():
    values = range(1, 10)
    middle = (math.log10(10 / 3) + math.log10(5)) / 2

    assert score(values, 7.5) == pytest.approx([middle])
    assert score(values, 7.25) == pytest.approx([math.log10(10 / 3) + (math.log10(5) - math.log10(10 / 3)) / 4])


def test_below_the_smallest_is_no_rarity_at_all():
    assert score(range(1, 10), 0.999, -1e300) == [0.0, 0.0]


def test_tied_values_have_the_commoner_of_their_ranks():
    values = [1.0, 2.0, 2.0, 2.0, 3.0]

    assert score(values, 2, 1, 3) == pytest.approx([math.log10(6 / 4), math.log10(6 / 5), math.log10(6)])
    assert score(values, 2 + 1e-9)[0] == pytest.approx(math.log10(6 / 2))  # just above, only the last of them counts


def test_a_sample_of_equals_knows_below_same_and_above():
    below, same, above = score([2.0] * 99, 1.0, 2.0, 2.0 + TAIL_FLOOR)

    assert (below, same) == (0.0, pytest.approx(math.log10(100 / 99)))
    assert above == pytest.approx(2 + 1 / math.log(10))


def test_above_the_largest_an_exponential_tail_goes_on_from_the_top_tenth():
    values = np.arange(1, 101, dtype=float)  # the top ten lie 1 to 10 above the value before: 5.5 in the mean
    rise = 1 / (5.5 * math.log(10))

    assert score(values, 100, 101, 111, 1e6) == pytest.approx(
        [math.log10(101), math.log10(101) + rise, math.log10(101) + 11 * rise, math.log10(101) + (1e6 - 100) * rise]
    )


def test_a_narrow_tail_is_taken_as_wide_as_the_floor_of_the_bars_step():
    flat = calibration(np.linspace(0, 1e-6, 200))

    assert flat.tail == TAIL_FLOOR == pytest.approx(0.3 / math.log(50))
    assert flat.step == STEP_FLOOR == 0.3


def test_step_and_floor_of_the_bar_are_quantiles_of_the_sample():
    values = np.arange(101) / 10

    assert calibration(values).step == pytest.approx(9.9 - 5.0)
    assert calibration(values).floor == pytest.approx(9.5)


@pytest.mark.parametrize(
    ("probability", "rank"), [(0.015, 99), (0.025, 98), (0.035, 97), (0.045, 96), (0.005, 99), (1e-9, 99)]
)
def test_the_bar_starts_at_the_kth_smallest(probability, rank):
    values = np.arange(1, 100, dtype=float)  # n + 1 is 100: the k-th smallest is k

    assert calibration(values).start_of_bar(probability) == rank


def test_the_bar_never_starts_below_the_95_percent_quantile():
    values = np.arange(101, dtype=float)

    assert calibration(values).start_of_bar(0.4) == 95.0
    assert calibration(values).start_of_bar(0.03) == 98.0  # the 99th smallest of 101


def test_a_rarity_in_words_is_never_finer_than_the_sample_can_tell():
    one_in = calibration(np.arange(999, dtype=float)).one_in

    assert [one_in(d) for d in (0.0, 1.0, 2.5, 3.0, 3.1, 400.0)] == [1, 10, 316, 1000, 1000, 1000]


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_errors_rank_nothing(values):
    with pytest.raises(ValueError, match="at least two are needed to rank another"):
        calibration(values)


numbers = st.floats(-8, 8).map(lambda x: round(x, 6))
samples = st.lists(numbers, min_size=2, max_size=60)


@given(samples, st.lists(st.floats(-20, 20), min_size=1, max_size=20))
def test_the_map_is_the_plain_one_of_the_definition(values, asked):
    asked = asked + values + [min(values) - 1e-9, max(values) + 1e-9]
    known = calibration(values)
    expected = [decades(x, known.sample.tolist(), known.tail) for x in asked]

    assert score(values, *asked) == pytest.approx(expected, abs=1e-9)


@given(samples, st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=30))
def test_scores_are_finite_and_never_fall(values, asked):
    ordered = score(values, *sorted([*asked, *values]))

    assert all(math.isfinite(each) and each >= 0 for each in ordered)
    assert all(a <= b + 1e-12 for a, b in pairwise(ordered))


@given(samples, st.floats(1e-6, 10), st.floats(1e-6, 10))
def test_above_the_largest_every_further_bit_scores_more(values, near, further):
    top = max(values)
    first, second = score(values, top + near, top + near + further)

    assert score(values, top)[0] < first < second


@given(st.lists(samples, min_size=1, max_size=8), st.data())
def test_several_calibrations_in_one_map_score_like_each_alone(many, data):
    calibrations = [calibration(values) for values in many]
    apart = st.floats(-20, 20).map(lambda x: round(x, 9))  # 1e-300 is a tie with 0 in a map of several
    rows = data.draw(st.lists(st.tuples(st.integers(0, len(many) - 1), apart), max_size=30))
    rows += [(number, x) for number, values in enumerate(many) for x in values]
    which, x = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    together = rarity_of(calibrations)(x, which)
    alone = [score(many[number], value)[0] for number, value in rows]

    np.testing.assert_allclose(together, alone, 0, 1e-9)


def test_calibrations_of_a_fleet_score_like_each_alone_even_where_errors_almost_tie():
    """Calm errors crowd at log(.2 + 1e-5): the keys of the common search must not round them together."""
    rng = np.random.default_rng(0)
    many = [np.log(0.2 + 0.1 * np.exp(rng.normal(-12, 4, 1500))) for _ in range(300)]
    calibrations = [calibration(values) for values in many]
    rarity = rarity_of(calibrations)
    for number in (0, 7, 150, 299):
        x = np.concatenate((many[number], np.nextafter(many[number], 9)))
        alone = rarity_of([calibrations[number]])(x, np.zeros(len(x), np.int64))

        np.testing.assert_allclose(rarity(x, np.full(len(x), number)), alone, 0, 1e-6)


def test_rows_of_none_score_none():
    assert score([1.0, 2.0]) == []


def test_what_is_learnt_is_in_ascending_order_whatever_came():
    known = calibration([3.0, 1.0, 2.0])

    assert known.sample.tolist() == [1.0, 2.0, 3.0]
