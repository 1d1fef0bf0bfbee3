"""The view of the network: how far a reading is from its forecast."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.detector.views.view import mean_over
from pipeline.records import Flags, Floats

SPAN_OF_MANY = 20  # readings
LONGEST_SPAN = 128  # readings; a longer memory of the error delays without finding more


@dataclass(frozen=True, slots=True)
class Prediction:
    """Mean over channels of the squared residual in units of what is common for the channel.

    Common is its mean in calibration, and for one scored channel that of the region of the past which the reading came
    after: an error that always comes with a heart beat is none to tell (docs/decisions/0012).
    """

    many: bool  # channels are scored
    name: str = "prediction"
    length: int = 1  # the reading alone

    def spans(self, period: int) -> tuple[int, ...]:
        """A period; where many channels are scored, five readings for what is sudden, and twenty."""
        return (5, SPAN_OF_MANY) if self.many else (min(period, LONGEST_SPAN),)


def prediction_error(residual: Floats, there: Flags, channel_scale: Floats) -> Floats:
    """The error of the prediction: residuals, which channels count, and their mean squares, all (N, C), to (N,)."""
    return mean_over(residual**2 / channel_scale, there)
