"""The sections of one detector: what it reads, what the operator promises, how it is learnt."""

from __future__ import annotations

from dataclasses import MISSING, fields
from dataclasses import Field as DataField
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_type_hints

from pydantic import Field, field_validator, model_validator

from pipeline.detector.fit_settings import FitSettings, Role
from pipeline.formats import times
from pipeline.monitor.policy import ChannelRule, FalseAlarms, Policy
from pipeline.settings.section import Interval, Name, Section, Size, section
from pipeline.settings.settings import DetectorSettings


class ChannelSection(Section):
    """One channel: where it stands in a record, and what is known of it."""

    field: Name | None = Field(default=None, description="of the record, when it is not the channel's own name")
    unit: str = Field(default="", description="for people; it changes nothing")
    role: Role | None = Field(
        default=None, description="context feeds the network and is never scored; empty: found in the data"
    )
    direction: Literal["both", "above", "below"] = Field(default="both", description="deviations worth an alert")
    ignore_below: Size = Field(default=0.0, description='smaller deviations raise no alert: in the unit, or as "5 %"')
    valid_range: Interval | None = Field(default=None, description="a value outside raises an alert by itself")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.rule()
        return self

    def rule(self) -> ChannelRule:
        """What the monitor is told of the channel."""
        size = self.ignore_below
        return ChannelRule(
            unit=self.unit,
            direction=self.direction,
            ignore_below=0.0 if isinstance(size, str) else size,
            ignore_below_percent=float(size.rstrip(" %")) if isinstance(size, str) else 0.0,
            valid_range=self.valid_range,
        )


class FalseAlarmsSection(Section):
    """The promise: so many a series and week, or a share of readings."""

    rate: float | None = Field(default=None, description="false alarms per series-week")
    per: Literal["series-week"] = "series-week"
    probability: float | None = Field(default=None, description="instead of a rate: the share of readings")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.build()
        return self

    def build(self) -> FalseAlarms:
        """The promise as the monitor takes it."""
        return FalseAlarms(self.rate, self.probability)


class PolicySection(Section):
    """When an incident is raised and cleared."""

    false_alarms: FalseAlarmsSection | None = None
    bar: Literal["tracking", "static"] = Field(
        default="tracking", description="tracking keeps the rate when the normal drifts"
    )
    clear_after: int = Field(default=3, description="calm readings in a row that end an incident")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.build({})
        return self

    def build(self, rules: dict[str, ChannelRule]) -> Policy:
        """The policy as the monitor takes it."""
        promise = None if self.false_alarms is None else self.false_alarms.build()
        return Policy(promise, self.bar, self.clear_after, rules)


class InputSection(Section):
    """The topic that is read."""

    topic: Name


class FilesSection(Section):
    """How the times in files are written."""

    timezone: str = Field(default="UTC", description="of times without one, such as Europe/Berlin")
    unit: times.Unit | None = Field(default=None, description="of numbers; empty: a whole number is a sample number")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        times.zone(name)
        return name


def _default(key: DataField[Any]) -> tuple[Any, Any]:
    return get_type_hints(FitSettings)[key.name], key.default


class FitRules(Section):
    """How a detector is learnt; the keys are those of FitSettings."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.build({})
        return self

    def build(self, roles: dict[str, Role]) -> FitSettings:
        """The settings as fit takes them; roles stand with the channels."""
        return FitSettings(**self.model_dump(), roles=roles)


if TYPE_CHECKING:
    FitSection = FitRules
else:
    FitSection = section(
        "FitSection", FitRules, {key.name: _default(key) for key in fields(FitSettings) if key.default is not MISSING}
    )


class DetectorSection(Section):
    """One detector."""

    bundle: Name | None = Field(default=None, description="folder of the fitted detector")
    input: InputSection | None = Field(
        default=None, description="the topic that it reads, and how records become readings"
    )
    channels: dict[Name, ChannelSection] = Field(default_factory=dict, description="empty: every column of a file")
    policy: PolicySection = Field(default_factory=PolicySection)
    fit: FitSection = Field(default_factory=FitSection, description="how it is learnt; the defaults serve most data")
    files: FilesSection = Field(default_factory=FilesSection)

    def build(self, name: str, folder: Path) -> DetectorSettings:
        """The detector's settings, with its bundle found from `folder`."""
        return DetectorSettings(
            name=name,
            bundle=None if self.bundle is None else folder / self.bundle,
            topic=None if self.input is None else self.input.topic,
            channels=tuple(self.channels),
            policy=self.policy.build({channel: section.rule() for channel, section in self.channels.items()}),
            fit=self.fit.build(
                {key: channel.role for key, channel in self.channels.items() if channel.role is not None}
            ),
            timezone=self.files.timezone,
            unit=self.files.unit,
        )
