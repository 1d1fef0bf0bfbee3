"""Smoothed errors to levels, levels to opinions of the views, opinions to one fused error.

A view below its own 99 % level has no opinion: a mean of logarithms would let a calm view pull down one that sees the
fault. The softened level was the largest lever measured (docs/decisions/0002). In a machine of many channels some drift
for good; there a view is heard less the longer it has been high (docs/decisions/0010).
"""

from __future__ import annotations

import numpy as np

from pipeline.records import Floats, Ints

OFFSET = 0.001  # keeps a level finite where a calibration part never erred
SOFTNESS = 0.3
FUSED_OFFSET = 0.2  # x = log(F + .2): the step of the bar means the same for calm and for wild series
HABIT_SPAN, HABIT_SHARE = 1000, 0.6  # readings, and how much of the habit is taken off an opinion


def levels(errors: Floats, high: Floats) -> Floats:
    """Each smoothed error against its own 99 % quantile `high` in calibration; both (N, K), and so is the result."""
    raw = np.log((errors + OFFSET) / (high + OFFSET))
    return SOFTNESS * np.logaddexp(0.0, raw / SOFTNESS)


def opinions(softened: Floats, owner: Ints) -> Floats:
    """The mean over the spans of each view, (N, V): softened levels (N, K), the view of each (K,), ascending."""
    first = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))
    means: Floats = np.add.reduceat(softened, first, axis=1) / np.bincount(owner)
    return means


def unaccustomed(opinion: Floats, habit: Floats) -> tuple[Floats, Floats]:
    """Opinions (n, V) less a share of the habit (n, V), an EWMA of those before, never below 0; and the habit after."""
    after = habit + 2 / (HABIT_SPAN + 1) * (opinion - habit)
    return np.maximum(opinion - HABIT_SHARE * habit, 0.0), after


def heard(beyond: Floats, opinion: Floats) -> Floats:
    """The share of each opinion that is beyond the habit, 0 to 1; all (N, V)."""
    return np.divide(beyond, opinion, out=np.zeros_like(opinion), where=opinion > 0)


def fuse(opinion: Floats) -> Floats:
    """x = log(F + .2) of each row, (N,), F the mean over the views (N, V)."""
    fused: Floats = np.log(opinion.mean(axis=1) + FUSED_OFFSET)  # no matrix product: see products.py
    return fused
