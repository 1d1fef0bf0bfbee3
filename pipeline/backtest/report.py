"""What a backtest found, as numbers ready for JSON: no NaN, every count with its unit."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.backtest.backtest import Part
from pipeline.backtest.trace import of_scores
from pipeline.detector.detector import Detector
from pipeline.exceptions import SettingsError
from pipeline.formats.times import iso
from pipeline.monitor.decision import Decision, no_bars, promised
from pipeline.monitor.monitor import Monitor, Tally
from pipeline.monitor.policy import WEEK_MICROSECONDS, Policy
from pipeline.records import Outcome

RAREST = 10
FACTORS = (10.0, 0.1)  # beside the target, so that one can choose
PER_READINGS = 10_000  # incidents are counted per so many readings where weeks mean nothing


def what_if(detector: Detector, policy: Policy) -> list[Policy]:
    """The same policy at ten times and a tenth of its target, where such a promise can be made."""
    others = []
    for factor in FACTORS:
        other = replace(policy, false_alarms=promised(policy, detector).scaled(factor))
        try:
            Decision(detector, other, no_bars())
        except SettingsError:
            continue  # more than half of all readings: such a promise means nothing
        others.append(other)
    return others


@dataclass(slots=True)
class Findings:
    """What is counted while a backtest runs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    muted: Counter[str] = field(default_factory=Counter)  # incidents, by the reason of the mute
    series: set[str] = field(default_factory=set)
    rarest: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    rows: int = 0

    def take(self, part: Part, channels: Sequence[str], clock: str) -> None:
        """Count one part."""
        readings, scores = part.decoded.readings, part.scores
        self.rows += part.batch.num_rows
        for outcome, count in enumerate(np.bincount(scores.outcome, minlength=len(Outcome))[: len(Outcome)].tolist()):
            self.outcomes[Outcome(outcome).name.lower()] += count
        self.outcomes["invalid"] += len(part.decoded.rejected)
        self.invalid.update(rejected.reason.value for rejected in part.decoded.rejected)
        self.alerts.update(alert.event for alert in of_scores(part.alerts) if alert.muted is None)
        self.series.update(readings.names[code] for code in np.unique(readings.series).tolist())
        for row in np.argsort(-scores.score, kind="stable")[:RAREST].tolist():
            if scores.scored[row]:
                shown = {
                    "series": readings.names[readings.series[row]],
                    "timestamp": shown_time(int(readings.at[row]), clock),
                    "score": float(scores.score[row]),
                    "bar": float(scores.bar[row]),
                    "values": _by_channel(channels, readings.values[row], ~readings.missing[row]),
                    "expected": _by_channel(channels, scores.expected[row], np.ones(len(channels), bool)),
                }
                self.rarest.append((-float(scores.score[row]), self.rows, shown))
        self.rarest = heapq.nsmallest(RAREST, self.rarest, key=lambda item: item[:2])


def report(monitor: Monitor, findings: Findings, seconds: float, quality: Mapping[str, Any] | None) -> dict[str, Any]:
    """The report of a backtest that took so many seconds of scoring."""
    detector, tally = monitor.detector, monitor.tally()
    sizes = [len(calibration.sample) for calibration in detector.calibrations]
    finest = 1 / (max(sizes) + 1)
    return {
        "detector": {
            "digest": detector.digest,
            "channels": {channel.name: channel.role for channel in detector.channels},
            "clock": detector.clock,
            "step": detector.step / 1e6 if detector.clock == "time" else detector.step,
            "step_unit": "seconds" if detector.clock == "time" else "samples",
            "series": len(detector.series),
            "calibration_sizes": {"pooled": sizes[0], "own": len(sizes) - 1, "largest": max(sizes)},
            "figures": dict(detector.figures),
        },
        "rows": findings.rows,
        "series": len(findings.series),
        "outcomes": dict(findings.outcomes),
        "invalid": dict(findings.invalid),
        "policy": {
            "bar": monitor.policy.bar,
            "clear_after": monitor.policy.clear_after,
            "stuck_after": monitor.policy.stuck_after,
            "silent_after": monitor.policy.silent_after,
            "budget": None if (budget := monitor.policy.budget) is None else asdict(budget),
            **({} if (grouping := monitor.policy.grouping) is None else {"grouping": asdict(grouping)}),
        },
        "target": tally.target,
        "target_is_finer_than_calibration": tally.target < finest,
        "at_target": _rates(tally, detector),
        "at_other_targets": [_rates(other, detector) for other in monitor.tallies_aside()],
        "alerts": dict(findings.alerts),
        "open_at_the_end": dict(monitor.open_incidents()),
        "held_back": dict(tally.held_back),
        "muted": dict(findings.muted),
        "quiet": {
            kind: {"raised": tally.quiet.get(kind, 0), "open_at_the_end": count}
            for kind, count in monitor.open_quiet().items()
        },
        "rarest": [shown for _, _, shown in findings.rarest],
        "labels": dict(quality) if quality is not None else None,
        "seconds": seconds,
        "readings_per_second": findings.rows / seconds if seconds > 0 else None,
    }


def _rates(tally: Tally, detector: Detector) -> dict[str, Any]:
    """What one policy would have cost and promised."""
    raised = sum(tally.raised.values())
    weeks = detector.clock == "time" and detector.regular
    share = tally.scored * detector.step / WEEK_MICROSECONDS if weeks else tally.scored / PER_READINGS
    unit = "incidents_per_series_week" if weeks else "incidents_per_10000_readings"
    return {
        "target": tally.target,
        "exceedance": tally.exceeded / tally.scored if tally.scored else None,
        "scored": tally.scored,
        "exceeded": tally.exceeded,
        "incidents": raised,
        "by_severity": dict(tally.raised),
        **({} if tally.members is None else {"members": tally.members}),
        unit: raised / share if share else None,
    }


def shown_time(at: int, clock: str) -> str | int:
    """A time for people and for JSON: ISO 8601, or the sample number."""
    return iso(at) if clock == "time" else at


def _by_channel(channels: Sequence[str], values: Any, there: Any) -> dict[str, float | None]:
    return {name: float(v) if t else None for name, v, t in zip(channels, values, there, strict=True)}
