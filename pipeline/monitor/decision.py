"""The bar: where it starts, how it moves, and which readings exceed it.

The bar tracks a quantile of the fused error x online, so that the promised share of exceedances is kept when a stream
is not like its history (Gibbs and Candes 2021; Angelopoulos et al. 2023). The promise is one-sided: the bar never sinks
below what is common in calibration. A jump is paid back in as many readings as one exceedance is promised for, whatever
its size: the first ones are large, and would else blind a series for thrice as long (docs/decisions/0008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.exceptions import SettingsError
from pipeline.monitor.policy import WEEK_MICROSECONDS, FalseAlarms, Policy
from pipeline.monitor.table import Columns
from pipeline.records import Flags, Floats, Ints

PROBABILITY_WITHOUT_WEEKS = 1e-4  # the default of an index clock or an irregular series
LARGEST_DEFAULT = 0.05  # of the default where steps are days: the bar never sinks below the 95 % quantile
LARGEST = 0.49  # of a rate that was asked for, for the series with the longest steps
BOOST, BOOST_READINGS = 2.0, 200.0  # the first jumps are thrice as large, fading over the first readings


def promised(policy: Policy, detector: Detector) -> FalseAlarms:
    """What the policy promises, or promises by default, for a series with the detector's own step."""
    weeks = detector.regular and detector.clock == "time"
    default = FalseAlarms(rate=1.0) if weeks else FalseAlarms(probability=PROBABILITY_WITHOUT_WEEKS)
    return policy.false_alarms or default


@dataclass(slots=True)
class Bars(Columns):
    """What is remembered of a series to decide: S slots."""

    set: Flags  # (S,) the bar stands somewhere
    bar: Floats  # (S,) in x
    scored: Ints  # (S,) readings
    exceeded: Ints  # (S,) readings
    jump: Floats  # (S,) in x, the step at the last exceedance; 0 where there was none


def no_bars() -> Bars:
    """Columns without a row."""
    return Bars(np.zeros(0, bool), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


class Decision:
    """Which readings exceed the bar of their series, under one policy."""

    def __init__(self, detector: Detector, policy: Policy, bars: Bars) -> None:
        self._detector = detector
        self._policy = policy
        self._bars = bars
        self._moves = policy.bar == "tracking"
        self._step = [calibration.step for calibration in detector.calibrations]
        self._floor = [calibration.floor for calibration in detector.calibrations]
        self._check_promise()
        self.target = float(self.targets(np.array([detector.step]), np.array([detector.regular]))[0])

    def _check_promise(self) -> None:
        """SettingsError where a rate per week means nothing for the detector, or is more than can be kept."""
        detector, promise = self._detector, self._policy.false_alarms
        if promise is None or promise.rate is None:
            return
        if detector.clock == "index" or not detector.regular:
            why = "its clock is an index" if detector.clock == "index" else "its readings come irregularly"
            raise SettingsError(
                f"false_alarms asks for {promise.rate:g} per series-week, but weeks mean nothing here: {why}. "
                f"Ask for a share of readings, {{probability: 1e-4}}"
            )
        share = promise.rate * detector.step / WEEK_MICROSECONDS
        if share >= 0.5:
            raise SettingsError(
                f"false_alarms asks for {promise.rate:g} per series-week, which at a step of {detector.step / 1e6:g} s "
                f"is {share:.3g} of all readings: ask for less than half of them"
            )

    def targets(self, step: Ints, regular: Flags) -> Floats:
        """The promised share of exceeding readings of series with these steps, (n,).

        Where weeks mean nothing for a series, a rate per week is taken for as many times the default share of readings:
        one irregular series among many must not stop the others.
        """
        promise = self._policy.false_alarms
        if promise is not None and promise.probability is not None:
            return np.full(len(step), promise.probability)
        rate, largest = (1.0, LARGEST_DEFAULT) if promise is None else (promise.rate or 0.0, LARGEST)
        weeks = regular & (self._detector.clock == "time")
        share = np.where(weeks, step / WEEK_MICROSECONDS, PROBABILITY_WITHOUT_WEEKS)
        return np.minimum(rate * share, largest)

    def exceeding(
        self, fused: Floats, scored: Flags, target: Floats, calibration: Ints, slots: Ints
    ) -> tuple[Flags, Floats]:
        """Which of N readings exceed, and the bar in x that each was compared with; the bars move on.

        Maps fused errors x, whether a row is scored, its promise, its calibration and its slot, all (N,) in the order
        in which the readings came. One reading at a time: the bar of the next depends on this one.
        """
        bars = self._bars
        exceeds, compared = np.zeros(len(fused), bool), np.zeros(len(fused))
        rows = np.flatnonzero(scored)
        columns = (rows, slots[rows], fused[rows], target[rows], calibration[rows])
        for row, slot, x, promise, own in zip(*(column.tolist() for column in columns), strict=True):
            if not (self._moves and bars.set[slot]):  # one that stands still follows a promise that was changed
                bars.bar[slot] = self._detector.calibrations[own].start_of_bar(promise)
                bars.set[slot] = True
            bar, count = float(bars.bar[slot]), int(bars.scored[slot])
            above = x > bar
            compared[row], exceeds[row] = bar, above
            if self._moves:
                if above:
                    bars.jump[slot] = self._step[own] * (1 + BOOST / (1 + count / BOOST_READINGS))
                step = float(bars.jump[slot]) or self._step[own]  # a jump is paid back in 1 / promise readings
                bars.bar[slot] = max(bar + step * (above - promise), self._floor[own])
            bars.scored[slot] = count + 1
            bars.exceeded[slot] += above
        return exceeds, compared
