"""A topic with the detector that scores it, what its records come to, and a partition of it that is ours."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.monitor.monitor import Monitor
from pipeline.records import Alert, Decoded, Ignored, Ints, Outcome, Readings, Rejected, Scores
from pipeline.service.ports import Decoder, Record, Restoring, TopicLog
from pipeline.service.resumption import Resumption


@dataclass(frozen=True, slots=True)
class Observed:
    """What records came to, and is to be put out and counted."""

    readings: Readings
    scores: Scores  # of these readings
    alerts: list[Alert]  # that are to be told
    muted: list[Alert]  # that are not
    rejected: list[tuple[Record, Rejected]]
    ignored: list[Ignored]
    beside: Ints  # (O,) by Outcome: records that are no reading by themselves and not rejected
    fine: int  # records, or parts of them, that are not rejected
    replayed: int  # records that were observed in silence: what they came to was put out before

    @property
    def letters(self) -> list[tuple[Record, Rejected]]:
        """The rejected records, each once: of one with several parts that are no readings the first of these."""
        first: dict[int, tuple[Record, Rejected]] = {}
        for record, one in self.rejected:
            first.setdefault(one.row, (record, one))
        return list(first.values())


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

    def observe(self, records: Sequence[Record], decoded: Decoded, below: Ints | None) -> Observed:
        """Take records and what they were decoded to; nothing is told of those below an offset by partition number."""
        readings, settled, scores, alerts = self.monitor.follow(decoded.readings)
        rejected = [(records[one.row], one) for one in decoded.rejected]
        ignored, fine = list(decoded.ignored), len(decoded.rows)
        outcomes, replayed = settled.outcome, 0
        if below is not None:
            aloud = readings.offset >= below[readings.partition]
            readings, scores = readings[aloud], scores[aloud]
            alerts = [alert for alert in alerts if alert.offset >= below[alert.partition]]
            rejected = [(record, one) for record, one in rejected if record.offset >= below[record.partition]]
            heard = [record.offset >= below[record.partition] for record in records]
            ignored = [one for one in ignored if heard[one.row]]
            fine = int(np.count_nonzero(decoded.readings.offset >= below[decoded.readings.partition]))
            outcomes = outcomes[settled.offset >= below[settled.partition]]
            replayed = heard.count(False)
        beside = np.bincount(outcomes, minlength=len(Outcome)).astype(np.int64)
        beside[Outcome.IGNORED] += len(ignored)
        told = [alert for alert in alerts if alert.muted is None]
        muted = [alert for alert in alerts if alert.muted is not None]
        return Observed(readings, scores, told, muted, rejected, ignored, beside, fine + len(ignored), replayed)

    @property
    def served(self) -> Served:
        """What telemetry says of it."""
        detector = self.monitor.detector
        step_seconds = detector.step / 1e6 if detector.clock == "time" else 0.0
        return Served(self.detector, self.topic, detector.digest, detector.names, self.monitor.target, step_seconds)


class Passed(NamedTuple):
    """How far a partition had come when the records behind were found to be gone: nothing below that is lost."""

    log: TopicLog  # that the offset is of
    offset: int


@dataclass(slots=True)
class Held:
    """A partition that is ours, and how far it has come: restoring, catching up, live."""

    stream: Stream
    restoring: Restoring | None  # until its state is back; nothing is read meanwhile
    returning: Generator[None, None, Resumption] | None = None  # the same as work under way
    next: int = 0  # the offset to observe next
    quiet: int = 0  # below it the outputs are stored already: observed without any
    saved: int | None = None  # as the saved state knows it; None: none is of use
    committed: int | None = None  # by us
    log: TopicLog | None = None  # that the offsets are of
    at_end: bool = False  # it began at the end of its log: another start would begin elsewhere until it is committed
    passed: Passed | None = None  # where it begins anew behind a loss

    @property
    def catching_up(self) -> bool:
        """Whether what is observed now is only to be remembered."""
        return self.next < self.quiet

    @property
    def live(self) -> bool:
        """Whether what is observed now is put out and saved."""
        return self.restoring is None and not self.catching_up

    @property
    def reached(self) -> int:
        """The offset below which all is put out, now or before."""
        return self.next if self.live else self.quiet
