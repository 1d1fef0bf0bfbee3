"""In which order things are made to last, and where a partition goes on afterwards.

A commit flushes the outputs, saves the state of each partition as it stood before offset B, and commits B to the group.
Whatever fails in between, no output is missing, and one that is stored twice says the same under the same id: records
at or above the last saved B are observed again, with output unless the group's offset C says that it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.exceptions import BrokerError
from pipeline.service.ports import Clock, Partition, SavedState, Sink, Source, StateStore
from pipeline.service.stream import Held
from pipeline.service.telemetry import Operation, Restored, Telemetry

Start = Literal["earliest", "latest"]


class Bounds(NamedTuple):
    """What a log holds."""

    first: int  # offset
    end: int  # the next offset to be written


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a partition goes on."""

    offset: int
    quiet: int  # below this offset nothing is put out
    reason: Restored
    lost: int = 0  # records that were deleted before we read them


@dataclass(frozen=True, slots=True)
class FirstStart:
    """Where a partition begins of which the group knows nothing, and how it warms up without its state."""

    start: Start = "earliest"
    replay: int = 20_000  # records before the committed offset that are observed again to warm up; 0: none

    def __post_init__(self) -> None:
        if self.replay < 0:
            raise ValueError(f"replay is {self.replay}: a number of records, 0 or more, is needed")


def resumption(
    saved: SavedState | None,
    committed: int | None,
    bounds: Bounds,
    digest: str,
    rules: FirstStart,
    *,
    corrupt: bool = False,
) -> Resumption:
    """Where a partition goes on, given its saved state, the group's offset and what the log holds.

    With a state that fits: at its offset, in silence up to the committed one. Without: a number of records before
    the committed offset, in silence. Where nothing is known, or the log is another one: at its beginning or end.
    """
    first, end = bounds
    begin = first if rules.start == "earliest" else end
    if committed is not None and committed > end:
        return Resumption(begin, begin, "beyond_retention")  # the topic was made anew: no offset means what it did
    offsets = (committed, None if saved is None else saved.offset)
    done = max((offset for offset in offsets if offset is not None and offset <= end), default=None)
    if done is None:
        return Resumption(
            begin, begin, "first_start" if saved is None and not corrupt else _why(saved, digest, corrupt)
        )
    if done < first:
        return Resumption(first, first, "beyond_retention", lost=first - done)
    if saved is not None and first <= saved.offset <= end and saved.digest == digest:
        return Resumption(saved.offset, done, "state")
    return Resumption(max(first, done - rules.replay), done, _why(saved, digest, corrupt))


def _why(saved: SavedState | None, digest: str, corrupt: bool) -> Restored:
    """Why a state was not used."""
    if saved is None:
        return "corrupt" if corrupt else "state_missing"
    return "beyond_retention" if saved.digest == digest else "other_digest"


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit did, and how long each part took."""

    partitions: int
    saved: int  # of them, because they had moved
    flush_seconds: float
    save_seconds: float
    commit_seconds: float

    def facts(self) -> dict[str, object]:
        """The same for a line of the log."""
        return {
            "partitions": self.partitions,
            "saved": self.saved,
            "flush_ms": round(1000 * self.flush_seconds),
            "save_ms": round(1000 * self.save_seconds),
            "commit_ms": round(1000 * self.commit_seconds),
        }


def commit(
    source: Source,
    sink: Sink,
    store: StateStore | None,
    held: Mapping[Partition, Held],
    flush_seconds: float,
    clock: Clock,
    telemetry: Telemetry,
) -> Committed:
    """Make everything observed so far last: flush, save, commit.

    BrokerError where outputs or offsets are not stored, StateError where the state is not: in either case nothing
    after that step was done. A partition that is still catching up is left as it was. Offsets are committed also
    where nothing moved: it is how an outage is noticed, and how the group remembers them.
    """
    began = clock.monotonic()
    with _counted("produce", telemetry):
        sink.flush(flush_seconds)
    flushed = clock.monotonic()
    live = {partition: one for partition, one in held.items() if not one.catching_up}
    saved = 0 if store is None else sum(save(store, partition, one) for partition, one in live.items())
    kept = clock.monotonic()
    if live:
        with _counted("commit", telemetry):
            source.commit({partition: one.next for partition, one in live.items()})
    return Committed(len(live), saved, flushed - began, kept - flushed, clock.monotonic() - kept)


@contextmanager
def _counted(operation: Operation, telemetry: Telemetry) -> Iterator[None]:
    try:
        yield
    except BrokerError:
        telemetry.kafka_error(operation)
        raise


def save(store: StateStore, partition: Partition, one: Held) -> bool:
    """Save the state of a partition whose outputs are stored; False where it has not moved since the last time."""
    if one.saved == one.next:
        return False
    monitor = one.stream.monitor
    state = SavedState(one.next, monitor.detector.digest, monitor.snapshot(partition.number))
    store.save(one.stream.detector, partition, state)
    one.saved = one.next
    return True
