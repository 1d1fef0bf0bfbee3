"""The bar: where it starts, how it moves, and which readings exceed it.

The bar tracks a quantile of the fused error x online, so that the promised share of exceedances is kept when a stream
is not like its history (Gibbs and Candes 2021; Angelopoulos et al. 2023). The promise is one-sided: the bar never sinks
below what is common in calibration.
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
LARGEST_DEFAULT = (
    0.05  # of the promise per series-week where steps are days: the bar never sinks below the 95 % quantile
)
BOOST, BOOST_READINGS = 2.0, 200.0  # the first steps are thrice as large, fading over the first readings


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


def no_bars() -> Bars:
    """Columns without a row."""
    return Bars(np.zeros(0, bool), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))


class Decision:
    """Which readings exceed the bar of their series, under one policy."""

    def __init__(self, detector: Detector, policy: Policy, bars: Bars) -> None:
        self._detector = detector
        self._policy = policy
        self._bars = bars
        self._moves = policy.bar == "tracking"
        self._step = [calibration.step for calibration in detector.calibrations]
        self._floor = [calibration.floor for calibration in detector.calibrations]
        self.target = float(self.targets(np.array([detector.step]), np.array([detector.regular]))[0])

    def targets(self, step: Ints, regular: Flags) -> Floats:
        """The promised share of exceeding readings of series with these steps, (n,).

        SettingsError where a rate per week was asked for and weeks mean nothing, or is more than the bar can keep.
        """
        promise = self._policy.false_alarms
        weeks = regular & (self._detector.clock == "time")
        if promise is None:
            per_step = np.minimum(step / WEEK_MICROSECONDS, LARGEST_DEFAULT)
            return np.where(weeks, per_step, PROBABILITY_WITHOUT_WEEKS)
        if promise.probability is not None:
            return np.full(len(step), promise.probability)
        if not weeks.all():
            why = "its clock is an index" if self._detector.clock == "index" else "its readings come irregularly"
            raise SettingsError(
                f"false_alarms asks for {promise.rate:g} per series-week, but weeks mean nothing here: {why}. "
                f"Ask for a share of readings, {{probability: 1e-4}}"
            )
        target = (promise.rate or 0.0) * step / WEEK_MICROSECONDS
        if (target >= 0.5).any():
            raise SettingsError(
                f"false_alarms asks for {promise.rate:g} per series-week, which at a step of {step.max() / 1e6:g} s "
                f"is {target.max():.3g} of all readings: ask for less than half of them"
            )
        return target

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
            if not bars.set[slot]:
                bars.bar[slot] = self._detector.calibrations[own].start_of_bar(promise)
                bars.set[slot] = True
            bar, count = float(bars.bar[slot]), int(bars.scored[slot])
            above = x > bar
            compared[row], exceeds[row] = bar, above
            if self._moves:
                step = self._step[own] * (1 + BOOST / (1 + count / BOOST_READINGS))
                bars.bar[slot] = max(bar + step * (above - promise), self._floor[own])
            bars.scored[slot] = count + 1
            bars.exceeded[slot] += above
        return exceeds, compared
