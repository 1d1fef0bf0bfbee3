"""The views that remember: how far the recent past is from any that was seen in training."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.detector.past import Recalled
from pipeline.detector.products import even, product
from pipeline.records import Flags, Floats, Ints

NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class Memory:
    """Mean distance of the Legendre state to the three nearest of the M that are remembered, not smoothed.

    With `first` 1, of a series with one scored channel, the level is left out of the distance, and shapes remain.
    """

    states: Floats  # (M, F) of the fit part, chosen far from each other
    length: int  # readings that a state stands for
    name: str = "memory"
    first: int = 0  # coefficient that counts
    _columns: Floats = field(init=False, repr=False)  # (F, M filled up)
    _squares: Floats = field(init=False, repr=False)  # (M,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_columns", even(np.ascontiguousarray(self.states.T)))
        object.__setattr__(self, "_squares", (self.states**2).sum(axis=1))

    def spans(self, period: int) -> tuple[int, ...]:  # noqa: ARG002  every view answers for a period
        return (1,)

    def error(self, z: Floats, there: Flags, recalled: Recalled) -> Floats:  # noqa: ARG002  the past holds the reading
        """Maps the past of N readings to (N,), 0 where it is not full."""
        nearest = min(NEIGHBOURS, len(self.states))
        squared = self._distances(recalled.state) + (recalled.state[:, self.first :] ** 2).sum(axis=1)[:, None]
        closest = np.sort(np.partition(squared, nearest - 1, axis=1)[:, :nearest], axis=1)
        mean: Floats = np.sqrt(np.maximum(closest, 0.0)).mean(axis=1)
        return np.where(recalled.full, mean, 0.0)

    def nearest(self, state: Floats) -> Ints:
        """Which of those remembered is the nearest to each state (N, first + F), (N,)."""
        nearest: Ints = np.argmin(self._distances(state), axis=1)
        return nearest

    def _distances(self, state: Floats) -> Floats:
        """The squared distances of N states to those remembered, less the square of each state itself, (N, M)."""
        inner = product((np.ascontiguousarray(state[:, self.first :]),), self._columns)[:, : len(self.states)]
        return self._squares - 2 * inner


def shapes(states: Floats, length: int) -> Memory:
    """The memory of states of one channel from which the level, their first coefficient, is gone, (M, F)."""
    return Memory(states, length, "shape", first=1)
