"""A Kafka cluster in memory, as far as the service can tell: logs, a group, transactions, an outage, a clock.

What the real client and broker do was found by running them (docs/decisions/0005). Time moves when somebody waits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.exceptions import BrokerError
from pipeline.service.ports import Message, Partition, TopicLog

SESSION = 10.0  # seconds after which a member that does not poll is given up
TRANSACTION = 6.0  # seconds after which an open transaction is undone


@dataclass(frozen=True)
class Entry:
    """One record of a topic that is read; satisfies `ports.Record`."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(eq=False)
class Transaction:
    """What one producer has under way."""

    begun: float
    state: Literal["open", "committed", "aborted"] = "open"


@dataclass(frozen=True)
class Stored:
    """A message on the broker; of no transaction, or of one."""

    message: Message
    process: str
    transaction: Transaction | None = None

    @property
    def seen(self) -> bool:
        """By readers of committed records."""
        return self.transaction is None or self.transaction.state == "committed"


@dataclass
class Member:
    """One consumer of the group."""

    generation: int  # as of its last poll
    polled: float
    owned: set[Partition] = field(default_factory=set)
    expelled: bool = False


@dataclass(frozen=True)
class Deletion:
    """Records that retention deleted."""

    partition: Partition
    first: int  # kept since then
    unknown: range  # deleted offsets that the group had not committed


@dataclass
class Cluster:
    """Everything that outlives a process."""

    rng: np.random.Generator
    seconds: float = 1000.0
    logs: dict[Partition, list[Entry]] = field(default_factory=dict)
    stored: list[Stored] = field(default_factory=list)  # outputs, in order
    changelog: dict[int, list[Stored]] = field(default_factory=lambda: defaultdict(list))  # by partition
    committed: dict[Partition, int] = field(default_factory=dict)
    history: list[tuple[str, dict[Partition, int]]] = field(default_factory=list)  # who committed what
    folders: dict[str, dict] = field(default_factory=lambda: defaultdict(dict))  # state on the disk of each process
    full: set[str] = field(default_factory=set)  # processes whose disk is full
    epochs: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # of transactional ids
    transactions: list[Transaction] = field(default_factory=list)
    members: dict[str, Member] = field(default_factory=dict)
    generation: int = 0
    down_until: float = 0.0
    registry_down_until: float = 0.0
    deletions: list[Deletion] = field(default_factory=list)

    def publish(self, partition: Partition, key: bytes | None, value: bytes | None) -> None:
        """Append a record."""
        log = self.logs.setdefault(partition, [])
        log.append(Entry(partition.topic, partition.number, len(log), key, value, int(self.seconds * 1000)))

    def first(self, partition: Partition) -> int:
        """The first offset that is kept."""
        return max((one.first for one in self.deletions if one.partition == partition), default=0)

    def delete(self, partition: Partition, first: int) -> None:
        """Retention passes: only records from this offset on are kept."""
        unknown = range(max(self.first(partition), self.committed.get(partition, 0)), first)
        self.deletions.append(Deletion(partition, first, unknown))

    def wait(self, seconds: float) -> None:
        """Time passes: silent members are given up, old transactions undone."""
        self.seconds += seconds
        for name, member in list(self.members.items()):
            if self.seconds - member.polled > SESSION:
                member.expelled = True
                del self.members[name]
                self.generation += 1
        for transaction in self.transactions:
            if transaction.state == "open" and self.seconds - transaction.begun > TRANSACTION:
                transaction.state = "aborted"

    def reach(self) -> None:
        """BrokerError in an outage; an attempt takes time."""
        if self.seconds < self.down_until:
            self.wait(1.0)
            raise BrokerError("the broker is down")

    def log(self, topic: str) -> TopicLog:
        return TopicLog(f"id of {topic}", sum(known.topic == topic for known in self.logs))

    # ---- the group

    def join(self, name: str) -> Member:
        self.generation += 1
        self.members[name] = Member(self.generation, self.seconds)
        return self.members[name]

    def leave(self, name: str) -> None:
        if self.members.pop(name, None) is not None:
            self.generation += 1

    def wanted(self, name: str) -> set[Partition]:
        """The partitions that a member is to have, as sticky as may be: each keeps its own up to its fair share."""
        names, partitions = sorted(self.members), sorted(self.logs)
        share = -(-len(partitions) // len(names))
        plan: dict[str, set[Partition]] = {each: set() for each in names}
        for each in names:
            plan[each].update(sorted(self.members[each].owned)[:share])
        for partition in partitions:
            if not any(partition in own for own in plan.values()):
                plan[min(names, key=lambda each: (len(plan[each]), each))].add(partition)
        return plan[name]

    def free(self, partition: Partition, name: str) -> bool:
        """Whether no other member still has it."""
        return not any(partition in other.owned for each, other in self.members.items() if each != name)

    def given_up(self, name: str, member: Member | None) -> bool:
        """Whether what the member would commit is refused for good."""
        return member is None or self.members.get(name) is not member

    def settling(self, member: Member) -> bool:
        """Whether the group happens to be in the moment of a join in which it takes no offsets.

        Only now and then: a join is not complete without those who poll, and before that their offsets are taken.
        """
        return member.generation != self.generation and self.rng.random() < 0.2

    def commit(self, name: str, offsets: dict[Partition, int]) -> None:
        self.committed.update(offsets)
        self.history.append((name, dict(offsets)))
