"""How long the values of a channel stand still in a history: what is stuck is told by it.

All of the history is looked at that something may be learnt from, the calibration part too: no error has to do with it.
A channel with at most two values in a series, or with one and the same in most of its readings, is at rest there and
never stuck; one such series is enough for those never seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.monitor.slots import Slots
from pipeline.monitor.stuck import remember, run_on
from pipeline.records import Flags, Floats, Ints
from pipeline.training.preparing import Fitted

FEWEST_VALUES = 3  # a switch stays for as long as nobody turns it


def longest_runs(fitted: Sequence[Fitted], slots: Slots, scored: Flags) -> Ints:
    """The longest run of one value of each channel (C,), for series never seen; 0: never stuck, and where not scored.

    Each series' own, and the run that its history ends with, are put into its slot.
    """
    runs, names = slots.runs, [series.history.name for series in fitted]
    where = np.array([slots.table[name] for name in names], np.int64)
    for series, slot in zip(fitted, where.tolist(), strict=True):
        history, rows = series.learnt, np.arange(len(series.history))
        values, there = history.values[:, scored], ~history.missing[:, scored]
        after = run_on(runs, np.full(len(rows), slot), rows, history.at, values, there)
        moves = [_moves(values[there[:, channel], channel]) for channel in range(values.shape[1])]
        runs.longest[slot] = np.where(moves, after.length.max(axis=0), 0)
        remember(runs, after)
    own = runs.longest[where]  # (series, K)
    found = np.zeros(len(scored), np.int64)
    found[scored] = np.where((own > 0).all(axis=0), own.max(axis=0), 0)
    return found


def _moves(values: Floats) -> bool:
    """Whether a channel with these values, (n,), is one that can be stuck."""
    counts = np.unique(values, return_counts=True)[1]
    return len(counts) >= FEWEST_VALUES and 2 * int(counts.max()) <= len(values)
