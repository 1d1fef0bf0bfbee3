"""Rounds of readings: the state of each series carried forward, what was forecast and what was seen handed out.

The one place where the network runs, for `fit` and `Monitor` alike; it needs no calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from pipeline.detector.calendar import calendar_inputs
from pipeline.detector.detector import Detector
from pipeline.detector.past import Recalled, pushed
from pipeline.detector.scaling import CLIP, LARGEST, scale
from pipeline.monitor.table import Columns
from pipeline.monitor.timeline import steps_since
from pipeline.records import Flags, Floats, Ints, Outcome, Readings, Singles

SCORED, WARMING = int(Outcome.SCORED), int(Outcome.WARMING)  # an enum's members are slow to look up

LOOKED_AT = 4096  # readings at a time: each is held against all that is remembered
BELIEVED = 3  # late readings in a row, by which the far end of a gap is known for a wrong time (docs/decisions/0016)
SETTLED = 1000  # readings: the scaling of a new series moves with each of its first ones (docs/decisions/0007)


@dataclass(slots=True)
class Tracks(Columns):
    """What is remembered of a series to forecast it: L layers of H units, C channels, K smoothed errors."""

    mean: Floats  # (S, C) scaling, gathered while the series is new
    spread: Floats  # (S, C)
    squares: Floats  # (S, C) what the deviation of a new series is made of
    gathered: Ints  # (S, C) readings that went into the scaling of a new series
    rows: Ints  # (S,) the same, of any channel
    scaled: Flags  # (S,) the scaling stands: the network runs
    h: Singles  # (S, L, H)
    c: Singles  # (S, L, H)
    last: Floats  # (S, C) the last input, in scaled units
    forecast: Floats  # (S, C) of the next reading, in scaled units
    since_reset: Ints  # (S,) readings
    started: Flags  # (S,) there is a last reading
    at: Ints  # (S,) its time
    jumped: Flags  # (S,) it stands beyond a gap too long to bridge
    before: Ints  # (S,) the time of the last reading before that gap; of several in a row before the first
    behind: Ints  # (S,) readings in a row that came from within it
    step: Ints  # (S,)
    regular: Flags  # (S,)
    smoothed: Floats  # (S, K) smoothed errors
    alpha: Floats  # (S, K) how much of each error enters its smoothed one: 2 / (span + 1)
    legendre: Singles  # (S, scored channels, d) the past, in scaled units
    window: Singles  # (S, W) the last readings, oldest first
    habit: Floats  # (S, V) a slow mean of what each view said

    def unscored(self, slots: Ints, warm_up: int) -> Ints:
        """How many further readings of these series (n,) only warm up; 0 where the next one is scored."""
        gathering = np.where(self.scaled[slots], 0, warm_up - self.rows[slots])
        left: Ints = gathering + np.maximum(warm_up - self.since_reset[slots], 0)
        return left

    def forget(self, slots: Ints) -> None:
        """Clear what a reset clears: the network's state and the past. Smoothed errors begin again by themselves."""
        self.since_reset[slots] = 0
        self.h[slots], self.c[slots] = 0, 0
        self.legendre[slots], self.window[slots] = 0, 0


def no_tracks(detector: Detector) -> Tracks:
    """Columns without a row, of the detector's sizes."""
    channels, layers, hidden = len(detector.channels), len(detector.engine.layers), detector.engine.hidden
    smoothed, past = len(detector.owners), detector.past
    wide, flags, count = np.zeros((0, channels)), np.zeros(0, bool), np.zeros(0, np.int64)
    state = np.zeros((0, layers, hidden), np.float32)
    return Tracks(
        mean=wide,
        spread=wide.copy(),
        squares=wide.copy(),
        gathered=wide.astype(np.int64),
        rows=count,
        scaled=flags,
        h=state,
        c=state.copy(),
        last=wide.copy(),
        forecast=wide.copy(),
        since_reset=count.copy(),
        started=flags.copy(),
        at=count.copy(),
        jumped=flags.copy(),
        before=count.copy(),
        behind=count.copy(),
        step=count.copy(),
        regular=flags.copy(),
        smoothed=np.zeros((0, smoothed)),
        alpha=np.zeros((0, smoothed)),
        legendre=np.zeros((0, int(detector.scored.sum()) if past else 0, past.order if past else 0), np.float32),
        window=np.zeros((0, past.window if past else 0), np.float32),
        habit=np.zeros((0, len(detector.views) if detector.many else 0)),
    )


@dataclass(frozen=True, slots=True)
class Tracked:
    """What became of N readings of C channels. A row that is not `forecast_known` was not compared with anything."""

    outcome: npt.NDArray[np.uint8]  # (N,)
    z: Floats  # (N, C) the network's input: scaled, its own forecast where a channel was missing
    forecast: Floats  # (N, C) of this reading, before it came
    mean: Floats  # (N, C) the scaling that both are in
    spread: Floats  # (N, C)
    forecast_known: Flags  # (N,)
    there: Flags  # (N, C) scored channels that were not missing
    settled: Ints  # (N,) readings since the middle of the warm-up, at least 1: smoothed errors begin there
    reset: Flags  # (N,) the reading came after a gap too long to bridge
    imputed: Ints  # (N,) steps before this reading that ran on their own forecast
    further: Floats  # (N, V - 1) errors of the views that need no calibration
    region: Ints  # (N,) of the past that the reading came after: detector.LookingBack.region


