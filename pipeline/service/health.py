"""Whether the service turns, and whether it does its work: what a probe asks, answered with a reason.

Healthy says that the loop came round within its deadline; a process that is not is to be restarted. Ready says that
readings are scored and committed, or would be if any came; a process that is not deserves a look and not a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from pipeline.service.ports import Clock, Partition


class Answer(NamedTuple):
    """What a probe is told."""

    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each thing may take before a probe hears of it, in seconds."""

    turn: float = 120.0  # between two turns of the loop; joining a group may take one minute of it
    commit: float = 180.0  # between a reading, or a commit that failed, and the next commit that succeeds
    stuck: float = 300.0  # without a record read from a partition that has unread ones

    def __post_init__(self) -> None:
        for name in ("turn", "commit", "stuck"):
            if not getattr(self, name) > 0:
                raise ValueError(f"the deadline `{name}` is {getattr(self, name)} seconds: it must be above 0")


class Health:
    """What the loop last did and when, written by the loop and read by the probes of another thread."""

    def __init__(self, clock: Clock, deadlines: Deadlines = Deadlines()) -> None:
        self._clock = clock
        self._deadlines = deadlines
        self._lock = Lock()
        self._turned_at = clock.monotonic()
        self._assigned: frozenset[Partition] | None = None  # None: not yet a member of the group
        self._commit_due_since: float | None = None
        self._waiting_since: dict[
            Partition, float
        ] = {}  # since when a partition's unread records wait for the first read
        self._unread: dict[Partition, int] = {}
        self._stopping = False

    def turned(self) -> None:
        """The loop came round; to be called inside long work too, such as a restore."""
        self._turned_at = self._clock.monotonic()

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """The group gave these partitions, all that are ours now; none of them is an idle standby."""
        with self._lock:
            self._assigned = frozenset(partitions)
            self._unread = {key: count for key, count in self._unread.items() if key in self._assigned}
            self._waiting_since = {key: since for key, since in self._waiting_since.items() if key in self._assigned}

    def disconnected(self) -> None:
        """The connection to Kafka was given up; nothing is assigned until the group answers the next one."""
        with self._lock:
            self._assigned = None
            self._unread, self._waiting_since = {}, {}

    def commit_due(self) -> None:
        """Records were taken in that no commit covers yet, or a commit failed."""
        if self._commit_due_since is None:
            self._commit_due_since = self._clock.monotonic()

    def committed(self) -> None:
        """All that was observed is committed."""
        self._commit_due_since = None

    def unread(self, remaining: Mapping[Partition, int], read: Collection[Partition]) -> None:
        """How many records wait in each partition after a poll that brought records of the partitions `read`."""
        now = self._clock.monotonic()
        with self._lock:
            ours = self._assigned or frozenset()
            self._unread = {key: count for key, count in remaining.items() if count > 0 and key in ours}
            self._waiting_since = {
                key: now if key in read else self._waiting_since.get(key, now) for key in self._unread
            }

    def stopping(self) -> None:
        """A stop was asked for: what is in hand is finished, nothing new is taken."""
        self._stopping = True

    def healthy(self) -> Answer:
        """Whether the loop came round within its deadline."""
        idle, limit = self._clock.monotonic() - self._turned_at, self._deadlines.turn
        if idle > limit:
            return Answer(False, f"the loop has not turned for {idle:.0f} s; at most {limit:.0f} s are allowed")
        return Answer(True, f"the loop turned {idle:.0f} s ago")

    def ready(self) -> Answer:
        """Whether readings are scored and committed, or would be if any came."""
        if self._stopping:
            return Answer(False, "stopping: what is in hand is being finished")
        if not (healthy := self.healthy()).ok:
            return healthy
        with self._lock:
            assigned, since = self._assigned, self._commit_due_since
            stuck = self._stuck()
        if assigned is None:
            return Answer(False, "starting: the consumer group has not answered yet; is Kafka reachable?")
        if since is not None and (late := self._clock.monotonic() - since) > self._deadlines.commit:
            limit = self._deadlines.commit
            return Answer(False, f"a commit has been due for {late:.0f} s; at most {limit:.0f} s are allowed")
        if stuck is not None:
            return Answer(False, stuck)
        if not assigned:
            return Answer(True, "idle standby: the consumer group needs no further member for its partitions")
        return Answer(True, f"partitions assigned: {len(assigned)}")

    def _stuck(self) -> str | None:
        now = self._clock.monotonic()
        for (topic, number), since in self._waiting_since.items():
            if now - since > self._deadlines.stuck:
                count = self._unread[Partition(topic, number)]
                return f"{topic}[{number}] has {count} unread records and none was read for {now - since:.0f} s"
        return None
