"""Whether a detector of so many channels can be trained at all, said before anything is read or allocated."""

from __future__ import annotations

from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import DataError
from pipeline.training.forecasting import LONGEST_WINDOW, PIECES_AT_A_TIME

LARGEST = 16 * 2**30  # bytes of one step; more is no longer a machine's sensors
BYTES_PER_FORECAST = 13  # single floats for forecast, target and counted target, and a flag


def check_size(channels: int, settings: FitSettings) -> None:
    """DataError where one step of training or validation would hold more forecasts than memory can be had for."""
    readings = max(settings.batch * settings.chunk, PIECES_AT_A_TIME * LONGEST_WINDOW)  # forecast side by side
    each = readings * settings.horizon * BYTES_PER_FORECAST
    if channels * each > LARGEST:
        raise DataError(
            f"{channels:,} channels: one step of training would hold about {channels * each / 2**30:,.0f} GiB of "
            f"forecasts ({readings:,} readings, horizon {settings.horizon}); one detector takes {LARGEST // each:,} "
            "channels at most: choose those of one machine by --channels, or make a detector for each group"
        )
