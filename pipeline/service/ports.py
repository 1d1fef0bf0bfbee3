"""What the loop needs of the world: a source of records, sinks, a place for state, a clock.

The connectors implement these on Kafka and on disk, a test may implement them in memory; the loop cannot tell. Every
method that can block takes a time limit in seconds, and failures are raised as BrokerError or StateError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pipeline.records import Decoded


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


class Record(Protocol):
    """One record as it was polled; kafka-python's ConsumerRecord is one, so that none is built anew."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...  # milliseconds since 1970 UTC, set by producer or broker; for telemetry only
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll brought. Newly assigned partitions are paused: the loop seeks and resumes them when it is ready."""

    records: Mapping[Partition, Sequence[Record]]  # offsets ascend within a partition
    assigned: tuple[Partition, ...] = ()
    revoked: tuple[Partition, ...] = ()  # no longer ours; handed over in order
    lost: tuple[Partition, ...] = ()  # no longer ours, and perhaps already somebody else's: emit nothing for them


class TopicLog(NamedTuple):
    """Which log a topic is: an offset, and which partition a key belongs to, mean something in it alone."""

    id: str  # given by the broker when the topic was made
    partitions: int


class Source(Protocol):
    """Records of the subscribed topics, as a member of a group."""

    def poll(self, timeout_seconds: float, most: int | None = None) -> Poll: ...  # so many records at most
    def committed(self, partition: Partition) -> int | None: ...  # the next offset to read; None: never committed
    def bounds(self, partition: Partition) -> tuple[int, int]: ...  # first offset kept, end offset
    def log(self, topic: str) -> TopicLog: ...
    def seek(self, partition: Partition, offset: int) -> None: ...
    def pause(self, partitions: Sequence[Partition]) -> None: ...
    def resume(self, partitions: Sequence[Partition]) -> None: ...
    def commit(self, offsets: Mapping[Partition, int]) -> None: ...  # next offsets to read
    def lag_records(self) -> Mapping[Partition, int]: ...  # of assigned partitions where it is known
    def close(self, timeout_seconds: float) -> None: ...


class Message(NamedTuple):
    """One record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Sink(Protocol):
    """Somewhere to write messages; `send` only hands over, `flush` knows whether they are stored."""

    def send(self, message: Message) -> None: ...
    def in_flight(self) -> int: ...  # handed over and not yet acknowledged
    def flush(self, timeout_seconds: float) -> None: ...  # BrokerError unless all that was sent is acknowledged
    def close(self, timeout_seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class SavedState:
    """The slots of one partition as they stood before `offset`."""

    offset: int  # the next offset to observe
    digest: str  # of the detector that the slots belong to
    slots: Mapping[str, bytes]  # series to snapshot
    log: TopicLog | None = None  # that the offset is of; None where that was not kept


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of one partition as it stands before `offset`, to be saved a slice at a time."""

    detector: str  # its name
    offset: int
    digest: str  # of the detector
    series: Collection[str]  # whose slots are to be saved
    take: Callable[[Iterable[str]], Mapping[str, bytes]]  # the slots of some of them
    at_once: int  # series in a slice
    log: TopicLog | None = None
    whole: bool = True  # False: of those series only that are needed beside what was saved before


class StateStore(Protocol):
    """A place where state outlives the process."""

    def load(self, detector: str, partition: Partition) -> SavedState | None: ...  # StateError when unreadable
    def saving(
        self, detector: str, partition: Partition, state: SavedState
    ) -> Iterator[None]: ...  # all or nothing, and there when it is exhausted


class Restoring(Protocol):
    """The saved state of one partition on its way back."""

    def advance(self, seconds: float) -> bool: ...  # whether all of it is there; BrokerError when it does not come
    def state(self) -> SavedState | None: ...  # None where nothing is saved; StateError when unreadable
    def close(self) -> None: ...  # nobody waits for it any more


class Checkpoints(Protocol):
    """Where offsets, and now and then the state before them, are made to last."""

    def needed(
        self, detector: str, partition: Partition, changed: Collection[str]
    ) -> set[str] | None: ...  # series whose slots the next state needs, given those that changed; None: all
    def restore(self, detector: str, partition: Partition) -> Restoring: ...
    def commit(
        self, offsets: Mapping[Partition, int], states: Mapping[Partition, Checkpoint]
    ) -> Iterator[None]: ...  # next offsets to read; done when it is exhausted, and nothing is observed meanwhile
    def abandon(self) -> bool: ...  # undo what was put out since the last commit; False where it is out for good
    def close(self, timeout_seconds: float) -> None: ...


class Decoder(Protocol):
    """Turns the records of one topic into readings, all over one growing list of series."""

    def decode(self, records: Sequence[Record]) -> Decoded: ...  # RegistryError: those of some partitions have to wait


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> float: ...  # seconds since 1970 UTC
    def monotonic(self) -> float: ...  # seconds


class Stop(Protocol):
    """Whether the service is to end; asked between two steps."""

    def asked(self) -> bool: ...
    def wait(self, seconds: float) -> None: ...  # returns early when the service is asked to end
