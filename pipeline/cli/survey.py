"""What a first look at readings shows: their step, and the range of each channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.records import Clock, Readings

REGULAR_SHARE, REGULAR_WITHIN = 0.9, 0.1  # of the steps, of the median: as fit takes a series for regular
MICROSECONDS_PER_WEEK = 7 * 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class ChannelSurvey:
    """One channel at a glance."""

    name: str
    low: float | None  # None: missing in every reading
    high: float | None
    missing: float  # share of the readings
    two_values: bool  # at most two: a switch or a constant, which fit takes for context


@dataclass(frozen=True, slots=True)
class Survey:
    """Readings at a glance."""

    clock: Clock
    readings: int
    series: tuple[str, ...]
    step: int | None  # microseconds, or sample numbers, the median within the longest series; None: too few readings
    regular: bool
    channels: tuple[ChannelSurvey, ...]

    @property
    def readings_per_week(self) -> int | None:
        """How many readings a series has in a week; None where weeks mean nothing."""
        if self.clock == "index" or not self.regular or self.step is None:
            return None
        return round(MICROSECONDS_PER_WEEK / self.step)


def survey(readings: Readings, channels: tuple[str, ...], clock: Clock) -> Survey:
    """A look at N >= 1 readings."""
    codes, counts = np.unique(readings.series, return_counts=True)
    longest = readings.at[readings.series == codes[counts.argmax()]]
    step, regular = _step(np.sort(longest))
    return Survey(
        clock=clock,
        readings=len(readings),
        series=tuple(readings.names[code] for code in codes),
        step=step,
        regular=regular,
        channels=tuple(_channel(readings, position, name) for position, name in enumerate(channels)),
    )


def duration(microseconds: int) -> str:
    """A length of time in the largest unit that divides it."""
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000)):
        if microseconds % size == 0:
            return f"{microseconds // size:,} {unit}"
    return f"{microseconds / 1000:,g} ms"


def roughly(seconds: float) -> str:
    """A length of time to two digits or so, in the unit in which one would say it."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:,.0f} s"


def _step(at: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[int | None, bool]:
    steps = np.diff(at)
    steps = steps[steps > 0]
    if not len(steps):
        return None, False
    step = int(np.median(steps))
    return step, bool(np.mean(np.abs(steps - step) <= REGULAR_WITHIN * step) >= REGULAR_SHARE)


def _channel(readings: Readings, position: int, name: str) -> ChannelSurvey:
    missing = readings.missing[:, position]
    there = readings.values[~missing, position]
    if not len(there):
        return ChannelSurvey(name, None, None, 1.0, two_values=True)
    two_values = bool(np.all((there == there.min()) | (there == there.max())))
    return ChannelSurvey(name, float(there.min()), float(there.max()), float(missing.mean()), two_values)
