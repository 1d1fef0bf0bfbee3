"""What every view is: a name, how many readings its error is about, and the spans over which it is smoothed.

The error of the prediction is made with the calibration (`prediction_error`); those of the other views need no more
than the reading and the past, and the tracker works them out as it goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline.detector.past import Recalled
from pipeline.records import Flags, Floats, Ints


class View(Protocol):
    """One way to see that a reading is odd."""

    @property
    def name(self) -> str: ...

    @property
    def length(self) -> int: ...  # readings that the error is about before it is smoothed

    def spans(self, period: int) -> tuple[int, ...]: ...  # readings; 1 leaves the error as it is


class FurtherView(View, Protocol):
    """A view that needs no calibration for its error."""

    def error(self, z: Floats, there: Flags, recalled: Recalled) -> Floats: ...  # (N,) not negative


def spans_of(views: Sequence[View], period: int) -> tuple[int, ...]:
    """The span of each of the K smoothed errors of a series with this period, in readings."""
    return tuple(span for view in views for span in view.spans(period))


def owners(views: Sequence[View]) -> Ints:
    """The view that each of the K smoothed errors belongs to, (K,)."""
    return np.repeat(np.arange(len(views)), [len(view.spans(1)) for view in views])


def errors_of(owner: Ints, prediction: Floats, further: Floats) -> Floats:
    """The error of each view, once for each of its spans, (N, K): prediction (N,), the other views (N, V - 1).

    `owner` (K,) is that of `owners`.
    """
    return np.concatenate((prediction[:, None], further), axis=1)[:, owner]


def mean_over(channels: Floats, there: Flags) -> Floats:
    """The mean of each row over the channels that are there, 0 where none is; both (N, C), the mean (N,)."""
    mean: Floats = np.where(there, channels, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return mean
