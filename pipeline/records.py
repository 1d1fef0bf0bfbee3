"""What flows: readings in, scores and alerts out.

Readings and scores are columns, N rows by C channels: one Python object per reading costs more than the network's step.
Objects exist where people look: an alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Outcomes = npt.NDArray[np.uint8]  # of Outcome

Labels = tuple[tuple[str, str], ...]  # names and values of what is declared of a series
Clock = Literal["time", "index"]  # microseconds since 1970 UTC, or a sample number of step 1
Event = Literal["raised", "updated", "cleared", "budget_spent"]
Severity = Literal["warning", "critical"]
QuietKind = Literal["stuck", "silent"]  # of incidents that no score has to do with
Kind = Literal["anomaly"] | QuietKind
Because = Literal["point", "sustained", "range", "stuck", "silent"]
Closing = Literal["calm", "gap", "moved", "spoke"]


class Outcome(IntEnum):
    """What became of a record: exactly one of these, each counted."""

    SCORED = 0
    WARMING = 1  # new, or just reset: the network runs, nothing is scored
    MISSING = 2  # every channel null
    LATE = 3  # before the last reading of its series
    DUPLICATE = 4  # at the time of the last reading of its series
    INVALID = 5  # not a reading: see Reason
    JOINED = 6  # part of a reading, whose outcome is that of its first record
    IGNORED = 7  # about something else: see Why


class Reason(StrEnum):
    """Why a record is invalid."""

    SYNTAX = "syntax"
    ENCODING = "encoding"
    FIELD = "field"
    TYPE = "type"
    TIME = "time"
    NOT_FINITE = "not_finite"
    OVERSIZE = "oversize"
    SCHEMA = "schema"


class Why(StrEnum):
    """Why a record is ignored: by the settings it is about something else."""

    SENSOR = "sensor"  # it is of one that is no channel of the detector
    UNSELECTED = "unselected"  # it is of another kind than those that are read
    DELETED = "deleted"  # it tells that a row is gone
    TOMBSTONE = "tombstone"  # it has no value, so that a compacted topic forgets its key


@dataclass(frozen=True, slots=True)
class Readings:
    """N readings of C channels, in the order in which they arrived; any mixture of series."""

    names: Sequence[str]  # the source's growing list of series; a code is a position in it and never changes
    series: Codes  # (N,) codes into names
    at: Ints  # (N,) microseconds since 1970 UTC, or sample numbers
    values: Floats  # (N, C) finite where not missing, in the channels' own units
    missing: Flags  # (N, C)
    partition: Codes  # (N,) of the topic; 0 for files
    offset: Ints  # (N,) in the partition, or the row of the file

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: slice | Ints | Flags) -> Readings:
        """The chosen rows, in the chosen order, over the same names."""
        return Readings(
            self.names,
            self.series[rows],
            self.at[rows],
            self.values[rows],
            self.missing[rows],
            self.partition[rows],
            self.offset[rows],
        )


def join(parts: Sequence[Readings]) -> Readings:
    """The rows of all parts, one part after the other; at least one part, all over the same list of names."""
    if any(part.names is not parts[0].names for part in parts):
        raise ValueError("these readings come from different sources: their series codes mean different things")
    return Readings(
        parts[0].names,
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.missing for part in parts]),
        np.concatenate([part.partition for part in parts]),
        np.concatenate([part.offset for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record, or a part of one, that is no reading."""

    row: int  # its position among the records that were decoded together
    reason: Reason
    detail: str  # what was found, for a person


