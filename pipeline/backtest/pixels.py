"""Where rows of one series lie in a picture, and what is left of them when many share a column of pixels.

T rows of the series, n of them drawn, P points left of these; all in order of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.records import Clock, Flags, Floats, Ints, runs

COLUMNS = 1400  # of pixels: about the width of a panel
THINNEST = 2.5  # columns of a span, so that an incident of one reading is seen
LONGEST_GAP = 10  # steps: no line is drawn across a longer one
MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Points:
    """One point for each column of pixels, and one without a value where a gap comes before the next."""

    x: Floats  # (P,)
    _starts: Ints  # of each column, among the n rows drawn
    _after_gap: Ints  # positions in _starts

    @property
    def alone(self) -> Flags:
        """Points between two gaps, (P,): no line leads to them."""
        space = np.insert(np.zeros(len(self._starts), bool), self._after_gap, True)
        around = np.concatenate([[True], space, [True]])
        alone: Flags = ~space & around[:-2] & around[2:]
        return alone

    def extremes(self, values: Floats) -> tuple[Floats, Floats]:
        """Lowest and highest of the values (n,) in each column, (P,); NaN, where no line is drawn, at gaps."""
        if not len(self._starts):
            return np.zeros(0), np.zeros(0)
        low, high = np.minimum.reduceat(values, self._starts), np.maximum.reduceat(values, self._starts)
        return np.insert(low, self._after_gap, np.nan), np.insert(high, self._after_gap, np.nan)


class Pixels:
    """The horizontal axis: T moments, at least one, as days since 1970 UTC or as sample numbers."""

    def __init__(self, at: Ints, clock: Clock) -> None:
        self._at = at
        self._unit = MICROSECONDS_PER_DAY if clock == "time" else 1
        self._x: Floats = at / self._unit  # (T,)
        self.first, self.last = float(self._x[0]), float(self._x[-1])
        self.column = (self.last - self.first) / COLUMNS or 0.25  # how wide one is, on the scale of x
        self._longest = LONGEST_GAP * float(np.median(np.diff(at))) if len(at) > 1 else 1.0

    def points(self, rows: Flags) -> Points:
        """The points left of the true rows, (T,): all of them while they are few."""
        x, at = self._x[rows], self._at[rows]
        first, gap = np.ones(len(x), bool), np.zeros(len(x), bool)
        if len(x) > 2 * COLUMNS:
            column = ((x - self.first) / self.column).astype(np.int64)
            first[1:] = column[1:] != column[:-1]
        gap[1:] = np.diff(at) > self._longest
        starts = np.flatnonzero(first)
        after_gap = np.flatnonzero(gap[starts])
        return Points(np.insert(x[starts], after_gap, x[starts][after_gap]), starts, after_gap)

    def runs(self, rows: Flags) -> list[tuple[float, float]]:
        """Each run of true rows, (T,), as a span."""
        firsts, lasts = runs(rows).T
        return self.spans(self._at[firsts], self._at[lasts - 1])

    def spans(self, starts: Ints, ends: Ints) -> list[tuple[float, float]]:
        """Left edge and width of each span between two moments: wide enough to be seen, joined where they touch."""
        if not len(starts):
            return []
        order = np.argsort(starts, kind="stable")
        left, right = starts[order] / self._unit, ends[order] / self._unit
        thin = np.maximum(THINNEST * self.column - (right - left), 0.0) / 2
        left, right = left - thin, np.maximum.accumulate(right + thin)
        apart = np.flatnonzero(left[1:] > right[:-1])  # after these spans there is room
        left, right = left[np.concatenate([[0], apart + 1])], right[np.concatenate([apart, [-1]])]
        return list(zip(left.tolist(), (right - left).tolist(), strict=True))
