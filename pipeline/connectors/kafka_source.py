"""Records of Kafka topics as a member of a group: the service's source.

Three habits of kafka-python 3.0 decide its shape (docs/decisions/0005). A join that completes between
two polls is lost, so a poll does not return while the group is settling. Rebalance callbacks run on the client's own
thread, so they only pause and take notes. An outage raises nothing in a poll: it shows in `commit` and `bounds`, which
have a time limit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    KafkaError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import MemberState

from pipeline.connectors.kafka_client import CONSUMER, Cluster, connect, require_topic, topic_log
from pipeline.connectors.kafka_refusal import in_words
from pipeline.exceptions import BrokerError, OffsetLostError, OwnershipLostError, StalledError
from pipeline.service.ports import Partition, Poll, Record, TopicLog

NOWHERE: Final = 0  # a new partition stands here, paused, until it is sought; else the client would seek by itself
Change = tuple[Literal["assigned", "revoked", "lost"], Partition]


class KafkaSource:
    """A member of a consumer group; satisfies `service.ports.Source`. To be used by one thread.

    `stopping` is asked while the group settles, which can take longer than one poll's time limit: when it says so, the
    poll returns early, and the caller is expected to close.
    """

    def __init__(
        self,
        cluster: Cluster,
        group_id: str,
        topics: Sequence[str],
        *,
        stopping: Callable[[], bool] = lambda: False,
        settle_seconds: float = 60.0,
        request_seconds: float = 10.0,
    ) -> None:
        """Connect and subscribe; BrokerError when the cluster is not to be reached or a topic is not there."""
        self._cluster = cluster
        self._group_id = group_id
        self._stopping = stopping
        self._settle_seconds = settle_seconds
        self._request_ms = int(request_seconds * 1000)
        self._owned: set[Partition] = set()
        self._unplaced: set[Partition] = set()  # owned, and not sought yet
        self._changes: deque[Change] = deque()
        assignor = CooperativeStickyAssignor()  # an instance, so that it can be reset when partitions are lost
        self._member: Any = None
        self._logs: dict[str, TopicLog] = {}
        self._cut: dict[TopicPartition, OffsetAndMetadata | None] = {}  # logs that were cut off: told at the next poll
        self._consumer: Any = connect(
            KafkaConsumer,
            cluster,
            **CONSUMER,
            group_id=group_id,
            partition_assignment_strategy=[assignor],
            max_poll_interval_ms=300_000,
        )
        try:
            for topic in topics:  # also makes the partitions known to the first join, which would assign none
                require_topic(self._consumer, cluster, topic)
        except BaseException:
            self._consumer.close(autocommit=False, timeout_ms=1000)
            raise
        self._consumer.subscribe(topics=list(topics), listener=_Notes(self._consumer, assignor, self._changes))

    def poll(self, timeout_seconds: float, most: int | None = None) -> Poll:
        """So many records at most of the partitions that were resumed, and what became of the assignment.

        Returns within the time limit while the group is stable, and when it has settled otherwise. OffsetLostError from
        every poll until the partitions that it names are sought; StalledError after `settle_seconds`.
        """
        before = set(self._owned)
        try:
            if self._cut:
                raise LogTruncationError(self._cut)
            polled = self._settled_poll(int(timeout_seconds * 1000), most)
        except OffsetOutOfRangeError as error:
            raise self._gone("records are gone", dict(error.args[0])) from error
        except NoOffsetForPartitionError as error:
            raise self._gone("no offset was committed", dict.fromkeys(error.args[0])) from error
        except LogTruncationError as error:
            raise self._cut_off(error.divergent_offsets) from error
        except KafkaError as error:
            raise BrokerError(f"polling {self._cluster.bootstrap_servers} failed: {in_words(error)}") from error
        self._member = self._consumer.group_metadata()
        assigned, revoked, lost = self._settle_accounts(before)
        return Poll(self._ours(polled), assigned, revoked, lost)

    def committed(self, partition: Partition) -> int | None:
        """The group's next offset of a partition; None when it never committed one."""
        offset: int | None = self._ask(
            f"the committed offset of {_name(partition)}", self._consumer.committed, TopicPartition(*partition)
        )
        return offset

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """The first offset that is kept, and the end offset as far as transactions are decided."""
        asked, key = f"the offsets of {_name(partition)}", TopicPartition(*partition)
        first = self._ask(asked, self._consumer.beginning_offsets, [key])
        end = self._ask(asked, self._consumer.end_offsets, [key])
        return first[key], end[key]

    def log(self, topic: str) -> TopicLog:
        """Which log a topic is, asked anew whenever partitions were assigned."""
        if topic not in self._logs:
            self._logs[topic] = topic_log(self._cluster, topic)
        return self._logs[topic]

    def member(self) -> Any:
        """Who we were in the group at the last poll, for transactions; OwnershipLostError where we are not in it.

        The broker takes a member without a name, and fences nothing then.
        """
        member = self._member
        if member is None or not member.member_id or member.generation_id < 0:
            raise OwnershipLostError(f"we are no member of group {self._group_id}: nothing can be committed")
        return member

    def seek(self, partition: Partition, offset: int) -> None:
        """Go on at an offset; also what makes a newly assigned partition ready to be resumed."""
        try:
            self._consumer.seek(TopicPartition(*partition), int(offset))
        except ValueError as error:
            if offset < 0:
                raise
            raise OwnershipLostError(f"{_name(partition)} is not ours any more and cannot be sought") from error
        self._unplaced.discard(partition)

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Hold back the records of these partitions; those that are no longer ours are passed over."""
        self._consumer.pause(*self._still_assigned(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Let the records of these partitions come; those that are no longer ours are passed over."""
        if unplaced := self._unplaced.intersection(partitions):
            raise ValueError(f"{_names(unplaced)}: seek before resume, for a new partition has no position")
        self._consumer.resume(*self._still_assigned(partitions))

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit the next offsets to read. OwnershipLostError: never try again; BrokerError: poll, then try again."""
        if foreign := offsets.keys() - self._owned:  # the broker would take it, and set the new owner back
            raise OwnershipLostError(f"{_names(foreign)} not ours any more: nothing was committed")
        wanted = {TopicPartition(*key): OffsetAndMetadata(int(offset), "", -1) for key, offset in offsets.items()}
        what = f"committing {len(offsets)} offsets of group {self._group_id} at {self._cluster.bootstrap_servers}"
        try:
            self._consumer.commit(wanted, timeout_ms=self._request_ms)
        except (CommitFailedError, IllegalGenerationError, UnknownMemberIdError, FencedInstanceIdError) as error:
            if error.args and isinstance(error.args[0], RebalanceInProgressError):
                raise BrokerError(f"{what}: the group is rebalancing; poll and commit again") from error
            raise OwnershipLostError(
                f"{what} was refused, for the group has gone on without us: {in_words(error)}"
            ) from error
        except KafkaError as error:
            raise BrokerError(f"{what} failed: {in_words(error)}; poll and commit again") from error

    def lag_records(self) -> Mapping[Partition, int]:
        """Records between our position and the end as the last fetch saw it; only where both are known."""
        lag: dict[Partition, int] = {}
        for partition in self._owned - self._unplaced:
            key = TopicPartition(*partition)
            try:
                end, position = self._consumer.highwater(key), self._consumer.position(key, timeout_ms=100)
            except LogTruncationError as error:  # it is told once: the next poll is to say so
                self._cut.update(error.divergent_offsets)
                continue
            except KafkaError:  # reassigned: the next poll says so
                continue
            if end is not None and position is not None:
                lag[partition] = max(0, end - position)
        return lag

    def close(self, timeout_seconds: float) -> None:
        """Leave the group, so that the others take over at once."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=int(timeout_seconds * 1000))
        except KafkaError as error:
            raise BrokerError(f"leaving group {self._group_id} failed: {in_words(error)}") from error

    def _settled_poll(self, timeout_ms: int, most: int | None) -> Mapping[TopicPartition, list[Record]]:
        """Never work while the group is joining: a join that completes between two polls is lost."""
        polled: Mapping[TopicPartition, list[Record]] = self._consumer.poll(timeout_ms, max_records=most)
        deadline = time.monotonic() + self._settle_seconds
        while not polled and self._consumer.group_metadata().state != MemberState.STABLE and not self._stopping():
            if time.monotonic() > deadline:
                raise StalledError(f"group {self._group_id} has not settled for {self._settle_seconds:g} s; join anew")
            polled = self._consumer.poll(1000, max_records=most)
        return polled

    def _settle_accounts(self, before: set[Partition]) -> tuple[tuple[Partition, ...], ...]:
        """What the callbacks noted since the last poll, in net: assigned, revoked, lost."""
        gone: dict[Partition, str] = {}
        while self._changes:
            change, partition = self._changes.popleft()
            if change == "assigned":
                self._owned.add(partition)
                self._unplaced.add(partition)
            elif partition in self._owned:
                self._owned.discard(partition)
                self._unplaced.discard(partition)
                if partition in before:
                    gone.setdefault(partition, change)
        if self._owned - before:
            self._logs.clear()
        assigned = sorted((self._owned - before) | (self._owned & gone.keys()))
        revoked, lost = ([key for key, why in gone.items() if why == kind] for kind in ("revoked", "lost"))
        return tuple(assigned), tuple(sorted(revoked)), tuple(sorted(lost))

    def _ours(self, polled: Mapping[TopicPartition, list[Record]]) -> dict[Partition, Sequence[Record]]:
        """Records of owned and sought partitions; what comes of others is read again by whoever owns them."""
        ready = self._owned - self._unplaced
        return {Partition(*key): records for key, records in polled.items() if key in ready}

    def _still_assigned(self, partitions: Iterable[Partition]) -> list[TopicPartition]:
        now = self._consumer.assignment()
        return [key for partition in partitions if (key := TopicPartition(*partition)) in now]

    def _ask(self, what: str, question: Callable[..., Any], about: object) -> Any:
        try:
            return question(about, timeout_ms=self._request_ms)
        except KafkaError as error:
            where = self._cluster.bootstrap_servers
            raise BrokerError(
                f"{where} did not tell {what} within {self._request_ms / 1000:g} s: {in_words(error)}"
            ) from error

    def _gone(self, why: str, asked: Mapping[TopicPartition, Any]) -> OffsetLostError:
        self._logs.clear()  # the topic may be another one by now
        places: dict[tuple[str, int], int | None] = {}
        for key, offset in asked.items():
            places[Partition(*key)] = offset if isinstance(offset, int) else None
        said = ", ".join(
            f"{_name(Partition(*key))} at {'no offset' if at is None else at}" for key, at in places.items()
        )
        return OffsetLostError(f"{why}: {said}; seek to an offset that is kept, or stop", places)

    def _cut_off(self, found: Mapping[TopicPartition, OffsetAndMetadata | None]) -> OffsetLostError:
        """What is said where a leader has less than was read, with where the log of each partition was cut off."""
        self._cut = {}
        self._logs.clear()  # the topic may have been made anew
        ours = {Partition(*key): told for key, told in found.items() if Partition(*key) in self._owned}
        cut: dict[tuple[str, int], int] = {one: told.offset for one, told in ours.items() if told is not None}
        said = ", ".join(f"{_name(partition)} at {cut.get(partition, 'no known offset')}" for partition in ours)
        return OffsetLostError(f"the log was cut off or its topic made anew: {said}", dict.fromkeys(ours), cut)


class _Notes(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Runs on the client's thread, where anything that waits raises: pause, place and note down, nothing else."""

    def __init__(self, consumer: Any, assignor: CooperativeStickyAssignor, changes: deque[Change]) -> None:
        self._consumer = consumer
        self._assignor = assignor
        self._changes = changes

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        for key in assigned:
            self._consumer.pause(key)
            self._consumer.seek(key, NOWHERE)
            self._changes.append(("assigned", Partition(*key)))

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._changes.extend(("revoked", Partition(*key)) for key in revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._assignor.member_assignment = None  # else the next join claims partitions that others own
        self._changes.extend(("lost", Partition(*key)) for key in lost)


def _name(partition: Partition) -> str:
    return f"{partition.topic}/{partition.number}"


def _names(partitions: Iterable[Partition]) -> str:
    return ", ".join(_name(partition) for partition in sorted(partitions))
