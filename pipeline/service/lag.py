"""How far behind each partition is, in records and in time.

The oldest unread record is younger than the last one read, and came after the last time when nothing was unread: its
age is the smaller of the two spans at most, so that the first record after a quiet night is not hours late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import NamedTuple

from pipeline.service.ports import Clock, Partition, Record


class Behind(NamedTuple):
    """How far behind one partition is."""

    partition: Partition
    records: int
    seconds: float | None  # None: unread records, and none of them seen yet


class Lag:
    """What polls said of the partitions that are ours; written by the loop, read by a scrape of another thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._ours: frozenset[Partition] = frozenset()
        self._unread: dict[Partition, int] = {}
        self._since: dict[Partition, float] = {}  # the oldest unread record is not older than this

    def only(self, partitions: frozenset[Partition]) -> None:
        """These are ours now; all others are forgotten."""
        with self._lock:
            self._ours = partitions
            self._unread = {key: count for key, count in self._unread.items() if key in partitions}
            self._since = {key: since for key, since in self._since.items() if key in partitions}

    def polled(self, unread: Mapping[Partition, int], read: Mapping[Partition, Sequence[Record]]) -> None:
        """How many records are unread after a poll that brought the records `read`."""
        now = self._clock.now()
        with self._lock:
            self._unread = {key: count for key, count in unread.items() if key in self._ours}
            for partition, count in self._unread.items():
                if count == 0:
                    self._since[partition] = now
                elif records := read.get(partition):
                    written = records[-1].timestamp / 1000
                    self._since[partition] = max(written, self._since.get(partition, written))

    def behind(self) -> list[Behind]:
        """How far behind each partition is now."""
        now = self._clock.now()
        with self._lock:
            return [Behind(key, count, self._seconds(key, count, now)) for key, count in self._unread.items()]

    def _seconds(self, partition: Partition, unread: int, now: float) -> float | None:
        if unread == 0:
            return 0.0
        since = self._since.get(partition)
        return None if since is None else max(0.0, now - since)
