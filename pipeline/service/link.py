"""The connection to Kafka: made at the start, dropped when it can no longer be trusted, made anew after a pause."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from pipeline.exceptions import BrokerError
from pipeline.service.ports import Checkpoints, Sink, Source

FIRST_PAUSE = 1.0  # seconds


class Connection(NamedTuple):
    """One membership in the group, and what goes with it."""

    source: Source
    sink: Sink
    checkpoints: Checkpoints


class Link:
    """The connection that there is, or none."""

    def __init__(self, connect: Callable[[], Connection], longest_pause: float) -> None:
        """Nothing is connected yet; pauses in seconds."""
        self.connection: Connection | None = None
        self.pause = FIRST_PAUSE  # before the next attempt
        self._connect = connect
        self._longest_pause = longest_pause

    def by(self, connect: Callable[[], Connection]) -> None:
        """Connect in another way the next time."""
        self._connect = connect

    def make(self) -> Connection:
        """Connect; BrokerError when that is not possible, and the next pause is twice as long."""
        try:
            self.connection = self._connect()
        except BrokerError:
            self.pause = min(2 * self.pause, self._longest_pause)
            raise
        return self.connection

    def proved(self) -> None:
        """It works: should it break, the first pause is short again."""
        self.pause = FIRST_PAUSE

    def close(self, timeout_seconds: float) -> None:
        """Leave the group and let go of the producers; what fails here shows when the next connection resumes."""
        connection, self.connection = self.connection, None
        for part in connection or ():
            with suppress(BrokerError):
                part.close(timeout_seconds)
