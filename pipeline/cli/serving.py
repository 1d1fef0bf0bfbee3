"""Settings to the parts of a service: its streams, its pace, its way to connect."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pipeline.cli.configuration import assembly_of
from pipeline.cli.fits import loaded, shared_topics
from pipeline.cli.registry import registry_of
from pipeline.connectors.kafka_changelog import KafkaChangelogReader, require_changelog
from pipeline.connectors.kafka_client import Cluster, topic_log
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_rights import Uses, require_rights
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.kafka_source import KafkaSource
from pipeline.connectors.kafka_transactions import TransactionalSink
from pipeline.exceptions import SettingsError
from pipeline.formats.inputs import decoder_of
from pipeline.formats.schemas import Schemas
from pipeline.monitor.monitor import Monitor
from pipeline.service.changelog import Changelog
from pipeline.service.checkpoints import StoreCheckpoints
from pipeline.service.link import Connection
from pipeline.service.outputs import Nowhere, OutputTopics
from pipeline.service.ports import StateStore
from pipeline.service.resumption import ResumeRules
from pipeline.service.service_settings import ServiceSettings
from pipeline.service.stream import Stream
from pipeline.service.watched import SeriesShown
from pipeline.settings import DetectorSettings, KafkaSettings, Settings

REQUEST_SECONDS = 4.0  # for one answer of a broker: a stop waits for two of them
COMMIT_SECONDS = 1.0  # between two transactions
DELIVERY_SECONDS = 60.0  # after which a message that was not acknowledged has failed


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked on the command line; it holds for every configuration that is taken over later."""

    dry_run: bool = False
    fresh: bool = False
    start: Literal["earliest", "latest"] = "earliest"
    rewarm: bool = False
    backfill: int = 0

    def __post_init__(self) -> None:
        if self.backfill < 0:
            raise SettingsError(f"--backfill is {self.backfill}: give a number of records, such as 20000")
        if self.backfill and self.start == "earliest":
            raise SettingsError(
                "--backfill reads the records before the start, and --start earliest, the default, leaves none before "
                "it: give --start latest too"
            )


def streams_of(settings: Settings, asked: Asked) -> list[Stream]:
    """Each detector with its topic; SettingsError where the two do not fit, one is not named, or two share a topic."""
    schemas = registry_of(settings, os.environ)
    streams = [_stream(one, schemas, asked.fresh) for one in settings.detectors.values()]
    for shared in shared_topics(settings):
        raise SettingsError(f"{settings.path}: {shared.words}")
    return streams


def _stream(settings: DetectorSettings, schemas: Schemas | None, fresh: bool) -> Stream:
    where = f"detectors.{settings.name}"
    if settings.bundle is None or settings.topic is None or settings.input is None:
        raise SettingsError(f"{where} needs a bundle and an input with its topic to be served: name both")
    detector = loaded(settings, settings.bundle)
    assembly = assembly_of(settings.input, detector.names)
    return Stream(
        settings.name,
        settings.topic,
        decoder_of(settings.input, detector.names, schemas),
        Monitor(detector, settings.policy, name=settings.name, fresh=fresh, assembly=assembly),
    )


def output_topics(settings: Settings) -> OutputTopics:
    """The topics written to."""
    return OutputTopics(settings.outputs.alerts, settings.outputs.scores, settings.outputs.dead_letters)


def service_settings(settings: Settings, asked: Asked) -> ServiceSettings:
    """How often things are made to last: outputs that are seen only with a commit are committed each second."""
    every = settings.state.every_seconds
    loss = "rewarm" if settings.kafka is None else settings.kafka.on_offset_loss
    return ServiceSettings(
        commit_every=min(every, COMMIT_SECONDS) if settings.delivery == "exactly_once" else every,
        save_every=every if settings.delivery == "exactly_once" else 0.0,
        dead_letter_limit=settings.outputs.dead_letter_limit,
        dry_run=asked.dry_run,
        resume=ResumeRules(asked.start, asked.backfill, on_loss=loss, repartitioned=asked.rewarm),
    )


