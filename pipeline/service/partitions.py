"""The partitions that are ours: taken on with their state, advanced, kept, let go."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipeline.exceptions import OwnershipLostError, StateError
from pipeline.records import Ints
from pipeline.service.commit import Bounds, FirstStart, Resumption, resumption, save
from pipeline.service.ports import Partition, Record, SavedState, Source, StateStore
from pipeline.service.stream import Held, Stream
from pipeline.service.telemetry import Telemetry

log = logging.getLogger("plumbline.service")


class Partitions:
    """What is held of each partition, and how it came to be."""

    def __init__(
        self, streams: Sequence[Stream], store: StateStore | None, telemetry: Telemetry, rules: FirstStart
    ) -> None:
        self.held: dict[Partition, Held] = {}
        self._streams = {stream.topic: stream for stream in streams}
        if len(self._streams) < len(streams):
            raise ValueError("two detectors read one topic: give each its own")
        self._store = store
        self._telemetry = telemetry
        self._rules = rules

    def take_on(self, source: Source, assigned: Iterable[Partition]) -> list[Partition]:
        """Bring back the state of partitions and go to where they go on; those that may be resumed now."""
        ready = []
        for partition in assigned:
            stream = self._streams[partition.topic]
            stream.monitor.drop(partition.number)
            begin = self._resumption(source, partition, stream)
            try:
                source.seek(partition, begin.offset)
            except OwnershipLostError:  # given to others meanwhile: the next poll says so
                stream.monitor.drop(partition.number)
                continue
            self.held[partition] = Held(
                stream, begin.offset, begin.quiet, saved=begin.offset if begin.reason == "state" else None
            )
            ready.append(partition)
            self._tell(partition, begin)
        return ready

    def let_go(self, gone: Iterable[Partition]) -> None:
        """Forget partitions and the series on them."""
        for partition in gone:
            one = self.held.pop(partition, None)
            if one is not None:
                one.stream.monitor.drop(partition.number)

    def keep(self, revoked: Iterable[Partition]) -> None:
        """Save the state of partitions that others go on with, so that it is at hand should they come back.

        It is only a help, so a failure is noted and nothing follows: their offsets can be committed no more.
        """
        if self._store is None:
            return
        for partition in revoked:
            if one := self.held.get(partition):
                try:
                    save(self._store, partition, one)
                except StateError as error:
                    log.warning("state not kept", extra={"facts": {"reason": str(error)}})

    def advance(self, records: Mapping[Partition, Sequence[Record]]) -> None:
        """These records were observed."""
        for partition, some in records.items():
            self.held[partition].next = some[-1].offset + 1

    def quiet(self, records: Iterable[Partition]) -> Ints | None:
        """The offset by partition number below which nothing is put out; None where none of these catches up."""
        behind = {partition.number: self.held[partition].quiet for partition in records if self._behind(partition)}
        if not behind:
            return None
        below = np.zeros(1 + max(partition.number for partition in records), np.int64)
        for number, offset in behind.items():
            below[number] = offset
        return below

    def _behind(self, partition: Partition) -> bool:
        return self.held[partition].catching_up

    def _resumption(self, source: Source, partition: Partition, stream: Stream) -> Resumption:
        """Where a partition goes on; its series stand in the monitor afterwards."""
        committed, bounds = source.committed(partition), Bounds(*source.bounds(partition))
        digest = stream.monitor.detector.digest
        saved: SavedState | None = None
        try:
            saved = None if self._store is None else self._store.load(stream.detector, partition)
            begin = resumption(saved, committed, bounds, digest, self._rules)
            if saved is not None and begin.reason == "state":
                stream.monitor.restore(saved.slots)
        except StateError as error:
            log.error("state not usable", extra={"facts": {"partition": _name(partition), "reason": str(error)}})
            begin = resumption(None, committed, bounds, digest, self._rules, corrupt=True)
        return begin

    def _tell(self, partition: Partition, begin: Resumption) -> None:
        self._telemetry.restored(begin.reason)
        facts = {
            "partition": _name(partition),
            "with": begin.reason,
            "offset": begin.offset,
            "silent_until": begin.quiet,
        }
        if begin.lost:
            facts["records_lost"] = begin.lost
        level = logging.INFO if begin.reason in ("state", "first_start") else logging.WARNING
        log.log(level, "partition assigned", extra={"facts": facts})


def _name(partition: Partition) -> str:
    return f"{partition.topic}[{partition.number}]"
