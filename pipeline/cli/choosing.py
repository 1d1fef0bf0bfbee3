"""Which reading of some files is meant: by a time, by a row, or as the one that raised an incident."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.backtest.backtest import Lane, Part, replay
from pipeline.cli.console import counted, progress
from pipeline.connectors.tables import Tables
from pipeline.exceptions import DataError, SettingsError
from pipeline.formats import times
from pipeline.formats.alerts import when
from pipeline.monitor.groups import in_time
from pipeline.monitor.monitor import Monitor
from pipeline.records import Alert, Decoded, Flags, Ints, Outcome, Readings, join
from pipeline.settings.problems import nearest

ROWS_AT_ONCE = 8192
NAMED = 5  # candidates in a message


@dataclass(frozen=True, slots=True)
class Found:
    """N readings of all series in the order of the files, each with its row: all rows counted from 0, file by file."""

    readings: Readings
    row: Ints  # (N,)
    refused: dict[int, str]  # rows that are no readings, and why
    rows: int

    def of_series(self, series: str | None) -> Flags:
        """The readings of this series, of all without one; DataError where it is not there."""
        if series is None:
            return np.ones(len(self.row), bool)
        known = [self.readings.names[code] for code in np.unique(self.readings.series).tolist()]
        if series not in known:
            raise DataError(f"--series {series}: the files have no such series; {nearest(series, known)}")
        return np.asarray(self.readings.series == list(self.readings.names).index(series))

    def name(self, index: int) -> str:
        """The series of the reading at this index."""
        return self.readings.names[int(self.readings.series[index])]

    def alone(self, index: int) -> tuple[Readings, int]:
        """All readings of the series of the one at `index`, and its place among them."""
        mine = self.readings.series == self.readings.series[index]
        return self.readings[mine], int(mine[:index].sum())


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for; at most one of the three, none for the incident with the highest score."""

    at: str | None
    row: int | None
    alert: str | None
    series: str | None

    def __post_init__(self) -> None:
        asked = [f"--{name}" for name in ("at", "row", "alert") if getattr(self, name) is not None]
        if len(asked) > 1:
            raise SettingsError(f"{' and '.join(asked)} each choose a reading: give one of them")

    @property
    def needs_scores(self) -> bool:
        """Whether all must be scored before the reading is known."""
        return self.at is None and self.row is None


def chosen(choice: Choice, tables: Tables, monitor: Monitor, last: dict[str, int]) -> tuple[Readings, int]:
    """The readings of one series, and which of them is meant; DataError where none or several are."""
    if choice.needs_scores:
        return _by_score(choice, tables, monitor, last)
    found = gathered((decoded, batch.num_rows) for _, batch, decoded in tables.decoded(last))
    row = choice.row
    if choice.at is not None:
        if tables.clock == "time" and choice.at.strip().isdecimal():
            row = int(choice.at)
        else:
            return found.alone(_at_time(found, choice, tables, _moment(choice.at, tables)))
    assert row is not None
    return found.alone(_in_row(found, row, choice.series))


def gathered(decoded: Iterator[tuple[Decoded, int]]) -> Found:
    """All of the readings; each batch comes with how many rows it had."""
    parts: list[Readings] = []
    rows: list[Ints] = []
    refused: dict[int, str] = {}
    first = 0
    for each, count in decoded:
        parts.append(each.readings)
        rows.append(first + each.rows)
        refused |= {first + one.row: f"{one.reason}: {one.detail}" for one in each.rejected}
        first += count
    readings = join(parts)
    if not len(readings):
        raise DataError(f"no row of the files is a reading; the first: {next(iter(refused.values()), 'there is none')}")
    return Found(readings, np.concatenate(rows), refused, first)


def _in_row(found: Found, row: int, series: str | None) -> int:
    """The reading in this row."""
    if not 0 <= row < found.rows:
        raise DataError(f"row {row:,} is not there: the files have {found.rows:,} rows, the first is row 0")
    if row in found.refused:
        raise DataError(f"row {row:,} is no reading ({found.refused[row]}): there was nothing to score")
    index = int(np.searchsorted(found.row, row))
    if series is not None and not found.of_series(series)[index]:
        raise DataError(f"row {row:,} is of {found.name(index)}, not of {series}: leave --series out, or the row")
    return index


def _moment(text: str, tables: Tables) -> int:
    """A time as it was typed, in the clock of the files."""
    if tables.clock == "index":
        try:
            return int(text)
        except ValueError as error:
            raise SettingsError(f"--at {text}: these files count samples, so a whole number is needed") from error
    at = times.parse(text.strip(), times.zone(tables.mapping.timezone))
    if at is None:
        raise SettingsError(
            f"--at {text} is neither a time such as 2024-05-01T14:05 nor a row, counted from 0: give one of them"
        )
    return at


