"""Readings put in order, and records of single sensors joined into readings, before they are observed.

What waits for others waits in event time alone: a reading of a series is released when a reading so much newer, the
lateness, has come, or, where records are joined, when it has all its channels and nothing before it waits. So which
readings come out, in which order and by which record, does not depend on how the records fall into batches, and what
waits is part of what is remembered of a series.

A record that is older than another by more than the lateness shows that one of their clocks is wrong, and not which. So
it is taken as if the other had not come, and whether it is late is for the tracker to say, which knows gaps.

A released reading has the offset of the record that released it: what was put out before an offset, and what was not,
is told by that alone. After Akidau et al., The Dataflow Model, VLDB 8 (2015), section 2, with a watermark a series.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from pipeline.exceptions import StateError
from pipeline.records import Codes, Floats, Ints, Outcome, Readings

MOST_WAITING: Final = 4096  # readings of a series; of more the oldest is released before its time


@dataclass(frozen=True, slots=True)
class Settled:
    """N records that are no readings by themselves: joined to another, or too late, or there already, or empty."""

    outcome: Codes  # (N,) Outcome
    partition: Codes  # (N,)
    offset: Ints  # (N,) their own

    def __len__(self) -> int:
        return len(self.outcome)


class _Waiting(msgspec.Struct):
    """What waits of one series."""

    newest: int  # time; no further ahead of the last record than the lateness
    released: int | None = None  # time of the last reading that was released; None: what comes is not held against it
    released_there: list[int] = []  # its channels
    times: list[int] = []  # ascending, of what waits
    values: dict[int, list[float | None]] = {}  # by time, a value a channel


@dataclass(slots=True)
class _Out:
    """Released readings and settled records, as they come."""

    row: list[int] = field(default_factory=list)  # the record that released each reading
    at: list[int] = field(default_factory=list)
    values: list[list[float | None]] = field(default_factory=list)
    settled: list[tuple[int, int]] = field(default_factory=list)  # row, outcome


class Assembly:
    """What waits of each series of a stream."""

    def __init__(self, channels: int, lateness: int, *, joins: bool) -> None:
        """`lateness` is in the clock's unit; where it `joins`, records of one time are one reading."""
        if lateness < 0:
            raise ValueError(f"lateness is {lateness}: 0 or more is needed")
        self._channels = channels
        self._lateness = lateness
        self._joins = joins
        self._waiting: dict[str, _Waiting] = {}

    def __len__(self) -> int:
        """How many readings wait."""
        return sum(len(one.times) for one in self._waiting.values())

    def take(self, readings: Readings) -> tuple[Readings, Settled]:
        """Take what records brought, (N, C) missing where a record says nothing; what is released, and settled.

        Readings of one series are released in the order of time, those of several in the order of the records.
        """
        out = _Out()
        values = readings.values.tolist()
        there = (~readings.missing).tolist()
        for row, (code, at) in enumerate(zip(readings.series.tolist(), readings.at.tolist(), strict=True)):
            known = [value if has else None for value, has in zip(values[row], there[row], strict=True)]
            self._record(readings.names[code], row, at, known, out)
        return self._released(readings, out), _settled(readings, out.settled)

    def flush(self, names: Sequence[str]) -> Readings:
        """Release all that waits: the history ends here. The readings have partition and offset 0."""
        codes: list[int] = []
        at: list[int] = []
        values: list[list[float | None]] = []
        for code, name in enumerate(names):
            one = self._waiting.pop(name, None)
            if one is not None:
                codes += [code] * len(one.times)
                at += one.times
                values += [one.values[time] for time in one.times]
        array = self._array(values)
        none = np.zeros(len(at), np.int64)
        return Readings(
            names,
            np.array(codes, np.int32),
            np.array(at, np.int64),
            array,
            np.isnan(array),
            none.astype(np.int32),
            none,
        )

    def _record(self, name: str, row: int, at: int, known: list[float | None], out: _Out) -> None:
        """One record: it begins a reading, is joined to one, or is settled."""
        has = [channel for channel, value in enumerate(known) if value is not None]
        if not has:
            out.settled.append((row, int(Outcome.MISSING)))
            return
        one = self._waiting.get(name)
        if one is None:
            one = self._waiting[name] = _Waiting(newest=at)
        if one.released is not None and at < one.released - self._lateness:
            one.released = None
        one.newest = at if at < one.newest - self._lateness else max(one.newest, at)
        if one.released is not None and at <= one.released:
            again = at == one.released and not (self._joins and set(has) - set(one.released_there))
            out.settled.append((row, int(Outcome.DUPLICATE if again else Outcome.LATE)))
        elif at in one.values:
            waiting = one.values[at]
            new = [channel for channel in has if waiting[channel] is None] if self._joins else []
            for channel in new:
                waiting[channel] = known[channel]
            out.settled.append((row, int(Outcome.JOINED if new else Outcome.DUPLICATE)))
        else:
            insort(one.times, at)
            one.values[at] = known
        self._release(one, row, out)

    def _release(self, one: _Waiting, row: int, out: _Out) -> None:
        """Let go, oldest first, of what waits no longer."""
        while one.times:
            at = one.times[0]
            values = one.values[at]
            whole = self._joins and None not in values
            if not (whole or at <= one.newest - self._lateness or len(one.times) > MOST_WAITING):
                return
            one.times.pop(0)
            del one.values[at]
            one.released = at
            one.released_there = [channel for channel, value in enumerate(values) if value is not None]
            out.row.append(row)
            out.at.append(at)
            out.values.append(values)

    def _released(self, readings: Readings, out: _Out) -> Readings:
        rows = np.array(out.row, np.int64)
        array = self._array(out.values)
        return Readings(
            readings.names,
            readings.series[rows],
            np.array(out.at, np.int64),
            array,
            np.isnan(array),
            readings.partition[rows],
            readings.offset[rows],
        )

    def _array(self, values: list[list[float | None]]) -> Floats:
        return np.array(values, np.float64).reshape(len(values), self._channels)  # None becomes NaN

    def pack(self, series: str) -> bytes:
        """What waits of a series, and how far it was released; empty where nothing is known of it."""
        one = self._waiting.get(series)
        return b"" if one is None else msgspec.msgpack.encode(one)

    def unpack(self, packed: dict[str, bytes]) -> None:
        """Put back what `pack` took out, all or nothing; StateError where it is damaged."""
        try:
            waiting = {name: msgspec.msgpack.decode(one, type=_Waiting) for name, one in packed.items() if one}
        except msgspec.MsgspecError as error:
            raise StateError(f"what waits of a series is damaged: {error}; let the series warm up again") from error
        for name, one in waiting.items():
            if any(len(values) != self._channels for values in one.values.values()):
                raise StateError(f"what waits of {name} has other channels: let the series warm up again")
        self.drop(packed)
        self._waiting |= waiting

    def drop(self, series: Iterable[str]) -> None:
        """Forget what waits of these series."""
        for name in series:
            self._waiting.pop(name, None)


def _settled(readings: Readings, settled: list[tuple[int, int]]) -> Settled:
    rows = np.array([row for row, _ in settled], np.int64)
    outcomes = np.array([outcome for _, outcome in settled], np.int32)
    return Settled(outcomes, readings.partition[rows], readings.offset[rows])


def nothing_settled() -> Settled:
    """No record."""
    none = np.zeros(0, np.int32)
    return Settled(none, none, none.astype(np.int64))
