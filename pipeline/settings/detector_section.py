"""The sections of one detector: what it reads, what the operator promises, how it is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from dataclasses import Field as DataField
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_type_hints

from pydantic import Field, PlainValidator, field_validator, model_validator

from pipeline.detector.fit_settings import FitSettings, Role
from pipeline.formats import times
from pipeline.formats.mapping import InputMapping
from pipeline.monitor.labels import LabelRule
from pipeline.monitor.mutes import Mute
from pipeline.monitor.policy import Budget, ChannelRule, FalseAlarms, Grouping, Policy
from pipeline.records import Clock
from pipeline.settings.input_section import InputSection
from pipeline.settings.problems import found
from pipeline.settings.section import Interval, Name, Names, Section, Size, section, word
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
    stuck: bool = Field(default=True, description="false: one value for as long as it likes raises nothing")

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
            stuck=self.stuck,
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


class BudgetSection(Section):
    """How many incidents may be raised in a period before only a new maximum does."""

    alerts: int = Field(description="incidents of all series together; in a service of each partition")
    per: Literal["hour", "day", "week"] | int = Field(
        default="day", description="of event time, UTC; a number: samples of an index clock"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.build()
        return self

    def build(self) -> Budget:
        """The budget as the monitor takes it."""
        return Budget(self.alerts, self.per)


class PolicySection(Section):
    """When an incident is raised and cleared."""

    false_alarms: FalseAlarmsSection | None = None
    bar: Literal["tracking", "static"] = Field(
        default="tracking", description="tracking keeps the rate when the normal drifts"
    )
    clear_after: int = Field(default=3, description="calm readings in a row that end an incident")
    budget: BudgetSection | None = Field(default=None, description="empty: every incident is raised")
    stuck_after: float = Field(
        default=Policy().stuck_after,
        description="times the longest run of one value in training that raise an incident of kind stuck; 0: never",
    )
    silent_after: int = Field(
        default=Policy().silent_after,
        description="steps without a reading, while others of the partition go on, that raise an incident of kind "
        "silent; 0: never",
    )
    group_by: Names | None = Field(
        default=None, description="labels: incidents that open together in series that share them are one"
    )
    group_within: int | None = Field(
        default=None, description="steps after the first that count as together; 10 where it is empty"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        Policy(clear_after=self.clear_after, stuck_after=self.stuck_after, silent_after=self.silent_after)
        self._grouping()
        return self

    def build(self, rules: dict[str, ChannelRule], labels: Sequence[LabelRule], mutes: Sequence[Mute] = ()) -> Policy:
        """The policy as the monitor takes it."""
        promise = None if self.false_alarms is None else self.false_alarms.build()
        budget = None if self.budget is None else self.budget.build()
        return Policy(
            promise,
            self.bar,
            self.clear_after,
            rules,
            budget,
            tuple(labels),
            self._grouping(),
            self.stuck_after,
            self.silent_after,
            tuple(mutes),
        )

    def _grouping(self) -> Grouping | None:
        if self.group_by is None:
            if self.group_within is not None:
                raise ValueError(
                    f"group_within is {self.group_within}, and nothing is grouped: group_by must name a label, "
                    "as in group_by: site"
                )
            return None
        return Grouping(self.group_by) if self.group_within is None else Grouping(self.group_by, self.group_within)


class MuteSection(Section):
    """Series whose incidents are not told for a while; scoring goes on."""

    series: Name = Field(description="as a file name is matched, such as pump-*")
    begin: str | int | None = Field(
        default=None,
        alias="from",
        description="event time, ISO 8601 with its offset, or a sample number; empty: ever since",
    )
    end: str | int | None = Field(default=None, alias="to", description="the same; empty: for good")
    reason: Name = Field(description="for whoever reads it at night")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.build()
        return self

    def build(self) -> Mute:
        """The mute as the monitor takes it."""
        given = [each for each in (self.begin, self.end) if each is not None]
        if len({type(each) for each in given}) > 1:
            raise ValueError("from and to are a time and a sample number: two of one kind are needed")
        clock: Clock = "index" if given and isinstance(given[0], int) else "time"
        return Mute(self.series, _moment("from", self.begin), _moment("to", self.end), self.reason, clock)


class ToldMuteSection(MuteSection):
    """The same as a record of the control topic."""

    detector: Name | None = Field(default=None, description="empty: every detector")


def _moment(key: str, given: str | int | None) -> int | None:
    """A time of a mute, in its clock's unit."""
    if given is None or isinstance(given, int):
        return given
    at = times.parse(given, UTC)
    if at is None or at != times.parse(given, timezone(timedelta(hours=1))):
        raise ValueError(f"{key} is {given!r}: a time with its offset is needed, such as 2026-03-01T06:00:00Z")
    return at


class FilesSection(Section):
    """How the times in files are written."""

    timezone: str = Field(default="UTC", description="of times without one, such as Europe/Berlin")
    unit: times.Unit | None = Field(default=None, description="of numbers; empty: a whole number is a sample number")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        times.zone(name)
        return name


def _label_rule(written: object) -> LabelRule:
    """What is declared of the series that a pattern fits."""
    if not isinstance(written, dict) or "match" not in written:
        raise ValueError(
            f'a mapping with match is needed, such as {{match: "{{site}}/*"}} or {{match: "old-*", site: south}}, '
            f"found {found(written) if not isinstance(written, dict) else 'one without'}"
        )
    texts = {str(name): word(value) for name, value in written.items()}
    return LabelRule(texts.pop("match"), tuple(texts.items()))


Labelled = Annotated[LabelRule, PlainValidator(_label_rule, json_schema_input_type=dict[str, str | int])]


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
    labels: list[Labelled] = Field(
        default_factory=list,
        description="of series by their names, the first that fits: {match: '{site}/*'}, {match: 'old-*', site: south}",
    )
    mute: list[MuteSection] = Field(
        default_factory=list, description="of series whose incidents are not to be told for a while"
    )
    policy: PolicySection = Field(default_factory=PolicySection)
    fit: FitSection = Field(default_factory=FitSection, description="how it is learnt; the defaults serve most data")
    files: FilesSection = Field(default_factory=FilesSection)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        mapping = self._mapping()
        if mapping is not None and self.channels:
            mapping.paths(list(self.channels))
        self._policy()
        return self

    def build(self, name: str, folder: Path) -> DetectorSettings:
        """The detector's settings, with its bundle found from `folder`."""
        return DetectorSettings(
            name=name,
            bundle=None if self.bundle is None else folder / self.bundle,
            topic=None if self.input is None else self.input.topic,
            input=self._mapping(),
            channels=tuple(self.channels),
            policy=self._policy(),
            fit=self.fit.build(
                {key: channel.role for key, channel in self.channels.items() if channel.role is not None}
            ),
            timezone=self.files.timezone,
            unit=self.files.unit,
        )

    def _policy(self) -> Policy:
        rules = {name: channel.rule() for name, channel in self.channels.items()}
        return self.policy.build(rules, self.labels, [mute.build() for mute in self.mute])

    def _mapping(self) -> InputMapping | None:
        fields_of = {name: channel.field for name, channel in self.channels.items() if channel.field is not None}
        return None if self.input is None else self.input.build(fields_of)
