"""State in a compacted topic, beside the offsets: it follows a partition to whoever is given it.

The partition of the topic is that of the source. A checkpoint is one transaction: the slots that changed, a barrier
that says what the whole is, and the group's offsets. So a reader meets whole checkpoints alone, never half of one, and
a process that lost its partitions cannot write over the state of its heir: the broker refuses the offsets.

A key is detector, source topic and series, as MessagePack; a barrier has no series. All slots of one life of a state
bear its epoch, so that what an earlier life left in the topic is passed over.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError

from pipeline.connectors.kafka_client import CONSUMER, Cluster, connect, create_topic, in_words
from pipeline.connectors.kafka_transactions import TRANSACTION_SECONDS, TransactionalSink
from pipeline.exceptions import BrokerError, StateError
from pipeline.service.ports import Message, Partition, Restoring, SavedState, States, TopicLog

VERSION: Final = 1
EPOCH_BYTES: Final = 16
PATIENCE_SECONDS: Final = TRANSACTION_SECONDS + 10.0  # a transaction that nobody ends is ended by the broker
COMPACTED: Final = {"cleanup.policy": "compact"}


class _Barrier(msgspec.Struct, frozen=True):
    """What a checkpoint says of the whole state of a partition."""

    version: int
    offset: int
    digest: str
    epoch: bytes
    series: int  # how many slots there are, at least
    log: tuple[str, int] | None


class KafkaChangelog:
    """Satisfies `service.ports.Checkpoints`; to be used by one thread.

    `sink` writes the transactions. Where it is the service's own sink, outputs are part of them, and each is seen once.
    `member` gives the group's metadata as of the last poll.
    """

    incremental = True

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        sink: TransactionalSink,
        member: Callable[[], Any],
        *,
        outputs_inside: bool,
        flush_seconds: float = 10.0,
    ) -> None:
        """Connect; BrokerError when the cluster is not to be reached. The topic is there: see `require`."""
        self._cluster = cluster
        self._topic = topic
        self._sink = sink
        self._member = member
        self._outputs_inside = outputs_inside
        self._flush_seconds = flush_seconds
        self._lives: dict[tuple[str, Partition], _Life] = {}
        self._admin: Any = connect(KafkaAdminClient, cluster)

    def restore(self, detector: str, partition: Partition) -> Restoring:
        """The state of a partition, read from the beginning of its changelog in slices."""

        def found(life: _Life) -> None:
            self._lives[detector, partition] = life

        return _Restore(self._cluster, self._admin, self._topic, (detector, partition), found)

    def commit(self, offsets: Mapping[Partition, int], states: States) -> None:
        """One transaction. AbandonedError: begin again from what was committed."""
        for partition, (detector, state) in states.items():
            self._write(detector, partition, state)
        self._sink.flush(self._flush_seconds)
        self._sink.commit(offsets, self._member())

    def keep(self, detector: str, partition: Partition, state: SavedState) -> None:
        """Nothing: the partition is another's by now, and so is its changelog."""

    def abandon(self) -> bool:
        """Undo the outputs since the last commit, where they are part of it."""
        return self._outputs_inside and self._sink.abort()

    def close(self, timeout_seconds: float) -> None:
        """Let go of the connections; of the sink too, where it is not the service's own."""
        if not self._outputs_inside:
            self._sink.close(timeout_seconds)
        self._admin.close()

    def _write(self, detector: str, partition: Partition, state: SavedState) -> None:
        life = _Life() if state.whole else self._lives[detector, partition]
        self._lives[detector, partition] = life
        life.series.update(state.slots)
        to = Partition(self._topic, partition.number)
        for series, slot in state.slots.items():
            self._sink.send(Message(self._topic, _key(detector, partition, series), life.epoch + slot), to)
        barrier = _Barrier(VERSION, state.offset, state.digest, life.epoch, len(life.series), state.log)
        self._sink.send(Message(self._topic, _key(detector, partition, None), msgspec.msgpack.encode(barrier)), to)


@dataclass(frozen=True, slots=True)
class _Life:
    """One life of a partition's state, from a whole state to the next."""

    epoch: bytes = field(default_factory=lambda: secrets.token_bytes(EPOCH_BYTES))
    series: set[str] = field(default_factory=set)  # whose slots were written


