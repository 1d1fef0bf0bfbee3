"""`plumbline serve`."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry

from pipeline.cli.broker import cluster_of
from pipeline.cli.configuration import load_settings
from pipeline.cli.console import say
from pipeline.cli.muting import Documents, NoDocuments, with_mutes
from pipeline.cli.process import Hangup, Signals, SystemClock, log_to_stderr
from pipeline.cli.reloading import Around, Reloads, places
from pipeline.cli.serving import (
    DELIVERY_SECONDS,
    Asked,
    connecting,
    output_topics,
    service_settings,
    shown,
    streams_of,
)
from pipeline.connectors.file_watch import FileWatch
from pipeline.connectors.http import serve_http
from pipeline.connectors.kafka_changelog import require_changelog
from pipeline.connectors.kafka_client import Cluster, topic_log
from pipeline.connectors.kafka_mutes import KafkaMutes
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.state_folder import StateFolder
from pipeline.service.changelog import forgotten
from pipeline.service.health import Deadlines
from pipeline.service.ports import Partition
from pipeline.service.service import Service
from pipeline.service.stream import Stream
from pipeline.service.telemetry import Telemetry
from pipeline.settings import Settings


def serve(
    config: Path,
    /,
    *,
    dry_run: bool = False,
    fresh: bool = False,
    start: Literal["earliest", "latest"] = "earliest",
    backfill: int = 0,
    rewarm: bool = False,
) -> int:
    """Score a topic as it grows, until stopped.

    Each alert goes to the alerts topic and, as a sentence, to standard output; the log goes to standard error. SIGTERM
    or Ctrl-C finishes and commits what is in hand, within 20 seconds; a second one ends it at once, with exit code 1.
    SIGHUP, or another content of the configuration or of a bundle, is taken over while it runs; what cannot be used is
    said in the log, and all goes on as before.

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
    backfill
        Where that is the end: so many records before it are observed in silence, so that their series are warm and
        what comes is scored at once.
    rewarm
        A topic has got partitions: let all its series warm up from the records before, wherever they are now.
    """
    asked = Asked(dry_run, fresh, start, rewarm, backfill)
    settings = load_settings(config)
    watch = FileWatch(places(settings), SystemClock())
    streams = streams_of(settings, asked)  # what is wrong with them is said before anything is connected
    cluster = cluster_of(settings, "serve", os.environ)
    log_to_stderr()
    with ExitStack() as open_until_the_end:
        mutes: Documents = NoDocuments()
        if settings.kafka is not None and settings.kafka.mutes is not None:
            followed = KafkaMutes(cluster, settings.kafka.mutes, SystemClock())
            open_until_the_end.callback(followed.close)
            mutes = followed
            streams = streams_of(with_mutes(settings, mutes.documents), asked)
        store = None
        if settings.state.folder is not None and not dry_run:
            store = open_until_the_end.enter_context(StateFolder(settings.state.folder))
            if fresh:
                store.clear()
        telemetry = open_until_the_end.enter_context(_telemetry(settings, streams, listening=not dry_run))
        signals = open_until_the_end.enter_context(Signals())
        changes = None
        if not dry_run:
            hangup = open_until_the_end.enter_context(Hangup())
            changes = Reloads(settings, Around(asked, cluster, store, signals.asked), hangup.came, watch, mutes)
        if fresh and settings.state.changelog is not None and not dry_run:
            _forget(cluster, settings.state.changelog, streams)
        service = Service(
            streams,
            connecting(settings, cluster, signals.asked, store, asked),
            output_topics(settings),
            telemetry,
            SystemClock(),
            signals,
            say,
            service_settings(settings, asked),
            changes,
        )
        return 0 if service.run() else 1


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


@contextmanager
def _telemetry(settings: Settings, streams: Sequence[Stream], *, listening: bool) -> Iterator[Telemetry]:
    """What is counted, and served where it may be."""
    registry, listen = CollectorRegistry(), settings.telemetry.listen
    telemetry = Telemetry(
        registry,
        SystemClock(),
        [stream.served for stream in streams],
        version=importlib.metadata.version("plumbline"),
        series=shown(settings),
        deadlines=Deadlines(),
    )
    if not listening or listen is None:
        yield telemetry
        return
    host, port = listen
    server = serve_http(f"{host}:{port}", registry, telemetry.health)
    try:
        yield telemetry
    finally:
        server.close()
