"""Where a reading stands in its series: next, after a gap, late, or a duplicate; and the rounds of a batch."""

from __future__ import annotations

import numpy as np

from pipeline.records import Flags, Ints


def rounds_of(slots: Ints) -> list[Ints]:
    """Rows (N,) cut into rounds: the i-th round holds the i-th reading of every series that has as many.

    Within a series the rounds keep the order of the rows, so each round can be one batched step.
    """
    if not len(slots):
        return []
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    first = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))  # where a series begins
    counts = np.diff(np.concatenate((first, [len(slots)])))
    rank = np.arange(len(slots)) - np.repeat(first, counts)  # which reading of its series
    by_round = order[np.argsort(rank, kind="stable")]
    ends = np.cumsum(np.bincount(rank))
    return np.split(by_round, ends[:-1])


def steps_since(at: Ints, last: Ints, step: Ints, regular: Flags) -> Ints:
    """How many steps each reading is after the last one of its series, at least 1; all (n,).

    The distance is rounded half up; an irregular series is taken row by row, always one step.
    """
    distance = np.maximum(at - last, 0)
    whole = distance // step + (2 * (distance % step) >= step)
    return np.where(regular, np.maximum(whole, 1), 1)
