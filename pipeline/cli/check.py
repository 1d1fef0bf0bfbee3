"""`plumbline check`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.bundle import load
from pipeline.cli.broker import cluster_of
from pipeline.cli.configuration import load_settings
from pipeline.cli.console import counted, say, shown, table
from pipeline.cli.fits import misfits, shared_topics
from pipeline.cli.inspect import step_in_words
from pipeline.cli.registry import registry_of
from pipeline.cli.serving import uses_of
from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_rights import granting, missing_rights, who
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.state_folder import read_state, state_files
from pipeline.detector.detector import Detector
from pipeline.exceptions import BrokerError, DataError, PlumblineError, RegistryError, SettingsError, StateError
from pipeline.formats import alerts
from pipeline.formats.mapping import InputMapping
from pipeline.monitor.monitor import Monitor
from pipeline.settings import DetectorSettings, Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    aspect: str
    words: str
    code: int = 0  # the exit code that it alone would give: 0 fine, 1 will fail, 2 is wrong


def check(config: Path, /, *, connect: bool = False) -> int:
    """Say whether a configuration will run, before it does.

    Reads the settings, loads the bundles that they name, and holds the two against each other, and against the state
    in its folder: what of it a start or a reload will keep. Everything is looked at, also after a problem; the exit
    code is 0 when all of it will run.

    Parameters
    ----------
    config
        The configuration.
    connect
        Also reach Kafka and look for the topics, and reach the schema registry.
    """
    settings = load_settings(config)
    saved = _saved(settings)
    findings = [found for each in settings.detectors.values() for found in _detector(each, settings.path, saved)]
    findings += _kafka(settings, connect)
    findings += _registry(settings, connect)
    say(f"{config}: {counted(len(settings.detectors), 'detector')}")
    say(table([(each.subject, each.aspect, _marked(each)) for each in findings], indent="  "))
    problems = [each for each in findings if each.code]
    say(f"{counted(len(problems), 'problem')}: it will not run" if problems else "it will run")
    return max((each.code for each in problems), default=0)


def _marked(finding: Finding) -> str:
    return f"PROBLEM {finding.words}" if finding.code else finding.words


def _failed(subject: str, aspect: str, error: PlumblineError) -> Finding:
    return Finding(subject, aspect, str(error), 2 if isinstance(error, SettingsError | DataError) else 1)


class Saved(NamedTuple):
    """The saved state of one partition."""

    detector: str
    topic: str
    digest: str
    series: int


def _saved(settings: Settings) -> list[Saved]:
    """What is saved in the state's folder, also while a service runs; a file that cannot be read warms up as well."""
    saved = []
    for path in state_files(settings.state.folder) if settings.state.folder is not None else ():
        with suppress(StateError):
            held = read_state(path)
            saved.append(Saved(held.detector, held.partition.topic, held.state.digest, len(held.state.slots)))
    return saved


def _state(settings: DetectorSettings, detector: Detector, saved: Sequence[Saved]) -> Iterator[Finding]:
    """What a start or a reload will make of the state that is saved of a detector; nothing where there is none."""
    mine = [one for one in saved if (one.detector, one.topic) == (settings.name, settings.topic)]
    for words, some in (
        ("kept", [one for one in mine if one.digest in detector.kin]),
        ("of another bundle, and warmed up anew", [one for one in mine if one.digest not in detector.kin]),
    ):
        if some:
            series = sum(one.series for one in some)
            yield Finding(settings.name, "state", f"{counted(len(some), 'partition')}, {series:,} series: {words}")


def _detector(settings: DetectorSettings, config: Path, saved: Sequence[Saved]) -> Iterator[Finding]:
    name = settings.name
    if settings.bundle is None:
        yield Finding(name, "bundle", "none is named: enough for train and backtest, not for serve")
        return
    if not settings.bundle.exists():
        place = shown(settings.bundle)
        words = f"{place} is not there yet: plumbline train {config} --data FILES --out {place}"
        yield Finding(name, "bundle", words, 1)
        return
    try:
        detector = load(settings.bundle)
    except PlumblineError as error:
        yield _failed(name, "bundle", error)
        return
    yield Finding(name, "bundle", f"{shown(settings.bundle)}: {_in_words(detector)}")
    channels, topic = _fit(settings, detector)
    yield from (channels, _promise(settings, detector), topic)
    yield from _mutes(settings, detector)
    yield from _state(settings, detector, saved)


