"""The view of a linear forecast: where many channels are scored, it stays right when a machine has moved elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.detector.past import Recalled
from pipeline.detector.views.prediction import SPAN_OF_MANY
from pipeline.detector.views.view import mean_over
from pipeline.records import Flags, Floats


@dataclass(frozen=True, slots=True)
class Linear:
    """Mean over the scored channels of the absolute residual of a linear forecast, in scaled units.

    Each channel is forecast from its own Legendre state. What a network says of values that it never saw is anything; a
    line goes on (Lai et al. 2018, section 3.5, who add one to theirs for that reason).
    """

    weights: Floats  # (C, d) of the coefficients of each scored channel
    name: str = "linear"
    length: int = 1  # the reading alone

    def spans(self, period: int) -> tuple[int, ...]:  # noqa: ARG002  many channels have no period in common
        return (SPAN_OF_MANY,)

    def error(self, z: Floats, there: Flags, recalled: Recalled) -> Floats:
        """Maps readings (N, C) and the past before them to (N,), 0 where that was not full."""
        states = recalled.earlier.reshape(len(z), *self.weights.shape)
        residual = np.abs(z - (states * self.weights).sum(axis=2))  # no matrix product: see products.py
        return np.where(recalled.earlier_full, mean_over(residual, there), 0.0)
