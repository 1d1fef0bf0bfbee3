"""Mutes: series whose incidents are not told for a while. Scoring goes on, and every event is marked and counted.

What was raised in a mute is withheld; should it still be open afterwards, it is raised then, by the first reading that
is outside: one of the series, or, of a silent one, of its partition. An incident that was told before a mute is still
cleared in it. Times are event times, so that a backtest mutes what the service would have muted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import msgspec
import numpy as np

from pipeline.exceptions import StateError
from pipeline.monitor.marks import Marks
from pipeline.monitor.table import Table
from pipeline.records import Alert, Clock, Deviation, Flags, Ints, Readings, Scores

Said = list[tuple[int, Alert]]  # events, each with the row of the reading that told it


@dataclass(frozen=True, slots=True)
class Mute:
    """Series that fit a pattern, from one time up to, not including, another; None: without end."""

    series: str  # as a file name is matched
    begin: int | None
    end: int | None
    reason: str
    clock: Clock = "time"

    def __post_init__(self) -> None:
        if self.begin is not None and self.end is not None and self.end <= self.begin:
            raise ValueError(f"a mute of {self.series} ends before it begins: to must be later than from")
        if not self.reason.strip():
            raise ValueError(f"a mute of {self.series} has no reason: say why, for whoever reads it at night")

    def outside(self, at: Ints) -> Flags:
        """Which of these times, (N,), are not in it."""
        begin = -math.inf if self.begin is None else self.begin
        end = math.inf if self.end is None else self.end
        flags: Flags = (at < begin) | (at >= end)
        return flags


class Mutes:
    """What is withheld of each series, under the mutes of one policy."""

    def __init__(self, mutes: Sequence[Mute], names: Sequence[str], marks: Marks, table: Table) -> None:
        """`names` are the detector's channels."""
        self._mutes = mutes
        self._channels = {name: position for position, name in enumerate(names)}
        self._marks, self._table = marks, table
        self._of: dict[str, list[Mute]] = {}  # by series, those that fit it
        self._withheld: dict[str, list[Alert]] = {}  # by series: raised, muted and still open

    def follow(self, said: Said, readings: Readings, slots: Ints, taken: Flags, scores: Scores | None) -> Said:
        """The events of N readings, those muted marked, and what is raised only now; `slots` and `taken` are (N,).

        Without scores they are those of silent series.
        """
        if not (self._mutes or self._withheld):
            return said
        silent = scores is None
        about = {alert.series for _, alert in said if self._that_fit(alert.series)}
        about |= {name for name, held in self._withheld.items() if any((a.kind == "silent") == silent for a in held)}
        if not about:
            return said
        told = [event for event in said if event[1].series not in about]
        for series in about:
            own = [event for event in said if event[1].series == series]
            slot = self._table[series]
            speaks = readings.partition == self._marks.partition[slot] if silent else slots == slot
            rows = np.flatnonzero(taken & speaks)  # of those that may say that a mute is over
            told += self._of_series(series, own, readings, rows, scores)
        return sorted(told, key=lambda event: event[0])

    def _of_series(
        self, series: str, own: Said, readings: Readings, rows: Ints, scores: Scores | None
    ) -> Iterator[tuple[int, Alert]]:
        """The events of one series in order, and what is raised between them."""
        mutes, silent = self._that_fit(series), scores is None
        free = np.ones(len(rows), bool)
        for mute in mutes:
            free &= mute.outside(readings.at[rows])
        open_rows, here = rows[free], 0
        waiting = [*own, None]
        for event in waiting:
            until = len(readings) if event is None else event[0]
            row = self._next(open_rows, here)
            if row < until and self._holds(series, silent=silent):
                yield from self._raise(series, readings, row, scores)
            if event is None:
                break
            here = until
            yield until, self._heard(event[1], mutes)
            if self._next(open_rows, here) == here and self._holds(series, silent=silent):
                yield from self._raise(series, readings, here, scores)

    @staticmethod
    def _next(rows: Ints, since: int) -> int | float:
        place = int(np.searchsorted(rows, since))
        return int(rows[place]) if place < len(rows) else math.inf

    def _holds(self, series: str, *, silent: bool) -> bool:
        return any((alert.kind == "silent") == silent for alert in self._withheld.get(series, ()))

    def _heard(self, alert: Alert, mutes: Sequence[Mute]) -> Alert:
        """An event as it is told: marked where it is muted, and remembered where it may have to be told later."""
        held = self._withheld.get(alert.series, [])
        others = [each for each in held if each.id != alert.id]
        reason = next((mute.reason for mute in mutes if not mute.outside(np.array([alert.at]))[0]), None)
        if len(others) < len(held):  # it was never told
            reason = reason or held[0].muted
            self._keep(alert.series, others if alert.event == "cleared" else [*others, replace(alert, muted=reason)])
            return replace(alert, muted=reason)
        if reason is None or alert.event == "cleared":
            return alert
        muted = replace(alert, muted=reason)
        if alert.event == "raised":
            self._keep(alert.series, [*held, muted])
        return muted

    def _keep(self, series: str, alerts: list[Alert]) -> None:
        if alerts:
            self._withheld[series] = alerts
        else:
            self._withheld.pop(series, None)

    def _raise(
        self, series: str, readings: Readings, row: int | float, scores: Scores | None
    ) -> Iterator[tuple[int, Alert]]:
        """Tell what was withheld, by this reading."""
        place, silent = int(row), scores is None
        held = self._withheld[series]
        self._keep(series, [alert for alert in held if (alert.kind == "silent") != silent])
        slot = self._table[series]
        self._marks.offset[slot] = max(self._marks.offset[slot], readings.offset[place])  # its slot has changed
        for alert in held:
            if (alert.kind == "silent") == silent:
                yield (
                    place,
                    replace(
                        alert,
                        event="raised",
                        at=int(readings.at[place]),
                        channels=tuple(self._now(each, readings, place, scores) for each in alert.channels),
                        partition=int(readings.partition[place]),
                        offset=int(readings.offset[place]),
                        muted=None,
                    ),
                )

    def _now(self, deviation: Deviation, readings: Readings, row: int, scores: Scores | None) -> Deviation:
        """A channel of a withheld alert at the reading that tells it."""
        channel = self._channels[deviation.channel]
        value = None if readings.missing[row, channel] else float(readings.values[row, channel])
        if scores is None or deviation.expected is None or not scores.scored[row]:
            return replace(deviation, value=value)
        expected, lower, upper = (float(each[row, channel]) for each in (scores.expected, scores.lower, scores.upper))
        return replace(deviation, value=value, expected=expected, lower=lower, upper=upper)

    def _that_fit(self, series: str) -> list[Mute]:
        if series not in self._of:
            self._of[series] = [mute for mute in self._mutes if fnmatchcase(series, mute.series)]
        return self._of[series]

    def pack(self, series: str) -> bytes:
        """What is withheld of a series, to be kept with its slot; empty where there is nothing."""
        held = self._withheld.get(series)
        return msgspec.msgpack.encode(held) if held else b""

    def restore(self, packed: Mapping[str, bytes]) -> None:
        """Put back what `pack` gave, all or nothing; StateError where it is damaged."""
        try:
            held = {name: msgspec.msgpack.decode(one, type=list[Alert]) for name, one in packed.items() if one}
        except msgspec.MsgspecError as error:
            raise StateError(f"what is withheld of a series is damaged: {error}; let it warm up again") from error
        self.drop(packed)
        self._withheld |= held

    def drop(self, series: Iterable[str]) -> None:
        """Forget what is withheld of these series."""
        for name in series:
            self._withheld.pop(name, None)
