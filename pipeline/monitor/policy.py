"""What the operator promises and wants to hear of.

Set beside the input and never in the bundle; without effect on a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.monitor.labels import LabelRule
from pipeline.monitor.mutes import Mute

WEEK_MICROSECONDS = 7 * 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How many readings of a normal series may exceed the bar: so many a series and week, or a share of readings."""

    rate: float | None = None  # exceedances per series-week
    probability: float | None = None  # per reading

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.probability is None):
            raise ValueError("false_alarms needs a rate per series-week or a probability per reading, one of the two")
        if self.rate is not None and not self.rate > 0:
            raise ValueError(f"rate is {self.rate}: a positive number of false alarms per series-week is needed")
        if self.probability is not None and not 0 < self.probability < 0.5:
            raise ValueError(f"probability is {self.probability}: a share of readings above 0 and below 0.5 is needed")

    def scaled(self, factor: float) -> FalseAlarms:
        """The same promise, `factor` times as many."""
        if self.rate is not None:
            return FalseAlarms(rate=self.rate * factor)
        return FalseAlarms(probability=min((self.probability or 0.0) * factor, 0.49))


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """What is known of one channel beyond its history, and which of its deviations are worth an alert."""

    unit: str = ""
    direction: Literal["both", "above", "below"] = "both"
    ignore_below: float = 0.0  # deviations from the forecast, in the channel's unit
    ignore_below_percent: float = 0.0  # of the forecast
    valid_range: tuple[float, float] | None = None  # a value outside raises by itself
    stuck: bool = True  # False: it may stay at one value for as long as it likes

    def __post_init__(self) -> None:
        if self.direction not in ("both", "above", "below"):
            raise ValueError(f"direction is {self.direction!r}: both, above or below is needed")
        if self.ignore_below < 0 or self.ignore_below_percent < 0:
            raise ValueError("ignore_below is negative: it is the size of a deviation")
        if self.valid_range is not None and not self.valid_range[0] < self.valid_range[1]:
            raise ValueError(f"valid_range is {self.valid_range}: the first number must be the smaller one")


PERIODS = {"hour": 3600 * 1_000_000, "day": 24 * 3600 * 1_000_000, "week": WEEK_MICROSECONDS}


@dataclass(frozen=True, slots=True)
class Budget:
    """How many incidents a detector may raise in a period of event time before only a new maximum does.

    Periods begin at whole hours, days, and weeks since 1970, UTC; a number is so many samples of an index clock.
    """

    alerts: int
    per: Literal["hour", "day", "week"] | int = "day"

    def __post_init__(self) -> None:
        if self.alerts < 1:
            raise ValueError(f"alerts is {self.alerts}: a budget needs room for at least one incident")
        if self.per not in PERIODS and (isinstance(self.per, str) or self.per < 1):
            raise ValueError(f"per is {self.per!r}: hour, day, week or a positive number of samples is needed")

    @property
    def length(self) -> int:
        """Of a period: microseconds, or samples."""
        return self.per if isinstance(self.per, int) else PERIODS[self.per]


@dataclass(frozen=True, slots=True)
class Grouping:
    """Incidents that open together in series with the same labels are one."""

    by: tuple[str, ...]  # names of labels: the series that have all of them with the same values
    within: int = 10  # steps of the detector after the first; what opens later is another incident

    def __post_init__(self) -> None:
        if not self.by:
            raise ValueError("group_by is empty: the name of a label is needed, as in group_by: site")
        if len(set(self.by)) < len(self.by):
            raise ValueError(f"group_by is {', '.join(self.by)}: each label is needed once")
        if self.within < 0:
            raise ValueError(f"group_within is {self.within}: a number of steps, 0 or more, is needed")


@dataclass(frozen=True, slots=True)
class Policy:
    """When an incident is raised and cleared."""

    false_alarms: FalseAlarms | None = None  # None: 1 per series-week, or 1e-4 per reading where weeks mean nothing
    bar: Literal["tracking", "static"] = "tracking"
    clear_after: int = 3  # calm readings in a row
    channels: Mapping[str, ChannelRule] = field(default_factory=dict)
    budget: Budget | None = None
    labels: tuple[LabelRule, ...] = ()  # of series; the first rule that fits counts
    grouping: Grouping | None = None
    stuck_after: float = 3.0  # times the longest run of one value in training; 0: no channel is ever stuck
    silent_after: int = 20  # steps without a reading while others of the partition go on; 0: no series is ever silent
    mutes: tuple[Mute, ...] = ()

    def __post_init__(self) -> None:
        if self.stuck_after and not self.stuck_after >= 1:
            raise ValueError(
                f"stuck_after is {self.stuck_after:g}: 1 or more (times the longest run in training) is needed, "
                "or 0 for never"
            )
        if self.silent_after < 0:
            raise ValueError(f"silent_after is {self.silent_after}: a number of steps is needed, or 0 for never")
        if self.bar not in ("tracking", "static"):
            raise ValueError(f"bar is {self.bar!r}: tracking or static is needed")
        if self.clear_after < 1:
            raise ValueError(f"clear_after is {self.clear_after}: an incident needs at least one calm reading to clear")
        declared = sorted({name for rule in self.labels for name in rule.names()})
        for name in () if self.grouping is None else self.grouping.by:
            if name not in declared:
                raise ValueError(
                    f"group_by asks for the label {name}, and labels declares {', '.join(declared) or 'none'}: "
                    f"declare {name} there, or group by one that is declared"
                )
