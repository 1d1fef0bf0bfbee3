"""Fused error to decades of rarity, and a rate to a bar.

The score of x is its rarity among the fused errors of the calibration part, readings that the network never learnt
from; it never changes its meaning afterwards. What adapts is the bar, which lives in x too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np

from pipeline.records import Floats, Ints

STEP_FLOOR = 0.3  # of x: the least step of the bar, else a constant calibration part pins it
TAIL_FLOOR = STEP_FLOOR / log(50)  # of x: an exponential tail of this mean has q99 - median equal to the step's floor


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a series, or all series of a detector together, looked like in the calibration part; `regional`: in the fit.

    C channels, K smoothed errors, n fused errors, R regions of the past.
    """

    channel_scale: Floats  # (C,) the mean squared residual of each channel, in scaled units
    regional: Floats  # (R + 1,) how many times the usual it is in each region; the last, 1, is where none is known
    high: Floats  # (K,) the 99 % quantile of each smoothed error
    band: Floats  # (2, C) the central 99 % of the residuals, in scaled units
    sample: Floats  # (n,) fused errors x, ascending
    step: float  # of the bar in x: q99 - median of the sample, at least .3
    floor: float  # of the bar in x: the 95 % quantile of the sample
    tail: float  # mean of the exponential tail of x above the largest

    def start_of_bar(self, probability: float) -> float:
        """The k-th smallest of the sample, k = min(ceil((1 - p)(n + 1)), n): the conformal quantile."""
        n = len(self.sample)
        rank = min(ceil((1 - probability) * (n + 1)), n)
        return max(float(self.sample[rank - 1]), self.floor)

    def one_in(self, decades: float) -> int:
        """A rarity in words: one reading in so many, never finer than the sample can tell."""
        rounded = round(10.0 ** min(decades, 18.0))
        return max(1, min(int(rounded), len(self.sample) + 1))


def common(channel_scales: Floats, regionals: Floats, which: Ints, region: Ints) -> Floats:
    """The mean squared residual that is common where each reading came, (N, C).

    Under the calibration numbered `which` (N,) of J, in the region (N,): channel_scales (J, C), regionals (J, R + 1).
    """
    scales: Floats = channel_scales[which] * regionals[which, region][:, None]
    return scales


def calibrate(channel_scale: Floats, regional: Floats, high: Floats, band: Floats, fused: Floats) -> Calibration:
    """The calibration of fused errors x (n,), in any order; ValueError below two, which rank nothing."""
    if len(fused) < 2:
        raise ValueError(f"{len(fused)} fused errors: at least two are needed to rank another")
    sample = np.sort(fused)
    middle, upper, high_x = (float(q) for q in np.quantile(sample, (0.5, 0.95, 0.99)))
    top = max(ceil(len(sample) / 10), 1)
    below = sample[-top - 1] if len(sample) > top else sample[0]
    tail = max(float(np.mean(sample[-top:] - below)), TAIL_FLOOR)
    return Calibration(channel_scale, regional, high, band, sample, max(high_x - middle, STEP_FLOOR), upper, tail)


@dataclass(frozen=True, slots=True)
class Rarity:
    """The score's map for all calibrations of a detector at once: x to decades.

    At the k-th largest of n values a score is log10((n + 1) / k), linear in x between, 0 below the smallest; above the
    largest an exponential tail in x goes on. The count is raised by one so that an error never seen before scores
    log10(n + 1) and more, never infinity (Phipson and Smyth 2010, section 2).
    """

    starts: Ints  # (J + 1,) where the sample of each of the J calibrations begins in `knots`
    knots: Floats  # the samples, one after the other
    keys: Floats  # the same, shifted by calibration so that the whole is ascending and one search serves all rows
    tails: Floats  # (J,)
    apart: float  # the shift from one calibration to the next

    def __call__(self, fused: Floats, which: Ints) -> Floats:
        """Decades of rarity of x (N,) under the calibration numbered `which` (N,)."""
        first, last = self.starts[which], self.starts[which + 1] - 1
        count = last - first + 1
        inside = np.clip(fused, self.knots[first] - 1.0, self.knots[last] + 1.0)  # keeps a key among its own
        at = np.searchsorted(self.keys, inside + which * self.apart, side="left")  # ties: the commoner of two ranks
        at = np.clip(at, first + 1, last)
        left, right = self.knots[at - 1], self.knots[at]
        rank = last - at + 1  # how many are at or above the right knot
        low, high = np.log10((count + 1) / (rank + 1)), np.log10((count + 1) / np.maximum(rank, 1))
        gap = right - left
        share = np.clip(np.where(gap > 0, (fused - left) / np.where(gap > 0, gap, 1.0), 0.0), 0.0, 1.0)
        decades = low + share * (high - low)
        beyond = np.log10(count + 1) + (fused - self.knots[last]) / (self.tails[which] * log(10))
        decades = np.where(fused > self.knots[last], beyond, decades)
        return np.where(fused < self.knots[first], 0.0, decades)


def rarity_of(calibrations: Sequence[Calibration]) -> Rarity:
    """The map of these calibrations, in their order."""
    samples = [calibration.sample for calibration in calibrations]
    apart = max(float(s[-1]) for s in samples) - min(float(s[0]) for s in samples) + 4.0
    knots = np.concatenate(samples)
    starts = np.concatenate(([0], np.cumsum([len(s) for s in samples])))
    keys = knots + np.repeat(np.arange(len(samples)), [len(s) for s in samples]) * apart
    return Rarity(starts, knots, keys, np.array([calibration.tail for calibration in calibrations]), apart)
