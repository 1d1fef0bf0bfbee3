"""What a Kafka topic holds, from a time up to now: read once, by nobody's member."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from pipeline.connectors.kafka_client import CONSUMER, Cluster, connect, require_topic
from pipeline.connectors.kafka_refusal import in_words
from pipeline.exceptions import BrokerError
from pipeline.service.ports import Record


class TopicReader:
    """Reads the records that a topic held when the reader was made, those of decided transactions only.

    `total` is an upper bound of their number: transactions leave marks between them, compaction leaves holes.
    """

    def __init__(
        self, cluster: Cluster, topic: str, since_ms: int | None = None, *, patience_seconds: float = 30.0
    ) -> None:
        """Connect and find where to begin: the first record at or after `since_ms` (since 1970 UTC), None for all."""
        self._patience_seconds = patience_seconds
        self._where = f"{topic} at {cluster.bootstrap_servers}"
        self._consumer: Any = connect(KafkaConsumer, cluster, **CONSUMER, group_id=None)
        try:
            self.partitions = require_topic(self._consumer, cluster, topic)
            keys = [TopicPartition(topic, number) for number in self.partitions]
            self._ends, starts = self._bounds(keys, since_ms)
            self._consumer.assign(list(self._ends))
            for key, offset in starts.items():
                self._consumer.seek(key, offset)
        except KafkaError as error:
            self.close()
            raise BrokerError(f"{self._where} did not say which records it holds: {in_words(error)}") from error
        except BaseException:
            self.close()
            raise
        self.total = sum(max(0, end - starts[key]) for key, end in self._ends.items())
        self.remaining = self.total

    def __iter__(self) -> Iterator[Sequence[Record]]:
        """Records in batches, each of one partition and in its order; BrokerError when none come for too long."""
        deadline = time.monotonic() + self._patience_seconds
        open_ends = self._open_ends()
        while open_ends:
            try:
                polled = self._consumer.poll(500)
            except OffsetOutOfRangeError as error:
                raise BrokerError(f"{self._where} deleted records while they were read: begin later") from error
            except KafkaError as error:
                raise BrokerError(f"reading {self._where} failed: {in_words(error)}") from error
            before, open_ends = open_ends, self._open_ends()
            for key, records in polled.items():
                if wanted := [record for record in records if record.offset < self._ends[key]]:
                    yield wanted
            if polled or open_ends != before:  # marks of transactions move on without a record
                deadline = time.monotonic() + self._patience_seconds
            elif time.monotonic() > deadline:
                raise BrokerError(
                    f"{self._where} gave no record for {self._patience_seconds:g} s, {self.remaining} short"
                )

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close(autocommit=False, timeout_ms=1000)

    def _bounds(
        self, keys: list[TopicPartition], since_ms: int | None
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """End and start offset of each partition; the same where it holds nothing since then."""
        ends = self._consumer.end_offsets(keys, timeout_ms=10_000)
        if since_ms is None:
            return ends, self._consumer.beginning_offsets(keys, timeout_ms=10_000)
        found = self._consumer.offsets_for_times(dict.fromkeys(keys, since_ms), timeout_ms=10_000)
        return ends, {key: found[key].offset if found.get(key) else ends[key] for key in keys}

    def _open_ends(self) -> dict[TopicPartition, int]:
        """How many offsets are left of each partition that has not been read to its end; the others are paused."""
        left = {key: end - self._consumer.position(key, timeout_ms=1000) for key, end in self._ends.items()}
        self._consumer.pause(*(key for key, count in left.items() if count <= 0))
        self.remaining = sum(max(0, count) for count in left.values())
        return {key: count for key, count in left.items() if count > 0}


class PartitionReader(TopicReader):
    """The same of one partition: its records below an offset, and only the last ones of them where that is asked for.

    `kept` are the offsets that the log holds, the first and the end; `begin` is where the reader begins.
    """

    def __init__(self, cluster: Cluster, topic: str, number: int, below: int, most: int | None = None) -> None:
        """Connect and find where to begin: so many offsets below `below` at most, None for all that is kept."""
        self._number, self._below, self._most = number, below, most
        self.kept, self.begin = (0, 0), 0
        super().__init__(cluster, topic)

    def _bounds(
        self, keys: list[TopicPartition], since_ms: int | None
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """The offsets asked for, as far as the log holds them."""
        ends, firsts = super()._bounds([key for key in keys if key.partition == self._number], since_ms)
        if not ends:
            raise BrokerError(f"{self._where} has no partition {self._number}: it has {len(keys)}, counted from 0")
        ((key, end),) = ends.items()
        self.kept = (firsts[key], end)
        self.begin = max(firsts[key], 0 if self._most is None else self._below - self._most)
        return {key: min(end, self._below)}, {key: self.begin}
