"""Why a reading was or was not flagged: its series replayed up to it, and all that its outcome was made of.

Every number is the Monitor's own. What another value would have done is asked of a Monitor too: it is given the state
before the reading, and the reading with that value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.backtest.trace import of_scores
from pipeline.detector.calibration import Calibration
from pipeline.detector.detector import Detector
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.parts import Parts, Standing, join_parts
from pipeline.monitor.policy import ChannelRule, Policy
from pipeline.records import Alert, Clock, Deviation, Outcome, Readings, Scores, joined

ROWS_AT_ONCE = 8192
BEFORE, AFTER = 240, 60  # readings: the neighbourhood
MOST_TRIED = 8  # channels, those with the largest share: each costs some fifty readings
FARTHEST = 24.0  # deviations from the forecast: beyond, a reading is clipped and a farther one changes nothing
HALVINGS = 14  # of an interval as wide as the value's distance from the forecast: four digits of it


@dataclass(frozen=True, slots=True)
class Limits:
    """From which values on a channel alone would have had the reading flagged, the others as they were."""

    below: float | None  # None: no value below the expected one would have
    above: float | None
    anyway: bool  # it would have been flagged even where the channel is as expected


@dataclass(frozen=True, slots=True)
class ChannelPart:
    """One channel of the reading."""

    position: int  # among the detector's channels
    deviation: Deviation  # the contribution is its share in the error of this reading
    rule: ChannelRule
    scored: bool  # False: it only feeds the network
    commons: float | None  # the residual in roots of the mean squared one that is common for the channel, and there
    limits: Limits | None  # None where it was not tried


@dataclass(frozen=True, slots=True)
class ViewPart:
    """One smoothed error of one view."""

    view: str
    span: int  # readings
    error: float  # of this reading
    smoothed: float
    high: float  # the 99 % quantile in calibration that it is held against
    level: float
    weight: float  # of the level in F
    share: float  # in F, 0 to 1


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """N readings of the series around the one that is explained, as they were scored."""

    readings: Readings
    scores: Scores
    parts: Parts
    alerts: tuple[Alert, ...]
    row: int  # of the reading, 0 to N - 1


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest score of an incident."""

    at: int
    score: float  # decades
    so_far: bool  # the incident is open where the readings end


@dataclass(frozen=True, slots=True)
class Explanation:
    """One reading; the numbers of a score mean something where its outcome is SCORED."""

    series: str
    at: int
    clock: Clock
    outcome: Outcome
    before: Standing
    after: Standing
    began_again: int | None  # the last reading of the replay, up to this one, that came after a long gap
    reset: bool  # it is this reading
    imputed: int  # steps right before it that ran on their own forecast
    score: float  # decades
    bar: float  # decades
    x: float
    bar_x: float
    bar_start: float  # in x
    bar_start_decades: float
    target: float  # the promised share of exceeding readings
    calibration: Calibration
    exceeds: bool
    events: tuple[Alert, ...]  # that it caused
    peak: Peak | None  # of the incident that is open after it
    held_back: str | None  # the rule for which it raised nothing though it exceeds
    clear_after: int
    channels: tuple[ChannelPart, ...]  # the largest share first
    views: tuple[ViewPart, ...]  # of the K smoothed errors, in the order of the views
    near: Neighbourhood


def explain(detector: Detector, policy: Policy, readings: Readings, row: int, *, fresh: bool = False) -> Explanation:
    """Replay the readings of one series, in the order in which they came, and explain the one at `row`."""
    series, monitor = readings.names[readings.series[row]], Monitor(detector, policy, fresh=fresh)
    first = max(row - BEFORE, 0)
    began_again = _replayed(monitor, readings[:first], None)
    earlier = monitor.observe_in_parts(readings[first:row])
    for at in readings.at[first:row][earlier[2].reset].tolist():
        began_again = at
    before, held = monitor.standing(series), monitor.tally().held_back
    state = monitor.snapshot()
    scores, alerts, parts = monitor.observe_in_parts(readings[row : row + 1])
    after, held_back = monitor.standing(series), _more(held, monitor.tally().held_back)
    later = monitor.observe_in_parts(readings[row + 1 : row + 1 + AFTER])

    peak = None
    if after.incident is not None:
        peak = _peak(monitor, series, after.incident.start, later[1], readings[row + 1 + AFTER :])

    scored, calibration = bool(scores.scored[0]), detector.calibrations[parts.calibration[0]]
    probe = Probe(detector, policy, state, readings[row : row + 1]) if scored else None
    start = calibration.start_of_bar(float(parts.target[0])) if scored else 0.0
    steps = (earlier, (scores, alerts, parts), later)
    return Explanation(
        series=series,
        at=int(readings.at[row]),
        clock=detector.clock,
        outcome=Outcome(int(scores.outcome[0])),
        before=before,
        after=after,
        began_again=int(readings.at[row]) if parts.reset[0] else began_again,
        reset=bool(parts.reset[0]),
        imputed=int(parts.imputed[0]),
        score=float(scores.score[0]),
        bar=float(scores.bar[0]),
        x=float(scores.fused[0]),
        bar_x=float(parts.bar[0]),
        bar_start=start,
        bar_start_decades=float(detector.rarity(np.array([start]), parts.calibration)[0]) if scored else 0.0,
        target=float(parts.target[0]),
        calibration=calibration,
        exceeds=bool(scores.exceeds[0]),
        events=tuple(alerts),
        peak=peak,
        held_back=held_back,
        clear_after=policy.clear_after,
        channels=_channels(detector, policy, readings[row : row + 1], scores, parts, probe),
        views=_views(detector, parts, after.spans),
        near=Neighbourhood(
            readings[first : row + 1 + AFTER],
            joined([step[0] for step in steps]),
            join_parts([step[2] for step in steps]),
            tuple(alert for step in steps for alert in step[1]),
            row - first,
        ),
    )


