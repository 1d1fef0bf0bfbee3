"""Whether an alert comes out again where its readings are scored again: what was told beside what comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from pipeline.formats import alerts, times
from pipeline.monitor.monitor import Monitor
from pipeline.records import Decoded, Outcome

TOLERANCE: Final = 1e-5  # between machines with other vector units, docs/delivery.md; of the sizes below
OF_ORDER_ONE: Final = ("score", "bar", "contribution")  # decades, and shares
# What rounds all that is held; a name that may be given anew; which of a line of detectors told it (decisions/0018).
NOT_HELD: Final = ("sentence", "detector", "digest")
SHOWN: Final = ("event", "series", "at", "severity", "score", "bar", "target", "because", "closing")
DECIDED: Final = ("event", "series", "at", "severity", "start", "end", "peak_at", "because", "closing")
CHANNEL_SHOWN: Final = ("value", "expected", "lower", "upper")
NAMED: Final = 4  # fields in a sentence

Document = Mapping[str, Any]  # an alert as it stands in its topic


class HasOffset(Protocol):
    """What is needed of a record of Kafka."""

    @property
    def offset(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Again:
    """What the record at an alert's offset is now, and comes out as."""

    words: str  # why it is no reading, or its outcome
    series: str | None = None  # None where it is no reading
    at: str | int | None = None
    score: float | None = None  # decades; None where it was not scored, as the next
    bar: float | None = None


class Row(NamedTuple):
    """One thing that an alert says."""

    field: str
    told: object
    found: object
    same: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """One event of an incident, and what came out in its place."""

    told: Document
    found: Document | None  # None: no such event
    again: Again | None  # None: no record stands at its offset
    differing: tuple[str, ...]  # names of fields, where there is an event
    exactly: bool  # to the last digit

    @property
    def same(self) -> bool:
        """Whether the same came out."""
        return self.found is not None and not self.differing

    def words(self) -> str:
        """What came out otherwise."""
        if self.found is None:
            return f"{self.told['event']} did not come out"
        few = ", ".join(self.differing[:NAMED]) + f" and {len(self.differing) - NAMED} more" * (
            len(self.differing) > NAMED
        )
        decided = not any(field in DECIDED for field in self.differing)
        return f"{self.told['event']} came out {'with other numbers' if decided else 'otherwise'} ({few})"


class Replay:
    """Scores the readings of a partition again, in silence, and keeps what is to be compared."""

    def __init__(self, monitor: Monitor, told: Sequence[Document]) -> None:
        """`told` are the events of one incident on one partition."""
        self._monitor = monitor
        self._told = told
        self._ids = {document["id"] for document in told}
        self._offsets = {int(document["offset"]) for document in told}
        self._events: dict[tuple[str, int], Document] = {}
        self._again: dict[int, Again] = {}
        self.readings = 0

    def observe(self, records: Sequence[HasOffset], decoded: Decoded) -> None:
        """Take the next records of the partition, and what they were decoded to."""
        readings, _, scores, events = self._monitor.follow(decoded.readings)
        clock = self._monitor.detector.clock
        self.readings += len(readings)
        for alert in events:
            if alert.id in self._ids:
                self._events[alert.event, alert.offset] = json.loads(alerts.encode(alert))
        for one in decoded.rejected:
            if records[one.row].offset in self._offsets:
                self._again[records[one.row].offset] = Again(f"no reading: {one.reason}, {one.detail}")
        for row in np.flatnonzero(np.isin(readings.offset, list(self._offsets))).tolist():
            outcome, at = Outcome(int(scores.outcome[row])), int(readings.at[row])
            scored = outcome == Outcome.SCORED
            self._again[int(readings.offset[row])] = Again(
                outcome.name.lower(),
                readings.names[readings.series[row]],
                times.iso(at) if clock == "time" else at,
                float(scores.score[row]) if scored else None,
                float(scores.bar[row]) if scored else None,
            )

    def compared(self) -> list[Compared]:
        """Each event that was told beside what came out, when all its readings were taken."""
        return [
            _compared(told, self._events.get((told["event"], told["offset"])), self._again.get(told["offset"]))
            for told in self._told
        ]


def _compared(told: Document, found: Document | None, again: Again | None) -> Compared:
    if found is None:
        return Compared(told, None, again, (), exactly=False)
    pairs, sizes = list(_pairs(told, found)), _sizes(told)
    differing = tuple(field for field, before, now in pairs if not _alike(before, now, sizes.get(field, 0.0)))
    exactly = all(before == now for _, before, now in pairs)
    return Compared(told, found, again, differing, exactly=exactly)


def rows(one: Compared) -> list[Row]:
    """What an event says, beside what came out: the principal things, and all that differs."""
    if one.found is None:
        return _rows_of_none(one.told, one.again or Again("no record"))
    first = next((f"channels {channel['channel']} " for channel in one.told.get("channels", [])), "")
    shown = {*SHOWN, *(f"{first}{name}" for name in CHANNEL_SHOWN)}
    return [
        Row(field, told, found, field not in one.differing)
        for field, told, found in _pairs(one.told, one.found)
        if field in one.differing or (field in shown and (told, found) != (None, None))
    ]


def _rows_of_none(told: Document, again: Again) -> list[Row]:
    """What the reading comes out as, where no event does; later events tell the score of the peak, and not its own."""
    own = told["event"] in ("raised", "budget_spent")
    pairs = [
        ("event", told["event"], f"none ({again.words})"),
        ("series", told["series"], again.series),
        ("at", told.get("at"), again.at),
        ("score of the reading", told.get("score") if own else None, again.score),
        ("its bar", told.get("bar") if own else None, again.bar),
    ]
    return [Row(field, before, now, before in (now, None)) for field, before, now in pairs]


def _pairs(told: Document, found: Document) -> Iterator[tuple[str, Any, Any]]:
    """Field by field what both say; None where one says nothing."""
    before, now = dict(_flat(told)), dict(_flat(found))
    for field in {**before, **now}:
        if field not in NOT_HELD:
            yield field, before.get(field), now.get(field)


def _flat(document: Document, within: str = "") -> Iterator[tuple[str, Any]]:
    """Every value under one name: of a list each entry by the channel or series that it is of."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name} ")
        elif isinstance(value, list):
            for entry in value:
                yield from _flat(entry, f"{within}{name} {entry.get('channel', entry.get('series'))} ")
        else:
            yield f"{within}{name}", value


def _sizes(told: Document) -> dict[str, float]:
    """What a difference in a field is small beside, where that is not its own value: it may be near zero."""
    sizes = {field: 1.0 for field, _ in _flat(told) if field.split()[-1] in OF_ORDER_ONE}
    for channel in told.get("channels", []):
        if channel["lower"] is not None and channel["upper"] is not None:
            band = channel["upper"] - channel["lower"]
            sizes |= {f"channels {channel['channel']} {name}": band for name in ("expected", "lower", "upper")}
    return sizes


def _alike(told: object, found: object, size: float) -> bool:
    """Whether two values are the same: numbers with a fraction nearly, everything else exactly."""
    if isinstance(told, float) and isinstance(found, float):
        return math.isclose(told, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE * size)
    return told == found
