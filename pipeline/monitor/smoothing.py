"""What runs on from error to error of a series: the smoothed errors, and the habit of each view."""

from __future__ import annotations

import numpy as np

from pipeline.detector.fusion import unaccustomed
from pipeline.monitor.tracker import Tracked, Tracks
from pipeline.records import Floats, Ints


def span_of(alpha: Floats) -> Ints:
    """The span in readings that each alpha comes of."""
    return np.rint(2 / np.maximum(alpha, 1e-9) - 1).astype(np.int64)


def smooth(errors: Floats, tracked: Tracked, slots: Ints, rounds: list[Ints], tracks: Tracks) -> Floats:
    """Errors (N, K) smoothed by each series' EWMA, (N, K); they begin anew at the first error after a reset.

    A row that was not compared with a forecast leaves the smoothed errors of its series as they were.
    """
    smoothed = np.zeros_like(errors)
    for chosen in rounds:
        taken = chosen[tracked.forecast_known[chosen]]
        slot = slots[taken]
        before = tracks.smoothed[slot]
        after = before + tracks.alpha[slot] * (errors[taken] - before)
        after = np.where(tracked.first[taken][:, None], errors[taken], after)
        tracks.smoothed[slot] = after
        smoothed[taken] = after
    return smoothed


def beyond_habit(opinion: Floats, tracked: Tracked, slots: Ints, rounds: list[Ints], tracks: Tracks) -> Floats:
    """Opinions (N, V) less the habit of each view in its series, (N, V); the habits move on, and outlast a reset."""
    beyond = np.zeros_like(opinion)
    for chosen in rounds:
        taken = chosen[tracked.forecast_known[chosen]]
        slot = slots[taken]
        beyond[taken], tracks.habit[slot] = unaccustomed(opinion[taken], tracks.habit[slot])
    return beyond
