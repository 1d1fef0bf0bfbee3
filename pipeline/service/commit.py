"""In which order things are made to last, and where a partition goes on afterwards.

A commit flushes the outputs, then makes two things last: the group's offsets C and, when it is due, the state of each
partition as it stood before an offset B. Whatever fails in between, no output is missing, and one that is stored twice
says the same under the same id: records at or above the last saved B are observed again, with output unless the group's
offset C says that it is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.exceptions import BrokerError, LogChangedError
from pipeline.service.ports import Checkpoints, Clock, Partition, SavedState, Sink, TopicLog
from pipeline.service.stream import Held
from pipeline.service.telemetry import Operation, Restored, Telemetry

Start = Literal["earliest", "latest"]
OnLoss = Literal["rewarm", "fail", "latest"]


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
class ResumeRules:
    """Where a partition begins of which the group knows nothing, or too much, and how it warms up without its state."""

    start: Start = "earliest"
    backfill: int = 0  # records before the end that are observed in silence where `latest` begins there
    replay: int = 20_000  # records before the committed offset that are observed again to warm up; 0: none
    on_loss: OnLoss = "rewarm"  # where records were deleted unread, or the topic was made anew
    repartitioned: bool = False  # the operator knows that series have gone to other partitions, and lets them warm up

    def __post_init__(self) -> None:
        for name in ("backfill", "replay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: a number of records, 0 or more, is needed")

    def beginning(self, bounds: Bounds, reason: Restored) -> Resumption:
        """Where a partition begins of which nothing is known."""
        if self.start == "earliest":
            return Resumption(bounds.first, bounds.first, reason)
        return Resumption(max(bounds.first, bounds.end - self.backfill), bounds.end, reason)


def resumption(
    saved: SavedState | None,
    committed: int | None,
    bounds: Bounds,
    digests: Collection[str],
    rules: ResumeRules,
    *,
    log: TopicLog | None = None,
    corrupt: bool = False,
) -> Resumption:
    """Where a partition goes on, given its saved state, the group's offset and what the log holds.

    `digests` are those of the detectors whose state fits.
    With a state that fits: at its offset, in silence up to the committed one. Without: a number of records before
    the committed offset, in silence. Where nothing is known, or the log is another one: at its beginning, or at its
    end and a number of records before it in silence.
    LogChangedError where the rules leave it to the operator.
    """
    first, end = bounds
    before = None if saved is None else saved.log
    anew = before is not None and log is not None and before.id != log.id
    if anew or (committed is not None and committed > end):  # no offset means what it did
        begin = rules.beginning(bounds, "beyond_retention")
        return after_loss("the topic was made anew, or its leader has less than was read", begin, end, rules)
    if saved is not None and before is not None and log is not None and before.partitions != log.partitions:
        if not rules.repartitioned:
            raise repartitioned(before, log)
        through = committed if committed is not None else saved.offset
        return Resumption(max(first, through - rules.replay), max(first, through), "repartitioned")
    offsets = (committed, None if saved is None else saved.offset)
    done = max((offset for offset in offsets if offset is not None and offset <= end), default=None)
    if done is None:
        first_start = saved is None and not corrupt
        return rules.beginning(bounds, "first_start" if first_start else _why(saved, digests, corrupt))
    if done < first:
        gone = Resumption(first, first, "beyond_retention", lost=first - done)
        return after_loss(f"{first - done} records were deleted before they were read", gone, end, rules)
    if saved is not None and first <= saved.offset <= end and saved.digest in digests:
        return Resumption(saved.offset, done, "state")
    if done == 0 and saved is None and not corrupt:  # the group has the partition and has read nothing of it
        return Resumption(0, 0, "first_start")
    return Resumption(max(first, done - rules.replay), done, _why(saved, digests, corrupt))


def repartitioned(before: TopicLog, now: TopicLog) -> LogChangedError:
    """What is said where a topic has got partitions."""
    return LogChangedError(
        f"belongs to a topic that had {before.partitions} partitions and has {now.partitions}: a series may have gone "
        "to another one, where its state is not. Start once with --rewarm: all series then warm up from the records "
        "before"
    )


def after_loss(what: str, begin: Resumption, end: int, rules: ResumeRules) -> Resumption:
    """How to go on after a loss; LogChangedError where that is for the operator to say."""
    if rules.on_loss == "fail":
        raise LogChangedError(
            f": {what}, and on_offset_loss is fail: set kafka.on_offset_loss to rewarm (go on with what is there) "
            "or latest (with what comes)"
        )
    return begin if rules.on_loss == "rewarm" else Resumption(end, end, begin.reason, begin.lost)


def _why(saved: SavedState | None, digests: Collection[str], corrupt: bool) -> Restored:
    """Why a state was not used."""
    if saved is None:
        return "corrupt" if corrupt else "state_missing"
    return "beyond_retention" if saved.digest in digests else "other_digest"


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit did, and how long each part took."""

    partitions: int
    saved: int  # of them, because they had moved
    slots: int  # snapshots in those
    flush_seconds: float
    snapshot_seconds: float
    commit_seconds: float

    def facts(self) -> dict[str, object]:
        """The same for a line of the log."""
        return {
            "partitions": self.partitions,
            "saved": self.saved,
            "slots": self.slots,
            "flush_ms": round(1000 * self.flush_seconds),
            "snapshot_ms": round(1000 * self.snapshot_seconds),
            "commit_ms": round(1000 * self.commit_seconds),
        }


