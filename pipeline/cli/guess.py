"""What the fields of unknown records may mean: which is the time, which names the series, which are channels.

A guess is written into a configuration as a proposal, with its reason beside it, and is never used unseen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Protocol

from pipeline.exceptions import DataError
from pipeline.formats import times
from pipeline.formats.mapping import InputMapping, JoinMapping, SeriesMapping, TimeMapping

TIME_NAMES = ("timestamp", "time", "ts", "datetime", "date", "at", "event_time", "eventtime", "created_at", "t")
SERIES_NAMES = ("series", "sensor_id", "device_id", "machine_id", "sensor", "device", "machine", "asset", "id", "name")
SENSOR_NAMES = ("sensor", "sensor_id", "metric", "measurement", "parameter", "signal", "variable", "tag", "name")
MOST_SENSORS = 64  # of one machine: more names of something are those of machines
EARLIEST, LATEST = 631_152_000, 4_102_444_800  # seconds: 1990 and 2100, between which a number may be a time


class Record(Protocol):
    """What is looked at of a record of Kafka."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Guess:
    """How the records of a topic may be read, and why it is thought so."""

    mapping: InputMapping
    channels: tuple[str, ...]
    reasons: tuple[str, ...]  # one sentence each


def guess(records: Sequence[Record], topic: str) -> Guess:
    """The meaning of the fields of these records; DataError where no time or no number is found."""
    documents = [flat for record in records if (flat := _flat(record.value))]
    if not documents:
        raise DataError(f"topic {topic}: none of {len(records)} records is a JSON object, which is what can be read")
    fields = {
        name: [each[name] for each in documents if each.get(name) is not None] for each in documents for name in each
    }
    time, unit = _time(fields, topic)
    rest = {name: values for name, values in fields.items() if name != time and values}
    series, why = _series(records, rest, len(documents))
    numbers = [name for name, values in rest.items() if name != series.field and all(map(_is_number, values))]
    if not numbers:
        raise DataError(f"topic {topic}: no field but {time} is always a number, found {', '.join(fields)}")
    joined = _joined(records, rest, numbers, len(documents), TimeMapping(time, unit))
    if joined is not None:
        return joined
    channels = {name.replace(".", "_"): name for name in numbers}
    reasons = [f"{time} is the time: every value reads as {'ISO 8601' if unit == 'iso8601' else f'a number in {unit}'}"]
    unread = [name for name in rest if name not in numbers and name != series.field]
    if unread:
        reasons.append(f"not read, for they are no numbers: {', '.join(unread)}")
    mapping = InputMapping(
        series=series,
        time=TimeMapping(time, unit),
        channels={channel: name for channel, name in channels.items() if channel != name},
    )
    return Guess(mapping, tuple(channels), (reasons[0], why, *reasons[1:]))


def _joined(
    records: Sequence[Record],
    fields: Mapping[str, Sequence[Any]],
    numbers: Sequence[str],
    documents: int,
    time: TimeMapping,
) -> Guess | None:
    """Records of single sensors that belong to machines: one number, the name of a sensor, and that of a machine."""
    named = [name for name in fields if _rank(name, SENSOR_NAMES) < len(SENSOR_NAMES)]
    for sensor in sorted(named, key=lambda name: _rank(name, SENSOR_NAMES)):
        values = fields[sensor]
        sensors = list(dict.fromkeys(values))
        if len(numbers) != 1 or len(values) < documents or not all(isinstance(value, str) for value in values):
            continue
        by, why = _series(records, {name: each for name, each in fields.items() if name != sensor}, documents)
        of_machines = not by.topic and {record.key for record in records} != {name.encode() for name in sensors}
        if 1 < len(sensors) <= MOST_SENSORS and of_machines:
            channels = {re.sub(r"\W+", "_", name): name for name in sorted(sensors)}
            mapping = InputMapping(
                shape="long",
                series=SeriesMapping(field=sensor),
                time=time,
                channels={channel: name for channel, name in channels.items() if channel != name},
                join=JoinMapping(by, numbers[0]),
                lateness_seconds=5.0 if time.clock == "time" else 0.0,
            )
            reasons = f"{sensor} names a sensor: {len(sensors)} of them", f"{why}; its sensors are joined to readings"
            return Guess(mapping, tuple(channels), (f"{time.field} is the time, in {time.unit}", *reasons))
    return None


def _flat(value: bytes | None) -> dict[str, Any]:
    """The values of a JSON object by their dotted paths; nothing where it is none."""
    try:
        document = json.loads(value or b"")
    except ValueError:
        return {}
    return dict(_leaves(document, "")) if isinstance(document, dict) else {}


def _leaves(document: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if "." in name or not name:
            continue  # no path leads there
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _time(fields: Mapping[str, Sequence[Any]], topic: str) -> tuple[str, times.Unit]:
    """The field that is the time, those with a telling name first, and its unit."""
    for name in sorted(fields, key=lambda name: _rank(name, TIME_NAMES)):
        unit = _unit(fields[name])
        # A number is a time by its name too: a counter of 1,500,000,000 litres is none.
        if unit is not None and (unit == "iso8601" or _rank(name, TIME_NAMES) < len(TIME_NAMES)):
            return name, unit
    raise DataError(
        f"topic {topic}: no field looks like a time (ISO 8601, or a number called timestamp, time or ts), found "
        f"{', '.join(fields)}; write the configuration by hand, plumbline schema names the keys"
    )


def _unit(values: Sequence[Any]) -> times.Unit | None:
    if not values:
        return None
    if all(isinstance(value, str) and len(value) >= 8 and times.parse(value, UTC) is not None for value in values):
        return "iso8601"
    if all(map(_is_number, values)):
        for unit, per_second in times.PER_SECOND.items():
            if all(EARLIEST <= value / per_second <= LATEST for value in values):
                return unit  # type: ignore[return-value]  # the keys are units
    return None


def _series(
    records: Sequence[Record], fields: Mapping[str, Sequence[Any]], documents: int
) -> tuple[SeriesMapping, str]:
    """Where the name of the series stands, and why."""
    for name in sorted(fields, key=lambda name: _rank(name, SERIES_NAMES)):
        values = fields[name]
        named = _rank(name, SERIES_NAMES) < len(SERIES_NAMES)
        text = all(isinstance(value, str) for value in values)
        if not (text or (named and all(type(value) is int for value in values))) or len(values) < documents:
            continue
        distinct = len(set(values))
        if named or distinct <= documents / 4:
            return SeriesMapping(field=name), f"{name} names the series: {distinct} in {documents} records"
    keys = {record.key for record in records}
    if None not in keys and not (len(keys) == len(records) > 8):  # keys that never repeat name records, not series
        return SeriesMapping(key=True), f"the record's key names the series: {len(keys)} in {len(records)} records"
    return SeriesMapping(topic=True), "no field names a series, and the keys do not either: the topic is one series"


def _rank(name: str, telling: Sequence[str]) -> int:
    """How telling the last part of a field's name is, 0 the most."""
    last = name.rpartition(".")[2].lower()
    return telling.index(last) if last in telling else len(telling)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
