"""The service's ports on the cluster. Each step of each can be the last of its process: `process.step` says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.exceptions import (
    AbandonedError,
    BrokerError,
    OffsetLostError,
    OwnershipLostError,
    RegistryError,
    StateError,
    UnacknowledgedError,
)
from pipeline.records import Decoded
from pipeline.service.ports import Decoder, Message, Partition, Poll, Record, SavedState, TopicLog
from tests.simulator.cluster import Cluster, Member, Stored, Transaction

if TYPE_CHECKING:
    from tests.simulator.process import Process

CHANGELOG = "state"


class SimulatedClock:
    """The cluster's time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def now(self) -> float:
        return 1_700_000_000.0 + self._cluster.seconds

    def monotonic(self) -> float:
        return self._cluster.seconds


class SimulatedDecoder:
    """A decoder that needs a registry of schemas for a record now and then."""

    NEEDED = 5  # one record in so many

    def __init__(self, cluster: Cluster, decoder: Decoder) -> None:
        self._cluster, self._decoder = cluster, decoder

    def decode(self, records: Sequence[Record]) -> Decoded:
        if self._cluster.seconds < self._cluster.registry_down_until:
            needed = frozenset(one.partition for one in records if one.offset % self.NEEDED == 0)
            if needed:
                raise RegistryError("the registry is away", needed)
        return self._decoder.decode(records)


class SimulatedSource:
    """A member of the group; cooperative: what goes to another is revoked first, and assigned when it is free."""

    def __init__(self, cluster: Cluster, process: Process, batch: int) -> None:
        cluster.reach()
        self._cluster, self._process, self._batch = cluster, process, batch
        self.member: Member | None = cluster.join(process.name)
        self._position: dict[Partition, int] = {}
        self._paused: set[Partition] = set()

    def poll(self, timeout_seconds: float, most: int = 5_000) -> Poll:
        cluster, name = self._cluster, self._process.name
        cluster.wait(timeout_seconds)
        if cluster.seconds < cluster.down_until:  # an outage is invisible to a poll
            self._process.step("poll")
            return Poll({})
        self._require_kept()
        lost: set[Partition] = set()
        if self.member is None or cluster.members.get(name) is not self.member:
            lost = set() if self.member is None else set(self.member.owned)
            self.member = cluster.join(name)
            self._position.clear()
        member = self.member
        member.polled, member.generation = cluster.seconds, cluster.generation
        wanted = cluster.wanted(name)
        revoked = member.owned - wanted
        member.owned -= revoked
        if revoked:
            cluster.generation += 1  # a second join hands them on
        assigned = {one for one in wanted - member.owned if cluster.free(one, name)}
        member.owned |= assigned
        for one in revoked:
            self._position.pop(one, None)
        self._paused |= assigned
        records = {}
        for partition in sorted(member.owned - self._paused):
            at = self._position[partition]
            some = cluster.logs[partition][at : at + min(self._batch, most)]
            most -= len(some)
            if some:
                records[partition] = some
                self._position[partition] = at + len(some)
        self._process.step("poll")
        return Poll(records, tuple(sorted(assigned)), tuple(sorted(revoked)), tuple(sorted(lost)))

    def _require_kept(self) -> None:
        """OffsetLostError where what is to be fetched next is gone; whoever polls is a member all the same."""
        if self.member is None or self._cluster.given_up(self._process.name, self.member):
            return
        fetched = self.member.owned - self._paused
        gone = {one: at for one, at in self._position.items() if one in fetched and at < self._cluster.first(one)}
        if gone:
            self.member.polled = self._cluster.seconds
            self._process.step("poll")
            raise OffsetLostError("records are gone", gone)

    def committed(self, partition: Partition) -> int | None:
        self._cluster.reach()
        self._process.step("ask")
        return self._cluster.committed.get(partition)

    def bounds(self, partition: Partition) -> tuple[int, int]:
        self._cluster.reach()
        bounds = self._cluster.first(partition), len(self._cluster.logs[partition])
        self._process.passed_by()
        return bounds

    def log(self, topic: str) -> TopicLog:
        self._cluster.reach()
        return self._cluster.log(topic)

    def seek(self, partition: Partition, offset: int) -> None:
        if self.member is None or partition not in self.member.owned:
            raise OwnershipLostError("not ours any more")
        self._position[partition] = offset

    def pause(self, partitions) -> None:
        self._paused |= set(partitions)

    def resume(self, partitions) -> None:
        self._paused -= set(partitions)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self._process.step("before offsets")
        self._cluster.reach()
        if self.member is None or self._cluster.given_up(self._process.name, self.member):
            raise OwnershipLostError("the group has gone on without us")
        if self._cluster.settling(self.member):
            raise BrokerError("the group is rebalancing; poll and commit again")
        self._cluster.commit(self._process.name, dict(offsets))
        self._process.step("offsets")

    def lag_records(self) -> Mapping[Partition, int]:
        return {}

    def close(self, timeout_seconds: float) -> None:
        if self.member is not None and self._cluster.members.get(self._process.name) is self.member:
            self._cluster.leave(self._process.name)
        self.member = None


