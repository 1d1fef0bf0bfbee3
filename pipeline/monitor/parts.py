"""What a score was made of, and where its series stood: for whoever asks why. Asking changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from pipeline.records import Flags, Floats, Ints


@dataclass(frozen=True, slots=True)
class Parts:
    """N readings of C channels on their way to a score, with the K smoothed errors of all views.

    These are the scoring's own numbers, handed out and not worked out again. They mean something where a reading is
    `known`, and `bar` and `target` where it was scored.
    """

    known: Flags  # (N,) there was a forecast to compare the reading with
    reset: Flags  # (N,) the reading came after a gap too long to bridge
    imputed: Ints  # (N,) steps before the reading that ran on their own forecast
    residual: Floats  # (N, C) in scaled units; 0 where the channel is not scored or was missing
    spread: Floats  # (N, C) a scaled unit in the channel's own
    channel_scale: Floats  # (N, C) the mean squared residual that is common where the reading came, in scaled units
    share: Floats  # (N, C) each channel's share in the error, 0 to 1
    errors: Floats  # (N, K) of each view once for each of its spans, before they are smoothed
    smoothed: Floats  # (N, K)
    high: Floats  # (N, K) the 99 % quantiles of the calibration part that they are held against
    softened: Floats  # (N, K) levels, as far as they are beyond the habit of their view
    weights: Floats  # (K,) of the levels in F
    fused: Floats  # (N,) x = log(F + .2)
    calibration: Ints  # (N,) which of the detector's
    bar: Floats  # (N,) in x, as it was compared
    target: Floats  # (N,) the promised share of exceeding readings

    def __getitem__(self, rows: slice) -> Parts:
        """The chosen rows."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return Parts(**{name: each if name == "weights" else each[rows] for name, each in columns.items()})


@dataclass(frozen=True, slots=True)
class Running:
    """An incident that is open."""

    start: int  # the reading that raised it
    raised_at: float  # the bar at raising, in decades
    calm: int  # calm readings in a row
    critical: bool
    peak: float  # decades
    peak_at: int


@dataclass(frozen=True, slots=True)
class Warming:
    """The series that have readings and are not scored yet, or not again."""

    series: int
    readings: int  # that one of them still needs at most
    seconds: float | None  # the same as time, by the step of each; None where the clock is an index


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a series stands between two readings."""

    at: int | None  # of its last reading; None where there is none
    unscored: int  # further readings that only warm up
    step: int  # between two readings, by which the time that they take is told
    spans: tuple[int, ...]  # of each of the K smoothed errors, in readings
    bar: float | None  # in x; None until a reading was scored
    scored: int  # readings
    exceeded: int  # readings
    incident: Running | None


def join_parts(parts: Sequence[Parts]) -> Parts:
    """The rows of all parts, one part after the other; at least one part, all of one detector."""
    names = [column.name for column in fields(Parts) if column.name != "weights"]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **columns)
