"""Messages and offsets in transactions: what was sent since the last commit is stored with the offsets, or not at all.

kafka-python's transaction calls have no time limit, and one that is begun in an outage never returns. So each runs on
a thread of its own that is left behind when it takes too long; its outcome is then unknown, and whoever asked begins
again from what was committed.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from kafka import OffsetAndMetadata, TopicPartition

from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_refusal import in_words
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.exceptions import AbandonedError, BrokerError, UnacknowledgedError
from pipeline.service.ports import Message, Partition

TRANSACTION_SECONDS: Final = 15.0  # so long an heir stands still behind a process that died in mid transaction
CALL_SECONDS: Final = 10.0  # for one call; the longest of them waits for other transactions to end


class TransactionalSink(KafkaSink):
    """A sink whose messages readers of committed records see with the commit, all or none. To be used by one thread.

    Satisfies `service.changelog.Transactions`. `member` gives the group's metadata as of the last poll. Two processes
    with one `transactional_id`: the later one takes over, and every call of the other fails.
    """

    def __init__(
        self, cluster: Cluster, transactional_id: str, member: Callable[[], Any], *, delivery_seconds: float = 10.0
    ) -> None:
        """Connect, and end what an earlier process of this id left open; BrokerError when that is not possible."""
        super().__init__(
            cluster,
            delivery_seconds=delivery_seconds,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(TRANSACTION_SECONDS * 1000),
        )
        self._id = transactional_id
        self._member = member
        self._open = False
        try:
            self._call("beginning", self._producer.init_transactions)
        except AbandonedError as error:
            self.close(1.0)
            raise BrokerError(f"{error}; is the id allowed to write (ACL on the transactional id)?") from error

    def send(self, message: Message, partition: Partition | None = None) -> None:
        """Hand over within a transaction, which begins with the first message; see `KafkaSink.send`."""
        self._begin()
        super().send(message, partition)

    def flush(self, timeout_seconds: float) -> None:
        """See `KafkaSink.flush`; AbandonedError where a message failed, and with it the transaction."""
        try:
            super().flush(timeout_seconds)
        except UnacknowledgedError:
            raise
        except BrokerError as error:
            raise AbandonedError(f"{error}{_hint(str(error))}") from error

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store all that was sent and these offsets of the group, or nothing.

        `flush` first. AbandonedError: nothing is stored, or nobody knows; this sink is of no more use.
        """
        wanted = {TopicPartition(*key): OffsetAndMetadata(int(offset), "", -1) for key, offset in offsets.items()}
        self._begin()
        self._call("the offsets", self._producer.send_offsets_to_transaction, wanted, self._member())
        self._call("the commit", self._producer.commit_transaction)
        self._open = False

    def abort(self) -> bool:
        """Undo what was sent since the last commit; whether there was anything."""
        if not self._open:
            return False
        self._call("undoing", self._producer.abort_transaction)
        self._open = False
        self.forget()
        return True

    def close(self, timeout_seconds: float) -> None:
        """Undo what is not committed and let go; where that is not possible the broker undoes it after its time."""
        if self._open:
            self._open = False
            with contextlib.suppress(AbandonedError):
                self._call("undoing", self._producer.abort_transaction, seconds=timeout_seconds)
        super().close(timeout_seconds)

    def _begin(self) -> None:
        if not self._open:
            self._call("beginning", self._producer.begin_transaction)
            self._open = True

    def _call(self, what: str, call: Callable[..., Any], *arguments: Any, seconds: float = CALL_SECONDS) -> None:
        """One call of the producer within a time limit; AbandonedError where it fails or does not return."""
        outcome: queue.Queue[BaseException | None] = queue.Queue()

        def work() -> None:
            try:
                call(*arguments)
            except Exception as error:  # noqa: BLE001  whatever it is, the transaction is not to be trusted
                outcome.put(error)
            else:
                outcome.put(None)

        threading.Thread(target=work, name="plumbline-transaction", daemon=True).start()
        where = f"transaction {self._id} at {self._cluster.bootstrap_servers}: {what}"
        try:
            error = outcome.get(timeout=seconds)
        except queue.Empty:
            raise AbandonedError(f"{where} took longer than {seconds:g} s") from None
        if error is None:
            return
        said = in_words(error)
        raise AbandonedError(f"{where} failed: {said}{_hint(said)}") from error


def _hint(said: str) -> str:
    """What the broker means when it no longer takes what a producer sends."""
    fenced = "Fenced" in said or "ProducerEpoch" in said
    return "; another process uses this kafka.transactional_id, or we stood still for too long" if fenced else ""
