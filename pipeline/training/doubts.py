"""What makes a history a doubtful teacher: seasons that it saw less than twice, and single readings that rule a scale.

A doubt is told and kept in the figures; it is never an error, and nothing is learnt otherwise for it. Whether a pattern
repeats can be told only of one that was seen twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.detector.calendar import DAY, WEEK
from pipeline.detector.detector import Channel
from pipeline.detector.scaling import LARGEST, scale
from pipeline.records import Clock, Flags, Floats
from pipeline.training.history import without_trend
from pipeline.training.preparing import Fitted

Kind = Literal["day", "week", "slow", "single"]

FEWEST_A_DAY = 4  # readings; below, the time of day leaves no trace
DAILY = 0.2  # correlation a day later, and how much lower it is after half a day: a daily season is visible
SLOW_SHARE = 0.4  # of the variance: up to 1.7 cycles have more, two and more at most .33, noise next to none
SINGLE_SHARE = 0.5  # of a channel's variance
SERIES_TOLD = 12

WORDS: dict[Kind, str] = {
    "day": "shorter than two days: whether the time of day matters cannot be told",
    "week": "shorter than two weeks, and the time of day matters: whether the day of the week does cannot be told",
    "slow": "much of what changes is a slow swing that came round less than twice",
    "single": "one reading makes up most of a channel's variance, and all others look alike: mend it, or use --trim",
}


@dataclass(frozen=True, slots=True)
class Doubt:
    """One doubt, and the series that it is about."""

    kind: Kind
    series: tuple[str, ...]

    @property
    def words(self) -> str:
        """One sentence for a person."""
        more = f" and {len(self.series) - SERIES_TOLD} more" if len(self.series) > SERIES_TOLD else ""
        return f"{', '.join(self.series[:SERIES_TOLD])}{more}: {WORDS[self.kind]}"

    def figures(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"kind": self.kind, "series": len(self.series), "words": self.words}


def doubts_of(fitted: Sequence[Fitted], roles: Sequence[Channel], clock: Clock) -> list[Doubt]:
    """The doubts about the series that calibrate, by kind; what a shorter one lends to the network is not judged."""
    scored = np.array([channel.role == "sensor" for channel in roles])
    found: dict[Kind, list[str]] = {"day": [], "week": [], "slow": [], "single": []}
    for series in fitted:
        if series.calibrates:
            for kind in _doubts(series, scored, clock):
                found[kind].append(series.history.name)
    return [Doubt(kind, tuple(names)) for kind, names in found.items() if names]


def _doubts(series: Fitted, scored: Flags, clock: Clock) -> list[Kind]:
    """What is doubtful about one series."""
    fit = series.fit_part
    values, there = fit.values[:, scored], ~fit.missing[:, scored]
    z = np.where(there, scale(np.where(there, values, 0.0), series.mean[scored], series.spread[scored]), 0.0)
    kinds: list[Kind] = []
    if clock == "time" and series.step * FEWEST_A_DAY <= DAY:
        covered = int(series.history.at[-1] - series.history.at[0]) + series.step
        if covered < 2 * DAY:
            kinds.append("day")
        elif covered < 2 * WEEK and series.regular and follows_the_day(z, series.step):
            kinds.append("week")
    if slow_share(z) > SLOW_SHARE:
        kinds.append("slow")
    if (single_share(values, there) > SINGLE_SHARE).any():
        kinds.append("single")
    return kinds


def follows_the_day(z: Floats, step: int) -> bool:
    """Whether scaled readings (T, C) are alike a day later, and less so after half a day."""
    day = round(DAY / step)
    whole, half = correlation(z, day), correlation(z, day // 2)
    return whole > DAILY and whole - half > DAILY


def correlation(z: Floats, lag: int) -> float:
    """The correlation of scaled readings (T, C) with those `lag` rows later, the mean over lively channels."""
    if lag >= len(z):
        return 0.0
    early, late = z[:-lag] - z[:-lag].mean(axis=0), z[lag:] - z[lag:].mean(axis=0)
    size = np.sqrt((early**2).sum(axis=0) * (late**2).sum(axis=0))
    lively = size > 1e-9
    return float(((early * late).sum(axis=0)[lively] / size[lively]).mean()) if lively.any() else 0.0


def slow_share(z: Floats) -> float:
    """The share of the variance of scaled readings (T, C), a straight line taken off, that came round less than twice.

    The mean over channels that move at all; of a periodogram in half cycles over all T, the lines below two cycles.
    """
    power = np.abs(np.fft.rfft(without_trend(z), 2 * len(z), axis=0))[1:] ** 2
    lively = power.sum(axis=0) > 1e-9 * len(z)
    return float((power[:3, lively].sum(axis=0) / power[:, lively].sum(axis=0)).mean()) if lively.any() else 0.0


def single_share(values: Floats, there: Flags) -> Floats:
    """The largest share that one reading has in the sum of squares about the median of each channel, (C,).

    Maps values and there (T, C); 0 where a channel never moves.
    """
    shares = np.zeros(values.shape[1])
    for channel in range(len(shares)):
        here = np.clip(values[there[:, channel], channel], -LARGEST, LARGEST)
        if len(here):
            apart = np.abs(here - np.median(here))
            apart /= max(float(apart.max()), np.finfo(float).tiny)
            shares[channel] = 1 / total if (total := (apart**2).sum()) > 0 else 0.0
    return shares