def commit(
    sink: Sink,
    checkpoints: Checkpoints,
    held: Mapping[Partition, Held],
    flush_seconds: float,
    clock: Clock,
    telemetry: Telemetry,
    *,
    save: bool = True,
) -> Committed:
    """Make everything observed so far last: flush, then states where they are to be saved, and offsets.

    BrokerError where outputs or offsets are not stored, StateError where the state is not: in either case nothing
    after that step was done. Of a partition that is still catching up the offset is committed below which all is
    stored already, and no state. Offsets are committed also where nothing moved: it is how an outage is noticed, and
    how the group remembers them.
    """
    began = clock.monotonic()
    with _counted("produce", telemetry):
        sink.flush(flush_seconds)
    flushed = clock.monotonic()
    back = {partition: one for partition, one in held.items() if one.restoring is None}
    offsets = {partition: one.reached for partition, one in back.items()}
    moved = {partition: one for partition, one in back.items() if save and one.live and one.saved != one.next}
    states = {
        partition: (one.stream.detector, state_of(partition, one, checkpoints)) for partition, one in moved.items()
    }
    taken = clock.monotonic()
    if offsets:
        with _counted("commit", telemetry):
            checkpoints.commit(offsets, states)
    for partition, one in back.items():
        one.committed = offsets[partition]
        one.saved = one.next if partition in states else one.saved
    slots = sum(len(state.slots) for _, state in states.values())
    return Committed(len(back), len(states), slots, flushed - began, taken - flushed, clock.monotonic() - taken)


def state_of(partition: Partition, one: Held, checkpoints: Checkpoints) -> SavedState:
    """The state of a partition as it stands: all slots, or those that are needed beside what was saved before."""
    monitor, here = one.stream.monitor, one.stream.monitor.series_of(partition.number)
    wanted = None
    if one.saved is not None:
        changed = monitor.series_of(partition.number, since=one.saved)
        wanted = checkpoints.needed(one.stream.detector, partition, changed)
    slots = monitor.snapshot(here if wanted is None else wanted & set(here))
    return SavedState(one.next, monitor.detector.digest, slots, one.log, whole=wanted is None)


@contextmanager
def _counted(operation: Operation, telemetry: Telemetry) -> Iterator[None]:
    try:
        yield
    except BrokerError:
        telemetry.kafka_error(operation)
        raise