def connecting(
    settings: Settings, cluster: Cluster, stopping: Callable[[], bool], store: StateStore | None, asked: Asked
) -> Callable[[], Connection]:
    """How the service connects, at its start and whenever it starts over."""
    kafka = settings.kafka or KafkaSettings()
    topics = [one.topic for one in settings.detectors.values() if one.topic is not None]
    group, changelog = kafka.group_id, settings.state.changelog
    if asked.dry_run:  # a group of its own, gone with its member, for it commits nothing
        group, changelog = f"{group}-dry-run-{secrets.token_hex(4)}", None
    name = kafka.transactional_id or f"{group}-{secrets.token_hex(8)}"
    uses = Uses(topics, group=group) if asked.dry_run else uses_of(settings)

    def connect() -> Connection:
        require_rights(cluster, uses)
        with ExitStack() as undo:
            source = KafkaSource(cluster, group, topics, stopping=stopping, request_seconds=REQUEST_SECONDS)
            undo.callback(source.close, 1.0)
            if asked.dry_run:
                undo.pop_all()
                return Connection(source, Nowhere(), StoreCheckpoints(source, None))
            transactions = TransactionalSink(cluster, name, source.member) if changelog is not None else None
            inside = settings.delivery == "exactly_once"
            sink = transactions if inside and transactions else KafkaSink(cluster, delivery_seconds=DELIVERY_SECONDS)
            undo.callback(sink.close, 1.0)
            if transactions is not None and transactions is not sink:
                undo.callback(transactions.close, 1.0)
            for topic in _written(settings):
                sink.require_topic(topic)
            if changelog is None or transactions is None:
                undo.pop_all()
                return Connection(source, sink, StoreCheckpoints(source, store))
            _require_changelog(settings, cluster)
            undo.pop_all()
            reader = partial(KafkaChangelogReader, cluster)
            return Connection(source, sink, Changelog(changelog, transactions, reader, outputs_inside=inside))

    return connect


def uses_of(settings: Settings) -> Uses:
    """What the service uses of a cluster."""
    kafka, changelog = settings.kafka or KafkaSettings(), settings.state.changelog
    read, written = topics_of(settings)
    read = read if kafka.mutes is None else {*read, kafka.mutes}
    if changelog is None:
        return Uses(read, written, group=kafka.group_id)
    if kafka.transactional_id is not None:
        return Uses(read, written, changelog, kafka.group_id, kafka.transactional_id)
    begin = f"{kafka.group_id}-"
    return Uses(read, written, changelog, kafka.group_id, f"{begin}any", ids_begin_with=begin)


def topics_of(settings: Settings) -> tuple[set[str], set[str]]:
    """The topics that a connection reads, and those that it writes."""
    read = {one.topic for one in settings.detectors.values() if one.topic is not None}
    return read, set(_written(settings))


def require_topics(settings: Settings, cluster: Cluster) -> None:
    """BrokerError where a topic is not there, we may not use it, or the state's cannot hold what is read."""
    require_rights(cluster, uses_of(settings))
    for topic in sorted(topics_of(settings)[0]):
        TopicReader(cluster, topic).close()
    sink = KafkaSink(cluster)
    try:
        for topic in _written(settings):
            sink.require_topic(topic)
    finally:
        sink.close(1.0)
    _require_changelog(settings, cluster)


def _require_changelog(settings: Settings, cluster: Cluster) -> None:
    """Let the state's topic, if there is one, have a partition for each of those that are read."""
    if settings.state.changelog is not None:
        most = max(topic_log(cluster, topic).partitions for topic in topics_of(settings)[0])
        require_changelog(cluster, settings.state.changelog, most)


def shown(settings: Settings) -> SeriesShown:
    """Which series telemetry shows one by one."""
    return SeriesShown(settings.telemetry.series_max, settings.telemetry.series_match)


def _written(settings: Settings) -> list[str]:
    outputs = settings.outputs
    return [topic for topic in (outputs.alerts, outputs.scores, outputs.dead_letters) if topic]
