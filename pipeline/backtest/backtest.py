"""Files through the Monitor: the live service, fed from a history.

Files of different series are read side by side, so that a round of the monitor is a batched step over all of them; what
comes out is in the order of the files and their rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipeline.monitor.monitor import Monitor
from pipeline.records import Alert, Decoded, Outcomes, Readings, Scores, join

VALUES_AT_ONCE = 20_000_000  # held in memory while files are read side by side: some 40 bytes each, with their scores
COLUMNS_OF_A_ROW = 2  # what a row holds beside its channels, counted as so many of them
LANES_AT_ONCE = 256  # each is an open file, of which a process may often have no more than 1,024


@dataclass(frozen=True, slots=True)
class Lane:
    """One file as it is read: batches of its rows with the readings in them. All lanes share one list of names."""

    name: str
    rows: int | None  # no more than so many, where that is known
    batches: Iterator[tuple[pa.RecordBatch, Decoded]]


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of one lane, replayed."""

    lane: int
    batch: pa.RecordBatch
    decoded: Decoded
    scores: Scores
    alerts: list[Alert]


class Heard:
    """When which series had a reading, of all parts: whoever falls silent is told when all were observed."""

    def __init__(self) -> None:
        self._readings: list[Readings] = []
        self._outcomes: list[Outcomes] = []

    def take(self, part: Part) -> None:
        """One more part; its values are not kept."""
        readings = part.decoded.readings
        nothing = np.zeros((len(readings), 0))
        self._readings.append(replace(readings, values=nothing, missing=nothing.astype(bool)))
        self._outcomes.append(part.scores.outcome)

    def silences(self, monitor: Monitor) -> list[Alert]:
        """The events of silent series, in the order of time, as if all files had come side by side."""
        if not self._readings:
            return []
        readings, outcome = join(self._readings), np.concatenate(self._outcomes)
        order = np.argsort(readings.at, kind="stable")
        return monitor.listen(readings[order], outcome[order])


def replay(monitor: Monitor, lanes: Sequence[Lane], side_by_side: bool) -> Iterator[Part]:
    """Observe all rows of all lanes; the parts come lane by lane.

    `side_by_side` is for lanes of different series: those of one series must be read one after the other.
    """
    for group in _groups(lanes, len(monitor.detector.channels) if side_by_side else 0):
        if len(group) == 1:
            yield from (_observed(monitor, [step])[0] for step in _steps(lanes, group))
            continue
        parts = [part for step in _side_by_side(lanes, group) for part in _observed(monitor, step)]
        yield from sorted(parts, key=lambda part: part.lane)  # stable: within a lane in order


Step = tuple[int, pa.RecordBatch, Decoded]


def _groups(lanes: Sequence[Lane], channels: int) -> Iterator[list[int]]:
    """Lanes to be read side by side, each group small enough for memory; one a group where there are no channels."""
    group: list[int] = []
    values = 0
    for index, lane in enumerate(lanes):
        size = (lane.rows or VALUES_AT_ONCE) * (channels + COLUMNS_OF_A_ROW)
        full = not channels or len(group) == LANES_AT_ONCE or values + size > VALUES_AT_ONCE
        if group and full:
            yield group
            group, values = [], 0
        group.append(index)
        values += size
    if group:
        yield group


def _steps(lanes: Sequence[Lane], group: Sequence[int]) -> Iterator[Step]:
    for lane in group:
        for batch, decoded in lanes[lane].batches:
            yield lane, batch, decoded


def _side_by_side(lanes: Sequence[Lane], group: Sequence[int]) -> Iterator[list[Step]]:
    """One batch of every lane that has one left, again and again."""
    running = list(group)
    while running:
        step: list[Step] = []
        for lane in list(running):
            taken = next(lanes[lane].batches, None)
            if taken is None:
                running.remove(lane)
            else:
                step.append((lane, *taken))
        if step:
            yield step


def _observed(monitor: Monitor, step: Sequence[Step]) -> list[Part]:
    """The parts of one step, observed together."""
    readings = join([decoded.readings for _, _, decoded in step])
    scores, alerts = monitor.observe(readings)
    parts, first = [], 0
    for lane, batch, decoded in step:
        last = first + len(decoded.readings)
        mine = {readings.names[code] for code in np.unique(decoded.readings.series)}
        parts.append(Part(lane, batch, decoded, scores[first:last], [a for a in alerts if a.series in mine]))
        first = last
    return parts