@dataclass(frozen=True, slots=True)
class Ignored:
    """One record, or a part of one, that is about something else."""

    row: int  # its position among the records that were decoded together
    why: Why


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoder made of a batch of records: each is in `rows`, in `rejected` or in `ignored`, once.

    Where a record may hold several readings, each of these is there once, and so a record perhaps more than once.
    """

    readings: Readings
    rows: Ints  # (N,) the position of each reading's record among the records
    rejected: tuple[Rejected, ...] = ()
    ignored: tuple[Ignored, ...] = ()


@dataclass(frozen=True, slots=True)
class Scores:
    """What the monitor says of N readings, in input order.

    `score`, `bar`, `exceeds`, `expected`, `lower`, `upper` and `fused` mean something where `scored` is true, and are 0
    elsewhere.
    """

    outcome: Outcomes  # (N,)
    score: Floats  # (N,) decades of rarity: 2.0 is one reading in a hundred
    bar: Floats  # (N,) the bar that the reading was compared with, in decades
    exceeds: Flags  # (N,) the reading passed its bar, whether or not an alert was held back
    alert: Flags  # (N,) an incident of the series is open after this reading
    expected: Floats  # (N, C) forecast, in the channel's unit
    lower: Floats  # (N, C) forecast with the central 99 % of its calibration residuals
    upper: Floats  # (N, C)
    fused: Floats  # (N,) x = log(F + .2), what `score` ranks

    @property
    def scored(self) -> Flags:
        """Which readings were scored, (N,)."""
        scored: Flags = self.outcome == Outcome.SCORED
        return scored

    def __len__(self) -> int:
        return len(self.outcome)

    def __getitem__(self, rows: slice | Ints | Flags) -> Scores:
        """The chosen rows, in the chosen order."""
        return Scores(*(getattr(self, column.name)[rows] for column in fields(self)))


def joined(parts: Sequence[Scores]) -> Scores:
    """The scores of all parts, one part after the other; at least one part."""
    return Scores(*(np.concatenate([getattr(part, c.name) for part in parts]) for c in fields(Scores)))


@dataclass(frozen=True, slots=True)
class Deviation:
    """One channel of a reading that an alert is about; None where there is no such number."""

    channel: str
    unit: str
    value: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    contribution: float  # its share of the incident's error so far, 0 to 1


@dataclass(frozen=True, slots=True)
class Member:
    """A series in the incident of a group, as the last event of the series told it."""

    series: str
    id: str  # of its own incident; the last one where it had several
    severity: Severity  # the highest so far
    start: int
    end: int | None  # None while its own incident is open
    score: float  # the highest so far, in decades
    peak_at: int


@dataclass(frozen=True, slots=True)
class Group:
    """Series with the same labels whose incidents opened together."""

    labels: Labels
    joined: int  # series so far
    open: int  # of these, the ones whose own incident is open
    members: tuple[Member, ...]  # the highest score first; of very many only the first


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long a channel has been stuck, in readings, or a series silent, in steps."""

    readings: int  # in a row with one and the same value; steps without any where a series is silent
    limit: int  # the incident was raised because there were more


@dataclass(frozen=True, slots=True)
class Alert:
    """An event in the life of an incident. Times are in the detector's clock.

    That a series is silent is told by a reading of another one, which `partition` and `offset` name.

    Where `group` is given, the incident is the group's, and with it id, event, severity, start and end; all else is of
    the member whose reading caused the event. Where `kind` is not anomaly no score has to do with it: `quiet` is given,
    and `peak_at`, `score`, `bar`, `target`, `span` and `one_in` mean nothing and are 0.
    """

    id: str  # the same in backtest, live and after a restart
    event: Event
    at: int  # the reading that caused this event
    detector: str
    digest: str
    series: str
    severity: Severity
    start: int
    end: int | None  # the reading that ended it; None while it is open
    peak_at: int
    score: float  # the highest so far, in decades
    bar: float  # in decades, at raising
    target: float  # the promised share of exceeding readings
    because: Because
    span: int  # of the smoothed error that weighed most, in readings
    one_in: int  # readings: the rarity of the peak in words, never finer than the calibration part can tell
    closing: Closing | None  # why it ended
    channels: tuple[Deviation, ...]  # at this event's reading
    partition: int
    offset: int
    clock: Clock
    labels: Labels = ()  # of the series
    group: Group | None = None
    kind: Kind = "anomaly"
    quiet: Quiet | None = None
    muted: str | None = None  # why it is not told to anybody


def runs(flags: Flags) -> Ints:
    """Where each run of set flags (T,) begins and ends, (R, 2): first <= row < last."""
    edges: Ints = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return edges.reshape(-1, 2)
