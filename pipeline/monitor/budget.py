"""A budget of incidents: how many were raised in a period, and what still may be.

All of it is remembered per series, in the slot: what a detector has spent is the sum over the series whose last period
it is. So it survives a restart, and goes with a partition wherever that is read: docs/decisions/0009.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.exceptions import SettingsError
from pipeline.monitor.policy import Budget
from pipeline.monitor.table import Columns
from pipeline.records import Floats, Ints


@dataclass(slots=True)
class Spent(Columns):
    """What each series took from the budget in the last period in which it raised: S slots."""

    period: Ints  # (S,) its number since the clock's zero
    partition: Ints  # (S,) on which it raised
    raised: Ints  # (S,) incidents in that period
    highest: Floats  # (S,) the highest score at raising among them, in decades


def none_spent() -> Spent:
    """Columns without a row."""
    counts = np.zeros((3, 0), np.int64)
    return Spent(counts[0], counts[1], counts[2], np.zeros(0))


class Ledger:
    """One budget over the columns of a monitor; asking never changes an answer."""

    def __init__(self, detector: Detector, budget: Budget | None, spent: Spent) -> None:
        """SettingsError where the period is in another clock than the detector's."""
        self._budget = budget
        self._spent = spent
        if budget is not None and isinstance(budget.per, int) != (detector.clock == "index"):
            needed = (
                "a number of samples, {alerts: 20, per: 10000}" if detector.clock == "index" else "hour, day or week"
            )
            raise SettingsError(
                f"budget has per: {budget.per}, but the detector's clock is {detector.clock}: ask for {needed}"
            )

    def allows(self, at: int, partition: int, score: float) -> bool:
        """Whether a reading of this score may raise: there is room, or nothing raised in its period scored as high."""
        if self._budget is None:
            return True
        raised, highest = self._taken(at // self._budget.length, partition)
        return raised < self._budget.alerts or score > highest

    def take(self, at: int, partition: int, slot: int, score: float) -> bool:
        """Count an incident that was raised; whether it took the last of the budget."""
        if self._budget is None:
            return False
        spent, period = self._spent, at // self._budget.length
        if (spent.period[slot], spent.partition[slot]) != (period, partition):
            spent.clear(slot)
            spent.period[slot], spent.partition[slot] = period, partition
        spent.raised[slot] += 1
        spent.highest[slot] = max(float(spent.highest[slot]), score)
        return self._taken(period, partition)[0] == self._budget.alerts

    def _taken(self, period: int, partition: int) -> tuple[int, float]:
        """How many incidents were raised in a period, and the highest score among them."""
        spent = self._spent
        rows = (spent.raised > 0) & (spent.period == period) & (spent.partition == partition)
        return int(spent.raised[rows].sum()), float(spent.highest[rows].max(initial=0.0))
