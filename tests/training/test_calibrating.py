"""What is common in each region of the past, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training.calibrating import Kept, begun, tracked_batches
from pipeline.training.history import History
from pipeline.training.preparing import prepared
from tests.fixtures import fitted


def kept(residual, region):
    """Readings of one channel, in one series."""
    residual = np.array(residual, float)[:, None]
    return Kept(residual, np.ones(residual.shape, bool), np.array(region), np.zeros(len(residual), np.int64))


def regional(readings, regions):
    return readings.regional(np.arange(len(readings.slots)), regions)


def test_a_region_is_in_units_of_the_usual_and_drawn_to_it_by_twenty_readings():
    restless, calm = [3.0] * 20, [1.0] * 20  # mean square 5

    found = regional(kept(restless + calm, [0] * 20 + [1] * 20), 2)

    assert found.tolist() == pytest.approx([(20 * 9 / 5 + 20) / 40, (20 * 1 / 5 + 20) / 40, 1.0])


def test_one_huge_outlier_does_not_make_all_other_regions_calm():
    residual = [1.0, 1.1] * 2000
    outlying = [*residual[:-1], 1000.0]

    clean, found = (regional(kept(each, [0, 1] * 2000), 2) for each in (residual, outlying))

    np.testing.assert_allclose(found[0], clean[0], 0.01)
    assert found[1] > clean[1]  # where it came, it may come again


def test_a_series_that_is_hardly_ever_missed_by_the_forecast_has_finite_regions():
    found = regional(kept([0.0] * 4999 + [3.0], [0, 1] * 2500), 2)

    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_a_region_without_a_reading_and_one_that_is_not_known_are_as_usual():
    found = regional(kept([1.0, 2.0, 9.0], [0, 0, 2]), 2)

    assert found[1:].tolist() == [1.0, 1.0]


def test_no_region_is_so_calm_that_a_small_residual_is_loud_there():
    found = regional(kept([10.0] * 10 + [0.0] * 5000, [0] * 10 + [1] * 5000), 2)

    assert found[1] == 0.05


@pytest.mark.parametrize("residual", [[], [0.0] * 8])
def test_a_series_that_was_never_missed_by_the_forecast_has_no_region_of_its_own(residual):
    assert regional(kept(residual, [0] * len(residual)), 3).tolist() == [1.0] * 4


def test_each_series_with_a_calibration_of_its_own_has_its_own_regions(fleet):
    pooled, *own = fleet.detector.calibrations

    assert own
    for calibration in own:
        assert calibration.regional.shape == pooled.regional.shape == (fleet.detector.regions + 1,)
        assert calibration.regional[-1] == 1.0
        assert (calibration.regional != pooled.regional).any()


def test_what_was_trimmed_is_not_common_in_any_region(one):
    known = one.histories[0]
    (series,) = prepared([History(known.name, known.at, known.values, known.missing)], ["temp"])
    trimmed = np.zeros(len(series.history), bool)
    trimmed[200:260] = True
    wild = series.history.values.copy()
    wild[trimmed] += 50.0
    odd = replace(series, history=replace(series.history, values=wild), trimmed=trimmed)

    learnt = [batch.learnt for batch in tracked_batches(one.detector, begun(one.detector, [odd]), [odd])]
    assert not np.concatenate(learnt)[trimmed].any()
    assert np.concatenate(learnt).any()


def test_a_move_in_the_calibration_part_does_not_make_the_views_of_a_machine_silent(channels):
    (known,) = channels.histories
    begin = len(known.at) * 80 // 100
    moved = known.values.copy()
    moved[begin:] += 4 * np.nanstd(known.values[:begin], axis=0)
    stayed, gone = (
        fitted([replace(known, values=values)], channels.detector.names) for values in (known.values, moved)
    )

    np.testing.assert_array_equal(gone.channel_scales, stayed.channel_scales)
    linear, memory = (int(np.flatnonzero(gone.owners == view)[0]) for view in (1, 2))
    for view in (linear, memory):
        assert gone.highs[0, view] < 1.5 * stayed.highs[0, view]
