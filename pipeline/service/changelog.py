"""State beside the offsets, in a compacted topic: it follows a partition to whoever is given it.

The partition of the changelog is that of the source. A checkpoint is one transaction: the slots that changed, a barrier
that says what the whole is, and the group's offsets. So a reader meets whole checkpoints alone, never half of one, and
a process that lost its partitions cannot write over the state of its heir: its offsets are refused.

Slots are written in buckets of many series, for a message costs more than the bytes in it. A key is detector, source
topic and bucket, as MessagePack; a barrier has no bucket. All buckets of one life of a state bear its epoch, so that
what an earlier life left in the topic is passed over; a life ends where its buckets have grown too large.
"""

from __future__ import annotations

import secrets
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from math import isqrt
from typing import Final, Protocol

import msgspec

from pipeline.exceptions import AbandonedError, StateError, TooLargeError
from pipeline.service.ports import Checkpoint, Message, Partition, Restoring, SavedState, Sink, TopicLog
from pipeline.service.slices import flushed, sliced

VERSION: Final = 1
EPOCH_BYTES: Final = 16
BUCKET_BYTES: Final = 128 << 10  # of slots, at most when a life begins; a broker takes 1 MiB
SAMPLE: Final = 2_000  # slots, whose size is taken for that of all
GROWTH: Final = 4  # times the series at its beginning, after which a life ends


class Transactions(Sink, Protocol):
    """A sink whose messages are stored with offsets of the group, all or none."""

    def send(self, message: Message, partition: Partition | None = None) -> None: ...
    def commit(self, offsets: Mapping[Partition, int]) -> None: ...  # AbandonedError: begin again from what is stored
    def abort(self) -> bool: ...  # whether there was anything to undo


class ChangelogReader(Protocol):
    """The records of one partition of the changelog, from the first to what was the end when reading began."""

    name: str  # for messages

    def read(self, seconds: float) -> Iterable[tuple[bytes | None, bytes | None]] | None: ...  # None: all was read
    def close(self) -> None: ...


