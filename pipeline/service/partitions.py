"""The partitions that are ours: taken on, their state brought back, advanced, kept, let go."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.exceptions import LogChangedError, OwnershipLostError, StateError
from pipeline.records import Ints
from pipeline.service.ports import Checkpoints, Clock, Partition, Record, Restoring, Source, TopicLog
from pipeline.service.resumption import Bounds, ResumeRules, Resumption, after_loss, repartitioned, resumption
from pipeline.service.slices import advanced
from pipeline.service.stream import Held, Passed, Stream
from pipeline.service.telemetry import Telemetry

log = logging.getLogger("plumbline.service")


class Partitions:
    """What is held of each partition, and how it came to be."""

    def __init__(
        self, streams: Sequence[Stream], telemetry: Telemetry, rules: ResumeRules, clock: Clock, at_once: int
    ) -> None:
        """`at_once` is how many series come back in one slice."""
        self.held: dict[Partition, Held] = {}
        self._streams = {stream.topic: stream for stream in streams}
        if len(self._streams) < len(streams):
            raise ValueError("two detectors read one topic: give each its own")
        self._telemetry = telemetry
        self._rules = rules
        self._clock = clock
        self._at_once = at_once
        self._until = self._share = 0.0  # for states on their way back: on the monotonic clock; seconds for each

    @property
    def restoring(self) -> bool:
        """Whether the state of some partition is still on its way back."""
        return any(one.restoring is not None for one in self.held.values())

    @property
    def moved(self) -> bool:
        """Whether there is something to commit."""
        return any(one.restoring is None and one.committed != one.reached for one in self.held.values())

    def reads(self, partition: Partition) -> bool:
        """Whether it is ours, and its state is back."""
        return partition in self.held and self.held[partition].restoring is None

    def take_on(self, checkpoints: Checkpoints, assigned: Iterable[Partition]) -> None:
        """Begin to bring back the state of partitions; they are paused, and stay so until they are ready."""
        for partition in assigned:
            self.let_go([partition])
            stream = self._streams[partition.topic]
            stream.monitor.drop(partition.number)
            self.held[partition] = Held(stream, checkpoints.restore(stream.detector, partition))

    def take_on_elsewhere(self, checkpoints: Checkpoints, lost: Sequence[Partition]) -> None:
        """The same for partitions of ours whose next records are gone; what was put out before is not lost."""
        before = {partition: self.held[partition] for partition in lost if partition in self.held}
        self.take_on(checkpoints, lost)
        for partition, one in before.items():
            known = one.log if one.restoring is None else None  # else it stands where it stood before this loss
            self.held[partition].passed = one.passed if known is None else Passed(known, one.reached)

    def go_on(self, source: Source, seconds: float) -> list[Partition]:
        """Bring states back for so long at most, and seek where those go on that are; the partitions to be resumed."""
        ready, under_way = [], sum(one.restoring is not None for one in self.held.values())
        self._share, self._until = seconds / max(under_way, 1), self._clock.monotonic() + seconds
        for partition, one in list(self.held.items()):
            if one.restoring is None:
                continue
            if one.returning is None:
                one.returning = self._return(source, partition, one, one.restoring)
            try:
                begin = advanced(one.returning, self._clock, self._until)
                if begin is None:
                    continue
                source.seek(partition, begin.offset)
            except OwnershipLostError:  # given to others meanwhile: the next poll says so
                self.let_go([partition])
                continue
            one.next, one.quiet, one.restoring, one.returning = begin.offset, begin.quiet, None, None
            one.saved = begin.offset if begin.reason == "state" else None
            one.at_end = begin.reason == "first_start" and self._rules.start == "latest"
            ready.append(partition)
            self._tell(partition, begin)
        return ready

    def cut_off(self, source: Source, partition: Partition, at: int) -> bool:
        """Go on where a leader has cut off the log, with all that is remembered; False where that is not possible.

        What was put out of the records that are gone stays, and what has come in their place is observed.
        """
        one = self.held.get(partition)
        if one is None or one.restoring is not None or one.log != source.log(partition.topic):
            return False
        at = min(at, one.next)
        gone, end = one.next - at, source.bounds(partition)[1]
        try:
            begin = after_loss(
                f"its leader has {gone} records less than were read", Resumption(at, at, "truncated"), end, self._rules
            )
        except LogChangedError as error:
            raise LogChangedError(f"{_name(partition)} {error}") from error
        source.seek(partition, begin.offset)
        one.next, one.quiet, one.saved = begin.offset, min(one.quiet, begin.quiet), None
        self._tell(partition, begin, records_cut=gone)
        return True

    def let_go(self, gone: Iterable[Partition]) -> None:
        """Forget partitions and the series on them."""
        for partition in gone:
            one = self.held.pop(partition, None)
            if one is not None:
                one.stream.monitor.drop(partition.number)
                if one.restoring is not None:
                    one.restoring.close()

    def advance(self, records: Mapping[Partition, Sequence[Record]]) -> None:
        """These records were observed."""
        for partition, some in records.items():
            self.held[partition].next = some[-1].offset + 1

    def quiet(self, records: Iterable[Partition]) -> Ints | None:
        """The offset by partition number below which nothing is put out; None where none of these catches up."""
        behind = {p.number: self.held[p].quiet for p in records if self.held[p].catching_up}
        if not behind:
            return None
        below = np.zeros(1 + max(partition.number for partition in records), np.int64)
        for number, offset in behind.items():
            below[number] = offset
        return below

    def _return(
        self, source: Source, partition: Partition, one: Held, restoring: Restoring
    ) -> Generator[None, None, Resumption]:
        """Read the state of a partition, see where it goes on, and put its series back into the monitor."""
        while not restoring.advance(min(self._share, max(0.0, self._until - self._clock.monotonic()))):
            yield
        yield from self._others_turn()
        committed, bounds = source.committed(partition), Bounds(*source.bounds(partition))
        one.log = self._same_log(partition, source.log(partition.topic))
        passed = one.passed
        overtaken = passed is not None and passed.log == one.log and passed.offset <= bounds.end
        if passed is not None and overtaken:
            committed = max(committed or 0, passed.offset)
        monitor, digests = one.stream.monitor, one.stream.monitor.detector.kin
        try:
            saved = restoring.state()
            begin = resumption(saved, committed, bounds, digests, self._rules, log=one.log)
            if saved is not None and begin.reason == "state":
                for _ in monitor.restoring(saved.slots, self._at_once):
                    yield
                    yield from self._others_turn()
        except StateError as error:
            monitor.drop(partition.number)  # of what was put back before
            log.error("state not usable", extra={"facts": {"partition": _name(partition), "reason": str(error)}})
            begin = resumption(None, committed, bounds, digests, self._rules, log=one.log, corrupt=True)
        except LogChangedError as error:
            raise LogChangedError(f"{_name(partition)} {error}") from error
        return replace(begin, reason="beyond_retention") if overtaken and begin.reason != "state" else begin

    def _others_turn(self) -> Iterator[None]:
        """Wait for another turn of the loop where another partition has taken the time of this one."""
        while self._clock.monotonic() > self._until:
            yield

    def _same_log(self, partition: Partition, now: TopicLog) -> TopicLog:
        """What the topic is; LogChangedError where it has got partitions while others of it are held."""
        for other, one in self.held.items():
            before = one.log
            same = other.topic != partition.topic or before is None or before.partitions == now.partitions
            if before is not None and not same and not self._rules.repartitioned:
                raise repartitioned(before, now)
        return now

    def _tell(self, partition: Partition, begin: Resumption, **more: object) -> None:
        self._telemetry.restored(begin.reason)
        facts = {
            "partition": _name(partition),
            "with": begin.reason,
            "offset": begin.offset,
            "silent_until": begin.quiet,
            **more,
        }
        if begin.lost:
            facts["records_lost"] = begin.lost
        level = logging.INFO if begin.reason in ("state", "first_start") else logging.WARNING
        log.log(level, "partition assigned", extra={"facts": facts})


def _name(partition: Partition) -> str:
    return f"{partition.topic}[{partition.number}]"
