"""A whole configuration for the validation library, and how it becomes `Settings`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.settings.detector_section import DetectorSection
from pipeline.settings.kafka_section import KafkaSection
from pipeline.settings.notify_section import NotifySection
from pipeline.settings.registry_section import RegistrySection
from pipeline.settings.section import Address, Name, Section
from pipeline.settings.settings import (
    Delivery,
    OutputSettings,
    Settings,
    StateSettings,
    TelemetrySettings,
)


class OutputsSection(Section):
    """The topics written to; null: not written."""

    alerts: Name | None = Field(
        default="plumbline.alerts", description="events of incidents, and a sentence to standard output"
    )
    scores: Name | None = Field(default=None, description="one record for each reading")
    dead_letters: Name | None = Field(
        default="plumbline.dead", description="records that are no readings, with the reason"
    )
    dead_letter_limit: Annotated[float, Field(gt=0, le=1)] = Field(
        default=OutputSettings().dead_letter_limit,
        description="share of records that are no readings, above which, for a minute and a thousand records, the "
        "service ends; 1: never",
    )


class StateSection(Section):
    """Where running state outlives the process: in a folder, or in a topic from which others can go on."""

    folder: Name | None = Field(default=None, description="of this process alone; state where nothing is said")
    changelog: Name | None = Field(default=None, description="a compacted topic instead, made where it is missing")
    every_seconds: Annotated[float, Field(gt=0)] = Field(default=30.0, description="from one saved state to the next")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.folder is not None and self.changelog is not None:
            raise ValueError("state.folder and state.changelog are both set: name one place for the state")
        return self

    def build(self, folder: Path) -> StateSettings:
        """The section with its folder found; none is kept where folder is set to null and there is no changelog."""
        kept = None if self.changelog or "folder" in self.model_fields_set else "state"
        place = self.folder or kept
        return StateSettings(None if place is None else folder / place, self.changelog, self.every_seconds)


class SeriesSection(Section):
    """Which series telemetry shows one by one."""

    max: Annotated[int, Field(ge=0)] = 20
    match: str = Field(default="*", description="as a file name is matched")


class TelemetrySection(Section):
    """Where Prometheus and health checks find the service."""

    listen: Address | None = Field(default=("127.0.0.1", 9464), description="host:port; null: nowhere")
    series: SeriesSection = Field(default_factory=SeriesSection)


class Configuration(Section):
    """Settings of Plumbline. Paths are relative to the file's own folder."""

    kafka: KafkaSection | None = None
    detectors: Annotated[dict[Name, DetectorSection], Field(min_length=1)]
    outputs: OutputsSection = Field(default_factory=OutputsSection)
    state: StateSection = Field(default_factory=StateSection)
    telemetry: TelemetrySection = Field(default_factory=TelemetrySection)
    notify: NotifySection = Field(default_factory=NotifySection, description="who is told, by plumbline notify")
    schema_registry: RegistrySection | None = Field(default=None, description="where schemas of Avro records are kept")
    delivery: Delivery = Field(
        default="at_least_once",
        description="exactly_once: outputs in transactions, seen by readers of committed records",
    )

    @model_validator(mode="after")
    def _state_for_transactions(self) -> Self:
        if self.delivery == "exactly_once" and self.state.changelog is None:
            raise ValueError(
                "delivery is exactly_once and there is no state.changelog: a state on disk is in no transaction; "
                "name a topic, as in state: {changelog: plumbline.state}"
            )
        return self

    @model_validator(mode="after")
    def _schemas_for_avro(self) -> Self:
        avro = [name for name, one in self.detectors.items() if one.input and one.input.format.encoding == "avro"]
        if avro and self.schema_registry is None:
            raise ValueError(
                f"detectors.{avro[0]}.input.format is avro, and there is no schema_registry: its schemas are kept in "
                "one, as in schema_registry: {url: http://localhost:8081}"
            )
        return self

    @model_validator(mode="after")
    def _no_circle(self) -> Self:
        read = {detector.input.topic: name for name, detector in self.detectors.items() if detector.input is not None}
        written = [topic for topic in (self.outputs.alerts, self.outputs.scores, self.outputs.dead_letters) if topic]
        for topic in written:
            if topic in read:
                raise ValueError(f"outputs write to {topic}, which detectors.{read[topic]} reads: name another topic")
        for topic, times in Counter(written).items():
            if times > 1:
                raise ValueError(f"outputs write to {topic} twice: what stands there must be of one kind")
        return self

    def build(self, path: Path) -> Settings:
        """The settings, with files found from the folder of `path`."""
        folder = path.absolute().parent
        return Settings(
            path=path,
            detectors={name: section.build(name, folder) for name, section in self.detectors.items()},
            kafka=None if self.kafka is None else self.kafka.build(folder),
            outputs=OutputSettings(**self.outputs.model_dump()),
            state=self.state.build(folder),
            telemetry=TelemetrySettings(self.telemetry.listen, self.telemetry.series.max, self.telemetry.series.match),
            delivery=self.delivery,
            notify=self.notify.build(folder),
            registry=None if self.schema_registry is None else self.schema_registry.build(folder),
        )