def _at_time(found: Found, choice: Choice, tables: Tables, at: int) -> int:
    """The one reading of this time."""
    mine, clock = found.of_series(choice.series), tables.clock
    indices = np.flatnonzero(mine & (found.readings.at == at))
    if len(indices) == 1:
        return int(indices[0])
    if not len(indices):
        candidates = np.flatnonzero(mine)
        close = candidates[np.argsort(np.abs(found.readings.at[candidates] - at), kind="stable")[:2]]
        near = " and ".join(when(int(found.readings.at[index]), clock) for index in sorted(close.tolist()))
        whose = "no reading" if choice.series is None else f"no reading of {choice.series}"
        raise DataError(f"--at {choice.at}: there is {whose} at {when(at, clock)}; the nearest are at {near}")
    names = sorted({found.name(index) for index in indices.tolist()})
    if len(names) > 1:
        raise DataError(
            f"--at {choice.at}: {len(names)} series have a reading of that time: choose one by --series: {_few(names)}"
        )
    rows = " or ".join(f"--row {found.row[index]}" for index in indices[:NAMED].tolist())
    raise DataError(f"--at {choice.at}: {names[0]} has {len(indices)} readings of that time: choose one by {rows}")


def _by_score(choice: Choice, tables: Tables, monitor: Monitor, last: dict[str, int]) -> tuple[Readings, int]:
    """The reading that raised the incident asked for, or the one with the highest score; DataError where none is."""
    lanes = [Lane(file.name, file.most_rows, batches) for file, batches in tables.lanes(last, ROWS_AT_ONCE)]
    parts: list[Part] = []
    side_by_side = tables.series is not None and len(set(tables.series)) == len(tables.series)
    with progress("scoring", tables.rows) as bar:
        for part in replay(monitor, lanes, side_by_side):
            parts.append(part)
            bar.to(sum(len(each.scores) for each in parts))
    found = gathered((part.decoded, part.batch.num_rows) for part in parts)
    outcome = np.concatenate([part.scores.outcome for part in parts])
    mine = found.of_series(choice.series)
    events = [alert for part in parts for alert in part.alerts]
    if choice.alert is not None:
        grouped = [alert for alert in monitor.group(in_time(events)) if alert.group is not None]
        raised = [alert for alert in (*events, *grouped) if alert.event == "raised"]
        alert = _alert(choice.alert, raised, tables)
        if choice.series not in (None, alert.series):
            raise DataError(f"--alert {choice.alert} is of {alert.series}, not of {choice.series}: leave --series out")
        caused_at = alert.start if alert.kind == "anomaly" else alert.at
        return found.alone(_taken_at(found, outcome, alert.series, caused_at))
    score = np.concatenate([part.scores.score for part in parts])
    scored = mine & (outcome == Outcome.SCORED)
    if not scored.any():
        raise DataError(
            f"none of the {counted(int(mine.sum()), 'reading')} was scored, so there is no highest score: "
            "choose a reading by --at or --row"
        )
    top = int(np.argmax(np.where(scored, score, -1.0)))
    open_then = bool(np.concatenate([part.scores.alert for part in parts])[top])
    alone = [each for each in events if each.event == "raised" and each.kind == "anomaly"]
    starts = [each.start for each in alone if each.series == found.name(top)]
    before = [start for start in starts if start <= found.readings.at[top]]
    if open_then and before:  # one that was open before the files begin was raised by none of these readings
        top = _taken_at(found, outcome, found.name(top), max(before))
    return found.alone(top)


def _taken_at(found: Found, outcome: npt.NDArray[np.uint8], series: str, at: int) -> int:
    """The reading of this series and time that was taken into it: a duplicate was not."""
    taken = found.of_series(series) & (outcome <= Outcome.WARMING)
    return int(np.flatnonzero(taken & (found.readings.at == at))[0])


def _alert(asked: str, raised: list[Alert], tables: Tables) -> Alert:
    """The incident of this id, or of the only id that begins so."""
    matching = [alert for alert in raised if alert.id.startswith(asked.lower())]
    if len(matching) == 1:
        return matching[0]
    of = matching or raised
    told = _few([f"{alert.id} ({alert.series}, {when(alert.start, tables.clock)})" for alert in of])
    if matching:
        raise DataError(f"--alert {asked}: {len(matching)} incidents begin so: {told}")
    if not raised:
        raise DataError(f"--alert {asked}: no incident is raised in these files under this policy")
    raise DataError(
        f"--alert {asked}: no incident of this id is raised in these files; there are {told}. An id is of one "
        "detector, series and time: take the bundle, the policy and the readings that the alert is from"
    )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
