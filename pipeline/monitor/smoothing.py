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
    """Errors (N, K) smoothed by each series' EWMA, (N, K).

    After a reset they begin anew in the middle of the warm-up, when the network's state has settled, as the mean of the
    errors since, until so many came that the EWMA is as slow: the first error must not weigh for a whole span.

    A row that was not compared with a forecast leaves the smoothed errors of its series as they were.
    """
    smoothed = np.zeros_like(errors)
    for chosen in rounds:
        taken = chosen[tracked.forecast_known[chosen]]
        slot = slots[taken]
        before = tracks.smoothed[slot]
        alpha = np.maximum(tracks.alpha[slot], 1 / tracked.settled[taken][:, None])
        after = before + alpha * (errors[taken] - before)
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
