"""A history cut into its parts, and brought to the form that the network learns from.

fit is the first 80 % and calibration the last 20 %; of fit the first 65 points of 80 train the network and the other 15
stop it. Gaps of 32 rows between the parts keep one from leaking into the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.exceptions import DataError
from pipeline.monitor.timeline import steps_since
from pipeline.records import Flags, Floats, Ints

SHORTEST = 100  # rows; a shorter series calibrates nothing
GAP, FULL_GAP_ROWS = 32, 400  # rows between parts, in proportion below so many
REGULAR_SHARE, REGULAR_WITHIN = 0.9, 0.1  # of the steps, of the median


@dataclass(frozen=True, slots=True)
class History:
    """What one series was in the past: T readings of C channels in the order in which they came."""

    name: str
    at: Ints  # (T,) microseconds since 1970 UTC, or sample numbers
    values: Floats  # (T, C)
    missing: Flags  # (T, C)
    labelled: Flags | None = None  # (T,) known anomalies, which nothing is learnt from; None: there are no labels

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: slice | Flags) -> History:
        labelled = None if self.labelled is None else self.labelled[rows]
        return History(self.name, self.at[rows], self.values[rows], self.missing[rows], labelled)


def in_order(history: History) -> History:
    """The readings that are neither late nor duplicates nor missing altogether: those that a monitor would take.

    Nor labelled: a known anomaly is as if it had not come, and leaves a gap.
    """
    taken = (~history.missing).any(axis=1)
    there = history[np.asarray(taken if history.labelled is None else taken & ~history.labelled)]
    if not len(there):
        return there
    newest = np.maximum.accumulate(there.at)
    return there[np.concatenate(([True], there.at[1:] > newest[:-1]))]


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the parts of a history of so many rows end and begin."""

    train_end: int
    validation_begin: int
    fit_end: int
    calibration_begin: int

    def __post_init__(self) -> None:
        if not self.train_end <= self.validation_begin <= self.fit_end <= self.calibration_begin:
            raise DataError(
                f"the parts of the history overlap ({self}): readings that were learnt from would calibrate, and every "
                "score would be too high; give a longer history"
            )


def parts_of(rows: int) -> Parts:
    """The parts of a history, the gaps off the earlier part of each two."""
    gap = GAP * min(rows, FULL_GAP_ROWS) // FULL_GAP_ROWS
    validation, calibration = rows * 65 // 100, rows * 80 // 100
    return Parts(validation - gap, validation, calibration - gap, calibration)


def step_of(at: Ints) -> tuple[int, bool]:
    """The median step, and whether the series is regular: 90 % of its steps within a tenth of the median.

    ValueError where the median step is 0; times are in order.
    """
    steps = np.diff(at)
    step = int(np.median(steps)) if len(steps) else 0
    if step <= 0:
        raise ValueError("the median step between its readings is 0")
    close = np.abs(steps - step) <= REGULAR_WITHIN * step
    return step, bool(np.mean(close) >= REGULAR_SHARE)


def period_of(z: Floats) -> int | None:
    """The period of scaled readings (T, C) in rows, or None where there is none.

    The first local maximum of the mean autocorrelation that comes within a tenth of the highest, after it first fell
    below .05, at a lag of 8 or more and a correlation above .2 (docs/decisions/0002).
    """
    rows = len(z)
    longest = min(400, int(rows / 2.2))
    if longest < 9:
        return None
    size = 1 << (rows + longest).bit_length()
    power = np.abs(np.fft.rfft(without_trend(z), size, axis=0)) ** 2
    products = np.fft.irfft(power, size, axis=0)[: longest + 1] / (rows - np.arange(longest + 1))[:, None]
    lively = products[0] > 1e-9
    if not lively.any():
        return None
    correlation = (products[:, lively] / products[0, lively]).mean(axis=1)
    low = np.flatnonzero(correlation < 0.05)
    first = max(8, int(low[0])) if len(low) else longest
    inner = np.arange(first, longest)
    peaks = inner[(correlation[inner] >= correlation[inner - 1]) & (correlation[inner] > correlation[inner + 1])]
    if not len(peaks) or correlation[peaks].max() <= 0.2:
        return None
    return int(peaks[correlation[peaks] >= 0.9 * correlation[peaks].max()][0])


def without_trend(z: Floats) -> Floats:
    """Scaled readings less their straight line of least squares; both (T, C)."""
    time = np.linspace(-1, 1, len(z))[:, None]
    straight: Floats = z - z.mean(axis=0) - time * ((z * time).sum(axis=0) / (time**2).sum())
    return straight


@dataclass(frozen=True, slots=True)
class Grid:
    """A history with a row for every step, as the network learns from it; short gaps are rows that are not present."""

    z: Floats  # (R, C) scaled, a missing value as the last one before it
    present: Flags  # (R, C)
    at: Ints  # (R,)
    begins: Ints  # first rows of the stretches between long gaps
    position: Ints  # (T,) the row of each reading


def on_grid(at: Ints, z: Floats, missing: Flags, step: int, regular: bool, max_gap: int) -> Grid:
    """Scaled readings (T, C) in order, T >= 1, with rows put in for the steps of short gaps."""
    distance = np.ones(len(at), np.int64)
    distance[1:] = steps_since(at[1:], at[:-1], np.full(len(at) - 1, step), np.full(len(at) - 1, regular))
    begins = np.flatnonzero(distance > max_gap)
    distance[begins] = 1
    distance[0] = 1
    position = np.cumsum(distance) - 1
    rows = int(position[-1]) + 1
    present = np.zeros((rows, z.shape[1]), bool)
    present[position] = ~missing
    filled = np.zeros((rows, z.shape[1]))
    filled[position] = np.where(missing, 0.0, z)
    newest = np.maximum.accumulate(np.where(present, np.arange(rows)[:, None], 0), axis=0)
    filled = np.take_along_axis(filled, newest, axis=0)
    owner = np.searchsorted(position, np.arange(rows), side="right") - 1
    times = at[owner] + (np.arange(rows) - position[owner]) * step
    return Grid(filled, present, times, np.concatenate(([0], position[begins])), position)
