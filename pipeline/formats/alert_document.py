"""An alert as it stands in its topic, field by field, and the JSON Schema of it."""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.records import Because, Closing, Event, Kind, Severity

Time = str | int  # ISO 8601 with Z, or a sample number


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel that the alert is about, in its own unit."""

    channel: str
    value: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    contribution: float | None
    unit: str


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long a channel has had one value, or a series no reading."""

    readings: int
    limit: int


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose incident it is."""

    id: str
    labels: dict[str, str]
    joined: int
    open: int


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A series in the incident of a group."""

    series: str
    id: str
    severity: Severity
    start: Time
    end: Time | None
    score: float
    peak_at: Time


class AlertDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One event of an incident; what only a score has is null where the kind is not anomaly."""

    id: str
    event: Event
    kind: Kind
    detector: str
    digest: str
    series: str
    severity: Severity
    at: Time
    start: Time
    end: Time | None
    peak_at: Time | None
    score: float | None
    bar: float | None
    target: float | None
    because: Because
    span: int | None
    one_in: int | None
    closing: Closing | None
    channels: list[Channel]
    partition: int
    offset: int
    sentence: str
    quiet: Quiet | None = None
    muted: str | None = None
    labels: dict[str, str] = {}
    group: Group | None = None
    members: list[Member] = []


def schema() -> dict[str, Any]:
    """The JSON Schema of an alert."""
    return msgspec.json.schema(AlertDocument)
