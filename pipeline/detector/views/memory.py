"""The view that remembers: how far the recent past is from any that was seen in training."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.detector.past import Recalled
from pipeline.detector.products import even, product
from pipeline.records import Flags, Floats

NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class Memory:
    """Mean distance of the Legendre state to the three nearest of the M that are remembered, not smoothed."""

    states: Floats  # (M, F) of the fit part, chosen far from each other
    name: str = "memory"
    _columns: Floats = field(init=False, repr=False)  # (F, M filled up)
    _squares: Floats = field(init=False, repr=False)  # (M,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_columns", even(np.ascontiguousarray(self.states.T)))
        object.__setattr__(self, "_squares", (self.states**2).sum(axis=1))

    def spans(self, period: int) -> tuple[int, ...]:  # noqa: ARG002  every view answers for a period
        return (1,)

    def error(self, z: Floats, there: Flags, recalled: Recalled) -> Floats:  # noqa: ARG002  the past holds the reading
        """Maps the past of N readings to (N,), 0 where it is not full."""
        state, nearest = recalled.state, min(NEIGHBOURS, len(self.states))
        inner = product((state,), self._columns)[:, : len(self.states)]
        squared = (state**2).sum(axis=1)[:, None] + self._squares - 2 * inner
        closest = np.sort(np.partition(squared, nearest - 1, axis=1)[:, :nearest], axis=1)
        mean: Floats = np.sqrt(np.maximum(closest, 0.0)).mean(axis=1)
        return np.where(recalled.full, mean, 0.0)
