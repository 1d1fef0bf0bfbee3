"""Silent series: no reading for many steps, while others of the same partition go on.

How late it is, a partition knows by its own readings: the newest event time that was scored in it. A reading with a
time far ahead resets its series and is not scored, so one wrong clock makes nobody silent. A series is watched once a
reading of it was scored, and where its readings have a regular step. S slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.monitor.marks import Marks
from pipeline.monitor.policy import Policy
from pipeline.monitor.quiet import QuietEvents
from pipeline.monitor.table import Columns, Table
from pipeline.monitor.tracker import Tracks
from pipeline.records import Alert, Flags, Ints, Quiet, Readings

NEVER = np.iinfo(np.int64).min

Change = tuple[Literal["raised", "cleared"], int, int]  # at which place, and the start of the incident


@dataclass(slots=True)
class Silences(Columns):
    """When a series was heard of last."""

    spoke: Ints  # (S,) the time of the last reading that was taken
    scored: Ints  # (S,) of the last one that was scored
    known: Flags  # (S,) there was such a one: the series is watched
    silent: Flags  # (S,)
    start: Ints  # (S,) of the open incident: the last reading before it


def no_silences() -> Silences:
    """Columns without a row."""
    count, flags = np.zeros(0, np.int64), np.zeros(0, bool)
    return Silences(count, count.copy(), flags, flags.copy(), count.copy())


class Silence:
    """The incidents of silent series under one policy; readings come in the order in which they arrived."""

    def __init__(
        self, policy: Policy, columns: Silences, tracks: Tracks, marks: Marks, table: Table, events: QuietEvents
    ) -> None:
        self._after = policy.silent_after
        self._columns, self._tracks, self._marks, self._table = columns, tracks, marks, table
        self._events = events
        self._newest: dict[int, int] = {}  # by partition: the event time that is known of it

    def forget(self) -> None:
        """Slots came or went: what is known of partitions is to be read from them anew."""
        self._newest.clear()

    def follow(self, readings: Readings, slots: Ints, taken: Flags, scored: Flags) -> list[tuple[int, Alert]]:
        """The events of N readings, each with the row of the reading that told, in order; all (N,)."""
        if not self._after:
            return []
        said: list[tuple[int, Alert]] = []
        for partition in np.unique(readings.partition).tolist():
            rows = np.flatnonzero(taken & (readings.partition == partition))
            if len(rows):
                said += self._of_partition(partition, readings, rows, slots[rows], scored[rows])
        return sorted(said, key=lambda event: event[0])

    def _of_partition(
        self, partition: int, readings: Readings, rows: Ints, slots: Ints, scored: Flags
    ) -> list[tuple[int, Alert]]:
        """The same of one partition's readings that were taken: their rows, slots and whether scored, (n,)."""
        columns, at = self._columns, readings.at[rows]
        newest = np.maximum.accumulate(np.maximum(np.where(scored, at, NEVER), self._event_time(partition)))
        self._newest[partition] = int(newest[-1])
        said = []
        for slot in self._to_look_at(partition, slots, at, newest).tolist():
            own = np.flatnonzero(slots == slot)
            for event, place, start in self._changes(slot, own, at, newest, scored):
                row = int(rows[place])
                now = int(newest[place]) if event == "raised" else int(at[place])
                steps = (now - start) // max(int(self._tracks.step[slot]), 1)
                alert = self._events.event(
                    event,
                    "silent",
                    self._table.name(slot),
                    start,
                    (readings, row),
                    Quiet(steps, self._after),
                    at=now,
                    closing="spoke" if event == "cleared" else None,
                )
                self._marks.offset[slot] = max(self._marks.offset[slot], readings.offset[row])  # its slot has changed
                said.append((row, alert))
        columns.spoke[slots] = at  # of several the last
        columns.scored[slots[scored]] = at[scored]
        columns.known[slots[scored]] = True
        return said

    def _event_time(self, partition: int) -> int:
        if partition not in self._newest:
            here = self._here(partition)
            self._newest[partition] = int(self._columns.scored[here].max()) if len(here) else NEVER
        return self._newest[partition]

    def _here(self, partition: int) -> Ints:
        """The slots of the partition that are watched."""
        slots = self._table.in_use()
        there: Ints = slots[(self._marks.partition[slots] == partition) & self._columns.known[slots]]
        return there

    def _reach(self, slots: Ints) -> Ints:
        """For how long a series may be without a reading."""
        reach: Ints = self._after * np.maximum(self._tracks.step[slots], 1)
        return reach

    def _to_look_at(self, partition: int, slots: Ints, at: Ints, newest: Ints) -> Ints:
        """The slots of which there may be something to tell: silent, or too long without a reading by the end."""
        columns, here = self._columns, self._here(partition)
        here = here[columns.silent[here] | (columns.spoke[here] + self._reach(here) < newest[-1])]
        return np.unique(np.concatenate((here, slots[at + self._reach(slots) < newest[-1]])))

    def _changes(self, slot: int, own: Ints, at: Ints, newest: Ints, scored: Flags) -> list[Change]:
        """What happens to a series among n readings of its partition, some its `own`: event, place and start."""
        columns = self._columns
        reach, regular = int(self._reach(np.array([slot]))[0]), bool(self._tracks.regular[slot])
        spoke, known, silent = int(columns.spoke[slot]), bool(columns.known[slot]), bool(columns.silent[slot])
        start, place = int(columns.start[slot]), -1
        found: list[Change] = []
        for following in [*own.tolist(), len(newest)]:
            if known and regular and not silent:
                passed = max(int(np.searchsorted(newest, spoke + reach, side="right")), place + 1)
                if passed < following:
                    silent, start = True, spoke
                    found.append(("raised", passed, start))
            if following == len(newest):
                break
            spoke, known, place = int(at[following]), known or bool(scored[following]), following
            if silent and spoke + reach >= newest[following]:  # it has come as far as the others
                silent = False
                found.append(("cleared", following, start))
        columns.silent[slot], columns.start[slot] = silent, start
        return found

    def still_open(self) -> int:
        """How many incidents are open."""
        return int(self._columns.silent.sum())
