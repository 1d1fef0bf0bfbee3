"""All that is remembered of running series: tracker, bar and incident, a slot per series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.detector.views import spans_of
from pipeline.monitor import snapshot
from pipeline.monitor.budget import none_spent
from pipeline.monitor.decision import no_bars
from pipeline.monitor.incidents import none_open
from pipeline.monitor.marks import Marks
from pipeline.monitor.silence import no_silences
from pipeline.monitor.stuck import no_runs
from pipeline.monitor.table import Columns, Table
from pipeline.monitor.tracker import no_tracks
from pipeline.records import Floats


def nothing(series: str) -> bytes:  # noqa: ARG001
    """What is remembered of a series where there is no such thing."""
    return b""


class Slots:
    """The table of a monitor, and of a fit that leaves its slots in the bundle."""

    def __init__(self, detector: Detector, aside: Sequence[Columns] = ()) -> None:
        """No series yet; `aside` are further columns that grow along and are no part of a slot."""
        self.tracks = no_tracks(detector)
        self.marks = Marks(*np.zeros((3, 0), np.int64))
        self.bars = no_bars()
        self.open = none_open(len(detector.channels))
        self.spent = none_spent()
        self.runs = no_runs(int(detector.scored.sum()))
        self.silences = no_silences()
        columns = (self.tracks, self.marks, self.bars, self.open, self.spent, self.runs, self.silences)
        self.table = Table(*columns, aside=aside)
        self._views = detector.views

    def begin(self, series: str, step: int, regular: bool, period: int) -> int:
        """A slot for a series that has none, with nothing gathered; the period is in readings."""
        slot = self.table.add(series)
        self.tracks.step[slot] = step
        self.tracks.regular[slot] = regular
        self.tracks.alpha[slot] = 2 / (np.array(spans_of(self._views, period)) + 1)
        return slot

    def scale(self, slot: int, mean: Floats, spread: Floats) -> None:
        """Give a series its scaling (C,), so that its network runs from the first reading."""
        self.tracks.mean[slot], self.tracks.spread[slot] = mean, spread
        self.tracks.scaled[slot] = True

    def chill(self, slot: int) -> None:
        """Let a series begin anew: no last reading, no state and no past; scaling, bar and counts stay."""
        self.tracks.started[slot] = False
        self.runs.length[slot] = 0
        self.tracks.forget(np.array([slot]))
        self.tracks.habit[slot] = 0

    def on_partition(self, partition: int, since: int = 0) -> list[str]:
        """The series last seen on a partition, at an offset or later."""
        slots = self.table.in_use()
        there = (self.marks.partition[slots] == partition) & (self.marks.offset[slots] >= since)
        return [self.table.name(slot) for slot in slots[there].tolist()]

    def take(
        self,
        names: Iterable[str],
        digest: str,
        membership: Callable[[str], bytes] = nothing,
        waiting: Callable[[str], bytes] = nothing,
        withheld: Callable[[str], bytes] = nothing,
    ) -> dict[str, bytes]:
        """The slots of these series as versioned bytes that belong to the detector with this digest.

        `membership` tells what a series is in a group, `waiting` what waits of it, `withheld` what a mute withholds;
        each is empty where there is none.
        """
        series = list(names)
        packed = self.table.pack(series)
        return {
            name: snapshot.encode(snapshot.Slot(columns, membership(name), waiting(name), withheld(name)), digest)
            for name, columns in zip(series, packed, strict=True)
        }

    def read(self, taken: Mapping[str, bytes], detector: Detector) -> dict[str, snapshot.Slot]:
        """All that `take` took out of these series; StateError where one belongs elsewhere or is damaged."""
        size = self.table.row_bytes
        return {name: snapshot.decode(slot, detector.digest, size, detector.kin) for name, slot in taken.items()}

    def put(self, slots: Mapping[str, snapshot.Slot]) -> None:
        """Put the columns back that `read` gave."""
        for name in slots:
            if name not in self.table:
                self.table.add(name)
        self.table.unpack(list(slots), [slot.columns for slot in slots.values()])
