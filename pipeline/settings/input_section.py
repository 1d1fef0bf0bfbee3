"""The section `input`: the topic that is read, and how its records become readings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.formats import times
from pipeline.formats.mapping import (
    FORMATS,
    LONGEST_LATENESS,
    Format,
    InputMapping,
    JoinMapping,
    SeriesMapping,
    TimeMapping,
)
from pipeline.formats.presets import LINES, PRESETS, Preset, PresetName
from pipeline.settings.section import Name, Section, Words


class SeriesSection(Section):
    """Where the name of a series stands: one of the four, or none: the record's key, else its topic."""

    field: Name | None = Field(default=None, description="of the record")
    key: bool = Field(default=False, description="true: the record's key")
    topic: bool = Field(default=False, description="true: the topic")
    template: Name | None = Field(default=None, description="such as {site}/{pump}, over fields, {key} and {topic}")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.build()
        return self

    def build(self) -> SeriesMapping:
        """Where the decoder finds the name."""
        return SeriesMapping(self.field, self.key, self.topic, self.template)


class TimeSection(Section):
    """Where the time of a reading stands and how it is written."""

    field: Name = "timestamp"
    unit: times.Unit = "iso8601"
    timezone: str = Field(default="UTC", description="of text without an offset, such as Europe/Berlin")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.build()
        return self

    def build(self, preset: Preset | None = None) -> TimeMapping:
        """Where the decoder finds the time; ValueError where neither this nor the preset says in what unit."""
        field = self.field if preset is None or "field" in self.model_fields_set else preset.time_field
        unit = self.unit if preset is None or "unit" in self.model_fields_set else preset.time_unit
        if unit is None:
            raise ValueError(
                "time.unit is missing: a line does not say in what its time is counted; "
                "it is the precision of the sender, s, ms, us or ns, as in time: {unit: ns}"
            )
        return TimeMapping(field, unit, self.timezone)


def _by(written: object) -> object:
    """A name alone is that of a field."""
    return {"field": written} if isinstance(written, str) else written


class JoinSection(Section):
    """Records of single sensors to readings: those of one name and time are one. `series` then names the sensor."""

    by: Annotated[
        SeriesSection, BeforeValidator(_by, json_schema_input_type=Annotated[str | SeriesSection, Field()])
    ] = Field(description="what names the series whose channels the sensors are: a field, or as `series` is written")
    value: Name = Field(default="value", description="the field of a sensor's value")
    lateness_seconds: Annotated[float, Field(ge=0, le=LONGEST_LATENESS)] = Field(
        default=5.0, description="for so long in event time a reading that lacks a sensor waits for it"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.build()
        return self

    def build(self) -> JoinMapping:
        """What the decoder is told."""
        return JoinMapping(self.by.build(), self.value)


class FormatSection(Section):
    """How records are written, and by whom."""

    encoding: Format = "json"
    preset: PresetName | None = Field(
        default=None, description="a well-known sender: where the time and the channels stand, and what is ignored"
    )


def _format(written: object) -> object:
    """A word alone is an encoding."""
    if not isinstance(written, str):
        return written
    if written not in FORMATS:
        preset = f"; {written} is a preset: {{preset: {written}}}" if written in PRESETS else ""
        raise ValueError(f'{" or ".join(FORMATS)} is needed, found "{written}"{preset}')
    return {"encoding": written}


class InputSection(Section):
    """The topic that is read, and how its records become readings."""

    topic: Name
    format: Annotated[
        FormatSection, BeforeValidator(_format, json_schema_input_type=Annotated[Format | FormatSection, Field()])
    ] = Field(default_factory=FormatSection, description="a word, or a preset as in {preset: telegraf}")
    shape: Literal["wide", "long"] = Field(default="wide", description="long: a record is one sensor's value")
    series: SeriesSection = Field(default_factory=SeriesSection)
    time: TimeSection = Field(default_factory=TimeSection)
    max_bytes: int = Field(default=InputMapping().max_bytes, description="a longer record is not parsed", ge=1)
    join: JoinSection | None = Field(
        default=None, description="of long records: the sensors of one machine are the channels of one series"
    )
    lateness_seconds: Annotated[float, Field(ge=0, le=LONGEST_LATENESS)] | None = Field(
        default=None,
        description="for so long in event time a reading waits for earlier ones; empty: not at all",
    )
    under: Name | None = Field(default=None, description="the field below which those of the channels stand")
    only: dict[Name, Words] = Field(
        default_factory=dict, description="a field and its value, or values: records with another one are ignored"
    )
    deletes: dict[Name, Words] | None = Field(
        default=None,
        description="a field and its value, or values, in records that tell of a deletion: ignored, as are records "
        "without a value",
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.join is not None and self.lateness_seconds is not None:
            raise ValueError("lateness_seconds stands in join already: leave it out here")
        if self.format.encoding == "line_protocol" and self.format.preset is not None:
            raise ValueError(f"a line has a form of its own, which {self.format.preset} is not: leave the preset out")
        preset = self._preset()
        if preset is not None and "series" not in self.model_fields_set:
            raise ValueError(
                "series is missing, and nothing is guessed: what tells one machine from another? "
                f"Such as series: {{field: {preset.series_such_as}}}"
            )
        self.time.build(preset)
        return self

    def build(self, channels: Mapping[str, str]) -> InputMapping:
        """What the decoder is told; `channels` are names to fields, or sensors, where the two differ."""
        preset = self._preset()
        deletes = self.deletes if self.deletes is not None else {} if preset is None else preset.deletes
        join = None if self.join is None else self.join.build()
        lateness = self.lateness_seconds if self.join is None else self.join.lateness_seconds
        return InputMapping(
            self.format.encoding,
            self.shape,
            self.series.build(),
            self.time.build(preset),
            channels,
            self.max_bytes,
            join,
            lateness or 0.0,
            self.under if self.under is not None or preset is None else preset.under,
            self.only,
            deletes,
        )

    def _preset(self) -> Preset | None:
        if self.format.encoding == "line_protocol":
            return LINES
        return None if self.format.preset is None else PRESETS[self.format.preset]
