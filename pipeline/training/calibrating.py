"""What is normal for a detector: its errors on the calibration part, by the very tracker that will run.

Every history is run from its first row, so that the state in service is the state in which the errors were made. The
errors of the last 20 % are kept, for only from them is it known how rare an error is; how they differ from channel to
channel and from region to region of the past is taken from the fit part, which is longer. The slots of the bundle are
what the tracker remembers at the end.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.detector.calibration import Calibration, calibrate, common
from pipeline.detector.detector import Detector
from pipeline.detector.fusion import fuse, levels, opinions
from pipeline.detector.views import errors_of, prediction_error
from pipeline.detector.views.view import mean_over
from pipeline.exceptions import DataError
from pipeline.monitor.slots import Slots
from pipeline.monitor.smoothing import beyond_habit, smooth
from pipeline.monitor.timeline import rounds_of
from pipeline.monitor.tracker import Tracked, Tracker
from pipeline.records import Flags, Floats, Ints, Outcome, Readings
from pipeline.training.history import parts_of
from pipeline.training.preparing import Fitted
from pipeline.training.standing import longest_runs

OWN_ERRORS = 1000  # a series with as many in its calibration part is calibrated by itself
OUTLYING = 0.999  # quantile of the squared residuals: one huge outlier in training must not be the usual
DRAWN, CALMEST = 20, 0.05  # readings by which a region is drawn to the usual, and the least share of it (0012)
FEWEST_ERRORS = 10  # of all series together
BATCH_ROWS, FEWEST_ROWS = 4096, 16  # readings tracked at a time, and of each series


@dataclass(frozen=True, slots=True)
class Batch:
    """N readings of all series together, as they were tracked."""

    tracked: Tracked
    slots: Ints  # (N,)
    rounds: list[Ints]
    calibrates: Flags  # (N,) scored, and of the calibration part
    learnt: Flags  # (N,) scored, of the fit part, and not trimmed

    @property
    def residual(self) -> Floats:
        """Readings less forecasts in scaled units, 0 where a channel was not compared, (N, C)."""
        compared = self.tracked.there & self.tracked.forecast_known[:, None]
        return np.where(compared, self.tracked.z - self.tracked.forecast, 0.0)


def calibrated(detector: Detector, fitted: Sequence[Fitted]) -> Generator[int, None, Detector]:
    """The detector with its calibrations and slots; on the way, how many readings have been run through the tracker.

    DataError where the calibration parts hold too few scored readings to rank another.
    """
    slots = begun(detector, fitted)
    batches = []
    for batch in tracked_batches(detector, slots, fitted):
        batches.append(batch)
        yield len(batch.slots)
    kept = calibrating_in(batches)
    own = np.flatnonzero(np.bincount(kept.slots, minlength=len(fitted)) >= OWN_ERRORS)
    own = own if len(fitted) > 1 else own[:0]
    groups = [np.arange(len(kept.slots)), *kept.rows_of(own)]
    learnt = Kept.of(batches, [batch.learnt for batch in batches])
    of_fit = [np.arange(len(learnt.slots)), *learnt.rows_of(own)]
    scales = np.stack([learnt.channel_scale(rows, detector.scored) for rows in of_fit])
    regionals = np.ones((len(groups), detector.regions + 1))
    if detector.regions:
        regionals = np.stack([learnt.regional(rows, detector.regions) for rows in of_fit])
    parts = list(zip(groups, of_fit, strict=True))
    high, fused = opinions_run(detector, slots, batches, (scales[:1], regionals[:1]), parts[:1])
    highs, by_group = [high[0]], [fused]
    if len(groups) > 1:
        slots.marks.calibration[own] = np.arange(1, len(groups))
        high, fused = opinions_run(detector, slots, batches, (scales, regionals), parts, pooled=high[0])
        highs, by_group = list(high), by_group + [fused] * len(own)
    calibrations = [
        kept.calibration(rows, scale, regional, high, fused[rows])
        for rows, scale, regional, high, fused in zip(groups, scales, regionals, highs, by_group, strict=True)
    ]
    longest = tuple(longest_runs(fitted, slots, detector.scored).tolist())
    complete = replace(detector, calibrations=tuple(calibrations), longest_runs=longest)
    return replace(complete, slots=slots.take(slots.table.names(), complete.digest))


def calibrating_in(batches: Sequence[Batch]) -> Kept:
    """The readings that calibrate; DataError where they are too few to rank another."""
    kept = Kept.of(batches, [batch.calibrates for batch in batches])
    if len(kept.slots) < FEWEST_ERRORS:
        raise DataError(
            f"the calibration part, the last 20 % of the history, holds {len(kept.slots)} readings that can be scored; "
            f"at least {FEWEST_ERRORS} are needed: give a longer history, or one with fewer gaps"
        )
    return kept


def begun(detector: Detector, fitted: Sequence[Fitted]) -> Slots:
    """A slot for each of the series, which runs from its first row."""
    slots = Slots(detector)
    for series in fitted:
        slot = slots.begin(series.history.name, series.step, series.regular, series.period)
        slots.scale(slot, series.mean, series.spread)
    return slots


def tracked_batches(detector: Detector, slots: Slots, fitted: Sequence[Fitted]) -> Iterator[Batch]:
    """All histories through one tracker, side by side; in the order of the rows of each."""
    tracker, names = Tracker(detector, slots.tracks), [series.history.name for series in fitted]
    lengths = np.array([len(series.history) for series in fitted])
    parts = [parts_of(length) for length in lengths.tolist()]
    begins, ends = np.array([p.calibration_begin for p in parts]), np.array([p.fit_end for p in parts])
    slot_of = np.array([slots.table[name] for name in names])
    running, first = np.arange(len(fitted)), 0
    while len(running):
        rows = max(BATCH_ROWS // len(running), FEWEST_ROWS)
        cut = [fitted[index].history[first : first + rows] for index in running.tolist()]
        trimmed = [fitted[index].trimmed_rows[first : first + rows] for index in running.tolist()]
        code = np.repeat(running, [len(part) for part in cut])
        row = np.concatenate([first + np.arange(len(part)) for part in cut])
        readings = Readings(
            names,
            code.astype(np.int32),
            np.concatenate([part.at for part in cut]),
            np.concatenate([part.values for part in cut]),
            np.concatenate([part.missing for part in cut]),
            np.zeros(len(code), np.int32),
            row,
        )
        where = slot_of[code]
        rounds = rounds_of(where)
        tracked = tracker.advance(readings, where, rounds)
        scored = tracked.outcome == Outcome.SCORED
        learnt = scored & (row < ends[code]) & ~np.concatenate(trimmed)
        yield Batch(tracked, where, rounds, scored & (row >= begins[code]), learnt)
        first += rows
        running = running[lengths[running] > first]


def opinions_run(
    detector: Detector,
    slots: Slots,
    batches: Sequence[Batch],
    commons: tuple[Floats, Floats],
    parts: Sequence[tuple[Ints, Ints]],
    pooled: Floats | None = None,
) -> tuple[Floats, Floats]:
    """The 99 % levels (J, K) of J groups, and the fused errors of all n calibrating readings, (n,).

    Each series is run from its first row with what is common under its calibration in `commons`: channel scales (J, C)
    and regional ones (J, R + 1). `parts` are the rows of each group among the calibrating readings, and among those
    that were learnt from. The levels of the first group are `pooled`, (K,), where they are known.
    """
    smoothed = []
    for batch in batches:
        scale = common(*commons, slots.marks.calibration[batch.slots], batch.tracked.region)
        error = prediction_error(batch.residual, batch.tracked.there, scale)
        errors = errors_of(detector.owners, error, batch.tracked.further)
        smoothed.append(smooth(errors, batch.tracked, batch.slots, batch.rounds, slots.tracks))
    both = list(zip(smoothed, batches, strict=True))
    kept = np.concatenate([errors[batch.calibrates] for errors, batch in both])
    high = np.stack([np.quantile(kept[rows], 0.99, axis=0) for rows, _ in parts])
    if detector.many:  # a machine that moved in its calibration part would make every view silent (0013)
        learnt = np.concatenate([errors[batch.learnt] for errors, batch in both])
        before = [
            np.quantile(learnt[rows], 0.99, axis=0) if len(rows) else high[j] for j, (_, rows) in enumerate(parts)
        ]
        high = np.where(np.stack(before) > 0, np.minimum(high, before), high)
    high[0] = high[0] if pooled is None else pooled
    high = np.where(high > 0, high, high[0])  # a series whose past is never full takes what is common for all
    slots.tracks.habit[:] = 0
    fused = []
    for errors, batch in both:
        opinion = opinions(levels(errors, high[slots.marks.calibration[batch.slots]]), detector.owners)
        if detector.many:
            opinion = beyond_habit(opinion, batch.tracked, batch.slots, batch.rounds, slots.tracks)
        fused.append(fuse(opinion)[batch.calibrates])
    return high, np.concatenate(fused)


@dataclass(frozen=True, slots=True)
class Kept:
    """The n readings of one part that a calibration is made of."""

    residual: Floats  # (n, C)
    there: Flags  # (n, C)
    region: Ints  # (n,)
    slots: Ints  # (n,)

    @classmethod
    def of(cls, batches: Sequence[Batch], part: Sequence[Flags]) -> Kept:
        """Those readings of each batch that are of the part."""
        chosen = list(zip(batches, part, strict=True))
        return cls(
            np.concatenate([batch.residual[kept] for batch, kept in chosen]),
            np.concatenate([batch.tracked.there[kept] for batch, kept in chosen]),
            np.concatenate([batch.tracked.region[kept] for batch, kept in chosen]),
            np.concatenate([batch.slots[kept] for batch, kept in chosen]),
        )

    def rows_of(self, slots: Ints) -> list[Ints]:
        """The rows of each of these slots, in order."""
        order = np.argsort(self.slots, kind="stable")
        ordered = self.slots[order]
        first, last = np.searchsorted(ordered, slots, "left"), np.searchsorted(ordered, slots, "right")
        return [order[begin:end] for begin, end in zip(first.tolist(), last.tolist(), strict=True)]

    def channel_scale(self, rows: Ints, scored: Flags) -> Floats:
        """The mean squared residual of each channel (C,), so that no channel is louder than others; 1 for context.

        1 for all where there is no row. At least a tenth of the median channel's and 1e-6, else dead channels dominate.
        """
        if not len(rows):
            return np.ones(len(scored))
        squares = np.where(self.there[rows], self.residual[rows] ** 2, 0.0).sum(axis=0)
        means = squares / np.maximum(self.there[rows].sum(axis=0), 1)
        floor = max(float(np.median(means[scored])) / 10, 1e-6)
        return np.where(scored, np.maximum(means, floor), 1.0)

    def regional(self, rows: Ints, regions: int) -> Floats:
        """How many times the usual the squared residual is in each region of the past, (R + 1,); the last is 1.

        The usual is their mean, of what is outlying the quantile alone. A region of few readings is drawn to it, and
        none is so calm that a small residual is loud there.
        """
        squares = mean_over(self.residual[rows] ** 2, self.there[rows])
        if not squares.any():
            return np.ones(regions + 1)
        usual = float(np.minimum(squares, np.quantile(squares, OUTLYING)).mean()) or float(squares.mean())
        sums = np.bincount(self.region[rows], squares, regions + 1)
        counts = np.bincount(self.region[rows], minlength=regions + 1)
        regional: Floats = np.maximum((sums / usual + DRAWN) / (counts + DRAWN), CALMEST)
        regional[regions] = 1.0
        return regional

    def calibration(
        self, rows: Ints, channel_scale: Floats, regional: Floats, high: Floats, fused: Floats
    ) -> Calibration:
        """The calibration from these rows, whose fused errors are (rows,)."""
        band = np.zeros((2, self.residual.shape[1]))
        for channel in range(band.shape[1]):
            there = rows[self.there[rows, channel]]
            if len(there):
                band[:, channel] = np.quantile(self.residual[there, channel], (0.005, 0.995))
        return calibrate(channel_scale, regional, high, band, fused)