def _replayed(monitor: Monitor, readings: Readings, began_again: int | None) -> int | None:
    """Observe all of them; the time of the last one that came after a long gap."""
    for start in range(0, len(readings), ROWS_AT_ONCE):
        part = readings[start : start + ROWS_AT_ONCE]
        reset = monitor.observe_in_parts(part)[2].reset
        began_again = int(part.at[reset][-1]) if reset.any() else began_again
    return began_again


def _peak(monitor: Monitor, series: str, start: int, events: Sequence[Alert], rest: Readings) -> Peak:
    """The highest score of the incident of this start; it is followed through the rest of the readings to its end."""
    while True:
        for alert in events:
            if alert.event == "cleared" and alert.start == start:
                return Peak(alert.peak_at, alert.score, so_far=False)
        if not len(rest):
            running = monitor.standing(series).incident
            assert running is not None  # it was not cleared
            return Peak(running.peak_at, running.peak, so_far=True)
        events, rest = monitor.observe(rest[:ROWS_AT_ONCE])[1], rest[ROWS_AT_ONCE:]


def _more(before: Mapping[str, int], after: Mapping[str, int]) -> str | None:
    """The rule that held back more afterwards than before."""
    return next((rule for rule, count in after.items() if count > before.get(rule, 0)), None)


def _views(detector: Detector, parts: Parts, spans: tuple[int, ...]) -> tuple[ViewPart, ...]:
    """The smoothed errors of one reading; a share in F is weight times level over their sum."""
    weighed = parts.softened[0] * parts.weights
    total = float(weighed.sum()) or 1.0
    names = [detector.views[owner].name for owner in detector.owners.tolist()]
    columns = (parts.errors[0], parts.smoothed[0], parts.high[0], parts.softened[0], parts.weights, weighed / total)
    return tuple(
        ViewPart(name, span, *numbers)
        for name, span, *numbers in zip(names, spans, *(column.tolist() for column in columns), strict=True)
    )


def _channels(
    detector: Detector, policy: Policy, reading: Readings, scores: Scores, parts: Parts, probe: Probe | None
) -> tuple[ChannelPart, ...]:
    """The channels of one reading."""
    known, there = bool(scores.scored[0]), ~reading.missing[0]
    commons = np.abs(parts.residual[0]) / np.sqrt(parts.channel_scale[0])
    order = np.argsort(-np.where(detector.scored, parts.share[0], -1.0), kind="stable").tolist()

    def of(channel: int, tried: bool) -> ChannelPart:
        rule = policy.channels.get(detector.names[channel], ChannelRule())
        compared = known and bool(there[channel] and detector.scored[channel])
        expected, far = float(scores.expected[0, channel]), FARTHEST * float(parts.spread[0, channel])
        return ChannelPart(
            position=channel,
            deviation=Deviation(
                channel=detector.names[channel],
                unit=rule.unit,
                value=float(reading.values[0, channel]) if there[channel] else None,
                expected=expected if known else None,
                lower=float(scores.lower[0, channel]) if known else None,
                upper=float(scores.upper[0, channel]) if known else None,
                contribution=float(parts.share[0, channel]) if known else 0.0,
            ),
            rule=rule,
            scored=bool(detector.scored[channel]),
            commons=float(commons[channel]) if compared else None,
            limits=probe.limits(channel, expected, far) if probe and compared and tried else None,
        )

    return tuple(of(channel, place < MOST_TRIED) for place, channel in enumerate(order))


class Probe:
    """Asks a Monitor what it would have said of one reading, had a value been another."""

    def __init__(self, detector: Detector, policy: Policy, state: Mapping[str, bytes], reading: Readings) -> None:
        self._monitor = Monitor(detector, policy)
        self._state = state
        self._reading = reading
        self._monitor.restore(state)
        self._open = self._monitor.standing(reading.names[reading.series[0]]).incident is not None

    def flagged(self, channel: int, value: float) -> bool:
        """Whether it would have raised an incident; where one is open, whether it would have exceeded."""
        self._monitor.restore(self._state)
        values = self._reading.values.copy()
        values[0, channel] = value
        scores, alerts = self._monitor.observe(replace(self._reading, values=values))
        return bool(scores.exceeds[0]) if self._open else any(alert.event == "raised" for alert in of_scores(alerts))

    def limits(self, channel: int, expected: float, far: float) -> Limits:
        """The nearest values to the expected one, up to `far` from it on either side, from which on it is flagged."""
        if self.flagged(channel, expected):
            return Limits(None, None, anyway=True)
        below = edge(lambda distance: self.flagged(channel, expected - distance), far)
        above = edge(lambda distance: self.flagged(channel, expected + distance), far)
        return Limits(
            None if below is None else expected - below, None if above is None else expected + above, anyway=False
        )


def edge(holds: Callable[[float], bool], far: float) -> float | None:
    """A distance, up to `far`, at which it holds, as near as can be to where it begins to; it does not hold at 0.

    The distance is doubled until it holds, and then halved towards the last one where it did not: what begins to hold
    and ceases again in between is not seen.
    """
    inner, outer = 0.0, far / 4096
    while not holds(outer):
        inner, outer = outer, 2 * outer
        if outer > far:
            return None
    for _ in range(HALVINGS):
        middle = (inner + outer) / 2
        inner, outer = (inner, middle) if holds(middle) else (middle, outer)
    return outer
