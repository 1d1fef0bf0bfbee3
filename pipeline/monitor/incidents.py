"""Incidents: raised, followed and cleared, so that a fault that lasts is one and does not flicker.

Only series that exceed, leave their valid range, or have an incident open are looked at, reading by reading.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.monitor.budget import Ledger, Spent
from pipeline.monitor.labels import Labelling
from pipeline.monitor.policy import ChannelRule, Policy
from pipeline.monitor.table import Columns
from pipeline.records import Alert, Closing, Deviation, Event, Flags, Floats, Ints, Outcome, Readings, Scores

TAKEN = int(Outcome.WARMING)  # outcomes up to this one: the reading was taken into its series
POINT_SPAN = 5  # readings: what weighs most over a longer span is a deviation that lasts


@dataclass(slots=True)
class Open(Columns):
    """The open incident of a series: S slots, C channels."""

    open: Flags  # (S,)
    start: Ints  # (S,) the time of the reading that raised it
    raised_at: Floats  # (S,) the bar at raising, in decades
    calm: Ints  # (S,) calm readings in a row
    critical: Flags  # (S,)
    peak: Floats  # (S,) decades
    peak_at: Ints  # (S,)
    span: Ints  # (S,) of the smoothed error that weighed most at the peak; 0: a value out of its valid range
    contribution: Floats  # (S, C) sums of each channel's share in the error


def none_open(channels: int) -> Open:
    """Columns without a row."""
    flags, counts, numbers = np.zeros((2, 0), bool), np.zeros((4, 0), np.int64), np.zeros((2, 0))
    contribution = np.zeros((0, channels))
    return Open(flags[0], counts[0], numbers[0], counts[1], flags[1], numbers[1], counts[2], counts[3], contribution)


@dataclass(frozen=True, slots=True)
class Judged:
    """N readings as the incidents see them; `scores.alert` is decided here."""

    readings: Readings
    scores: Scores
    reset: Flags  # (N,) the reading came after a long gap
    known: Flags  # (N,) there was a forecast
    share: Floats  # (N, C) each channel's share in the error of the reading, 0 to 1
    span: Ints  # (N,) of the smoothed error that weighed most, in readings
    target: Floats  # (N,) the promised share of exceeding readings
    calibration: Ints  # (N,)


class Incidents:
    """The life of incidents under one policy."""

    def __init__(self, detector: Detector, policy: Policy, columns: Open, spent: Spent, name: str) -> None:
        self._detector = detector
        self._columns = columns
        self._ledger = Ledger(detector, policy.budget, spent)
        self._clear_after = policy.clear_after
        self._labelling = Labelling(policy.labels)
        self._name = name
        self._rules = [policy.channels.get(channel, ChannelRule()) for channel in detector.names]
        limits = np.array([rule.valid_range or (-np.inf, np.inf) for rule in self._rules])
        self._low, self._high = limits[:, 0], limits[:, 1]
        self.raised: Counter[str] = Counter()  # by severity at raising
        self.held_back: Counter[str] = Counter()  # exceeding readings that raised nothing, by rule

    def follow(self, judged: Judged, slots: Ints) -> tuple[Flags, list[tuple[int, Alert]]]:
        """Whether an incident is open after each of N readings (N,), and the events in order, each with its row."""
        outside = self._outside(judged)
        columns, alert = self._columns, np.zeros(len(slots), bool)
        concerned = columns.open.copy()
        concerned[slots[judged.scores.exceeds | outside]] = True
        rows = np.flatnonzero(concerned[slots])
        events: list[tuple[int, Alert]] = []
        for row, slot in zip(rows.tolist(), slots[rows].tolist(), strict=True):
            if judged.reset[row] and columns.open[slot]:
                events.append((row, self._close(judged, row, slot, "gap")))
            if judged.scores.outcome[row] <= TAKEN:
                events += [(row, event) for event in self._take(judged, row, slot, bool(outside[row]))]
            alert[row] = columns.open[slot]
        return alert, events

    def _outside(self, judged: Judged) -> Flags:
        """Which of the readings that were taken have a value outside its valid range, (N,)."""
        outside = self._out_of_range(judged.readings.values) & ~judged.readings.missing
        return np.asarray(outside.any(axis=1) & (judged.scores.outcome <= TAKEN))

    def _out_of_range(self, values: Floats) -> Flags:
        """Which values (..., C) are outside their valid range; a missing one, NaN, is not."""
        return (values < self._low) | (values > self._high)

    def _take(self, judged: Judged, row: int, slot: int, outside: bool) -> list[Alert]:
        """Raise, follow or clear on one reading; the events, where there are any."""
        columns, score = self._columns, float(judged.scores.score[row])
        if not columns.open[slot]:
            raises = outside or (judged.scores.exceeds[row] and not self._held_back(judged, row))
            return self._raise(judged, row, slot, outside) if raises else []
        columns.contribution[slot] += judged.share[row]
        if score > columns.peak[slot]:
            columns.peak[slot] = score
            columns.peak_at[slot] = judged.readings.at[row]
            columns.span[slot] = judged.span[row] if columns.span[slot] else 0
        calm = not outside and self._is_calm(judged, row, slot)
        columns.calm[slot] = columns.calm[slot] + 1 if calm else 0
        if columns.calm[slot] >= self._clear_after:
            return [self._close(judged, row, slot, "calm")]
        if (outside or score >= columns.raised_at[slot] + 1) and not columns.critical[slot]:
            columns.critical[slot] = True
            return [self._event("updated", judged, row, slot)]
        return []

    def _is_calm(self, judged: Judged, row: int, slot: int) -> bool:
        """Whether a reading is well below the bar at raising; below its own where there was none, in warming."""
        raised_at = float(self._columns.raised_at[slot])
        if raised_at <= 0:
            return not judged.scores.exceeds[row]
        return float(judged.scores.score[row]) < max(raised_at - 1, raised_at / 2)

    def _raise(self, judged: Judged, row: int, slot: int, outside: bool) -> list[Alert]:
        columns, score, bar = self._columns, float(judged.scores.score[row]), float(judged.scores.bar[row])
        columns.open[slot] = True
        columns.start[slot] = columns.peak_at[slot] = judged.readings.at[row]
        columns.raised_at[slot] = bar
        columns.peak[slot] = score
        columns.critical[slot] = outside or score >= bar + 1
        columns.span[slot] = 0 if outside else judged.span[row]
        columns.contribution[slot] = judged.share[row]
        self.raised["critical" if columns.critical[slot] else "warning"] += 1
        at, partition = int(judged.readings.at[row]), int(judged.readings.partition[row])
        last = self._ledger.take(at, partition, slot, score)
        return [
            self._event(event, judged, row, slot) for event in (("raised", "budget_spent") if last else ("raised",))
        ]

    def _close(self, judged: Judged, row: int, slot: int, closing: Closing) -> Alert:
        event = self._event("cleared", judged, row, slot, closing)
        self._columns.clear(slot)
        return event

    def _held_back(self, judged: Judged, row: int) -> bool:
        """Whether the rules leave less than half of an exceeding reading's error standing, or the budget is spent.

        Counted by rule.
        """
        held: dict[str, float] = defaultdict(float)
        for channel, rule in enumerate(self._rules):
            expected = float(judged.scores.expected[row, channel])
            change = float(judged.readings.values[row, channel]) - expected
            held[ignored_by(rule, change, expected)] += float(judged.share[row, channel])
        if held.pop("", 0.0) >= 0.5 or not held:
            readings, score = judged.readings, float(judged.scores.score[row])
            if self._ledger.allows(int(readings.at[row]), int(readings.partition[row]), score):
                return False
            held = {"budget": 1.0}
        self.held_back[max(held, key=lambda reason: held[reason])] += 1
        return True

    def _event(self, event: Event, judged: Judged, row: int, slot: int, closing: Closing | None = None) -> Alert:
        columns, readings, detector = self._columns, judged.readings, self._detector
        series, start = readings.names[readings.series[row]], int(columns.start[slot])
        peak, span = float(columns.peak[slot]), int(columns.span[slot])
        return Alert(
            id=incident_id(detector.named_by, series, start),
            event=event,
            at=int(readings.at[row]),
            detector=self._name,
            digest=detector.digest,
            series=series,
            severity="critical" if columns.critical[slot] else "warning",
            start=start,
            end=max(start, int(readings.at[row])) if event == "cleared" else None,  # a start far ahead was a wrong time
            peak_at=int(columns.peak_at[slot]),
            score=peak,
            bar=float(columns.raised_at[slot]),
            target=float(judged.target[row]),
            because="range" if span == 0 else "point" if span <= POINT_SPAN else "sustained",
            span=span,
            one_in=detector.calibrations[judged.calibration[row]].one_in(peak),
            closing=closing,
            channels=self._deviations(judged, row, columns.contribution[slot], by_range=span == 0),
            partition=int(readings.partition[row]),
            offset=int(readings.offset[row]),
            clock=detector.clock,
            labels=self._labelling.of(series),
        )

    def _deviations(self, judged: Judged, row: int, contribution: Floats, by_range: bool) -> tuple[Deviation, ...]:
        """Each channel at this reading, the largest contribution first; before it what left its range and so raised."""
        total = float(contribution.sum()) or 1.0
        readings, scores, known = judged.readings, judged.scores, bool(judged.known[row])

        def of(channel: int) -> Deviation:
            return Deviation(
                channel=self._detector.names[channel],
                unit=self._rules[channel].unit,
                value=None if readings.missing[row, channel] else float(readings.values[row, channel]),
                expected=float(scores.expected[row, channel]) if known else None,
                lower=float(scores.lower[row, channel]) if known else None,
                upper=float(scores.upper[row, channel]) if known else None,
                contribution=float(contribution[channel]) / total,
            )

        inside = ~(self._out_of_range(readings.values[row]) & ~readings.missing[row] & by_range)
        return tuple(of(channel) for channel in np.lexsort((-contribution, inside)).tolist())


def incident_id(digest: str, series: str, start: int) -> str:
    """The name of an incident: 16 hex digits, the same wherever the same readings are scored by the same detector."""
    return hashlib.sha256(f"{digest}|{series}|{start}".encode()).hexdigest()[:16]


def ignored_by(rule: ChannelRule, change: float, expected: float) -> str:
    """The part of the rule that makes a deviation not worth an alert; empty where there is none."""
    if (rule.direction == "above" and change < 0) or (rule.direction == "below" and change > 0):
        return "direction"
    if abs(change) < max(rule.ignore_below, rule.ignore_below_percent / 100 * abs(expected)):
        return "ignore_below"
    return ""
