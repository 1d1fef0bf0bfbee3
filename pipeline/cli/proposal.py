"""The text of a configuration that `plumbline init` proposes, with a comment where a person may want to change it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.cli.survey import ChannelSurvey, Survey, duration
from pipeline.formats.mapping import InputMapping, SeriesMapping

TEMPLATE = """\
# Settings of Plumbline; `plumbline schema` names every key. All but `detectors` may be left out.
{next_steps}
kafka:
  bootstrap_servers: {servers}  # the environment's KAFKA_BOOTSTRAP_SERVERS comes before it
  group_id: plumbline
  # client:  # passed through to kafka-python: TLS, SASL, timeouts
  #   security_protocol: SASL_SSL
  #   sasl_mechanism: SCRAM-SHA-512
  #   sasl_plain_username: plumbline
  #   sasl_plain_password: {{env: KAFKA_PASSWORD}}  # or {{file: /run/secrets/kafka}}

detectors:
  {name}:
    bundle: bundles/{name}  # relative to this file
    input:
{input}
    # Per channel: unit, direction (both, above, below), ignore_below (0.5, or "5 %"), valid_range ([low, high]), role.
    channels:
{channels}
    policy:
{policy}
      bar: tracking  # moves with what is normal, so that the rate is kept; static stands still
      clear_after: 3  # calm readings in a row that end an incident

outputs:
  alerts: plumbline.alerts
  scores: null  # a topic for the score of every reading
  dead_letters: plumbline.dead  # records that are no readings, with the reason

state:
  folder: state  # relative to this file; what the service remembers across restarts
  every_seconds: 30

telemetry:
  listen: 127.0.0.1:9464  # /metrics, /-/healthy, /-/ready
  series: {{max: 20, match: "*"}}  # shown one by one, with reading, band and score
"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is known of the readings that a configuration is for."""

    name: str
    survey: Survey
    servers: str
    topic: str | None = None
    mapping: InputMapping | None = None
    reasons: tuple[str, ...] = ()  # of the guesses about the topic's records
    files: str = "FILE"  # as they were named, for a shell

    def next_steps(self, path: str) -> tuple[str, ...]:
        """The commands that come next."""
        train = f"plumbline train {path} --data {self.files} --out bundles/{self.name}"
        if self.topic is None:
            # Later ones: a bundle remembers where its history ended, and what it has learnt from is late.
            # And first, for it makes the topic that `serve` reads.
            return train, f"plumbline publish {path} --data LATER-FILES --speed max", f"plumbline serve {path}"
        captured = f"{self.name}.parquet"
        return (
            f"plumbline capture {path} --last 14d --out {captured}",
            train.replace(f"--data {self.files}", f"--data {captured}"),
            f"plumbline serve {path}",
        )


def configuration(proposal: Proposal, path: str) -> str:
    """The text, for the file at `path`."""
    return TEMPLATE.format(
        next_steps="".join(f"#   {step}\n" for step in proposal.next_steps(path)),
        servers=proposal.servers,
        name=plain(proposal.name),
        input="\n".join(f"      {line}" for line in _input(proposal)),
        channels="\n".join(f"      {line}" for line in _channels(proposal)),
        policy="\n".join(f"      {line}" for line in _policy(proposal.survey)),
    )


def plain(name: str) -> str:
    """A name as YAML: as it is where nothing can be mistaken, else in quotes."""
    if re.fullmatch(r"[A-Za-z_][\w-]*", name) and name.lower() not in ("true", "false", "null"):
        return name
    return json.dumps(name, ensure_ascii=False)


def _input(proposal: Proposal) -> Iterator[str]:
    mapping = proposal.mapping
    if mapping is None:
        yield "topic: readings  # where publish writes to and serve reads from; JSON, one record a reading"
        yield 'series: {key: true}  # also {field: pump}, {topic: true}, {template: "{site}/{pump}"}'
        unit = "index" if proposal.survey.clock == "index" else "iso8601"
        yield f"time: {{field: timestamp, unit: {unit}}}  # also s, ms, us, ns: since 1970"
        return
    yield from (f"# {reason}" for reason in proposal.reasons)
    yield f"topic: {plain(proposal.topic or '')}"
    if mapping.join is not None:
        yield "shape: long"
    yield f"series: {_source(mapping.series)}"
    if mapping.join is not None:
        lateness = f"lateness_seconds: {mapping.lateness_seconds:g}"
        by = f"by: {_source(mapping.join.by)}, value: {plain(mapping.join.value)}"
        yield f"join: {{{by}, {lateness}}}  # a reading that lacks a sensor waits so long for it, in event time"
    yield f"time: {{field: {plain(mapping.time.field)}, unit: {mapping.time.unit}}}"


def _source(series: SeriesMapping) -> str:
    """Where a name stands, as it is written."""
    if series.field is not None:
        return f"{{field: {plain(series.field)}}}"
    return "{key: true}" if series.key else "{topic: true}"


def _channels(proposal: Proposal) -> Iterator[str]:
    fields = {} if proposal.mapping is None else proposal.mapping.channels
    for channel in proposal.survey.channels:
        keys = f"field: {plain(fields[channel.name])}" if channel.name in fields else ""
        yield f"{plain(channel.name)}: {{{keys}}}  # {_range(channel)}"


def _range(channel: ChannelSurvey) -> str:
    if channel.low is None or channel.high is None:
        return "missing in every reading: leave it out"
    words = f"{channel.low:.6g} to {channel.high:.6g}" if channel.low < channel.high else f"always {channel.low:.6g}"
    if channel.missing:
        words += f", {max(channel.missing, 0.001):.1%} missing"
    return f"{words}; two values at most: context, not scored" if channel.two_values else words


def _policy(survey: Survey) -> Iterator[str]:
    readings = survey.readings_per_week
    if readings is not None and survey.step is not None:
        yield (
            "false_alarms: {rate: 1, per: series-week}"
            f"  # a reading every {duration(survey.step)}: one in {readings:,} may exceed the bar"
        )
        return
    why = "samples without a time" if survey.clock == "index" else "readings at no fixed step"
    yield f"false_alarms: {{probability: 1e-4}}  # {why}: one reading in 10,000 may exceed the bar"
