"""What the records of well-known senders mean, said in the words of the mapping: each key may be set otherwise.

Which field names the series is not among them: how machines are told apart is nobody's convention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.formats.times import Unit

PresetName = Literal["telegraf", "debezium", "debezium_bare"]


@dataclass(frozen=True, slots=True)
class Preset:
    """What a mapping says where the settings do not."""

    time_field: str
    time_unit: Unit | None  # None: it has to be said
    under: str
    deletes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    series_such_as: str = ""  # for a message: what could name the series


DELETE, TRUNCATE = "d", "t"  # operations of a change event that leave no row

# A line of the line protocol is such a document by itself, but for what its time is counted in
LINES = Preset("timestamp", None, "fields", series_such_as="tags.host")

PRESETS: Mapping[PresetName, Preset] = {
    # Telegraf's serializer `json`: {"fields": {...}, "name": "...", "tags": {...}, "timestamp": seconds}
    "telegraf": Preset("timestamp", "s", "fields", series_such_as="tags.host"),
    # Debezium's change event as Kafka Connect's JSON converter writes it: {"schema": ..., "payload": {...}}
    "debezium": Preset(
        "payload.source.ts_ms", "ms", "payload.after", {"payload.op": (DELETE, TRUNCATE)}, "payload.after.machine"
    ),
    # The same without schemas (schemas.enable=false), and in Avro
    "debezium_bare": Preset("source.ts_ms", "ms", "after", {"op": (DELETE, TRUNCATE)}, "after.machine"),
}