class Tracker:
    """Carries the state of every series from reading to reading, a batched step of the network per round."""

    def __init__(self, detector: Detector, tracks: Tracks) -> None:
        self._engine = detector.engine
        self._settings = detector.settings
        self._clock = detector.clock
        self._scored = detector.scored
        self._past = detector.past
        self._back = detector.looking_back
        self._views = detector.further
        self._tracks = tracks

    def advance(self, readings: Readings, slots: Ints, rounds: list[Ints]) -> Tracked:
        """Take N readings into the state of their series, whose slots (N,) have rows in the tracks."""
        rows, channels = readings.values.shape
        tracked = Tracked(
            outcome=np.full(rows, Outcome.WARMING, np.uint8),
            z=np.zeros((rows, channels)),
            forecast=np.zeros((rows, channels)),
            mean=np.zeros((rows, channels)),
            spread=np.zeros((rows, channels)),
            forecast_known=np.zeros(rows, bool),
            there=~readings.missing & self._scored,
            settled=np.ones(rows, np.int64),
            reset=np.zeros(rows, bool),
            imputed=np.zeros(rows, np.int64),
            further=np.zeros((rows, len(self._views))),
            region=np.zeros(rows, np.int64),
        )
        tracks = self._tracks
        kept = prod(tracks.legendre.shape[1:])
        recalled = Recalled(
            state=np.zeros((rows, kept)),
            window=np.zeros((rows, tracks.window.shape[1])),
            full=np.zeros(rows, bool),
            earlier=np.zeros((rows, kept)),
            earlier_full=np.zeros(rows, bool),
        )
        for chosen in rounds:
            taken = self._admit(readings, slots[chosen], chosen, tracked)
            new = ~self._tracks.scaled[slots[taken]]
            if new.any():
                self._gather(readings, slots[taken[new]], taken[new])
                taken = taken[~new]
            if len(taken):
                self._step(readings, slots[taken], taken, tracked, recalled)
        self._look(tracked, recalled)
        return tracked

    def _admit(self, readings: Readings, slots: Ints, chosen: Ints, tracked: Tracked) -> Ints:
        """Name what is not taken, bridge or reset over gaps, and return the rows that are taken."""
        tracks = self._tracks
        at, last, started = readings.at[chosen], tracks.at[slots], tracks.started[slots]
        late, duplicate = started & (at < last), started & (at == last)
        back = self._came_back(at, slots, late & tracked.there[chosen].any(axis=1))
        late &= ~back
        missing = ~(tracked.there[chosen].any(axis=1) | late | duplicate)
        if late.any() or duplicate.any() or missing.any():
            tracked.outcome[chosen[late]] = Outcome.LATE
            tracked.outcome[chosen[duplicate]] = Outcome.DUPLICATE
            tracked.outcome[chosen[missing]] = Outcome.MISSING  # leaves the series as it was: the next finds the gap
            kept = ~(late | duplicate | missing)
            chosen, slots, at, last, started, back = (a[kept] for a in (chosen, slots, at, last, started, back))
        distance = np.where(started, steps_since(at, last, np.maximum(tracks.step[slots], 1), tracks.regular[slots]), 1)
        distance = np.where(back, self._settings.max_gap + 1, distance)
        if (distance > 1).any():
            long, doubtful = distance > self._settings.max_gap, self._doubtful(slots)
            tracks.before[slots] = np.where(long & ~doubtful, last, tracks.before[slots])
            tracks.jumped[slots] = np.where(long, ~back, tracks.jumped[slots])
            self._bridge(slots, chosen, distance, tracked)
        tracks.at[slots] = at
        tracks.started[slots] = True
        return chosen

    def _came_back(self, at: Ints, slots: Ints, late: Flags) -> Flags:
        """Which late readings (n,) show that a clock had jumped ahead.

        These are of a series that is not warm again after a gap, lie far back in that gap, and are not alone.
        """
        tracks = self._tracks
        steps = steps_since(tracks.at[slots], at, np.maximum(tracks.step[slots], 1), tracks.regular[slots])
        within = late & self._doubtful(slots) & (at > tracks.before[slots]) & (steps > self._settings.max_gap)
        tracks.behind[slots] = np.where(within, tracks.behind[slots] + 1, 0)
        back: Flags = tracks.behind[slots] >= BELIEVED
        tracks.behind[slots[back]] = 0
        return back

    def _doubtful(self, slots: Ints) -> Flags:
        """Which series (n,) stand beyond a gap and are not warm again: their time may be a wrong one."""
        tracks = self._tracks
        doubtful: Flags = tracks.jumped[slots] & (tracks.since_reset[slots] < self._settings.warm_up)
        return doubtful

    def _bridge(self, slots: Ints, chosen: Ints, distance: Ints, tracked: Tracked) -> None:
        """Run a short gap on the network's own forecast; reset the series after a long one."""
        tracks = self._tracks
        running = tracks.scaled[slots] & (tracks.since_reset[slots] > 0)
        long = distance > self._settings.max_gap  # a series that does not run yet may have an incident, by its range
        tracks.forget(slots[long])
        tracked.reset[chosen[long]] = True
        distance = np.where(running & ~long, distance, 1)
        tracked.imputed[chosen] = distance - 1
        for done in range(1, int(distance.max())):
            chain = slots[distance > done]
            at = tracks.at[chain] + done * tracks.step[chain]
            self._run(np.clip(tracks.forecast[chain], -CLIP, CLIP), at, chain)

    def _gather(self, readings: Readings, slots: Ints, taken: Ints) -> None:
        """Take readings into the scaling of new series by Welford's update; it stands from `warm_up` readings on."""
        tracks = self._tracks
        there = ~readings.missing[taken]
        values = np.where(there, np.clip(readings.values[taken], -LARGEST, LARGEST), tracks.mean[slots])
        tracks.gathered[slots] += there
        tracks.rows[slots] += 1
        change = values - tracks.mean[slots]
        tracks.mean[slots] += change / np.maximum(tracks.gathered[slots], 1)
        tracks.squares[slots] += change * (values - tracks.mean[slots])
        done = slots[tracks.rows[slots] >= self._settings.warm_up]
        variance = tracks.squares[done] / np.maximum(tracks.gathered[done], 1)
        tracks.spread[done] = np.where(variance > 0, np.sqrt(variance), 1.0)
        tracks.scaled[done] = True

    def _step(self, readings: Readings, slots: Ints, taken: Ints, tracked: Tracked, recalled: Recalled) -> None:
        """Compare readings with their forecasts, and forecast the next ones."""
        tracks = self._tracks
        known = tracks.since_reset[slots] > 0
        forecast = np.where(known[:, None], tracks.forecast[slots], 0.0)
        mean, spread = tracks.mean[slots], tracks.spread[slots]
        z = scale(readings.values[taken], mean, spread)
        z = np.where(readings.missing[taken], np.clip(forecast, -CLIP, CLIP), z)
        tracked.z[taken] = z
        tracked.forecast[taken] = forecast
        tracked.mean[taken], tracked.spread[taken] = mean, spread
        tracked.forecast_known[taken] = known
        tracked.settled[taken] = np.maximum(tracks.since_reset[slots] - self._settings.warm_up // 2 + 1, 1)
        tracked.outcome[taken] = np.where(tracks.since_reset[slots] < self._settings.warm_up, WARMING, SCORED)
        if self._past:
            recalled.earlier[taken] = tracks.legendre[slots].reshape(len(slots), -1)
            recalled.earlier_full[taken] = tracks.since_reset[slots] >= self._past.longest
        self._run(z, readings.at[taken], slots)
        tracks.since_reset[slots] += 1
        if self._past:
            recalled.state[taken] = tracks.legendre[slots].reshape(len(slots), -1)
            recalled.window[taken] = tracks.window[slots]
            recalled.full[taken] = tracks.since_reset[slots] >= self._past.longest
        young = (tracks.rows[slots] > 0) & (tracks.rows[slots] < SETTLED)
        if young.any():
            self._gather(readings, slots[young], taken[young])

    def _look(self, tracked: Tracked, recalled: Recalled) -> None:
        """The region of each reading, and the errors of the further views.

        An error is 0 where there was no forecast, or the past that a view needs is not full.
        """
        for first in range(0, len(tracked.outcome), LOOKED_AT):
            rows = slice(first, first + LOOKED_AT)
            seen = recalled[rows]
            if self._back:
                tracked.region[rows] = self._back.region(seen)
            z, there = tracked.z[rows, self._scored], tracked.there[rows, self._scored]
            for column, view in enumerate(self._views):
                tracked.further[rows, column] = np.where(tracked.forecast_known[rows], view.error(z, there, seen), 0.0)

    def _run(self, z: Floats, at: Ints, slots: Ints) -> None:
        """One step of the network for these series."""
        tracks = self._tracks
        inputs = z.astype(np.float32)
        if self._settings.calendar:
            inputs = np.concatenate((inputs, calendar_inputs(at)), axis=1)
        h, c = tracks.h[slots], tracks.c[slots]
        self._engine.step(inputs, h, c)
        tracks.h[slots], tracks.c[slots] = h, c
        tracks.last[slots] = z
        if self._past:
            seen = inputs[:, : len(self._scored)][:, self._scored]
            tracks.legendre[slots] = self._past.step(tracks.legendre[slots], seen)
            if self._past.window:
                tracks.window[slots] = pushed(tracks.window[slots], seen[:, 0])
        tracks.forecast[slots] = self._engine.next_reading(z, h)
