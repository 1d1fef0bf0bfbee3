"""A topic with the detector that scores it, and a partition of it that is ours."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.monitor.monitor import Monitor
from pipeline.service.ports import Decoder, Restoring, TopicLog


@dataclass(frozen=True, slots=True)
class Served:
    """A detector as it is served: what telemetry says of it once."""

    name: str
    topic: str
    digest: str
    channels: tuple[str, ...]
    target: float  # the promised share of exceeding readings
    step_seconds: float = 0.0  # of its readings; 0 on an index clock


@dataclass(frozen=True, slots=True)
class Stream:
    """One topic, how its records are read, and what remembers its series."""

    detector: str  # its name in the settings
    topic: str
    decoder: Decoder
    monitor: Monitor

    @property
    def served(self) -> Served:
        """What telemetry says of it."""
        detector = self.monitor.detector
        step_seconds = detector.step / 1e6 if detector.clock == "time" else 0.0
        return Served(self.detector, self.topic, detector.digest, detector.names, self.monitor.target, step_seconds)


@dataclass(slots=True)
class Held:
    """A partition that is ours, and how far it has come: restoring, catching up, live."""

    stream: Stream
    restoring: Restoring | None  # until its state is back; nothing is read meanwhile
    next: int = 0  # the offset to observe next
    quiet: int = 0  # below it the outputs are stored already: observed without any
    saved: int | None = None  # as the saved state knows it; None: none is of use
    committed: int | None = None  # by us
    log: TopicLog | None = None  # that the offsets are of

    @property
    def catching_up(self) -> bool:
        """Whether what is observed now is only to be remembered."""
        return self.next < self.quiet

    @property
    def live(self) -> bool:
        """Whether what is observed now is put out and committed."""
        return self.restoring is None and not self.catching_up