class SimulatedSink:
    """A plain producer: what was sent may be stored at any time, and is at the latest with the flush."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        cluster.reach()
        self._cluster, self._process = cluster, process
        self._waiting: list[tuple[Message, Partition | None]] = []

    def send(self, message: Message, partition: Partition | None = None) -> None:
        self._waiting.append((message, partition))
        self._process.step("send")

    def in_flight(self) -> int:
        return len(self._waiting)

    def flush(self, timeout_seconds: float) -> None:
        if self._cluster.seconds < self._cluster.down_until:
            self._cluster.wait(min(timeout_seconds, 1.0))
            raise UnacknowledgedError("not acknowledged in time")
        while self._waiting:
            message, partition = self._waiting[0]
            self._keep(message, partition)
            self._process.step("message stored")  # a process that ends here never hears of it
            self._waiting.pop(0)
        self._process.step("flush")

    def close(self, timeout_seconds: float) -> None:
        self._waiting.clear()

    def _keep(self, message: Message, partition: Partition | None, transaction: Transaction | None = None) -> None:
        stored = Stored(message, self._process.name, transaction)
        if message.topic == CHANGELOG:
            assert partition is not None
            self._cluster.changelog[partition.number].append(stored)
        else:
            self._cluster.stored.append(stored)


class SimulatedTransactions(SimulatedSink):
    """A transactional producer: fenced by its id and by the group's generation. Satisfies `changelog.Transactions`."""

    def __init__(self, cluster: Cluster, process: Process, source: SimulatedSource) -> None:
        super().__init__(cluster, process)
        self._source = source
        cluster.epochs[process.name] += 1
        self._epoch = cluster.epochs[process.name]
        for transaction in cluster.transactions:
            if transaction.state == "open" and getattr(transaction, "name", None) == process.name:
                transaction.state = "aborted"
        self._open: Transaction | None = None

    def send(self, message: Message, partition: Partition | None = None) -> None:
        self._begin()
        super().send(message, partition)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self._process.step("before offsets")
        transaction = self._begin()
        self._unharmed(transaction)
        member = self._source.member
        if member is None or self._cluster.given_up(self._process.name, member) or self._cluster.settling(member):
            raise AbandonedError("the offsets failed: another generation")
        self._process.step("offsets")
        self._unharmed(transaction)
        transaction.state = "committed"
        self._cluster.commit(self._process.name, dict(offsets))
        self._open = None
        self._process.step("committed")

    def abort(self) -> bool:
        if self._open is None:
            return False
        transaction, self._open = self._open, None
        self._waiting.clear()
        transaction.state = "aborted"
        self._process.step("aborted")
        return True

    def close(self, timeout_seconds: float) -> None:
        super().close(timeout_seconds)
        if self._open is not None and self._open.state == "open" and self._cluster.seconds >= self._cluster.down_until:
            self._open.state = "aborted"

    def _begin(self) -> Transaction:
        if self._open is None:
            self._open = Transaction(self._cluster.seconds)
            self._open.name = self._process.name  # type: ignore[attr-defined]
            self._cluster.transactions.append(self._open)
        return self._open

    def _unharmed(self, transaction: Transaction) -> None:
        if self._cluster.seconds < self._cluster.down_until:
            self._cluster.wait(10.0)
            raise AbandonedError("nobody knows")
        if transaction.state != "open" or self._cluster.epochs[self._process.name] != self._epoch:
            raise AbandonedError("the transaction timed out, or another process has the id")

    def _keep(self, message: Message, partition: Partition | None, transaction: Transaction | None = None) -> None:
        super()._keep(message, partition, transaction or self._open)


class SimulatedReader:
    """One partition of the changelog, up to what was its end; waits behind an open transaction."""

    def __init__(self, cluster: Cluster, partition: Partition) -> None:
        self.name = f"state topic {partition.topic}[{partition.number}]"
        self._cluster = cluster
        self._records = cluster.changelog[partition.number]
        self._at, self._end = 0, len(self._records)

    def read(self, seconds: float):
        self._cluster.reach()
        if self._at >= self._end:
            return None
        record = self._records[self._at]
        if record.transaction is not None and record.transaction.state == "open":
            self._cluster.wait(max(seconds, 0.01))
            return ()
        self._at += 1
        return [(record.message.key, record.message.value)] if record.seen else ()

    def close(self) -> None:
        """Nothing is open."""


class SimulatedFolder:
    """State on the disk of one process; satisfies `ports.StateStore`."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster, self._process = cluster, process

    def load(self, detector: str, partition: Partition) -> SavedState | None:
        return self._cluster.folders[self._process.name].get((detector, partition))

    def saving(self, detector: str, partition: Partition, state: SavedState) -> Iterator[None]:
        yield
        self._process.step("before save")
        if self._process.name in self._cluster.full:
            raise StateError("no space left on device")
        self._cluster.folders[self._process.name][detector, partition] = state
        self._process.step("save")


class Asked:
    """Satisfies `ports.Stop`."""

    def __init__(self, cluster: Cluster, asked: Callable[[], bool]) -> None:
        self._cluster, self.asked = cluster, asked

    def wait(self, seconds: float) -> None:
        self._cluster.wait(seconds)
