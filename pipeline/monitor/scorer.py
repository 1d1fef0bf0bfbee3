"""What was forecast and what was seen, to decades of rarity: errors, smoothed errors, levels, fused error, rank."""

from __future__ import annotations

import numpy as np

from pipeline.detector.calibration import common
from pipeline.detector.detector import Detector
from pipeline.detector.fusion import fuse, heard, levels, opinions
from pipeline.detector.scaling import unscale
from pipeline.detector.views import errors_of, prediction_error
from pipeline.monitor.incidents import Judged
from pipeline.monitor.marks import Marks
from pipeline.monitor.parts import Parts
from pipeline.monitor.smoothing import beyond_habit, smooth, span_of
from pipeline.monitor.tracker import Tracked, Tracks
from pipeline.records import Flags, Floats, Ints, Outcome, Readings, Scores

SPIKE = 10  # times the smoothed error


class Scorer:
    """Scores what the tracker tracked; the smoothed errors of each series are its own and kept."""

    def __init__(self, detector: Detector, tracks: Tracks, marks: Marks) -> None:
        self._detector = detector
        self._tracks = tracks
        self._marks = marks

    def score(self, readings: Readings, tracked: Tracked, slots: Ints, rounds: list[Ints]) -> tuple[Judged, Parts]:
        """Forecasts to errors, levels and decades of rarity."""
        detector, own = self._detector, self._marks.calibration[slots]
        known = tracked.forecast_known
        residual = np.where(tracked.there & known[:, None], tracked.z - tracked.forecast, 0.0)
        channel_scale = common(detector.channel_scales, detector.regionals, own, tracked.region)
        error = prediction_error(residual, tracked.there, channel_scale)
        errors = errors_of(detector.owners, error, tracked.further)
        smoothed, high = smooth(errors, tracked, slots, rounds, self._tracks), detector.highs[own]
        softened = levels(smoothed, high)
        opinion = opinions(softened, detector.owners)
        if detector.many:
            whole, opinion = opinion, beyond_habit(opinion, tracked, slots, rounds, self._tracks)
            softened = softened * heard(opinion, whole)[:, detector.owners]
        fused = fuse(opinion)
        scored = tracked.outcome == Outcome.SCORED
        heaviest = np.argmax(softened * detector.weights, axis=1)
        band = detector.bands[own]  # (N, 2, C)
        shown = (known & scored)[:, None]
        nothing, zeros = np.zeros(len(readings), bool), np.zeros(len(readings))
        judged = Judged(
            readings=readings,
            scores=Scores(
                outcome=tracked.outcome,
                score=np.where(scored, detector.rarity(fused, own), 0.0),
                bar=zeros,
                exceeds=nothing,
                alert=nothing,
                expected=np.where(shown, unscale(tracked.forecast, tracked.mean, tracked.spread), 0.0),
                lower=np.where(shown, unscale(tracked.forecast + band[:, 0], tracked.mean, tracked.spread), 0.0),
                upper=np.where(shown, unscale(tracked.forecast + band[:, 1], tracked.mean, tracked.spread), 0.0),
                fused=np.where(scored, fused, 0.0),
            ),
            reset=tracked.reset,
            known=known & scored,
            share=shares(residual**2 / channel_scale, tracked.there),
            span=self._spans(slots, errors, smoothed, heaviest),
            target=zeros,
            calibration=own,
        )
        parts = Parts(
            known=known,
            reset=tracked.reset,
            imputed=tracked.imputed,
            residual=residual,
            spread=tracked.spread,
            channel_scale=channel_scale,
            share=judged.share,
            errors=errors,
            smoothed=smoothed,
            high=high,
            softened=softened,
            weights=detector.weights,
            fused=fused,
            calibration=own,
            bar=zeros,
            target=zeros,
        )
        return judged, parts

    def _spans(self, slots: Ints, errors: Floats, smoothed: Floats, heaviest: Ints) -> Ints:
        """How many readings the deviation at each of N readings is about, (N,): those of the level that weighs most.

        One, where the reading alone makes half of the prediction's slowest smoothed error, or errs ten times as much:
        all views see a spike.
        """
        slowest, alpha = self._detector.slowest, self._tracks.alpha
        alone = errors[:, slowest] * np.maximum(2 * alpha[slots, slowest], 1 / SPIKE) >= smoothed[:, slowest]
        about = np.maximum(span_of(alpha[slots, heaviest]), self._detector.lengths[heaviest])
        return np.where(alone & (smoothed[:, slowest] > 0), 1, about)


def shares(weighted: Floats, there: Flags) -> Floats:
    """Each channel's share in the sum of a row (N, C); alike over the channels that are there where the sum is 0."""
    weighted = np.where(there, weighted, 0.0)
    total = weighted.sum(axis=1, keepdims=True)
    even = there / np.maximum(there.sum(axis=1, keepdims=True), 1)
    return np.where(total > 0, weighted / np.where(total > 0, total, 1.0), even)
