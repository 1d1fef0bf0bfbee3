"""The service's ports in memory: a broker whose log, offsets and outputs outlive a service, and time that a test moves.

These satisfy `pipeline.service.ports` as the connectors do. A `World` can crash at a named step, as a power cut would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.exceptions import BrokerError, OffsetLostError, StateError, TooLargeError
from pipeline.service.ports import Partition, Poll, TopicLog


class PowerCutError(BaseException):
    """The process ends here; nothing after this line runs."""


@dataclass(frozen=True)
class Entry:
    """One record of a log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0


@dataclass
class World:
    """What is there when no service runs."""

    logs: dict[Partition, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    first: dict[Partition, int] = field(default_factory=dict)  # the first offset kept, where it is not 0
    shorter: dict[Partition, int] = field(default_factory=dict)  # logs that were cut off there, until it is sought
    committed: dict[Partition, int] = field(default_factory=dict)
    stored: list = field(default_factory=list)  # messages acknowledged by the broker, in order
    states: dict = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)  # of topics that were made anew
    seconds: float = 1000.0
    steps: list[str] = field(default_factory=list)  # what the services did, in order
    cut_at: dict[str, int] = field(default_factory=dict)  # step: how many more times it may happen before a power cut
    down: bool = False  # the broker
    disk_full: bool = False
    largest: int = 10**9  # bytes of a message

    def publish(self, topic: str, number: int, key: bytes | None, value: bytes | None, headers=()) -> None:
        """Append a record."""
        log = self.logs[Partition(topic, number)]
        log.append(Entry(topic, number, len(log), key, value, tuple(headers), int(self.seconds * 1000)))

    def cut_off(self, partition: Partition, at: int) -> None:
        """A leader takes over that has no more than this."""
        del self.logs[partition][at:]
        self.shorter[partition] = at

    def bounds(self, partition: Partition) -> tuple[int, int]:
        return self.first.get(partition, 0), len(self.logs[partition])

    def step(self, name: str) -> None:
        """A service has just done this; the power may be cut."""
        self.steps.append(name)
        if name in self.cut_at:
            self.cut_at[name] -= 1
            if self.cut_at[name] < 0:
                raise PowerCutError(name)

    def reach(self) -> None:
        if self.down:
            self.seconds += 1.0  # an attempt costs time
            raise BrokerError("the broker is down")


class MemoryClock:
    """Time of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return 1_700_000_000.0 + self._world.seconds

    def monotonic(self) -> float:
        return self._world.seconds


class MemorySource:
    """All partitions of its topics, unless a test takes some away."""

    def __init__(self, world: World, topics, *, batch: int = 7) -> None:
        world.reach()
        self._world = world
        self._batch = batch
        self._assigned: list[Partition] = [p for p in sorted(world.logs) if p.topic in topics]
        self._revoked: list[Partition] = []
        self._lost: list[Partition] = []
        self.position: dict[Partition, int] = {}
        self.paused: set[Partition] = set(self._assigned)
        self.owned: set[Partition] = set(self._assigned)
        self.closed = False

    def take_away(self, partition: Partition, *, lost: bool = False) -> None:
        """Give a partition to somebody else; the next poll says so."""
        self.owned.discard(partition)
        self.position.pop(partition, None)
        (self._lost if lost else self._revoked).append(partition)

    def give(self, partition: Partition) -> None:
        """Assign a partition; the next poll says so."""
        self.owned.add(partition)
        self.paused.add(partition)
        self._assigned.append(partition)

    def poll(self, timeout_seconds: float, most: int = 5_000) -> Poll:
        self._world.seconds += timeout_seconds
        assigned, revoked, lost = tuple(self._assigned), tuple(self._revoked), tuple(self._lost)
        self._assigned, self._revoked, self._lost = [], [], []
        records = {}
        if not self._world.down:  # an outage is invisible to a poll
            fetched = {p: at for p, at in self.position.items() if p not in self.paused}
            cut = {p: at for p, at in self._world.shorter.items() if fetched.get(p, 0) > at}
            if cut:
                raise OffsetLostError("the log was cut off", dict.fromkeys(cut), cut)
            gone = {p: at for p, at in fetched.items() if not self.bounds(p)[0] <= at <= self.bounds(p)[1]}
            if gone:
                raise OffsetLostError("records are gone", gone)
            for partition in sorted(self.owned - self.paused):
                at = self.position[partition]
                some = self._world.logs[partition][at : at + min(self._batch, most)]
                most -= len(some)
                if some:
                    records[partition] = some
                    self.position[partition] = at + len(some)
        self._world.step("poll")
        return Poll(records, assigned, revoked, lost)

    def committed(self, partition: Partition) -> int | None:
        self._world.reach()
        return self._world.committed.get(partition)

    def bounds(self, partition: Partition) -> tuple[int, int]:
        self._world.reach()
        return self._world.bounds(partition)

    def log(self, topic: str) -> TopicLog:
        self._world.reach()
        return TopicLog(self._world.ids.get(topic, topic), sum(known.topic == topic for known in self._world.logs))

    def seek(self, partition: Partition, offset: int) -> None:
        self.position[partition] = offset
        self._world.shorter.pop(partition, None)

    def pause(self, partitions) -> None:
        self.paused.update(partitions)

    def resume(self, partitions) -> None:
        assert all(partition in self.position for partition in partitions)  # seek before resume

        self.paused.difference_update(partitions)

    def commit(self, offsets) -> None:
        self._world.step("before commit")
        self._world.reach()
        assert set(offsets) <= self.owned

        self._world.committed.update(offsets)
        self._world.step("commit")

    def lag_records(self):
        return {p: self._world.bounds(p)[1] - at for p, at in self.position.items()}

    def close(self, timeout_seconds: float) -> None:
        self.closed = True


class MemorySink:
    """Messages wait here until they are flushed, or until the test lets the broker take them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sent: list = []
        self.waiting: list = []

    def send(self, message) -> None:
        if len(message.value or b"") > self._world.largest:
            raise TooLargeError("the message is too large")
        self.sent.append(message)
        self.waiting.append(message)

    def in_flight(self) -> int:
        return len(self.waiting)

    def flush(self, timeout_seconds: float) -> None:
        self._world.reach()
        while self.waiting:
            self._world.stored.append(self.waiting.pop(0))
            self._world.step("message stored")
        self._world.step("flush")

    def close(self, timeout_seconds: float) -> None:
        self.waiting.clear()


class MemoryStore:
    """State that outlives a service."""

    def __init__(self, world: World) -> None:
        self._world = world

    def load(self, detector: str, partition: Partition):
        state = self._world.states.get((detector, partition))
        if isinstance(state, Exception):
            raise state
        return state

    def saving(self, detector: str, partition: Partition, state):
        yield
        if self._world.disk_full:
            raise StateError("no space left on device; mend the disk")
        self._world.states[detector, partition] = state
        self._world.step("save")


class MemoryStop:
    """Asks to stop when a condition of the test holds; waiting moves the clock."""

    def __init__(self, world: World, when: Callable[[], bool]) -> None:
        self._world = world
        self._when = when

    def asked(self) -> bool:
        return self._when()

    def wait(self, seconds: float) -> None:
        self._world.seconds += seconds
