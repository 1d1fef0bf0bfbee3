"""Time of day and of week as inputs to the network: context that is never scored."""

from __future__ import annotations

import numpy as np

from pipeline.records import Ints, Singles

DAY = 24 * 3600 * 1_000_000  # microseconds
WEEK = 7 * DAY
CALENDAR_NAMES = ("sine of day", "sine of week", "cosine of day", "cosine of week")
CALENDAR_INPUTS = len(CALENDAR_NAMES)


def calendar_inputs(at: Ints) -> Singles:
    """Sine and cosine of the time of day and of the week, (n, 4), of times in microseconds since 1970 UTC (n,)."""
    turns = np.stack((at % DAY / DAY, at % WEEK / WEEK), axis=1) * (2 * np.pi)  # (n, 2)
    return np.concatenate((np.sin(turns), np.cos(turns)), axis=1).astype(np.float32)
