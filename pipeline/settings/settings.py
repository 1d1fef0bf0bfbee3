"""What a configuration says, checked: one frozen dataclass a section.

Paths in a file are relative to the file's own folder, and absolute here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import SettingsError
from pipeline.formats.mapping import InputMapping
from pipeline.formats.times import Unit
from pipeline.monitor.policy import Policy

Scalar = str | int | float | bool | None
OnLoss = Literal["rewarm", "fail", "latest"]
Delivery = Literal["at_least_once", "exactly_once"]


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a password comes from, fetched when it is used; exactly one of the three."""

    env: str | None = None  # name of an environment variable
    file: Path | None = None  # its first line
    text: str | None = field(default=None, repr=False)  # written into the configuration itself


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How Kafka is reached."""

    bootstrap_servers: str = "localhost:9092"  # host:port of one broker or more, with commas
    group_id: str = "plumbline"
    client: Mapping[str, Scalar | Secret] = field(default_factory=dict)  # TLS, SASL, timeouts: to kafka-python as it is
    transactional_id: str | None = None  # None: a new one at each start
    mutes: str | None = None  # a compacted topic of mutes, beside those of the configuration
    on_offset_loss: OnLoss = "rewarm"  # where records were deleted unread, or a topic was made anew


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Where the schemas of Avro records are kept."""

    url: str
    username: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_seconds: float = 2.0  # for one answer


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """One detector: what it reads, where it is kept, what the operator promises, how it is learnt."""

    name: str
    bundle: Path | None = None
    topic: str | None = None  # None where there is no input: files only
    input: InputMapping | None = None
    channels: tuple[str, ...] = ()  # empty: all columns but timestamp, series and label
    policy: Policy = field(default_factory=Policy)
    fit: FitSettings = field(default_factory=FitSettings)
    timezone: str = "UTC"  # of times without one, in files
    unit: Unit | None = None  # of timestamps that are numbers, in files; None: a whole number is a sample number


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """The topics written to; None: not written."""

    alerts: str | None = "plumbline.alerts"
    scores: str | None = None
    dead_letters: str | None = "plumbline.dead"
    dead_letter_limit: float = 0.5  # share of records that are no readings, above which, for long, the service ends


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where running state outlives the process, and how often it is saved."""

    folder: Path | None  # None where there is a changelog; without both every start warms up anew
    changelog: str | None = None  # a compacted topic: the state follows a partition to whoever is given it
    every_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where Prometheus and health checks find the service, and which series it shows one by one."""

    listen: tuple[str, int] | None = ("127.0.0.1", 9464)  # host, port
    series_max: int = 20
    series_match: str = "*"  # as a file name is matched


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """An Alertmanager, by the address of its server."""

    url: str
    every_seconds: float = 60.0  # from one post of what is open to the next
    timeout_seconds: float = 10.0
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where each alert is posted to, and with which signature."""

    url: str
    secret: Secret | None = None  # None: not signed
    timeout_seconds: float = 10.0
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Who is told of alerts; None: not told."""

    alertmanager: AlertmanagerSettings | None = None
    webhook: WebhookSettings | None = None
    json_lines: Path | None = None
    listen: tuple[str, int] | None = ("127.0.0.1", 9465)  # host, port


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration."""

    path: Path  # the file it came from, for messages
    detectors: Mapping[str, DetectorSettings]  # at least one
    kafka: KafkaSettings | None
    outputs: OutputSettings
    state: StateSettings
    telemetry: TelemetrySettings
    delivery: Delivery = "at_least_once"
    notify: NotifySettings = field(default_factory=NotifySettings)
    registry: RegistrySettings | None = None

    def detector(self, name: str | None = None) -> DetectorSettings:
        """The detector of this name, or the only one; SettingsError when that is not one."""
        known = ", ".join(self.detectors)
        if name is None and len(self.detectors) > 1:
            raise SettingsError(f"{self.path} has several detectors: choose one by --detector ({known})")
        if name is not None and name not in self.detectors:
            raise SettingsError(f"{self.path} has no detector {name}: it has {known}")
        return self.detectors[name] if name is not None else next(iter(self.detectors.values()))
