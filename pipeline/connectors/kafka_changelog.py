"""The compacted topic in which state is kept: made, checked and read. What stands in it: service/changelog.py."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError

from pipeline.connectors.kafka_client import CONSUMER, Cluster, connect, create_topic
from pipeline.connectors.kafka_refusal import in_words
from pipeline.connectors.kafka_transactions import TRANSACTION_SECONDS
from pipeline.exceptions import BrokerError
from pipeline.service.ports import Partition

PATIENCE_SECONDS: Final = TRANSACTION_SECONDS + 10.0  # a transaction that nobody ends is ended by the broker
SEGMENT_BYTES: Final = 16 << 20  # the last segment is not compacted, and a restore reads all of it: 1 GiB by default
COMPACTED: Final = {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT_BYTES)}


class KafkaChangelogReader:
    """Satisfies `service.changelog.ChangelogReader`; connects when it is first read.

    The end is that of all records: behind a transaction that is still open others may be, which are ours. Only what was
    committed is handed out.
    """

    def __init__(self, cluster: Cluster, partition: Partition) -> None:
        self._cluster = cluster
        self._key = TopicPartition(*partition)
        self._consumer: Any = None
        self._end = 0
        self._deadline = 0.0
        self.name = f"state topic {partition.topic}[{partition.number}] at {cluster.bootstrap_servers}"

    def read(self, seconds: float) -> Sequence[tuple[bytes | None, bytes | None]] | None:
        """Keys and values that came in so many seconds, None when all was read.

        BrokerError when nothing comes for longer than a transaction may be open.
        """
        if self._consumer is None and seconds <= 0:
            return ()
        try:
            if self._consumer is None:
                self._begin()
            at = self._consumer.position(self._key, timeout_ms=1000)
            if at >= self._end:
                return None
            polled = self._consumer.poll(int(max(seconds, 0.0) * 1000))
        except KafkaError as error:
            raise BrokerError(f"{self.name} cannot be read: {in_words(error)}") from error
        now = time.monotonic()
        self._deadline = now + PATIENCE_SECONDS if polled else self._deadline
        if now > self._deadline:
            raise BrokerError(
                f"{self.name} stands at {at} of {self._end} for {PATIENCE_SECONDS:g} s: another process holds a "
                "transaction open"
            )
        return [(record.key, record.value) for records in polled.values() for record in records]

    def close(self) -> None:
        """Let go of the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=1000)

    def _begin(self) -> None:
        admin: Any = connect(KafkaAdminClient, self._cluster)
        try:
            self._end = admin.list_partition_offsets({self._key: OffsetSpec.LATEST}, timeout_ms=10_000)[
                self._key
            ].offset
        finally:
            admin.close()
        consumer: Any = connect(KafkaConsumer, self._cluster, **CONSUMER, group_id=None)
        self._consumer = consumer
        consumer.assign([self._key])
        consumer.seek(self._key, consumer.beginning_offsets([self._key], timeout_ms=10_000)[self._key])
        self._deadline = time.monotonic() + PATIENCE_SECONDS


def require_changelog(cluster: Cluster, topic: str, partitions: int) -> None:
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
