"""The view without a network: how far a reading is from the mean of the history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.detector.views.view import Moment, mean_over
from pipeline.records import Floats


@dataclass(frozen=True, slots=True)
class Level:
    """Mean over channels of |z|, not smoothed."""

    name: str = "level"

    def error(self, moment: Moment) -> Floats:
        return mean_over(np.abs(moment.z), moment.there)

    def spans(self, period: int) -> tuple[int, ...]:  # noqa: ARG002  every view answers for a period
        return (1,)
