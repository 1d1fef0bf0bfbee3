"""State beside the offsets, in a compacted topic: it follows a partition to whoever is given it.

The partition of the changelog is that of the source. A checkpoint is one transaction: the slots that changed, a barrier
that says what the whole is, and the group's offsets. So a reader meets whole checkpoints alone, never half of one, and
a process that lost its partitions cannot write over the state of its heir: its offsets are refused.

A key is detector, source topic and series, as MessagePack; a barrier has no series. All slots of one life of a state
bear its epoch, so that what an earlier life left in the topic is passed over.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from pipeline.exceptions import StateError
from pipeline.service.ports import Message, Partition, Restoring, SavedState, Sink, States, TopicLog

VERSION: Final = 1
EPOCH_BYTES: Final = 16


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

    incremental = True

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

    def restore(self, detector: str, partition: Partition) -> Restoring:
        """The state of a partition, read in slices."""

        def found(life: _Life) -> None:
            self._lives[detector, partition] = life

        reader = self._reader(Partition(self._topic, partition.number))
        return _Restore(reader, detector, partition, found)

    def commit(self, offsets: Mapping[Partition, int], states: States) -> None:
        """One transaction. AbandonedError: begin again from what is stored."""
        for partition, (detector, state) in states.items():
            self._write(detector, partition, state)
        self._sink.flush(self._flush_seconds)
        self._sink.commit(offsets)

    def keep(self, detector: str, partition: Partition, state: SavedState) -> None:
        """Nothing: the partition is another's by now, and so is its changelog."""

    def abandon(self) -> bool:
        """Undo the outputs since the last commit, where they are part of it."""
        return self._outputs_inside and self._sink.abort()

    def close(self, timeout_seconds: float) -> None:
        """Let go of the sink, where it is not the service's own."""
        if not self._outputs_inside:
            self._sink.close(timeout_seconds)

    def _write(self, detector: str, partition: Partition, state: SavedState) -> None:
        life = _Life(self._epoch()) if state.whole else self._lives[detector, partition]
        self._lives[detector, partition] = life
        life.series.update(state.slots)
        to = Partition(self._topic, partition.number)
        for series, slot in state.slots.items():
            self._sink.send(Message(self._topic, _key(detector, partition, series), life.epoch + slot), to)
        barrier = _Barrier(VERSION, state.offset, state.digest, life.epoch, len(life.series), state.log)
        self._sink.send(Message(self._topic, _key(detector, partition, None), msgspec.msgpack.encode(barrier)), to)


class _Barrier(msgspec.Struct, frozen=True):
    """What a checkpoint says of the whole state of a partition."""

    version: int
    offset: int
    digest: str
    epoch: bytes
    series: int  # how many slots there are, at least
    log: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class _Life:
    """One life of a partition's state, from a whole state to the next."""

    epoch: bytes
    series: set[str] = field(default_factory=set)  # whose slots were written


class _Restore:
    """Satisfies `ports.Restoring`: the last barrier, and the last slot of each series."""

    def __init__(
        self, reader: ChangelogReader, detector: str, partition: Partition, found: Callable[[_Life], None]
    ) -> None:
        self._reader = reader
        self._whose = detector, partition.topic
        self._found = found
        self._slots: dict[str, bytes] = {}
        self._barrier: bytes | None = None

    def advance(self, seconds: float) -> bool:
        """Read on, for so long at most; what is of other detectors and topics, or not ours at all, is passed over."""
        records = self._reader.read(seconds)
        for key, value in records or ():
            try:
                detector, topic, series = msgspec.msgpack.decode(key or b"", type=tuple[str, str, str | None])
            except msgspec.MsgspecError:
                continue
            if (detector, topic) != self._whose:
                continue
            if series is None:
                self._barrier = value
            elif value is None:
                self._slots.pop(series, None)
            else:
                self._slots[series] = value
        return records is None

    def state(self) -> SavedState | None:
        """What the last barrier tells of; StateError where it is not that, or not all of it is there."""
        self.close()
        where = self._reader.name
        if self._barrier is None:
            return None
        try:
            barrier = msgspec.msgpack.decode(self._barrier, type=_Barrier)
        except msgspec.MsgspecError as error:
            raise StateError(f"{where}: a barrier is damaged: {error}; the series warm up again") from error
        if barrier.version != VERSION:
            raise StateError(
                f"{where} has version {barrier.version}, this program reads {VERSION}: the series warm up again"
            )
        slots = {
            series: value[EPOCH_BYTES:] for series, value in self._slots.items() if value[:EPOCH_BYTES] == barrier.epoch
        }
        if len(slots) < barrier.series:
            raise StateError(
                f"{where} holds {len(slots)} of {barrier.series} series: something deletes from it, such as a "
                "cleanup.policy that is not compact; the series warm up again"
            )
        self._found(_Life(barrier.epoch, set(slots)))
        log = None if barrier.log is None else TopicLog(*barrier.log)
        return SavedState(barrier.offset, barrier.digest, slots, log)

    def close(self) -> None:
        """Let go of the reader."""
        self._reader.close()


def _key(detector: str, partition: Partition, series: str | None) -> bytes:
    return msgspec.msgpack.encode((detector, partition.topic, series))
