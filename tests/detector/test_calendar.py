"""Time of day and of week as the network sees them."""

import numpy as np

from pipeline.detector.calendar import CALENDAR_INPUTS, DAY, WEEK, calendar_inputs


def test_midnight_and_noon_are_opposite_and_a_day_later_is_the_same_time_of_day():
    midnight, noon, next_midnight = calendar_inputs(np.array([0, DAY // 2, DAY]))

    np.testing.assert_allclose(midnight[[0, 2]], [0, 1], atol=1e-7)
    np.testing.assert_allclose(noon[[0, 2]], [0, -1], atol=1e-7)
    np.testing.assert_allclose(next_midnight[[0, 2]], midnight[[0, 2]], atol=1e-7)
    assert not np.allclose(next_midnight, midnight)


def test_a_week_later_everything_is_the_same_before_1970_too():
    at = np.array([-2 * DAY + 11_045_000_001, 1_772_323_199_999_999])

    np.testing.assert_allclose(calendar_inputs(at), calendar_inputs(at + 53 * WEEK), atol=1e-6)


def test_inputs_are_single_floats_between_minus_one_and_one():
    inputs = calendar_inputs(np.arange(0, WEEK, 3_600_000_000))

    assert inputs.shape == (168, CALENDAR_INPUTS)
    assert inputs.dtype == np.float32
    assert np.abs(inputs).max() <= 1