def _mutes(settings: DetectorSettings, detector: Detector) -> Iterator[Finding]:
    """Which series are not told of, from when to when and why."""
    wrong = [misfit.words for misfit in misfits(settings, detector) if misfit.aspect == "mute"]
    yield from (Finding(settings.name, "mute", words, 2) for words in wrong)
    for mute in settings.policy.mutes if not wrong else ():
        ends = [None if at is None else alerts.when(at, detector.clock) for at in (mute.begin, mute.end)]
        span = f"from {ends[0] or 'ever'} to {ends[1] or 'for good'}"
        yield Finding(settings.name, "mute", f"{mute.series}, {span}: {mute.reason}")


def _in_words(detector: Detector) -> str:
    return (
        f"{counted(len(detector.channels), 'channel')}, {len(detector.series)} series, {step_in_words(detector)}, "
        f"digest {detector.digest[:12]}"
    )


def _promise(settings: DetectorSettings, detector: Detector) -> Finding:
    try:
        target = Monitor(detector, settings.policy, name=settings.name).target
    except SettingsError as error:
        return _failed(settings.name, "policy", error)
    return Finding(settings.name, "policy", f"one reading in {1 / target:,.0f} may exceed the bar of a series")


def _fit(settings: DetectorSettings, detector: Detector) -> tuple[Finding, Finding]:
    """The channels and the input, each in words or as what does not fit the bundle."""
    found = misfits(settings, detector)
    wrong = {misfit.aspect: Finding(settings.name, misfit.aspect, misfit.words, 2) for misfit in found}
    names = ", ".join(detector.names[:12]) + ", ..." * (len(detector.names) > 12)
    mapping = settings.input
    words = (
        "no topic is named: enough for train and backtest, not for serve"
        if mapping is None
        else f"topic {settings.topic}, {_shape(mapping)}"
    )
    fine = {"channels": names, "input": words}
    channels, topic = (wrong.get(each, Finding(settings.name, each, words)) for each, words in fine.items())
    return channels, topic


def _shape(mapping: InputMapping) -> str:
    """How records become readings."""
    words = f"{mapping.format}, {mapping.shape}"
    if mapping.join is not None:
        words += " and joined"
    if mapping.lateness_seconds:
        words += f", {mapping.lateness_seconds:g} s late at most"
    if mapping.under is not None:
        words += f", time from {mapping.time.field} in {mapping.time.unit}, channels below {mapping.under}"
    if mapping.only:
        words += f"; ignored unless {_conditions(mapping.only)}"
    if mapping.deletes:
        words += f"; ignored where {_conditions(mapping.deletes)}, or without a value"
    return words


def _conditions(fields: Mapping[str, Sequence[str]]) -> str:
    return " and ".join(f"{name} is {' or '.join(values)}" for name, values in fields.items())


def _kafka(settings: Settings, connect: bool) -> Iterator[Finding]:
    if settings.kafka is None:
        wrong = 2 if connect else 0
        yield Finding("kafka", "", "no section kafka: enough for train and backtest, not for serve", wrong)
        return
    yield Finding("kafka", "group", settings.kafka.group_id)
    for shared in shared_topics(settings):
        yield Finding("kafka", shared.aspect, shared.words, 2)
    try:
        cluster = cluster_of(settings, "check", os.environ)
        if connect:
            missing = missing_rights(cluster, uses_of(settings))
            for one in missing:
                yield Finding("kafka", "rights", f"{who(cluster)}: no {one}; {granting(cluster, one)}", 1)
            if not missing:
                yield from _topics(settings, cluster)
        words = "reached" if connect else "not tried, --connect does"
        yield Finding("kafka", "brokers", f"{cluster.bootstrap_servers}: {words}")
    except (SettingsError, BrokerError) as error:
        yield _failed("kafka", "brokers", error)


def _registry(settings: Settings, connect: bool) -> Iterator[Finding]:
    """The registry of schemas, where an input needs it. Without it a service starts, and the records wait."""
    try:
        registry = registry_of(settings, os.environ)
        if registry is None:
            return
        if connect:
            registry.reach()
        words = "reached" if connect else "not tried, --connect does"
        yield Finding("schema_registry", "", f"{registry.url}: {words}")
    except (SettingsError, RegistryError) as error:
        yield _failed("schema_registry", "", error)


def _topics(settings: Settings, cluster: Cluster) -> Iterator[Finding]:
    """The topics as `serve` asks for them; a broker that creates topics by itself creates the outputs here."""
    for topic in dict.fromkeys(each.topic for each in settings.detectors.values() if each.topic is not None):
        reader = TopicReader(cluster, topic)
        reader.close()
        yield Finding("kafka", "input", f"topic {topic}: {counted(reader.total, 'record')}")
    outputs = settings.outputs
    sink = KafkaSink(cluster)
    try:
        for written in (outputs.alerts, outputs.scores, outputs.dead_letters):
            if written is not None:
                sink.require_topic(written)
                yield Finding("kafka", "output", f"topic {written}")
    finally:
        sink.close(1.0)
