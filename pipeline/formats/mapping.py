"""What a record on a topic means: which of its fields name the series, the time and the channels.

Declared once in the settings, read by the decoder of the service and, backwards, by the encoder of `publish`.
A field is named by its path, with dots between the levels of nested objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Literal, NamedTuple, get_args

from pipeline.formats import times
from pipeline.records import Clock

LONGEST_LATENESS = 86_400  # seconds

Format = Literal["json", "line_protocol", "avro"]
FORMATS: tuple[str, ...] = get_args(Format)
Path = tuple[str, ...]  # the keys from the record's top to a value


class Part(NamedTuple):
    """A piece of a series' name: fixed text, or where in the record to find it."""

    kind: Literal["text", "field", "key", "topic", "key_or_topic"]
    text: str = ""
    path: Path = ()


@dataclass(frozen=True, slots=True)
class SeriesMapping:
    """Where the name of a series stands; one of the four, or none: the record's key, else its topic."""

    field: str | None = None
    key: bool = False
    topic: bool = False
    template: str | None = None  # such as {site}/{pump}, over fields, {key} and {topic}

    def __post_init__(self) -> None:
        chosen = [self.field is not None, self.key, self.topic, self.template is not None]
        if sum(chosen) > 1:
            raise ValueError("series has more than one source: one of field, key, topic, template is needed")
        self.parts()

    def parts(self) -> tuple[Part, ...]:
        """The pieces of a name, in order."""
        if self.field is not None:
            return (Part("field", path=path_of(self.field)),)
        if self.template is not None:
            return tuple(_template_parts(self.template))
        return (Part("key" if self.key else "topic" if self.topic else "key_or_topic"),)

    def fields(self) -> list[Path]:
        """The fields that are read for a name."""
        return [part.path for part in self.parts() if part.kind == "field"]


def _template_parts(template: str) -> list[Part]:
    parts: list[Part] = []
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"series template is {template!r}: {error}") from error
    for text, name, form, conversion in pieces:
        if text:
            parts.append(Part("text", text=text))
        if name is None:
            continue
        if form or conversion:
            raise ValueError(f"series template is {template!r}: a field stands alone in its braces, as in {{site}}")
        parts.append(
            Part("key") if name == "key" else Part("topic") if name == "topic" else Part("field", path=path_of(name))
        )
    if all(part.kind == "text" for part in parts):
        raise ValueError(f"series template is {template!r}: at least one field in braces is needed, as in {{site}}")
    return parts


@dataclass(frozen=True, slots=True)
class TimeMapping:
    """Where the time of a reading stands and how it is written."""

    field: str = "timestamp"
    unit: times.Unit = "iso8601"
    timezone: str = "UTC"  # of text without an offset

    def __post_init__(self) -> None:
        path_of(self.field)
        if self.unit not in times.UNITS:
            raise ValueError(f"time unit is {self.unit!r}: one of {', '.join(times.UNITS)} is needed")
        times.zone(self.timezone)

    @property
    def clock(self) -> Clock:
        """The clock that such times belong to."""
        return times.clock_of(self.unit)


@dataclass(frozen=True, slots=True)
class JoinMapping:
    """How records of single sensors become readings: those of one name and one time are one reading.

    What `InputMapping.series` finds is then the sensor, which is a channel of the series that is named here.
    """

    by: SeriesMapping = field(default_factory=SeriesMapping)
    value: str = "value"  # the field of a sensor's value

    def __post_init__(self) -> None:
        path_of(self.value)


