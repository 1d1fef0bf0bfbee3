"""Who is told of alerts: Alertmanager, a webhook, a file of JSON lines. Each takes one notice at a time, in order.

`deliver` returns when whoever is told has it. UndeliveredError: try again; RefusedError: it never will be taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from pipeline.notify.notices import Notice, for_alertmanager, labels_of, webhook_headers
from pipeline.service.ports import Partition

POSTED_AT_ONCE: Final = 200  # alerts in one request
LASTS: Final = 4  # times the pause between two posts, until Alertmanager takes an alert for over

Post = Callable[[str, bytes, Mapping[str, str]], None]  # URL, body, headers
Append = Callable[[Path, bytes], None]


class Channel(Protocol):
    """One way in which people are told."""

    remembers: bool  # what came before is to be learnt at the start

    def learn(self, notice: Notice) -> None: ...  # delivered by an earlier process
    def deliver(self, notice: Notice, now: float) -> None: ...  # seconds since 1970, as in keep_up
    def keep_up(self, now: float) -> None: ...  # asked often
    def forget(self, partition: Partition) -> None: ...  # another process tells of these incidents now


class _Plain:
    """A channel that remembers nothing."""

    remembers = False

    def learn(self, notice: Notice) -> None:
        """Nothing is remembered."""

    def keep_up(self, now: float) -> None:
        """Nothing is to be repeated."""

    def forget(self, partition: Partition) -> None:
        """Nothing is remembered."""


class Webhook(_Plain):
    """A request for each event, its body the alert as it stands in the topic."""

    def __init__(self, url: str, secret: str | None, post: Post) -> None:
        self._url, self._secret, self._post = url, secret, post

    def deliver(self, notice: Notice, now: float) -> None:
        """Post it."""
        self._post(self._url, notice.body, webhook_headers(notice, self._secret, now))


class JsonLines(_Plain):
    """A line for each event, on the disk when `deliver` returns."""

    def __init__(self, path: Path, append: Append) -> None:
        self._path, self._append = path, append

    def deliver(self, notice: Notice, now: float) -> None:  # noqa: ARG002
        """Append it."""
        self._append(self._path, notice.body.rstrip(b"\n") + b"\n")


class Alertmanager:
    """API v2. An alert is over when it is not posted again, so those that are open are, every so many seconds.

    Labels are the same at firing and resolving. The severity is one, for it is routed by: where it changes, the one is
    resolved and the other fires.
    """

    remembers = True

    def __init__(self, url: str, every_seconds: float, post: Post) -> None:
        """`url` is the server's, without /api/v2."""
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._every = every_seconds
        self._post = post
        self._open: dict[str, tuple[Notice, dict[str, str]]] = {}  # by incident
        self._next = 0.0

    def learn(self, notice: Notice) -> None:
        """Know which incidents are open."""
        if notice.alert["event"] == "cleared":
            self._open.pop(notice.alert["id"], None)
        else:
            self._open[notice.alert["id"]] = notice, labels_of(notice.alert)

    def deliver(self, notice: Notice, now: float) -> None:
        """Post the event."""
        alert, over = notice.alert, notice.alert["event"] == "cleared"
        before = self._open.get(alert["id"])
        labels = labels_of(alert)
        if over and before is not None:
            labels = before[1]
        told = [for_alertmanager(alert, labels, now if over else now + LASTS * self._every)]
        if not over and before is not None and before[1] != labels:
            told.append(for_alertmanager(alert, before[1], now))
        self._send(told)
        self.learn(notice)

    def keep_up(self, now: float) -> None:
        """Post all that is open again, when it is time; UndeliveredError where that fails, and it is tried again."""
        if now < self._next:
            return
        until = now + LASTS * self._every
        active = [for_alertmanager(notice.alert, labels, until) for notice, labels in self._open.values()]
        for first in range(0, len(active), POSTED_AT_ONCE):
            self._send(active[first : first + POSTED_AT_ONCE])
        self._next = now + self._every

    def forget(self, partition: Partition) -> None:
        """Post the incidents of a partition no longer."""
        self._open = {name: each for name, each in self._open.items() if each[0].partition != partition}

    def _send(self, alerts: list[dict[str, Any]]) -> None:
        self._post(self._url, msgspec.json.encode(alerts), {"content-type": "application/json"})
