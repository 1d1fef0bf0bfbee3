"""Fused errors to exceedances and incidents: the bar and the incidents under one policy."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.monitor.budget import Spent
from pipeline.monitor.decision import Bars, Decision
from pipeline.monitor.incidents import Incidents, Judged, Open
from pipeline.monitor.policy import Policy
from pipeline.records import Alert, Flags, Floats, Ints, Scores


class Judgement(NamedTuple):
    """N readings after bar and incidents."""

    scores: Scores
    alerts: list[tuple[int, Alert]]  # each with the row of the reading that caused it
    bar: Floats  # (N,) in x, as it was compared
    target: Floats  # (N,) the promised share of exceeding readings


class Judge:
    """The bar and the incidents under one policy, over columns of its own."""

    def __init__(self, detector: Detector, policy: Policy, bars: Bars, columns: Open, spent: Spent, name: str) -> None:
        self.bars = bars
        self.decision = Decision(detector, policy, bars)
        self.incidents = Incidents(detector, policy, columns, spent, name)
        self._rarity = detector.rarity

    def judge(self, judged: Judged, slots: Ints, steps: Ints, regular: Flags) -> Judgement:
        """The scores with bar, exceedance and alert filled in, and the events."""
        scores, own = judged.scores, judged.calibration
        target = self.decision.targets(steps, regular)
        exceeds, bar = self.decision.exceeding(scores.fused, scores.scored, target, own, slots)
        decades = np.where(scores.scored, self._rarity(bar, own), 0.0)
        scores = replace(scores, exceeds=exceeds, bar=decades)
        alert, events = self.incidents.follow(replace(judged, scores=scores, target=target), slots)
        return Judgement(replace(scores, alert=alert), events, bar, target)
