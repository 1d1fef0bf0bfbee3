"""Series that tests are made of: calm ones, what can go wrong with them, and their readings as one stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.records import Flags, Floats, Ints, Readings

STEP = 300_000_000  # five minutes
BEGIN = 1_700_000_100_000_000


@dataclass(frozen=True, slots=True)
class Series:
    """T readings of C channels in the order in which they come."""

    name: str
    at: Ints  # (T,)
    values: Floats  # (T, C)
    missing: Flags  # (T, C)

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: slice | Ints | Flags) -> Series:
        return Series(self.name, self.at[rows], self.values[rows], self.missing[rows])

    def with_values(self, rows: slice | int | Sequence[int], values: float | Floats, channel: int = 0) -> Series:
        """The same with other values of one channel."""
        changed = self.values.copy()
        changed[rows, channel] = values
        return replace(self, values=changed)

    def without(self, rows: slice | int | Sequence[int], channel: int | slice = slice(None)) -> Series:
        """The same with channels missing; their values are what a decoder leaves there, NaN."""
        missing, values = self.missing.copy(), self.values.copy()
        missing[rows, channel], values[rows, channel] = True, np.nan
        return replace(self, missing=missing, values=values)

    def shifted(self, row: int, steps: int, step: int = STEP) -> Series:
        """The same with everything from a row on so many steps later."""
        at = self.at.copy()
        at[row:] += steps * step
        return replace(self, at=at)

    def repeated(self, row: int, after: int) -> Series:
        """The same with a row once more behind a later one: late, or a duplicate where `after` is the row itself."""
        rows = np.arange(len(self))
        return self[np.concatenate((rows[: after + 1], [row], rows[after + 1 :]))]


def series(name: str, values: Floats, begin: int = BEGIN, step: int = STEP) -> Series:
    """A series with a reading every step; NaN is missing."""
    values = values.reshape(len(values), -1)
    return Series(name, begin + step * np.arange(len(values)), values, np.isnan(values))


def wave(rows: int, seed: int = 0, first: int = 0, mean: float = 20.0, size: float = 5.0) -> Floats:
    """A sine of 25 readings with noise, (rows, 1), from the row `first` of an endless one."""
    noise = np.random.default_rng([seed, first]).normal(0, 0.1, rows)
    return (mean + size * (np.sin((first + np.arange(rows)) * 2 * np.pi / 25) + noise))[:, None]


def machine(rows: int, seed: int = 0, first: int = 0) -> Floats:
    """Temperature that follows a valve, flow that follows it at once, and the valve, which is 0 or 1: (rows, 3)."""
    rng = np.random.default_rng([seed, first])
    valve = ((first + np.arange(rows)) % 40 < 15).astype(float)
    temperature, heat = np.empty(rows), 0.4
    for row, open_now in enumerate(valve):
        heat += 0.2 * (open_now - heat)
        temperature[row] = 60 + 20 * heat
    noise = rng.normal(0, [0.5, 0.05], (rows, 2))
    return np.stack((temperature + noise[:, 0], 1 + 2 * valve + noise[:, 1], valve), axis=1)


def stream(*parts: Series, partition: int = 0) -> Readings:
    """The readings of all series in the order of time, each series' own order kept."""
    order = np.argsort(np.concatenate([np.maximum.accumulate(part.at) for part in parts]), kind="stable")
    rows = len(order)
    whole = Readings(
        [part.name for part in parts],
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]).astype(np.int32),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.missing for part in parts]),
        np.full(rows, partition, np.int32),
        np.arange(rows),
    )[order]
    return replace(whole, offset=np.arange(rows))
