"""The courier of one channel: its place in the alerts topic, and what it delivers from there.

The topic is the queue. A courier is a group of its own, and commits an offset when what stands before it was delivered:
so a channel that is down holds up nobody else, and loses nothing for as long as the topic keeps it. What was delivered
and not committed when a process is killed is delivered again, under the same id.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from pipeline.exceptions import BrokerError, OffsetLostError, RefusedError, UndeliveredError
from pipeline.notify.channels import Channel
from pipeline.notify.figures import Figures
from pipeline.notify.notices import Notice, notice_of
from pipeline.service.ports import Clock, Partition, Poll, Record, Source, Stop

log = logging.getLogger("plumbline.notify")

POLL_SECONDS: Final = 0.5
COMMIT_SECONDS: Final = 1.0
MOST_IN_HAND: Final = 2_000  # notices above which nothing more is read
LONGEST_PAUSE: Final = 60.0  # between two attempts, unless more is asked for
AT_A_TIME: Final = 1.0  # seconds of deliveries between two polls


class Courier:
    """Delivers the alerts of a topic to one channel; to be used by one thread."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        connect: Callable[[], Source],
        before: Callable[[Partition, int], Iterable[Record]],
        clock: Clock,
        figures: Figures,
        *,
        from_start: bool = False,
    ) -> None:
        """`before` gives the records of a partition below an offset, for a channel that remembers.

        A group that never was begins at the end of the topic, or at its first record where `from_start`.
        """
        self._name, self._channel = name, channel
        self._connect, self._before = connect, before
        self._clock, self._figures = clock, figures
        self._from_start = from_start
        self._source: Source | None = None
        self._queue: deque[Notice | tuple[Partition, int]] = deque()  # or the place of a record that is no alert
        self._done: dict[Partition, int] = {}  # the next offset to be delivered
        self._committed: dict[Partition, int] = {}
        self._paused = False
        self._failures = 0  # in a row, of the first in the queue
        self._retry_at = 0.0  # on the monotonic clock, as is the next
        self._commit_at = 0.0

    def run(self, stop: Stop) -> None:
        """Deliver until asked to stop."""
        pause = 1.0
        while not stop.asked():
            try:
                self.turn()
                pause = 1.0
            except BrokerError as error:
                log.error("broker failed", extra={"facts": {"channel": self._name, "reason": str(error)}})
                self._let_go()
                stop.wait(pause)
                pause = min(2 * pause, 30.0)
        self.stop()

    def turn(self) -> None:
        """Poll, deliver for a while, commit when it is due; BrokerError: all is to be begun anew."""
        source = self._source = self._source or self._connect()
        try:
            poll = source.poll(0.1 if self._queue else POLL_SECONDS)
        except OffsetLostError as error:
            self._begin(source, [Partition(*key) for key in error.partitions])
            return
        self._exchange(source, poll)
        for partition, records in poll.records.items():
            self._queue.extend(self._taken(partition, record) for record in records)
        self._hold_back(source)
        self._deliver()
        if self._clock.monotonic() >= self._commit_at:
            self._commit(source)
        self._figures.waiting(self._name, len(self._queue) + sum(source.lag_records().values()))

    def stop(self) -> None:
        """Commit what was delivered, and leave the group."""
        if self._source is not None:
            try:
                self._commit(self._source)
            except BrokerError as error:
                log.error("not committed", extra={"facts": {"channel": self._name, "reason": str(error)}})
        self._let_go()

    def _let_go(self) -> None:
        source, self._source = self._source, None
        for partition in self._done:
            self._channel.forget(partition)
        self._queue.clear()
        self._done.clear()
        self._committed.clear()
        self._paused = False
        if source is not None:
            try:
                source.close(1.0)
            except BrokerError:
                return  # it is gone

    def _exchange(self, source: Source, poll: Poll) -> None:
        gone = {*poll.revoked, *poll.lost}
        if gone:
            self._queue = deque(each for each in self._queue if _where(each)[0] not in gone)
            for partition in gone:
                self._done.pop(partition, None)
                self._committed.pop(partition, None)
                self._channel.forget(partition)
        self._begin(source, poll.assigned)

    def _begin(self, source: Source, partitions: Iterable[Partition]) -> None:
        """Find the place in each partition, and learn what was delivered before it."""
        for partition in partitions:
            committed, (first, end) = source.committed(partition), source.bounds(partition)
            begin = (first if self._from_start else end) if committed is None else min(max(committed, first), end)
            if committed is not None and committed < first:
                facts = {"channel": self._name, "records_lost": first - committed}
                log.warning("alerts were deleted before they were delivered", extra={"facts": facts})
            if self._channel.remembers and begin > first:
                for record in self._before(partition, begin):
                    known = self._taken(partition, record)
                    if isinstance(known, Notice):
                        self._channel.learn(known)
            source.seek(partition, begin)
            source.resume([partition])
            self._done[partition] = begin
            if committed is None:  # or a restart would begin at the end of then
                source.commit({partition: begin})
            self._committed[partition] = begin

    def _taken(self, partition: Partition, record: Record) -> Notice | tuple[Partition, int]:
        notice = notice_of(partition, record.offset, record.value, tuple(record.headers))
        return (partition, record.offset) if notice is None else notice

    def _hold_back(self, source: Source) -> None:
        if not self._paused and len(self._queue) > MOST_IN_HAND:
            source.pause(list(self._done))
            self._paused = True
        elif self._paused and len(self._queue) <= MOST_IN_HAND // 2:
            source.resume(list(self._done))
            self._paused = False

    def _deliver(self) -> None:
        """Deliver from the front of the queue, until it fails or a poll is due; and let the channel keep up."""
        began = self._clock.monotonic()
        if began < self._retry_at:
            return
        try:
            while self._queue and self._clock.monotonic() - began < AT_A_TIME:
                self._one(self._queue[0])
                partition, offset = _where(self._queue.popleft())
                self._done[partition] = offset + 1
            self._channel.keep_up(self._clock.now())
            self._failures = 0
        except UndeliveredError as error:
            pause = max(min(2.0**self._failures, LONGEST_PAUSE), error.after)
            self._failures = min(self._failures + 1, 10)
            self._retry_at = self._clock.monotonic() + pause
            self._figures.counted(self._name, "retried")
            facts = {"channel": self._name, "again_in_seconds": round(pause), "reason": str(error)}
            log.warning("not delivered", extra={"facts": facts})

    def _one(self, taken: Notice | tuple[Partition, int]) -> None:
        if not isinstance(taken, Notice):
            self._figures.counted(self._name, "unreadable")
            log.warning("no alert", extra={"facts": {"channel": self._name, "partition": taken[0], "offset": taken[1]}})
            return
        try:
            self._channel.deliver(taken, self._clock.now())
        except RefusedError as error:
            self._figures.counted(self._name, "refused")
            facts = {"channel": self._name, "id": taken.event_id, "reason": str(error)}
            log.error("refused, and left out", extra={"facts": facts})
            return
        self._failures = 0
        self._figures.counted(self._name, "delivered")

    def _commit(self, source: Source) -> None:
        self._commit_at = self._clock.monotonic() + COMMIT_SECONDS
        moved = {key: offset for key, offset in self._done.items() if self._committed.get(key) != offset}
        if moved:
            source.commit(moved)
            self._committed |= moved


def _where(taken: Notice | tuple[Partition, int]) -> tuple[Partition, int]:
    return (taken.partition, taken.offset) if isinstance(taken, Notice) else taken
