"""The view of principal components: what of the recent past training never varied in."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pipeline.detector.past import Recalled
from pipeline.detector.products import even, product
from pipeline.records import Flags, Floats


@dataclass(frozen=True, slots=True)
class Components:
    """Mean square of the recent past less its projection on the components of training, not smoothed.

    The past is the window of a series with one scored channel, and the Legendre state of one with many; there each
    coordinate counts in units of what is common for it in calibration.
    """

    mean: Floats  # (F,)
    basis: Floats  # (F, k) orthonormal columns
    common: Floats  # (F,) the mean squared residual of each coordinate; ones for a window
    length: int  # readings of the past that is projected
    name: str = "components"
    _columns: Floats = field(init=False, repr=False)  # (F, k filled up)
    _rows: Floats = field(init=False, repr=False)  # (k filled up, F filled up)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_columns", even(self.basis))
        object.__setattr__(self, "_rows", even(np.ascontiguousarray(self._columns.T)))

    def spans(self, period: int) -> tuple[int, ...]:  # noqa: ARG002  every view answers for a period
        return (1,)

    def error(self, z: Floats, there: Flags, recalled: Recalled) -> Floats:  # noqa: ARG002  the past holds the reading
        """Maps the past of N readings to (N,), 0 where it is not full."""
        past = (recalled.window if recalled.window.shape[1] else recalled.state) - self.mean
        explained = product((product((past,), self._columns),), self._rows)[:, : len(self.mean)]
        outside: Floats = ((past - explained) ** 2 / self.common).mean(axis=1)
        return np.where(recalled.full, outside, 0.0)
