"""What the incidents have in common that no score has to do with: their events, ids and counts."""

from __future__ import annotations

import hashlib
from collections import Counter

from pipeline.detector.detector import Detector
from pipeline.monitor.labels import Labelling
from pipeline.records import Alert, Closing, Deviation, Event, Quiet, QuietKind, Readings


class QuietEvents:
    """Makes events of incidents that are about one series each, and counts those raised."""

    def __init__(self, detector: Detector, labelling: Labelling, name: str) -> None:
        self._detector = detector
        self._labelling = labelling
        self._name = name
        self.raised: Counter[QuietKind] = Counter()

    def event(
        self,
        event: Event,
        kind: QuietKind,
        series: str,
        start: int,
        cause: tuple[Readings, int],
        quiet: Quiet,
        *,
        at: int | None = None,
        channels: tuple[Deviation, ...] = (),
        closing: Closing | None = None,
    ) -> Alert:
        """An event of the incident of this series that began at `start`; `cause` is the reading in a row of some.

        It is of the time `at`, or of the reading's where that is not given.
        """
        readings, row = cause
        at = int(readings.at[row]) if at is None else at
        if event == "raised":
            self.raised[kind] += 1
        return Alert(
            id=quiet_id(self._detector.named_by, kind, series, start),
            event=event,
            at=at,
            detector=self._name,
            digest=self._detector.digest,
            series=series,
            severity="warning",
            start=start,
            end=at if event == "cleared" else None,
            peak_at=0,
            score=0.0,
            bar=0.0,
            target=0.0,
            because=kind,
            span=0,
            one_in=0,
            closing=closing,
            channels=channels,
            partition=int(readings.partition[row]),
            offset=int(readings.offset[row]),
            clock=self._detector.clock,
            labels=self._labelling.of(series),
            kind=kind,
            quiet=quiet,
        )


def quiet_id(digest: str, kind: QuietKind, series: str, start: int) -> str:
    """The name of an incident, apart from those of scores: the same wherever the same readings come."""
    return hashlib.sha256(f"{digest}|{kind}|{series}|{start}".encode()).hexdigest()[:16]
