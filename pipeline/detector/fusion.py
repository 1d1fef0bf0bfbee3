"""Smoothed errors to levels, levels to one fused error.

A view below its own 99 % level has no opinion: a mean of logarithms would let a calm view pull down one that sees the
fault. The softened level was the largest lever measured (docs/decisions/0002).
"""

from __future__ import annotations

import numpy as np

from pipeline.records import Floats

OFFSET = 0.001  # keeps a level finite where a calibration part never erred
SOFTNESS = 0.3
FUSED_OFFSET = 0.2  # x = log(F + .2): the step of the bar means the same for calm and for wild series


def levels(errors: Floats, high: Floats) -> Floats:
    """Each smoothed error against its own 99 % quantile `high` in calibration; both (N, K), and so is the result."""
    raw = np.log((errors + OFFSET) / (high + OFFSET))
    return SOFTNESS * np.logaddexp(0.0, raw / SOFTNESS)


def fuse(softened: Floats, weights: Floats) -> Floats:
    """x = log(F + .2) of each row, (N,), F the mean over views of the mean over their spans.

    Maps softened levels (N, K) and the weight of each of the K smoothed errors (K,), which sum to one.
    """
    fused: Floats = np.log((softened * weights).sum(axis=1) + FUSED_OFFSET)  # no matrix product: see engine.product
    return fused
