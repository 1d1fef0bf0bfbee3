"""Centre and scale of each channel, so that one network serves channels of any unit.

z = (value - mean) / deviation, clipped to +-10: one reading of 1e300 must not poison the state of the network.
"""

from __future__ import annotations

import numpy as np

from pipeline.records import Flags, Floats

CLIP = 10.0
LARGEST = 1e150  # a value beyond is learnt as this one: its square still is a number


def learn_scaling(values: Floats, missing: Flags) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each channel over the readings that are there, (C,) each.

    Maps values and missing (T, C); the deviation is 1 where a channel is constant, and a channel that is never there
    has mean 0 and deviation 1.
    """
    present = ~missing
    values = np.clip(values, -LARGEST, LARGEST)
    count = np.maximum(present.sum(axis=0), 1)  # (C,)
    shift = np.where(present.any(axis=0), values[np.argmax(present, axis=0), np.arange(values.shape[1])], 0.0)
    centred = np.where(present, values - shift, 0.0)  # the first reading taken off: 1e9 + small keeps its small part
    offset = centred.sum(axis=0) / count
    variance = (np.where(present, centred - offset, 0.0) ** 2).sum(axis=0) / count
    constant = ~(centred != 0).any(axis=0)
    return shift + offset, np.where(constant | (variance <= 0), 1.0, np.sqrt(variance))


def scale(values: Floats, mean: Floats, spread: Floats) -> Floats:
    """Readings in deviations from the mean, clipped to +-10; all (N, C) or broadcast to it."""
    with np.errstate(over="ignore"):  # 1e300 less a mean, over a small deviation, is clipped like any far value
        return np.clip((values - mean) / spread, -CLIP, CLIP)


def unscale(z: Floats, mean: Floats, spread: Floats) -> Floats:
    """Scaled readings in the channel's own unit."""
    return z * spread + mean
