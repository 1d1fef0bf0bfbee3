"""What is counted of deliveries, and whether a channel is in trouble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from pipeline.service.ports import Clock

Result = Literal["delivered", "retried", "refused", "unreadable"]
TROUBLED_SECONDS = 60.0  # without a delivery while something waits


class Figures:
    """On a registry that is passed in; `healthy` and `ready` answer the probes."""

    def __init__(self, registry: CollectorRegistry, clock: Clock, channels: Sequence[str]) -> None:
        self._clock = clock
        self._results = Counter(
            "plumbline_notifications",
            "Alerts by what became of them; retried counts attempts that failed.",
            ("channel", "result"),
            registry=registry,
        )
        self._waiting = Gauge(
            "plumbline_waiting_notifications", "Alerts that are not delivered yet.", ("channel",), registry=registry
        )
        self._last: dict[str, float] = {}  # the last time that nothing waited, or something was delivered
        for channel in channels:
            self._last[channel] = clock.monotonic()
            self._waiting.labels(channel).set(0)
            for result in get_args(Result):
                self._results.labels(channel, result)

    def counted(self, channel: str, result: Result) -> None:
        """One alert was delivered, or not."""
        self._results.labels(channel, result).inc()
        if result != "retried":
            self._last[channel] = self._clock.monotonic()

    def waiting(self, channel: str, count: int) -> None:
        """So many are not delivered yet."""
        self._waiting.labels(channel).set(count)
        if not count:
            self._last[channel] = self._clock.monotonic()

    def healthy(self) -> tuple[bool, str]:
        """The process answers."""
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        """Whether every channel delivers what there is."""
        now = self._clock.monotonic()
        late = [name for name, at in self._last.items() if now - at > TROUBLED_SECONDS]
        return (False, f"nothing delivered for a minute: {', '.join(late)}") if late else (True, "ok")
