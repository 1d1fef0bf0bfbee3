"""The view of the network: how far a reading is from its forecast."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.detector.views.view import Moment, mean_over
from pipeline.records import Floats

LONGEST_SPAN = 128  # readings; a longer memory of the error delays without finding more


@dataclass(frozen=True, slots=True)
class Prediction:
    """Mean over channels of the squared residual in units of what is common for the channel."""

    name: str = "prediction"

    def error(self, moment: Moment) -> Floats:
        return mean_over(moment.residual**2 / moment.channel_scale, moment.there)

    def spans(self, period: int) -> tuple[int, ...]:
        """Five readings for what is sudden, a period for what lasts."""
        return (5, min(period, LONGEST_SPAN))