class Changelog:
    """Satisfies `ports.Checkpoints`; to be used by one thread.

    Where `sink` is the service's own, its outputs are part of the transactions, and each is seen once.
    """

    def __init__(
        self,
        topic: str,
        sink: Transactions,
        reader: Callable[[Partition], ChangelogReader],
        *,
        outputs_inside: bool,
        flush_seconds: float = 10.0,
        epoch: Callable[[], bytes] = lambda: secrets.token_bytes(EPOCH_BYTES),
    ) -> None:
        """`reader` opens a partition of the topic; nothing is read before."""
        self._topic = topic
        self._sink = sink
        self._reader = reader
        self._outputs_inside = outputs_inside
        self._flush_seconds = flush_seconds
        self._epoch = epoch
        self._lives: dict[tuple[str, Partition], _Life] = {}
        self._begun: set[Partition] = set()  # whose state is written in part, or not committed yet

    def restore(self, detector: str, partition: Partition) -> Restoring:
        """The state of a partition, read in slices."""

        def found(life: _Life) -> None:
            self._lives[detector, partition] = life

        reader = self._reader(Partition(self._topic, partition.number))
        return _Restore(reader, detector, partition, found)

    def commit(self, offsets: Mapping[Partition, int], states: Mapping[Partition, Checkpoint]) -> Iterator[None]:
        """One transaction. AbandonedError: begin again from what is stored.

        So it is too where a commit was dropped half done, and this one does not bring the state of all that it did.
        """
        if left := self._begun - states.keys():
            raise AbandonedError(f"the state of {len(left)} partitions was left half written in {self._topic}")
        self._begun.update(states)
        lives = {}
        for partition, state in states.items():
            lives[state.detector, partition] = yield from self._write(partition, state)
        yield from flushed(self._sink, self._flush_seconds)
        self._sink.commit(offsets)
        self._lives |= lives
        self._begun.clear()

    def needed(self, detector: str, partition: Partition, changed: Collection[str]) -> set[str] | None:
        """All series that share a bucket with one that changed; None where there are far more than when life began."""
        life = self._lives.get((detector, partition))
        if life is None or partition in self._begun or life.series + len(changed) > GROWTH * life.began_with:
            return None
        needed = set(changed)
        for bucket in {life.bucket(series) for series in changed}:
            needed |= life.buckets[bucket]
        return needed

    def abandon(self) -> bool:
        """Undo what was sent since the last commit; whether outputs were part of it."""
        undone = self._sink.abort()
        self._begun.clear()
        return undone and self._outputs_inside

    def close(self, timeout_seconds: float) -> None:
        """Let go of the sink, where it is not the service's own."""
        if not self._outputs_inside:
            self._sink.close(timeout_seconds)

    def _write(self, partition: Partition, state: Checkpoint) -> Generator[None, None, _Life]:
        """Send the buckets that these series are in, then the barrier; the life that they are of."""
        to = Partition(self._topic, partition.number)
        life = self._life(state) if state.whole else self._lives[state.detector, partition].copy()
        members: dict[int, list[str]] = defaultdict(list)
        for series in state.series:
            members[life.bucket(series)].append(series)
        each = max(1, len(state.series)) / max(1, len(members))  # series in a bucket
        for some in sliced(sorted(members), max(1, int(state.at_once / each))):
            slots = state.take([series for bucket in some for series in members[bucket]])
            for bucket in some:
                life.buckets[bucket] = set(members[bucket])
                value = life.epoch + msgspec.msgpack.encode({series: slots[series] for series in members[bucket]})
                self._send(Message(self._topic, _key(state.detector, partition, bucket), value), to)
            yield
        barrier = _Barrier(
            VERSION, state.offset, state.digest, life.epoch, len(life.buckets), life.began_with, life.series, state.log
        )
        self._send(Message(self._topic, _key(state.detector, partition, None), msgspec.msgpack.encode(barrier)), to)
        return life

    def _life(self, state: Checkpoint) -> _Life:
        """A life that begins with these series: few buckets where a message costs most, more where bytes do."""
        few = list(islice(state.series, SAMPLE))
        size = sum(map(len, state.take(few).values())) / max(len(few), 1)
        buckets = max(int(size * len(state.series)) // BUCKET_BYTES, 4 * isqrt(len(state.series)), 1)
        return _Life(self._epoch(), max(len(state.series), 1), [set() for _ in range(buckets)])

    def _send(self, message: Message, to: Partition) -> None:
        try:
            self._sink.send(message, to)
        except TooLargeError as error:
            raise StateError(
                f"{error}: raise max.message.bytes of {self._topic} and kafka.client.max_request_size"
            ) from error


class _Version(msgspec.Struct, frozen=True):
    """What every version of a barrier says."""

    version: int


class _Barrier(msgspec.Struct, frozen=True):
    """What a checkpoint says of the whole state of a partition."""

    version: int
    offset: int
    digest: str
    epoch: bytes
    buckets: int
    began_with: int  # series
    series: int  # how many slots there are now
    log: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class _Life:
    """One life of a partition's state, from a whole state to the next."""

    epoch: bytes
    began_with: int  # series, at least 1
    buckets: list[set[str]]  # the series whose slots are in each

    def bucket(self, series: str) -> int:
        """The bucket that a series belongs to."""
        return zlib.crc32(series.encode()) % len(self.buckets)

    @property
    def series(self) -> int:
        """How many there are."""
        return sum(map(len, self.buckets))

    def copy(self) -> _Life:
        """The same, to be gone on with until it is known whether that is stored."""
        return replace(self, buckets=list(self.buckets))


class _Restore:
    """Satisfies `ports.Restoring`: the last barrier, and the last slot of each series."""

    def __init__(
        self, reader: ChangelogReader, detector: str, partition: Partition, found: Callable[[_Life], None]
    ) -> None:
        self._reader = reader
        self._whose = detector, partition.topic
        self._found = found
        self._buckets: dict[int, bytes] = {}
        self._barrier: bytes | None = None

    def advance(self, seconds: float) -> bool:
        """Read on, for so long at most; what is of other detectors and topics, or not ours at all, is passed over."""
        records = self._reader.read(seconds)
        for key, value in records or ():
            try:
                detector, topic, bucket = msgspec.msgpack.decode(key or b"", type=tuple[str, str, int | None])
            except msgspec.MsgspecError:
                continue
            if (detector, topic) != self._whose:
                continue
            if bucket is None:
                self._barrier = value
            elif value is None:
                self._buckets.pop(bucket, None)
            else:
                self._buckets[bucket] = value
        return records is None

    def state(self) -> SavedState | None:
        """What the last barrier tells of; StateError where it is not that, or not all of it is there."""
        self.close()
        where = self._reader.name
        if self._barrier is None:  # never written, or forgotten
            return None
        try:
            version = msgspec.msgpack.decode(self._barrier, type=_Version).version
            if version != VERSION:
                raise StateError(
                    f"{where} has version {version}, this program reads {VERSION}: the series warm up again"
                )
            barrier = msgspec.msgpack.decode(self._barrier, type=_Barrier)
        except msgspec.MsgspecError as error:
            raise StateError(f"{where}: a barrier is damaged: {error}; the series warm up again") from error
        life = _Life(barrier.epoch, barrier.began_with, [set() for _ in range(barrier.buckets)])
        slots: dict[str, bytes] = {}
        for bucket, value in self._buckets.items():
            if value[:EPOCH_BYTES] == barrier.epoch:
                some = self._decoded(value[EPOCH_BYTES:])
                life.buckets[bucket] = set(some)
                slots.update(some)
        if len(slots) != barrier.series:
            raise StateError(
                f"{where} holds {len(slots)} of {barrier.series} series: something deletes from it, such as a "
                "cleanup.policy that is not compact; the series warm up again"
            )
        self._found(life)
        log = None if barrier.log is None else TopicLog(*barrier.log)
        return SavedState(barrier.offset, barrier.digest, slots, log)

    def _decoded(self, bucket: bytes) -> dict[str, bytes]:
        try:
            return msgspec.msgpack.decode(bucket, type=dict[str, bytes])
        except msgspec.MsgspecError as error:
            raise StateError(f"{self._reader.name}: slots are damaged: {error}; the series warm up again") from error

    def close(self) -> None:
        """Let go of the reader."""
        self._reader.close()


def forgotten(topic: str, detector: str, partition: Partition) -> tuple[Message, Partition]:
    """The message, and where it goes, that lets the state of a partition be none."""
    return Message(topic, _key(detector, partition, None), None), Partition(topic, partition.number)


def _key(detector: str, partition: Partition, bucket: int | None) -> bytes:
    return msgspec.msgpack.encode((detector, partition.topic, bucket))
