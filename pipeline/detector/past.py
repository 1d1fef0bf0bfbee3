"""What is kept of the recent past of a series, for the views that look back further than one reading.

The past is kept as a Legendre state: the coefficients of the last `reach` readings of a channel on the first `order`
Legendre polynomials, a fixed linear recurrence (Voelker, Kajic and Eliasmith 2019, section 2). A series
with one scored channel keeps its last `window` readings themselves, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.detector.products import even, product
from pipeline.records import Flags, Floats, Singles


@dataclass(frozen=True, slots=True)
class Past:
    """How the past is kept: the recurrence m <- A m + B z of each scored channel, d numbers, and W readings.

    Coordinates are scaled so that the distance of two states is that of the readings which they stand for.
    """

    transition: Singles  # (d, d), to be multiplied from the right: the transpose of A
    entry: Singles  # (d,) B
    reach: int  # readings that a state stands for
    window: int  # W, 0 where no window is kept
    _columns: Singles = field(init=False, repr=False)  # (d, d filled up)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_columns", even(self.transition))

    @property
    def order(self) -> int:
        """Numbers kept of each channel, d."""
        return len(self.entry)

    @property
    def longest(self) -> int:
        """Readings after a reset until the past is full."""
        return max(self.reach, self.window)

    def step(self, state: Singles, z: Singles) -> Singles:
        """The states (n, C, d) after readings z (n, C)."""
        n, channels, order = state.shape
        moved = product((state.reshape(n * channels, order),), self._columns)[:, :order]
        return moved.reshape(n, channels, order) + z[..., None] * self.entry


@dataclass(frozen=True, slots=True)
class Recalled:
    """The past of N readings, each included in its own."""

    state: Floats  # (N, C d)
    window: Floats  # (N, W) oldest first
    full: Flags  # (N,) so many readings came since a reset; before that the views that look back have no error
    earlier: Floats  # (N, C d) the state before the reading
    earlier_full: Flags  # (N,)

    def __getitem__(self, rows: slice) -> Recalled:
        """The chosen readings."""
        return Recalled(
            self.state[rows], self.window[rows], self.full[rows], self.earlier[rows], self.earlier_full[rows]
        )


def pushed(window: Singles, z: Singles) -> Singles:
    """The last W readings (n, W), oldest first, after one more z (n,)."""
    return np.concatenate((window[:, 1:], z[:, None]), axis=1)
