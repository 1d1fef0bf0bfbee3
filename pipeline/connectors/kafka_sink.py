"""Messages to Kafka, and whether they are stored.

kafka-python's `flush` returns when nothing is under way, also when messages failed, and its producer has no limit on
what is under way. So this sink counts: what was sent, acknowledged and refused.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from pipeline.connectors.kafka_client import Cluster, connect
from pipeline.connectors.kafka_refusal import in_words
from pipeline.exceptions import BrokerError, TooLargeError, UnacknowledgedError
from pipeline.service.ports import Message, Partition


class KafkaSink:
    """A producer that knows what is stored; satisfies `service.ports.Sink`. To be used by one thread.

    `send` never waits for an acknowledgement. Whoever sends looks at `in_flight()` and, when it grows, pauses the
    source and goes on polling; `max_in_flight` is only the wall behind that, for the sake of memory. A message that
    failed is lost: from then on every flush raises, so that no offset can be committed past it, until a new sink is
    made.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        max_in_flight: int = 100_000,
        max_request_bytes: int = 1_048_576,
        delivery_seconds: float = 120.0,
        linger_ms: int = 0,
        **transactions: object,
    ) -> None:
        """Connect; BrokerError with the reason when the cluster is not to be reached.

        A message not acknowledged within `delivery_seconds` has failed; keep it below the consumer's poll deadline.
        """
        self._cluster = cluster
        self._max_in_flight = max_in_flight
        self._sent = 0
        self._settled = threading.Condition()  # guards what follows: callbacks run on the client's thread or on ours
        self._acknowledged = 0
        self._failed = 0
        self._reason = ""
        self._waiting: Counter[str] = Counter()  # under way, by topic
        self._producer: Any = connect(
            KafkaProducer,
            cluster,
            acks="all",
            enable_idempotence=True,
            linger_ms=linger_ms,
            max_request_size=max_request_bytes,
            retry_backoff_ms=10,  # with the default of 100 every retry and every transaction call waits that long
            request_timeout_ms=min(30_000, int(delivery_seconds * 1000)),
            delivery_timeout_ms=int(delivery_seconds * 1000),
            max_block_ms=5_000,
            **transactions,
        )

    def require_topic(self, topic: str) -> None:
        """BrokerError when a topic to be written is not there; a broker that creates topics by itself does so here."""
        try:
            self._producer.partitions_for(topic)
        except KafkaError as error:
            where = self._cluster.bootstrap_servers
            raise BrokerError(
                f"there is no topic {topic} at {where}, or we may not write to it ({in_words(error)}); "
                f"create it: kafka-topics.sh --create --topic {topic}"
            ) from error

    def send(self, message: Message, partition: Partition | None = None) -> None:
        """Hand over, to a partition where one is named.

        TooLargeError for this one alone, UnacknowledgedError when too much is under way already.
        """
        if self.in_flight() >= self._max_in_flight:
            raise UnacknowledgedError(
                f"{self.in_flight()} messages wait for {self._cluster.bootstrap_servers}: flush first"
            )
        try:
            future = self._producer.send(
                message.topic,
                message.value,
                message.key,
                list(message.headers),
                partition=None if partition is None else partition.number,
            )
        except MessageSizeTooLargeError as error:
            raise TooLargeError(f"a message for {message.topic} was not taken: {in_words(error)}") from error
        except KafkaError as error:
            first = f"; the first that failed: {self._reason}" if self._reason else ""
            raise BrokerError(f"a message for {message.topic} was not taken: {in_words(error)}{first}") from error
        self._sent += 1
        with self._settled:
            self._waiting[message.topic] += 1
        future.add_callback(self._stored, message.topic)
        future.add_errback(self._refused, message.topic)

    def in_flight(self) -> int:
        """Messages handed over and neither acknowledged nor refused."""
        return self._sent - self._acknowledged - self._failed

    def flush(self, timeout_seconds: float) -> None:
        """Return when all that was ever sent is acknowledged.

        UnacknowledgedError: not yet, nothing is lost, flush again. BrokerError: messages failed, with the first reason.
        """
        deadline = time.monotonic() + timeout_seconds
        with contextlib.suppress(KafkaError):  # raises for what is late, and sometimes for nothing: the counts decide
            self._producer.flush(timeout_seconds)
        with self._settled:  # the last callback may run a moment after the client's flush
            self._settled.wait_for(lambda: self.in_flight() == 0, max(0.0, deadline - time.monotonic()))
        if self._failed:
            raise BrokerError(
                f"{self._failed} of {self._sent} messages were not stored at {self._cluster.bootstrap_servers}; "
                f"the first: {self._reason}"
            )
        if waiting := self.in_flight():
            where = ", ".join(f"{count} to {topic}" for topic, count in sorted((+self._waiting).items()))
            raise UnacknowledgedError(
                f"{waiting} messages not acknowledged by {self._cluster.bootstrap_servers} within "
                f"{timeout_seconds:g} s: {where}"
            )

    def close(self, timeout_seconds: float) -> None:
        """Let go of the producer; what is not acknowledged by then may be lost, so flush before."""
        with contextlib.suppress(KafkaError):  # it flushes again and raises in an outage; `flush` is where one learns
            self._producer.close(timeout_seconds)

    def forget(self) -> None:
        """What was sent and is not stored never will be, by our own will: begin to count anew."""
        with self._settled:
            self._sent = self._acknowledged = self._failed = 0
            self._reason = ""
            self._waiting.clear()

    def _stored(self, topic: str, _: object) -> None:
        with self._settled:
            self._acknowledged += 1
            self._waiting[topic] -= 1
            self._settled.notify_all()

    def _refused(self, topic: str, error: BaseException) -> None:
        with self._settled:
            self._reason = self._reason or f"to {topic}: {in_words(error)}"
            self._failed += 1
            self._waiting[topic] -= 1
            self._settled.notify_all()
