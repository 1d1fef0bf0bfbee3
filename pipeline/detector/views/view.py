"""What every view is: a name, an error at a reading, and the spans over which the error is smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.records import Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class Moment:
    """N readings as a view sees them, each with its C channels in scaled units."""

    z: Floats  # (N, C)
    residual: Floats  # (N, C) z less its forecast; 0 where there was none
    there: Flags  # (N, C) the channel is scored and was not missing
    channel_scale: Floats  # (N, C) the channel's median squared residual in calibration


class View(Protocol):
    """One way to see that a reading is odd."""

    @property
    def name(self) -> str: ...

    def error(self, moment: Moment) -> Floats: ...  # (N,) not negative

    def spans(self, period: int) -> tuple[int, ...]: ...  # readings; 1 leaves the error as it is


def spans_of(views: Sequence[View], period: int) -> tuple[int, ...]:
    """The span of each of the K smoothed errors of a series with this period, in readings."""
    return tuple(span for view in views for span in view.spans(period))


def owners(views: Sequence[View]) -> Ints:
    """The view that each of the K smoothed errors belongs to, (K,)."""
    return np.repeat(np.arange(len(views)), [len(view.spans(1)) for view in views])


def weights(views: Sequence[View]) -> Floats:
    """The weight of each of the K smoothed errors in F, (K,): views count alike, and so do the spans of a view."""
    owner = owners(views)
    return 1.0 / (len(views) * np.bincount(owner)[owner])


def errors_of(views: Sequence[View], moment: Moment) -> Floats:
    """The error of each view, once for each of its spans, (N, K)."""
    return np.stack([view.error(moment) for view in views], axis=1)[:, owners(views)]


def mean_over(channels: Floats, there: Flags) -> Floats:
    """The mean of each row over the channels that are there, 0 where none is; both (N, C), the mean (N,)."""
    mean: Floats = np.where(there, channels, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return mean
