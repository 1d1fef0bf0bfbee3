"""The view without a network: how far a reading is from the mean of the history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.detector.past import Recalled
from pipeline.detector.views.prediction import LONGEST_SPAN
from pipeline.detector.views.view import mean_over
from pipeline.records import Flags, Floats


@dataclass(frozen=True, slots=True)
class Level:
    """Mean over the scored channels of |z|, as it is and smoothed over a period."""

    name: str = "level"
    length: int = 1  # the reading alone

    def spans(self, period: int) -> tuple[int, ...]:
        return (1, min(period, LONGEST_SPAN))

    def error(self, z: Floats, there: Flags, recalled: Recalled) -> Floats:  # noqa: ARG002  every view is shown the past
        """Maps readings (N, C) to (N,), over the channels that are there."""
        return mean_over(np.abs(z), there)
