"""What is kept of one lane until it is drawn and judged: readings, scores and labels of each of its series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.backtest.backtest import Part
from pipeline.formats.frames import LABEL, labels
from pipeline.records import Alert, Flags, Readings, Scores, Severity, join, joined


@dataclass(frozen=True, slots=True)
class Trace:
    """One series as it was replayed: N readings in order, and the events they caused."""

    series: str
    readings: Readings
    scores: Scores
    alerts: list[Alert]
    labels: Flags | None  # (N,) known anomalies; None where the file has no such column
    labelled: Flags | None  # (N,) where the label is known

    @property
    def incidents(self) -> list[tuple[int, int | None, Severity]]:
        """Start, end and severity of each incident of its scores; no end where it is still open."""
        found: dict[str, tuple[int, int | None, Severity]] = {}
        for alert in of_scores(self.alerts):
            found[alert.id] = (alert.start, alert.end, alert.severity)
        return list(found.values())


def of_scores(alerts: Iterable[Alert]) -> list[Alert]:
    """The events of incidents that scores have raised."""
    return [alert for alert in alerts if alert.kind == "anomaly"]


@dataclass(slots=True)
class Tracing:
    """Gathers the parts of one lane."""

    parts: list[Part] = field(default_factory=list)

    def traces(self) -> Iterator[Trace]:
        """The series of the lane, in the order of their first readings."""
        if not any(len(part.decoded.readings) for part in self.parts):
            return
        readings = join([part.decoded.readings for part in self.parts])
        scores = joined([part.scores for part in self.parts])
        alerts = [alert for part in self.parts for alert in part.alerts]
        known = _labels(self.parts)
        for code in dict.fromkeys(readings.series.tolist()):
            mine, name = readings.series == code, readings.names[code]
            yield Trace(
                name,
                readings[mine],
                scores[mine],
                [alert for alert in alerts if alert.series == name],
                known[0][mine] if known else None,
                known[1][mine] if known else None,
            )


def _labels(parts: Sequence[Part]) -> tuple[Flags, Flags] | None:
    """The label of each reading and whether it is known, both (N,); None where a part has none."""
    if any(LABEL not in part.batch.schema.names for part in parts):
        return None
    pairs = [(part.decoded.rows, *labels(part.batch)) for part in parts]
    positive = np.concatenate([positive[rows] for rows, positive, _ in pairs])
    return positive, np.concatenate([known[rows] for rows, _, known in pairs])
