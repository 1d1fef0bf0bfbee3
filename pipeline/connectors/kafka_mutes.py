"""The control topic of mutes: what stands in it, the last record of each key, and whether that has changed."""

from __future__ import annotations

from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.connectors.kafka_client import CONSUMER, Cluster, connect, require_topic
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_refusal import in_words
from pipeline.exceptions import BrokerError
from pipeline.service.ports import Clock

EVERY_SECONDS: Final = 1.0


class KafkaMutes:
    """Follows the topic as nobody's member; to be used by one thread."""

    def __init__(self, cluster: Cluster, topic: str, clock: Clock) -> None:
        """Read all that is there; BrokerError where the topic is not, or says nothing."""
        self.documents: dict[bytes, bytes] = {}  # by key
        self._clock, self._next = clock, 0.0
        reader = TopicReader(cluster, topic)
        ends = dict.fromkeys(reader.partitions, 0)
        try:
            for records in reader:
                for record in records:
                    self._take(record)
                    ends[record.partition] = record.offset + 1
        finally:
            reader.close()
        self._where = f"{topic} at {cluster.bootstrap_servers}"
        self._consumer: Any = connect(KafkaConsumer, cluster, **CONSUMER, group_id=None)
        require_topic(self._consumer, cluster, topic)
        self._consumer.assign([TopicPartition(topic, number) for number in ends])
        for number, end in ends.items():
            self._consumer.seek(TopicPartition(topic, number), end)

    def changed(self) -> bool:
        """Whether a record came since this was last asked; looked for once a second."""
        now = self._clock.monotonic()
        if now < self._next:
            return False
        self._next = now + EVERY_SECONDS
        try:
            polled = self._consumer.poll(0)
        except KafkaError as error:
            raise BrokerError(f"reading {self._where} failed: {in_words(error)}") from error
        for record in (record for records in polled.values() for record in records):
            self._take(record)
        return bool(polled)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close(autocommit=False, timeout_ms=1000)

    def _take(self, record: Any) -> None:
        if record.value is None:
            self.documents.pop(record.key or b"", None)
        else:
            self.documents[record.key or b""] = record.value
