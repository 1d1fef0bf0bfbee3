"""A topic with the detector that scores it, and a partition of it that is ours."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.monitor.monitor import Monitor
from pipeline.service.ports import Decoder


@dataclass(frozen=True, slots=True)
class Stream:
    """One topic, how its records are read, and what remembers its series."""

    detector: str  # its name in the settings
    topic: str
    decoder: Decoder
    monitor: Monitor


@dataclass(slots=True)
class Held:
    """A partition that is ours, and how far it has come."""

    stream: Stream
    next: int  # the offset to observe next
    quiet: int  # below it the outputs are stored already: observed without any
    saved: int | None = None  # as the state on disk knows it

    @property
    def catching_up(self) -> bool:
        """Whether what is observed now is only to be remembered."""
        return self.next < self.quiet
