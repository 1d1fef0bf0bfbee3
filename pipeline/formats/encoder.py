"""Readings to records: the reverse of the decoder, for `publish`; how a record is written is left to each format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.formats import times
from pipeline.formats.documents import Document, put
from pipeline.formats.mapping import InputMapping, Part, Path, path_of, pattern_of
from pipeline.records import Readings


class RecordEncoder:
    """Readings to the key and value of records which the decoder of the same mapping reads back equal."""

    def __init__(self, mapping: InputMapping, channels: Sequence[str]) -> None:
        self._paths = mapping.paths(channels)
        self._time_path = path_of(mapping.time.field)
        self._unit: times.Unit = mapping.time.unit
        self._series = _Names(mapping.series.parts() if mapping.join is None else mapping.join.by.parts())
        self._sensors: list[_Named] | None = None
        if mapping.join is not None:
            sensors = _Names(mapping.series.parts())
            self._sensors = [sensors.named(sensor) for sensor in mapping.sensors(channels)]
        self._only = [(path_of(name), values[0]) for name, values in mapping.only.items()]

    def write(self, document: Document) -> bytes | None:
        """A record, in which NaN is a missing value; None where it cannot say that there is nothing."""
        raise NotImplementedError

    def encode(self, readings: Readings) -> list[tuple[bytes, bytes]]:
        """Key and value of a record for each reading, in order; the key keeps a series in one partition.

        Where records are joined, there is one for each channel that is not missing. ValueError: one cannot be written.
        """
        names = {code: self._series.named(readings.names[code]) for code in np.unique(readings.series).tolist()}
        values = np.where(readings.missing, np.nan, readings.values).tolist()
        records: list[tuple[bytes, bytes] | None] = []
        for code, at, row in zip(readings.series.tolist(), readings.at.tolist(), values, strict=True):
            moment = times.iso(at) if self._unit == "iso8601" else times.to_number(at, self._unit)
            if self._sensors is None:
                records.append(self._record([names[code]], moment, zip(self._paths, row, strict=True)))
                continue
            for sensor, path, value in zip(self._sensors, self._paths, row, strict=True):
                if not math.isnan(value):
                    records.append(self._record([names[code], sensor], moment, [(path, value)]))
        return [record for record in records if record is not None]

    def _record(
        self, names: Sequence[_Named], moment: str | float, values: Iterable[tuple[Path, float]]
    ) -> tuple[bytes, bytes] | None:
        document: Document = {}
        for path, text in self._only:
            put(document, path, text)
        for named in names:
            for path, text in named.fields:
                put(document, path, text)
        put(document, self._time_path, moment)
        for path, value in values:
            put(document, path, value)
        key = next((named.key for named in names if named.key is not None), names[0].name)
        written = self.write(document)
        return None if written is None else (key.encode(), written)


class _Named(NamedTuple):
    """What a record needs to have so that a name is found in it."""

    name: str
    key: str | None  # None: any
    fields: list[tuple[Path, str]]


class _Names:
    """Names of series or sensors, taken apart again."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._variable = [part for part in parts if part.kind != "text"]
        self._pattern = pattern_of(parts)

    def named(self, name: str) -> _Named:
        matched = self._pattern.fullmatch(name)
        if matched is None:
            raise ValueError(f"series {name!r} does not fit the template of the input's series: mend one of them")
        pieces = list(zip(self._variable, matched.groups(), strict=True))
        key = next((text for part, text in pieces if part.kind in ("key", "key_or_topic")), None)
        return _Named(name, key, [(part.path, text) for part, text in pieces if part.kind == "field"])
