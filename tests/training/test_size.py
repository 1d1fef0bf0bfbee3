from __future__ import annotations

import numpy as np
import pytest

from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import DataError
from pipeline.training.fit import fitting
from pipeline.training.history import History
from pipeline.training.size import check_size


def test_a_million_channels_are_refused_before_anything_is_allocated():
    nothing = np.broadcast_to(np.zeros(1), (200, 1_000_000))
    history = History("pump", np.arange(200), nothing, np.broadcast_to(np.zeros(1, bool), nothing.shape))
    with pytest.raises(DataError) as refused:
        next(fitting([history], ["channel"] * 1_000_000, "index", FitSettings()))

    assert str(refused.value) == (
        "1,000,000 channels: one step of training would hold about 620 GiB of forecasts (5,120 readings, horizon 10); "
        "one detector takes 25,811 channels at most: choose those of one machine by --channels, or make a detector for "
        "each group"
    )


def test_a_shorter_horizon_makes_room_for_more_channels():
    check_size(200_000, FitSettings(horizon=1))
    check_size(25_811, FitSettings())
    with pytest.raises(DataError, match="25,812 channels"):
        check_size(25_812, FitSettings())