@dataclass(frozen=True, slots=True)
class InputMapping:
    """How the records of a topic are read."""

    format: Format = "json"
    shape: Literal["wide", "long"] = "wide"  # long: a record is one sensor's value, and each sensor a series or channel
    series: SeriesMapping = field(default_factory=SeriesMapping)
    time: TimeMapping = field(default_factory=TimeMapping)
    channels: Mapping[str, str] = field(default_factory=dict)  # name to field, where the two differ
    max_bytes: int = 1_048_576  # a longer record is not parsed
    join: JoinMapping | None = None  # of long records into the readings of several channels
    lateness_seconds: float = 0.0  # for so long in event time a reading waits for others that are to come before it
    under: str | None = None  # the field below which those of the channels stand; None: at the record's top
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # fields to their values in records that are read
    deletes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # fields to values that say a row is gone

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format is {self.format!r}: {' or '.join(FORMATS)} is needed")
        if self.format == "line_protocol" and self.time.unit == "iso8601":
            raise ValueError(
                "time unit is iso8601, and the time of a line is a whole number: s, ms, us or ns is needed"
            )
        if self.shape not in ("wide", "long"):
            raise ValueError(f"shape is {self.shape!r}: wide or long is needed")
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes is {self.max_bytes}: at least 1 is needed")
        if self.join is not None and self.shape != "long":
            raise ValueError(f"join is given, and shape is {self.shape}: long is needed, records of single sensors")
        if not 0 <= self.lateness_seconds <= LONGEST_LATENESS:
            raise ValueError(f"lateness_seconds is {self.lateness_seconds:g}: 0 to {LONGEST_LATENESS} is needed")
        if self.lateness_seconds and self.time.clock != "time":
            raise ValueError(
                f"lateness_seconds is {self.lateness_seconds:g}, and times are sample numbers: set it to 0 or mend time"
            )
        for name, values in (*self.only.items(), *self.deletes.items()):
            path_of(name)
            if not values:
                raise ValueError(f"field {name!r} has no value that is meant: at least one is needed")
        self.paths(list(self.channels))

    @property
    def lateness(self) -> int:
        """For how long a reading waits, in the clock's unit."""
        return round(self.lateness_seconds * 1_000_000)

    def paths(self, channels: Sequence[str]) -> list[Path]:
        """The field of each channel, in the order of `channels`; a channel that is not mapped is its own field.

        ValueError when the record cannot have them all.
        """
        unknown = [name for name in self.channels if name not in channels]
        if unknown:
            raise ValueError(f"channels has {unknown[0]!r}, which the detector does not have: {', '.join(channels)}")
        top = () if self.under is None else path_of(self.under)
        if self.join is not None:
            sensors = [*self.series.fields(), *self.join.by.fields()]
            _check_apart([path_of(self.time.field), *dict.fromkeys(sensors), top + path_of(self.join.value)])
            self.sensors(channels)
            return [top + path_of(self.join.value)] * len(channels)
        if self.shape == "long" and len(channels) > 1:
            raise ValueError(
                f"shape is long, which has one channel without join; here are {len(channels)}: {', '.join(channels)}"
            )
        paths = [top + (path_of(self.channels[name]) if name in self.channels else (name,)) for name in channels]
        _check_apart([path_of(self.time.field), *dict.fromkeys(self.series.fields()), *paths])
        return paths

    def sensors(self, channels: Sequence[str]) -> dict[str, int]:
        """Of records that are joined: the sensor of each channel, with the channel's position."""
        names = [self.channels.get(name, name) for name in channels]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"two channels are of sensor {repeated!r}: each is of its own")
        return {name: position for position, name in enumerate(names)}


def path_of(name: str) -> Path:
    """The levels of a dotted name."""
    path = tuple(name.split("."))
    if not all(path):
        raise ValueError(f"field is {name!r}: a name is needed, with single dots between levels")
    return path


def _check_apart(paths: list[Path]) -> None:
    """Refuse two meanings of one field, and a field inside another."""
    for position, path in enumerate(paths):
        for other in paths[position + 1 :]:
            shorter = min(len(path), len(other))
            if path[:shorter] == other[:shorter]:
                raise ValueError(f"fields {'.'.join(path)!r} and {'.'.join(other)!r} collide: each is one value")


def pattern_of(parts: Sequence[Part]) -> re.Pattern[str]:
    """What a name made of these parts looks like, one group for each part that is no fixed text."""
    return re.compile("".join(re.escape(part.text) if part.kind == "text" else "(.+?)" for part in parts), re.DOTALL)
