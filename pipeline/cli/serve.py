"""`plumbline serve`."""

from __future__ import annotations

import importlib.metadata
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry

from pipeline.bundle import load
from pipeline.cli.broker import cluster_of
from pipeline.cli.configuration import assembly_of, load_settings
from pipeline.cli.console import say
from pipeline.cli.fits import misfits, shared_topics
from pipeline.cli.process import Signals, SystemClock, log_to_stderr
from pipeline.connectors.http import serve_http
from pipeline.connectors.kafka_changelog import KafkaChangelogReader, require_changelog
from pipeline.connectors.kafka_client import Cluster, topic_log
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.kafka_source import KafkaSource
from pipeline.connectors.kafka_transactions import TransactionalSink
from pipeline.connectors.state_folder import StateFolder
from pipeline.exceptions import SettingsError
from pipeline.formats.json import JsonDecoder
from pipeline.monitor.monitor import Monitor
from pipeline.service.changelog import Changelog, forgotten
from pipeline.service.checkpoints import StoreCheckpoints
from pipeline.service.commit import ResumeRules
from pipeline.service.health import Deadlines
from pipeline.service.link import Connection
from pipeline.service.outputs import Nowhere, OutputTopics
from pipeline.service.ports import Partition, StateStore
from pipeline.service.service import Service, ServiceSettings
from pipeline.service.stream import Stream
from pipeline.service.telemetry import Served, Telemetry
from pipeline.service.watched import SeriesShown
from pipeline.settings import DetectorSettings, KafkaSettings, Settings

REQUEST_SECONDS = 4.0  # for one answer of a broker: a stop waits for two of them
COMMIT_SECONDS = 1.0  # between two transactions
DELIVERY_SECONDS = 60.0  # after which a message that was not acknowledged has failed


def serve(
    config: Path,
    /,
    *,
    dry_run: bool = False,
    fresh: bool = False,
    start: Literal["earliest", "latest"] = "earliest",
    rewarm: bool = False,
) -> int:
    """Score a topic as it grows, until stopped.

    Each alert goes to the alerts topic and, as a sentence, to standard output; the log goes to standard error. SIGTERM
    or Ctrl-C finishes and commits what is in hand, within 20 seconds; a second one ends it at once, with exit code 1.

    Parameters
    ----------
    config
        The configuration.
    dry_run
        Score and show alerts; send, save and commit nothing, and leave the real group alone.
    fresh
        Forget the saved state, and what the bundle remembers of its series.
    start
        Where to begin in a partition that the group has never read.
    rewarm
        A topic has got partitions: let all its series warm up from the records before, wherever they are now.
    """
    settings = load_settings(config)
    streams = [_stream(one, fresh) for one in settings.detectors.values()]
    for shared in shared_topics(settings):
        raise SettingsError(f"{config}: {shared.words}")
    cluster = cluster_of(settings, "serve", os.environ)
    log_to_stderr()
    with ExitStack() as open_until_the_end:
        store = None
        if settings.state.folder is not None and not dry_run:
            store = open_until_the_end.enter_context(StateFolder(settings.state.folder))
            if fresh:
                store.clear()
        telemetry = open_until_the_end.enter_context(_telemetry(settings, streams, listening=not dry_run))
        signals = open_until_the_end.enter_context(Signals())
        if fresh and settings.state.changelog is not None and not dry_run:
            _forget(cluster, settings.state.changelog, streams)
        service = Service(
            streams,
            _connecting(settings, cluster, signals.asked, store, dry_run=dry_run),
            OutputTopics(settings.outputs.alerts, settings.outputs.scores, settings.outputs.dead_letters),
            telemetry,
            SystemClock(),
            signals,
            say,
            _service_settings(settings, ResumeRules(start, repartitioned=rewarm), dry_run=dry_run),
        )
        return 0 if service.run() else 1


def _stream(settings: DetectorSettings, fresh: bool) -> Stream:
    """A detector with its topic; SettingsError where the two do not fit or one is not named."""
    where = f"detectors.{settings.name}"
    if settings.bundle is None or settings.topic is None or settings.input is None:
        raise SettingsError(f"{where} needs a bundle and an input with its topic to be served: name both")
    detector = load(settings.bundle)
    for misfit in misfits(settings, detector):
        raise SettingsError(f"{where}: {misfit.aspect}: {misfit.words}")
    assembly = assembly_of(settings.input, detector.names)
    return Stream(
        settings.name,
        settings.topic,
        JsonDecoder(settings.input, detector.names),
        Monitor(detector, settings.policy, name=settings.name, fresh=fresh, assembly=assembly),
    )


