"""`plumbline notify`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

from prometheus_client import CollectorRegistry

from pipeline.cli.broker import cluster_of, kafka_of, revealed
from pipeline.cli.configuration import load_settings
from pipeline.cli.console import say
from pipeline.cli.process import Signals, SystemClock, log_to_stderr
from pipeline.connectors.http import serve_http
from pipeline.connectors.http_post import HttpPost
from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_reader import PartitionReader
from pipeline.connectors.kafka_rights import Uses, require_rights
from pipeline.connectors.kafka_source import KafkaSource
from pipeline.connectors.lines_file import append
from pipeline.exceptions import SettingsError
from pipeline.notify.channels import Alertmanager, Channel, JsonLines, Webhook
from pipeline.notify.courier import Courier
from pipeline.notify.figures import Figures
from pipeline.service.ports import Partition, Record
from pipeline.settings import Settings


def notify(config: Path, /, *, from_start: bool = False) -> int:
    """Tell others of the alerts that `plumbline serve` writes to its topic, until stopped.

    The configuration's section `notify` names who is told: alertmanager, webhook, json_lines. Each is a consumer group
    of its own, GROUP-notify-NAME, so one that is down holds up neither the service nor the others, and is told all of
    it later. An alert may be told twice after a crash, under the same id. SIGTERM or Ctrl-C ends it.

    Parameters
    ----------
    config
        The configuration.
    from_start
        Tell also of the alerts that were there before the first start; without, only of those that come.
    """
    settings = load_settings(config)
    kafka, topic = kafka_of(settings, "notify"), settings.outputs.alerts
    if topic is None:
        raise SettingsError(f"{config}: outputs.alerts is null: notify reads the topic that it names")
    channels = dict(_channels(settings))
    if not channels:
        raise SettingsError(
            f"{config}: notify names nobody: add one, such as notify: {{alertmanager: {{url: http://localhost:9093}}}}"
        )
    cluster = cluster_of(settings, "notify", os.environ)
    log_to_stderr()
    registry, clock = CollectorRegistry(), SystemClock()
    figures = Figures(registry, clock, list(channels))
    with ExitStack() as open_until_the_end:
        stop = open_until_the_end.enter_context(Signals())
        if settings.notify.listen is not None:
            host, port = settings.notify.listen
            server = serve_http(f"{host}:{port}", registry, figures)
            open_until_the_end.callback(server.close)
        threads = []
        for name, channel in channels.items():
            connect = _connecting(cluster, f"{kafka.group_id}-notify-{name}", topic, stop.asked)
            connect().close(1.0)  # what is wrong with broker or topic is said here, and ends the command
            courier = Courier(name, channel, connect, _before(cluster), clock, figures, from_start=from_start)
            threads.append(Thread(target=courier.run, args=(stop,), name=f"plumbline-{name}", daemon=True))
        say(f"telling {', '.join(channels)} of the alerts in {topic}")
        return 0 if run_until_asked(threads, stop) else 1


def run_until_asked(threads: Sequence[Thread], stop: Signals) -> bool:
    """Run threads that end when asked to; False where one ended by itself, or does not end."""
    for thread in threads:
        thread.start()
    while not stop.asked() and all(thread.is_alive() for thread in threads):
        stop.wait(1.0)
    asked = stop.asked()
    stop.ask()
    for thread in threads:
        thread.join(20.0)
    return asked and not any(thread.is_alive() for thread in threads)


def _channels(settings: Settings) -> Iterator[tuple[str, Channel]]:
    """Who is told, by name."""
    manager, hook, lines = settings.notify.alertmanager, settings.notify.webhook, settings.notify.json_lines
    if manager is not None:
        post = HttpPost(manager.timeout_seconds, manager.ca_file)
        yield "alertmanager", Alertmanager(manager.url, manager.every_seconds, post)
    if hook is not None:
        secret = None if hook.secret is None else revealed("notify.webhook.secret", hook.secret, os.environ)
        yield "webhook", Webhook(hook.url, secret, HttpPost(hook.timeout_seconds, hook.ca_file))
    if lines is not None:
        yield "json_lines", JsonLines(lines, append)


def _connecting(cluster: Cluster, group: str, topic: str, stopping: Callable[[], bool]) -> Callable[[], KafkaSource]:
    def connect() -> KafkaSource:
        require_rights(cluster, Uses((topic,), group=group))
        return KafkaSource(cluster, group, [topic], stopping=stopping)

    return connect


def _before(cluster: Cluster) -> Callable[[Partition, int], Iterable[Record]]:
    """The records of a partition below an offset, as far as they are kept."""

    def records(partition: Partition, below: int) -> Iterator[Record]:
        reader = PartitionReader(cluster, partition.topic, partition.number, below)
        try:
            for some in reader:
                yield from some
        finally:
            reader.close()

    return records
