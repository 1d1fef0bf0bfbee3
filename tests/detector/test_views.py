"""The views: their errors at a reading, their spans and which detector has which."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detector.detector import LookingBack
from pipeline.detector.past import Past, Recalled
from pipeline.detector.views import (
    Components,
    Level,
    Linear,
    Memory,
    Prediction,
    errors_of,
    owners,
    prediction_error,
    shapes,
    spans_of,
)
from tests.fixtures import unmoved

NOWHERE = np.zeros((2, 0))
NOTHING = Recalled(NOWHERE, NOWHERE, np.zeros(2, bool), NOWHERE, np.zeros(2, bool))
HERE = np.ones((2, 1), bool)
LINE = Past(np.eye(2, dtype=np.float32), np.ones(2, np.float32), 4, 0)
ORIGIN, WHOLE = np.zeros((2, 2)), Components(np.zeros(2), np.eye(2)[:, :1], np.ones(2), 4)


def recalled(states, window=None, full=True, earlier=None):
    states = np.array(states, float)
    window = np.zeros((len(states), 0)) if window is None else np.array(window, float)
    earlier = np.zeros((len(states), 0)) if earlier is None else np.array(earlier, float)
    return Recalled(states, window, np.full(len(states), full), earlier, np.full(len(states), full))


def test_the_prediction_errs_by_the_mean_square_in_units_of_what_is_common():
    assert prediction_error(np.array([[2.0, 3.0]]), np.ones((1, 2), bool), np.array([[4.0, 1.0]])).tolist() == [5.0]


def test_a_missing_channel_is_left_out_and_not_taken_for_zero():
    z, residual = np.array([[5.0, -2.0], [1.0, 1.0]]), np.array([[100.0, 3.0], [100.0, 100.0]])
    there = np.array([[False, True], [False, False]])

    assert prediction_error(residual, there, np.ones((2, 2))).tolist() == [9.0, 0.0]
    assert Level().error(z, there, NOTHING).tolist() == [2.0, 0.0]


def test_the_level_errs_by_the_distance_from_the_mean_on_either_side():
    assert Level().error(np.array([[-3.0], [0.5]]), HERE, NOTHING).tolist() == [3.0, 0.5]


def test_the_memory_errs_by_the_mean_distance_to_the_three_nearest_states():
    memory = Memory(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [100.0, 0.0]]), 4)

    assert memory.error(HERE, HERE, recalled([[0.0, 0.0], [3.0, 4.0]])).tolist() == pytest.approx(
        [(0 + 1 + 5) / 3, (0 + 5 + np.sqrt(18)) / 3]
    )


def test_a_memory_of_fewer_states_than_neighbours_errs_by_those_there_are():
    assert Memory(np.array([[3.0, 4.0]]), 4).error(HERE, HERE, recalled([[0.0, 0.0]])).tolist() == [5.0]


def test_shapes_are_remembered_without_their_level():
    remembered = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [100.0, 0.0]])
    at_any_level = recalled([[7.0, 0.0, 0.0], [-7.0, 3.0, 4.0]])

    expected = Memory(remembered, 4).error(HERE, HERE, recalled([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(shapes(remembered, 4).error(HERE, HERE, at_any_level), expected)


def test_a_reading_belongs_to_the_region_of_the_shape_that_came_before_it():
    back = LookingBack(LINE, Memory(np.zeros((1, 2)), 4), WHOLE, shapes(np.array([[0.0], [4.0], [9.0]]), 4))
    seen = recalled([[0.0, 9.0]] * 3, earlier=[[5.0, 3.9], [-5.0, -1.0], [0.0, 8.0]])

    assert back.region(seen).tolist() == [1, 0, 2]
    assert back.region(replace(seen, earlier_full=np.array([True, False, True]))).tolist() == [1, 3, 2]
    assert replace(back, shape=None).region(seen).tolist() == [0, 0, 0]


def test_the_components_err_by_what_lies_outside_them_in_units_of_what_is_common():
    components = Components(np.array([1.0, 0.0]), np.array([[1.0], [0.0]]), np.array([1.0, 4.0]), 4)

    assert components.error(HERE, HERE, recalled([[7.0, 4.0], [-2.0, 0.0]])).tolist() == [(0 + 16 / 4) / 2, 0.0]


def test_the_components_look_at_the_window_where_one_is_kept():
    components = Components(np.zeros(3), np.array([[1.0], [0.0], [0.0]]), np.ones(3), 3)

    assert components.error(HERE, HERE, recalled([[9.0]], [[5.0, 3.0, 0.0]])).tolist() == [3.0]


def test_a_view_that_looks_back_says_nothing_before_its_past_is_full():
    early = recalled([[50.0, 50.0]], full=False)

    assert Memory(np.zeros((1, 2)), 4).error(HERE, HERE, early).tolist() == [0.0]
    assert Components(np.zeros(2), np.eye(2)[:, :1], np.ones(2), 4).error(HERE, HERE, early).tolist() == [0.0]


def test_the_line_errs_by_the_mean_distance_from_a_sum_of_the_state_before_the_reading():
    line, z = Linear(np.array([[1.0, 2.0], [0.0, 1.0]])), np.array([[10.0, 1.0], [10.0, 1.0]])
    seen = recalled([[99.0] * 4] * 2, earlier=[[1.0, 3.0, 5.0, 4.0]] * 2)  # it forecasts 7 and 4

    assert line.error(z, np.ones((2, 2), bool), seen).tolist() == [3.0, 3.0]
    assert line.error(z, np.array([[True, True], [False, True]]), seen).tolist() == [3.0, 3.0]
    assert line.error(z, np.array([[True, False], [False, True]]), seen).tolist() == [3.0, 3.0]
    assert line.error(z + 1, np.array([[True, False], [False, True]]), seen).tolist() == [4.0, 2.0]
    assert line.error(z, np.ones((2, 2), bool), replace(seen, earlier_full=np.zeros(2, bool))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("period", "expected"), [(25, (25,)), (8, (8,)), (128, (128,)), (256, (128,))])
def test_the_prediction_is_smoothed_over_a_period_of_at_most_128_readings(period, expected):
    assert Prediction(many=False).spans(period) == expected
    assert Prediction(many=True).spans(period) == (5, 20)


def test_only_a_detector_of_one_scored_channel_has_the_level():
    assert [view.name for view in unmoved().views] == ["prediction"]
    assert [view.name for view in unmoved(unmoved().channels[:1]).views] == ["prediction", "level"]


def test_what_was_learnt_of_the_past_is_looked_at_after_the_prediction():
    components = Components(np.zeros(4), np.eye(4)[:, :1], np.ones(4), 4)
    line = Linear(np.zeros((2, 2)))
    many = replace(unmoved(), looking_back=LookingBack(LINE, Memory(np.zeros((2, 4)), 4), components, linear=line))
    one = replace(
        unmoved(unmoved().channels[:1]),
        looking_back=LookingBack(LINE, Memory(ORIGIN, 4), WHOLE, shapes(ORIGIN[:, 1:], 4)),
    )

    assert [view.name for view in many.views] == ["prediction", "linear", "memory", "components"]
    assert [view.name for view in one.views] == ["prediction", "level", "memory", "shape", "components"]


def test_every_smoothed_error_has_its_view_and_its_span():
    views = (Prediction(many=False), Level())

    assert spans_of(views, 25) == (25, 1, 25)
    assert owners(views).tolist() == [0, 1, 1]
    assert errors_of(owners(views), np.array([4.0]), np.array([[3.0]])).tolist() == [[4.0, 3.0, 3.0]]


def test_every_view_says_how_many_readings_its_error_is_about():
    """Whatever it is called; the level has two smoothed errors."""
    windowed = replace(WHOLE, length=6, name="outside")
    back = LookingBack(LINE, Memory(ORIGIN, 4, name="states"), windowed, replace(shapes(ORIGIN[:, 1:], 4), name="form"))
    one = replace(unmoved(unmoved().channels[:1]), looking_back=back)

    assert [view.length for view in one.views] == [1, 1, 4, 4, 6]
    assert one.lengths.tolist() == [1, 1, 1, 4, 4, 6]
    assert unmoved().lengths.tolist() == [1, 1]