class _Restore:
    """One partition of the changelog, read from its first record to what was its end when reading began.

    The end is that of all records: behind a transaction that is still open others may be, which are ours.
    """

    def __init__(
        self, cluster: Cluster, admin: Any, topic: str, whose: tuple[str, Partition], found: Callable[[_Life], None]
    ) -> None:
        self._cluster = cluster
        self._admin = admin
        self._whose = whose
        self._found = found
        self._key = TopicPartition(topic, whose[1].number)
        self._where = f"state topic {topic}[{whose[1].number}] at {cluster.bootstrap_servers}"
        self._consumer: Any = None  # connected when it is its turn
        self._end = 0
        self._deadline = 0.0
        self._slots: dict[str, bytes] = {}
        self._barrier: bytes | None = None

    def advance(self, seconds: float) -> bool:
        """Read for so long at most; BrokerError when nothing comes for longer than a transaction may be open."""
        until = time.monotonic() + seconds
        try:
            if self._consumer is None and seconds > 0:
                self._begin()
            while self._consumer is not None:
                at = self._consumer.position(self._key, timeout_ms=1000)
                if at >= self._end:
                    return True
                if (left := until - time.monotonic()) <= 0:
                    return False
                self._read(at, min(left, 0.2))
        except KafkaError as error:
            raise BrokerError(f"{self._where} cannot be read: {in_words(error)}") from error
        return False

    def state(self) -> SavedState | None:
        """What the last barrier tells of; StateError where it is not that, or not all of it is there."""
        self.close()
        if self._barrier is None:
            return None
        try:
            barrier = msgspec.msgpack.decode(self._barrier, type=_Barrier)
        except msgspec.MsgspecError as error:
            raise StateError(f"{self._where}: a barrier is damaged: {error}; the series warm up again") from error
        if barrier.version != VERSION:
            raise StateError(
                f"{self._where} has version {barrier.version}, this program reads {VERSION}: the series warm up again"
            )
        slots = {
            series: value[EPOCH_BYTES:] for series, value in self._slots.items() if value[:EPOCH_BYTES] == barrier.epoch
        }
        if len(slots) < barrier.series:
            raise StateError(
                f"{self._where} holds {len(slots)} of {barrier.series} series: something deletes from it, such as a "
                "cleanup.policy that is not compact; the series warm up again"
            )
        self._found(_Life(barrier.epoch, set(slots)))
        log = None if barrier.log is None else TopicLog(*barrier.log)
        return SavedState(barrier.offset, barrier.digest, slots, log)

    def close(self) -> None:
        """Let go of the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=1000)

    def _begin(self) -> None:
        consumer: Any = connect(KafkaConsumer, self._cluster, **CONSUMER, group_id=None)
        self._consumer = consumer
        consumer.assign([self._key])
        consumer.seek(self._key, consumer.beginning_offsets([self._key], timeout_ms=10_000)[self._key])
        ends = self._admin.list_partition_offsets({self._key: OffsetSpec.LATEST}, timeout_ms=10_000)
        self._end = ends[self._key].offset
        self._deadline = time.monotonic() + PATIENCE_SECONDS

    def _read(self, at: int, seconds: float) -> None:
        """Records of the changelog, in order; those of other detectors and topics are passed over."""
        polled = self._consumer.poll(int(seconds * 1000)).values()
        now = time.monotonic()
        self._deadline = now + PATIENCE_SECONDS if polled else self._deadline
        if now > self._deadline:
            raise BrokerError(
                f"{self._where} stands at {at} of {self._end} for {PATIENCE_SECONDS:g} s: another process holds a "
                "transaction open"
            )
        detector, partition = self._whose
        for record in (record for records in polled for record in records):
            try:
                whose, topic, series = msgspec.msgpack.decode(record.key or b"", type=tuple[str, str, str | None])
            except msgspec.MsgspecError:
                continue  # nothing that we wrote
            if (whose, topic) != (detector, partition.topic):
                continue
            if series is None:
                self._barrier = record.value
            elif record.value is None:
                self._slots.pop(series, None)
            else:
                self._slots[series] = record.value


def require(cluster: Cluster, topic: str, partitions: int) -> None:
    """Create the topic where it is not there; BrokerError where it cannot serve: too few partitions, not compacted."""
    create_topic(cluster, topic, partitions, COMPACTED)
    admin: Any = connect(KafkaAdminClient, cluster)
    try:
        found = len(admin.describe_topics([topic])[0]["partitions"])
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        policy = admin.describe_configs([resource], config_filter="all")["topic"][topic]["cleanup.policy"]["value"]
    except KafkaError as error:
        raise BrokerError(f"state topic {topic} at {cluster.bootstrap_servers}: {in_words(error)}") from error
    finally:
        admin.close()
    if found < partitions:
        raise BrokerError(
            f"state topic {topic} has {found} partitions, the topics that are read have up to {partitions}: "
            f"kafka-topics.sh --alter --topic {topic} --partitions {partitions}"
        )
    if "compact" not in policy or "delete" in policy:
        raise BrokerError(
            f"state topic {topic} has cleanup.policy {policy}, which deletes state with time: "
            f"kafka-configs.sh --alter --topic {topic} --add-config cleanup.policy=compact"
        )


def _key(detector: str, partition: Partition, series: str | None) -> bytes:
    return msgspec.msgpack.encode((detector, partition.topic, series))
