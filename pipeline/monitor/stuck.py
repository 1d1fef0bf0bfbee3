"""Stuck channels: one and the same value for longer than a multiple of the longest run in training.

Values are compared as they came, to the last bit, and only in readings that were taken. A run neither goes on nor ends
where the channel is missing, and a gap in the readings does not end it. S slots, K scored channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.monitor.policy import ChannelRule, Policy
from pipeline.monitor.quiet import QuietEvents
from pipeline.monitor.table import Columns
from pipeline.records import Alert, Deviation, Event, Flags, Floats, Ints, Quiet, Readings

FEWEST = 10  # readings: a run up to this is never stuck; so many steps without a reading are bridged, too


@dataclass(slots=True)
class Runs(Columns):
    """How long each scored channel of a series has had one value."""

    value: Floats  # (S, K) of the last reading that had one
    length: Ints  # (S, K) readings in a row with this value; 0: there was none yet
    since: Ints  # (S, K) the time of the first of them
    longest: Ints  # (S, K) in training; 0: what is long is not known, and the channel is never stuck
    stuck: Flags  # (S, K)
    start: Ints  # (S,) of the open incident: since when the first channel that was stuck has had its value


def no_runs(scored: int) -> Runs:
    """Columns without a row."""
    counts, flags = np.zeros((0, scored), np.int64), np.zeros((0, scored), bool)
    return Runs(np.zeros((0, scored)), counts, counts.copy(), counts.copy(), flags, np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class RunOn:
    """N readings in the order of their series, and in each series as they came: what a run is after each of them."""

    rows: Ints  # (N,) where each stands among the readings
    slots: Ints  # (N,)
    first: Flags  # (N,) of its series
    value: Floats  # (N, K) as in the columns, and so the next two
    length: Ints  # (N, K)
    since: Ints  # (N, K)
    began: Flags  # (N, K) the run began with one of these N readings

    @property
    def last(self) -> Flags:
        """The last reading of each series, (N,)."""
        return np.append(self.first[1:], [True])[: len(self.first)]


def run_on(runs: Runs, slots: Ints, rows: Ints, at: Ints, values: Floats, there: Flags) -> RunOn:
    """What the runs are after each of N readings, given what they were before; nothing is remembered yet.

    `rows` are their places, `slots` and `at` are (N,), `values` and `there` (N, K); those of a series in their order.
    """
    order = np.argsort(slots, kind="stable")
    rows, slots, at, values, there = rows[order], slots[order], at[order], values[order], there[order]
    place = np.arange(len(order))[:, None]
    first = np.ones(len(order), bool)
    first[1:] = slots[1:] != slots[:-1]
    begin = np.maximum.accumulate(np.where(first, place[:, 0], 0))[:, None]  # (N, 1) where its series begins

    had = np.maximum.accumulate(np.where(there, place, -1), axis=0)  # the last place at which the channel was there
    before = np.concatenate((np.full((1, had.shape[1]), -1), had[:-1]))[: len(order)]
    earlier = np.where(before >= begin, np.take_along_axis(values, np.maximum(before, 0), 0), runs.value[slots])
    same = (values == earlier) & ((before >= begin) | (runs.length[slots] > 0))
    start = np.maximum.accumulate(np.where(there & ~same, place, -1), axis=0)
    began = start >= begin
    at_start = np.maximum(start, 0)

    count = np.cumsum(there, axis=0)
    until: Ints = np.take_along_axis(count - there, np.broadcast_to(begin, count.shape), 0)  # before its series
    length = np.where(
        began,
        count - np.take_along_axis(count, at_start, 0) + 1,
        runs.length[slots] + count - until,
    )
    value = np.where(had >= begin, np.take_along_axis(values, np.maximum(had, 0), 0), runs.value[slots])
    return RunOn(rows, slots, first, value, length, np.where(began, at[at_start], runs.since[slots]), began)


def remember(runs: Runs, after: RunOn) -> None:
    """Let the runs be what they are after the last reading of each series."""
    last = after.last
    slots = after.slots[last]
    runs.value[slots], runs.length[slots], runs.since[slots] = after.value[last], after.length[last], after.since[last]


class Stuck:
    """The incidents of stuck channels under one policy: one for each series, whichever of its channels are stuck."""

    def __init__(self, detector: Detector, policy: Policy, runs: Runs, events: QuietEvents) -> None:
        self._scored = np.flatnonzero(detector.scored)
        self._names = [detector.names[channel] for channel in self._scored.tolist()]
        self._rules = [policy.channels.get(name, ChannelRule()) for name in self._names]
        self._watched = np.array([rule.stuck for rule in self._rules]) & (policy.stuck_after > 0)  # (K,)
        self._after = policy.stuck_after
        self._runs = runs
        self._events = events

    def follow(self, readings: Readings, taken: Flags, slots: Ints) -> list[tuple[int, Alert]]:
        """The events of N readings, each with the row of its reading, in order; `taken` and `slots` are (N,)."""
        runs, rows = self._runs, np.flatnonzero(taken)
        there = ~readings.missing[rows][:, self._scored]
        after = run_on(runs, slots[rows], rows, readings.at[rows], readings.values[rows][:, self._scored], there)
        longest = runs.longest[after.slots]
        limit = np.maximum((self._after * longest).astype(np.int64), FEWEST)
        stuck = (after.length > limit) & (longest > 0) & self._watched
        stuck |= runs.stuck[after.slots] & ~after.began  # as long as the value does not move, whatever the settings
        first = after.first[:, None]
        before = np.where(first, runs.stuck[after.slots], np.roll(stuck, 1, axis=0))
        length_before = np.where(first, runs.length[after.slots], np.roll(after.length, 1, axis=0))
        remember(runs, after)
        last = after.last
        runs.stuck[after.slots[last]] = stuck[last]

        changed = np.flatnonzero((stuck != before).any(axis=1))
        said = []
        for place in changed[np.argsort(after.rows[changed])].tolist():
            now, then, slot = stuck[place], before[place], int(after.slots[place])
            event, about = self._event(now, then)
            if event is None:
                continue
            if event == "raised":
                now_at = int(readings.at[after.rows[place]])  # before `since`, where that was a wrong time far ahead
                runs.start[slot] = min(int(after.since[place][now].min()), now_at)
            lengths = length_before[place] if event == "cleared" else after.length[place]
            row = int(after.rows[place])
            said.append((row, self._told(event, readings, row, slot, about, lengths, limit[place])))
        return said

    @staticmethod
    def _event(now: Flags, before: Flags) -> tuple[Event | None, Flags]:
        """What is told where other channels are stuck than before, and of which (K,)."""
        if not before.any():
            return "raised", now
        if not now.any():
            return "cleared", before
        return ("updated" if (now & ~before).any() else None), now

    def _told(
        self, event: Event, readings: Readings, row: int, slot: int, about: Flags, lengths: Ints, limit: Ints
    ) -> Alert:
        """The event, about the channels whose runs are these; the longest one first."""
        channels = [k for k in np.argsort(-lengths, kind="stable").tolist() if about[k]]
        return self._events.event(
            event,
            "stuck",
            readings.names[readings.series[row]],
            int(self._runs.start[slot]),
            (readings, row),
            Quiet(int(lengths[channels[0]]), int(limit[channels[0]])),
            channels=tuple(self._deviation(readings, row, channel) for channel in channels),
            closing="moved" if event == "cleared" else None,
        )

    def _deviation(self, readings: Readings, row: int, channel: int) -> Deviation:
        """A channel at this reading; nothing was expected of it."""
        there = not readings.missing[row, self._scored[channel]]
        value = float(readings.values[row, self._scored[channel]]) if there else None
        return Deviation(self._names[channel], self._rules[channel].unit, value, None, None, None, 0.0)

    def still_open(self) -> int:
        """How many incidents are open."""
        return int(self._runs.stuck.any(axis=1).sum())
