"""What the demo tells: which readings, which windows are known to be abnormal, and what was found of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from pipeline.formats.times import iso
from pipeline.monitor.monitor import Tally
from pipeline.records import Flags, Ints, runs

SERIES = "machine"
TRAINING_DAYS = 7
DAY = 24 * 3600 * 1_000_000  # microseconds
WINDOWS = ("an odd day", "a planned shutdown", "a subtle fault", "the failure it led to")


def data_file() -> Path:
    """The readings, beside their licence and source; the package is installed as plain files."""
    return Path(str(files("pipeline.demo"))) / "data" / "machine_temperature_system_failure.parquet"


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch that the machine's engineers called abnormal."""

    name: str
    first: int  # row
    last: int  # row, included


def windows(labels: Flags) -> list[Window]:
    """The labelled windows of the readings (N,), in order."""
    return [Window(name, first, end - 1) for name, (first, end) in zip(WINDOWS, runs(labels).tolist(), strict=True)]


def found_in_words(labels: Flags, finds: Flags, at: Ints) -> list[str]:
    """One line for each labelled window: whether a reading in it finds it, and when the first does."""
    lines = []
    for window in windows(labels):
        inside = np.flatnonzero(finds[window.first : window.last + 1])
        if not len(inside):
            lines.append(f"missed  {window.name}")
            continue
        hours = (int(at[window.last]) - int(at[window.first + inside[0]])) / 3.6e9
        lines.append(f"found   {window.name}: {hours:.0f} h before its window ends")
    return lines


def summary(tally: Tally, labels: Flags, finds: Flags, weeks: float) -> str:
    """The demo's figures in one line: what was found, and at which rate of alarms."""
    known = windows(labels)
    hit = sum(bool(finds[window.first : window.last + 1].any()) for window in known)
    incidents = sum(tally.raised.values())
    return (
        f"{hit} of {len(known)} labelled windows found with {incidents} incidents in {weeks:.0f} weeks; "
        f"{tally.exceeded / tally.scored:.1e} of the readings exceeded, {tally.target:.1e} were allowed"
    )


def beginning(at: Ints) -> int:
    """The first row after the days to learn from."""
    return int(np.searchsorted(at, at[0] + TRAINING_DAYS * DAY))


def between(at: Sequence[int] | Ints) -> str:
    """From when to when, in words."""
    return f"{iso(int(at[0]))[:10]} to {iso(int(at[-1]))[:10]}"
