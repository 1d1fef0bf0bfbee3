"""The two views: their errors at a reading, their spans and which detector has which."""

import numpy as np
import pytest

from pipeline.detector.views import Level, Moment, Prediction, errors_of, owners, spans_of, views_for


def moment(z, residual, there=None, channel_scale=None):
    z, residual = np.array(z, float), np.array(residual, float)
    there = np.ones(z.shape, bool) if there is None else np.array(there)
    scale = np.ones(z.shape) if channel_scale is None else np.array(channel_scale, float)
    return Moment(z, residual, there, scale)


def test_the_prediction_errs_by_the_mean_square_in_units_of_what_is_common():
    seen = moment([[0, 0]], [[2, 3]], channel_scale=[[4, 1]])

    assert Prediction().error(seen).tolist() == [(1 + 9) / 2]


def test_a_missing_channel_is_left_out_and_not_taken_for_zero():
    seen = moment([[5, -2], [1, 1]], [[100, 3], [100, 100]], there=[[False, True], [False, False]])

    assert Prediction().error(seen).tolist() == [9.0, 0.0]
    assert Level().error(seen).tolist() == [2.0, 0.0]


def test_the_level_errs_by_the_distance_from_the_mean_on_either_side():
    assert Level().error(moment([[-3], [0.5]], [[0], [0]])).tolist() == [3.0, 0.5]


@pytest.mark.parametrize(("period", "expected"), [(25, (5, 25)), (8, (5, 8)), (128, (5, 128)), (256, (5, 128))])
def test_the_prediction_is_smoothed_over_five_readings_and_a_period_of_at_most_128(period, expected):
    assert Prediction().spans(period) == expected


def test_only_a_detector_of_one_scored_channel_has_the_level():
    assert [view.name for view in views_for(1)] == ["prediction", "level"]
    assert [view.name for view in views_for(2)] == ["prediction"]


def test_every_smoothed_error_has_its_view_and_its_span():
    assert spans_of(views_for(1), 25) == (5, 25, 1)
    assert owners(views_for(1)).tolist() == [0, 0, 1]
    assert errors_of(views_for(1), moment([[3]], [[2]])).tolist() == [[4.0, 4.0, 3.0]]
