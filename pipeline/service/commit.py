"""In which order things are made to last.

A commit flushes the outputs, then makes two things last: the group's offsets C and, when it is due, the state of each
partition as it stood before an offset B. Whatever fails in between, no output is missing, and one that is stored twice
says the same under the same id: records at or above the last saved B are observed again, with output unless the group's
offset C says that it is stored.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.exceptions import BrokerError
from pipeline.service.ports import Checkpoint, Checkpoints, Clock, Partition, Sink
from pipeline.service.slices import advanced, flushed
from pipeline.service.stream import Held
from pipeline.service.telemetry import Operation, Telemetry


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit did, and how long it took from its beginning."""

    partitions: int
    saved: int  # of them, because they had moved
    slots: int  # snapshots in those
    flush_seconds: float
    commit_seconds: float  # states and offsets
    slices: int  # between which the loop polled

    def facts(self) -> dict[str, object]:
        """The same for a line of the log."""
        return {
            "partitions": self.partitions,
            "saved": self.saved,
            "slots": self.slots,
            "flush_ms": round(1000 * self.flush_seconds),
            "commit_ms": round(1000 * self.commit_seconds),
            "slices": self.slices,
        }


class Commit:
    """Makes everything observed so far last, a slice at a time: outputs, then states where they are due, and offsets.

    Until it is done nothing may be observed. It may be dropped at any time, and then another one has to do it all.
    """

    def __init__(
        self,
        sink: Sink,
        checkpoints: Checkpoints,
        held: Mapping[Partition, Held],
        flush_seconds: float,
        clock: Clock,
        telemetry: Telemetry,
        *,
        at_once: int,
        save: bool = True,
    ) -> None:
        """`at_once` is how many series a slice may have. Nothing is done before `advance`."""
        self.saves = save
        self._sink = sink
        self._checkpoints = checkpoints
        self._held = {partition: one for partition, one in held.items() if one.restoring is None}
        self._flush_seconds = flush_seconds
        self._clock = clock
        self._telemetry = telemetry
        self._at_once = at_once
        self._slices = 0
        self._work = self._done()

    def advance(self, until: float) -> Committed | None:
        """Go on until this time on the monotonic clock, for one slice at least; what was done once all is.

        BrokerError where outputs or offsets are not stored, StateError where the state is not: in either case nothing
        after that step was done.
        """
        self._slices += 1
        return advanced(self._work, self._clock, until)

    def drop(self) -> None:
        """Go on no more."""
        self._work.close()

    def _done(self) -> Generator[None, None, Committed]:
        """All of it.

        Of a partition that is still catching up the offset is committed below which all is stored already, and no
        state. Offsets are committed also where nothing moved: it is how an outage is noticed, and how the group
        remembers them.
        """
        began = self._clock.monotonic()
        with _counted("produce", self._telemetry):
            yield from flushed(self._sink, self._flush_seconds)
        flushed_at = self._clock.monotonic()
        offsets = {partition: one.reached for partition, one in self._held.items()}
        moved = {
            partition: one for partition, one in self._held.items() if self.saves and one.live and one.saved != one.next
        }
        states = {partition: self._state(partition, one) for partition, one in moved.items()}
        if offsets:
            with _counted("commit", self._telemetry):
                yield from self._checkpoints.commit(offsets, states)
        for partition, one in self._held.items():
            one.committed = offsets[partition]
            one.saved = one.next if partition in states else one.saved
        slots = sum(len(state.series) for state in states.values())
        took = self._clock.monotonic() - flushed_at
        return Committed(len(offsets), len(states), slots, flushed_at - began, took, self._slices)

    def _state(self, partition: Partition, one: Held) -> Checkpoint:
        """The state of a partition as it stands: all slots, or those needed beside what was saved before."""
        monitor, here = one.stream.monitor, one.stream.monitor.series_of(partition.number)
        wanted = None
        if one.saved is not None:
            changed = monitor.series_of(partition.number, since=one.saved)
            wanted = self._checkpoints.needed(one.stream.detector, partition, changed)
        series = here if wanted is None else [name for name in here if name in wanted]
        digest, whole = monitor.detector.digest, wanted is None
        return Checkpoint(
            one.stream.detector, one.next, digest, series, monitor.snapshot, self._at_once, one.log, whole
        )


@contextmanager
def _counted(operation: Operation, telemetry: Telemetry) -> Iterator[None]:
    try:
        yield
    except BrokerError:
        telemetry.kafka_error(operation)
        raise
