"""The last reading of a few series of one detector, so that a person can see the sensor.

A sensor's name is a label with no bound, so only `max` series are listed: those in an incident first, then the
highest scoring. A listed series stays for 15 minutes, lest its lines be cut to pieces; only a series in an incident may
take the place of a calm one earlier. A series that falls silent, or whose partition goes to another replica, leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import Lock

import numpy as np

from pipeline.records import Codes, Flags, Floats, Outcome, Readings, Scores
from pipeline.service.ports import Clock

KEEP_SECONDS = 900.0  # a place is kept so long after it was given, and after each reading in an incident
MOST_CHANNELS = 400  # of a detector's listed series together, so that a scrape stays small where channels are many
LONGEST_NAME = 200  # characters; a longer name makes no label


@dataclass(frozen=True, slots=True)
class SeriesShown:
    """Which series get figures of their own."""

    max: int = 20  # of each detector; fewer where these would have more than 400 channels together
    match: str = "*"  # of the series' name, with * and ? as in a shell

    def __post_init__(self) -> None:
        if self.max < 0:
            raise ValueError(f"telemetry.series.max is {self.max}: it must be 0 or more")


@dataclass(frozen=True, slots=True)
class Listed:
    """The series that are listed now, P of them, with C channels; a copy, safe in another thread."""

    names: tuple[str, ...]
    values: Floats  # (P, C)
    missing: Flags  # (P, C)
    scored: Flags  # (P,) whether what follows means something
    expected: Floats  # (P, C)
    lower: Floats  # (P, C)
    upper: Floats  # (P, C)
    score: Floats  # (P,) decades
    bar: Floats  # (P,) decades
    alert: Flags  # (P,)
    unlisted: int  # series that match and found no place


class WatchedSeries:
    """Chooses the series and keeps their last readings; written by the loop, read by a scrape of another thread."""

    def __init__(self, channels: int, shown: SeriesShown, clock: Clock, step_seconds: float = 0.0) -> None:
        self._most = min(shown.max, max(1, MOST_CHANNELS // channels))
        self._match = shown.match
        self._clock = clock
        self._silent_seconds = max(KEEP_SECONDS, 3 * step_seconds)
        self._lock = Lock()
        self._names: Sequence[str] = ()
        # By code.
        self._matches = np.zeros(0, np.bool_)
        self._seen = np.zeros(0, np.bool_)
        self._partition = np.zeros(0, np.int32)
        self._place = np.zeros(0, np.int32)  # `most` where a series has none
        # By place.
        P, C = self._most, channels
        self._code = np.zeros(P, np.int32)
        self._held = np.zeros(P, np.bool_)
        self._until = np.zeros(P)  # on the monotonic clock, as is the next
        self._read_at = np.zeros(P)
        self._values, self._expected, self._lower, self._upper = (np.zeros((P, C)) for _ in range(4))
        self._missing = np.zeros((P, C), np.bool_)
        self._score, self._bar = np.zeros(P), np.zeros(P)
        self._scored, self._alert = np.zeros(P, np.bool_), np.zeros(P, np.bool_)

    def observed(self, readings: Readings, scores: Scores) -> None:
        """Take in a batch; of each listed series the last reading is kept."""
        if not len(readings):
            return
        now = self._clock.monotonic()
        with self._lock:
            self._grow(readings.names)
            self._seen[readings.series] = True
            self._partition[readings.series] = readings.partition
            if self._most:
                self._choose(readings.series, scores, now)
                self._keep(readings, scores, now)

    def only(self, partitions: Collection[int]) -> None:
        """Forget the series of all other partitions."""
        with self._lock:
            self._seen &= np.isin(self._partition, np.fromiter(partitions, np.int32))
            self._leave(self._held & ~self._seen[self._code] if len(self._seen) else self._held)

    def listed(self) -> Listed:
        """The listed series as they stand."""
        with self._lock:
            self._leave(self._held & (self._clock.monotonic() - self._read_at > self._silent_seconds))
            places = np.flatnonzero(self._held)
            return Listed(
                names=tuple(_label(self._names[code]) for code in self._code[places]),
                values=self._values[places],
                missing=self._missing[places],
                scored=self._scored[places],
                expected=self._expected[places],
                lower=self._lower[places],
                upper=self._upper[places],
                score=self._score[places],
                bar=self._bar[places],
                alert=self._alert[places],
                unlisted=int(np.count_nonzero(self._seen & self._matches)) - len(places),
            )

    def _grow(self, names: Sequence[str]) -> None:
        self._names = names
        known, wanted = len(self._place), len(names)
        if wanted == known:
            return
        self._matches = np.append(self._matches, [self._shows(names[code]) for code in range(known, wanted)])
        self._seen = np.append(self._seen, np.zeros(wanted - known, np.bool_))
        self._partition = np.append(self._partition, np.zeros(wanted - known, np.int32))
        self._place = np.append(self._place, np.full(wanted - known, self._most, np.int32))

    def _shows(self, name: str) -> bool:
        return len(name) <= LONGEST_NAME and fnmatchcase(name, self._match)

    def _choose(self, codes: Codes, scores: Scores, now: float) -> None:
        """Give places to series of this batch that have none, those in an incident first, then by score."""
        full = bool(self._held.all()) and bool((now < self._until).all())
        wanting = (scores.scored | scores.alert) & (self._place[codes] == self._most) & self._matches[codes]
        rows = np.flatnonzero(wanting & scores.alert if full else wanting)
        while len(rows):
            alarmed = rows[scores.alert[rows]]
            among = alarmed if len(alarmed) else rows
            row = among[np.argmax(scores.score[among])]
            place = self._place_for(float(scores.score[row]), bool(scores.alert[row]), now)
            if place is None:
                return
            self._leave(np.arange(self._most) == place)
            self._code[place], self._held[place], self._until[place] = codes[row], True, now + KEEP_SECONDS
            self._place[codes[row]] = place
            self._score[place], self._alert[place] = scores.score[row], scores.alert[row]
            rows = rows[codes[rows] != codes[row]]

    def _place_for(self, score: float, alert: bool, now: float) -> int | None:
        if not self._held.all():
            return int(np.argmin(self._held))
        replaceable = ~self._alert if alert else (now >= self._until) & (self._score < score)
        if not replaceable.any():
            return None
        return int(np.argmin(np.where(replaceable, self._score, np.inf)))

    def _leave(self, places: Flags) -> None:
        """Empty the places of this mask."""
        leaving = places & self._held
        if leaving.any():
            self._place[self._code[leaving]] = self._most
            self._held &= ~leaving
            self._scored &= ~leaving
            self._alert &= ~leaving

    def _keep(self, readings: Readings, scores: Scores, now: float) -> None:
        place = self._place[readings.series]
        rows = np.flatnonzero((place < self._most) & (scores.outcome <= Outcome.MISSING))
        if not len(rows):
            return
        last = np.zeros(self._most, np.int64)
        last[place[rows]] = rows + 1  # of rows that share a place the last one stays
        places = np.flatnonzero(last)
        rows = last[places] - 1
        self._values[places], self._missing[places] = readings.values[rows], readings.missing[rows]
        self._expected[places] = scores.expected[rows]
        self._lower[places], self._upper[places] = scores.lower[rows], scores.upper[rows]
        self._score[places], self._bar[places] = scores.score[rows], scores.bar[rows]
        self._scored[places], self._alert[places] = scores.scored[rows], scores.alert[rows]
        self._read_at[places] = now
        self._until[places[scores.alert[rows]]] = now + KEEP_SECONDS


def _label(name: str) -> str:
    """The name as a label: half a surrogate pair, which no encoding can write, is spelt out."""
    return name.encode("utf-8", "backslashreplace").decode()