def _forget(cluster: Cluster, changelog: str, streams: Sequence[Stream]) -> None:
    """Let the state of all partitions be none; BrokerError when that is not possible."""
    sink = KafkaSink(cluster, delivery_seconds=DELIVERY_SECONDS)
    try:
        for stream in streams:
            count = topic_log(cluster, stream.topic).partitions
            require_changelog(cluster, changelog, count)
            for number in range(count):
                sink.send(*forgotten(changelog, stream.detector, Partition(stream.topic, number)))
        sink.flush(DELIVERY_SECONDS)
    finally:
        sink.close(1.0)


def _service_settings(settings: Settings, resume: ResumeRules, *, dry_run: bool) -> ServiceSettings:
    """How often things are made to last: outputs that are seen only with a commit are committed each second."""
    every = settings.state.every_seconds
    loss = "rewarm" if settings.kafka is None else settings.kafka.on_offset_loss
    return ServiceSettings(
        commit_every=min(every, COMMIT_SECONDS) if settings.delivery == "exactly_once" else every,
        save_every=every if settings.delivery == "exactly_once" else 0.0,
        dead_letter_limit=settings.outputs.dead_letter_limit,
        dry_run=dry_run,
        resume=replace(resume, on_loss=loss),
    )


def _connecting(
    settings: Settings, cluster: Cluster, stopping: Callable[[], bool], store: StateStore | None, *, dry_run: bool
) -> Callable[[], Connection]:
    """How the service connects, at its start and whenever it starts over."""
    kafka = settings.kafka or KafkaSettings()
    topics = [one.topic for one in settings.detectors.values() if one.topic is not None]
    group, changelog = kafka.group_id, settings.state.changelog
    if dry_run:  # a group of its own, gone with its member, for it commits nothing
        group, changelog = f"{group}-dry-run-{secrets.token_hex(4)}", None
    outputs = settings.outputs
    written = [topic for topic in (outputs.alerts, outputs.scores, outputs.dead_letters) if topic]
    name = kafka.transactional_id or f"{group}-{secrets.token_hex(8)}"

    def connect() -> Connection:
        with ExitStack() as undo:
            source = KafkaSource(cluster, group, topics, stopping=stopping, request_seconds=REQUEST_SECONDS)
            undo.callback(source.close, 1.0)
            if dry_run:
                undo.pop_all()
                return Connection(source, Nowhere(), StoreCheckpoints(source, None))
            transactions = TransactionalSink(cluster, name, source.member) if changelog is not None else None
            inside = settings.delivery == "exactly_once"
            sink = transactions if inside and transactions else KafkaSink(cluster, delivery_seconds=DELIVERY_SECONDS)
            undo.callback(sink.close, 1.0)
            if transactions is not None and transactions is not sink:
                undo.callback(transactions.close, 1.0)
            for topic in written:
                sink.require_topic(topic)
            if changelog is None or transactions is None:
                undo.pop_all()
                return Connection(source, sink, StoreCheckpoints(source, store))
            require_changelog(cluster, changelog, max(topic_log(cluster, topic).partitions for topic in topics))
            undo.pop_all()
            reader = partial(KafkaChangelogReader, cluster)
            return Connection(source, sink, Changelog(changelog, transactions, reader, outputs_inside=inside))

    return connect


@contextmanager
def _telemetry(settings: Settings, streams: Sequence[Stream], *, listening: bool) -> Iterator[Telemetry]:
    """What is counted, and served where it may be."""
    registry, shown = CollectorRegistry(), settings.telemetry
    telemetry = Telemetry(
        registry,
        SystemClock(),
        [_served(stream) for stream in streams],
        version=importlib.metadata.version("plumbline"),
        series=SeriesShown(shown.series_max, shown.series_match),
        deadlines=Deadlines(),
    )
    if not listening or shown.listen is None:
        yield telemetry
        return
    host, port = shown.listen
    server = serve_http(f"{host}:{port}", registry, telemetry.health)
    try:
        yield telemetry
    finally:
        server.close()


def _served(stream: Stream) -> Served:
    detector = stream.monitor.detector
    step_seconds = detector.step / 1e6 if detector.clock == "time" else 0.0
    return Served(stream.detector, stream.topic, detector.digest, detector.names, stream.monitor.target, step_seconds)
