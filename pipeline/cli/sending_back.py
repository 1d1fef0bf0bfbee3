"""Dead letters back to the topics that their records came from, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.cli.console import progress
from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.exceptions import BrokerError
from pipeline.service.letters import Identity, Letter, sent_back
from pipeline.service.ports import Partition
from pipeline.settings import Settings

UNDER_WAY = 1_000  # messages, of up to 900 kB; more are not sent before these are acknowledged
FLUSH_SECONDS = 60.0
CLOCKS_APART_MS = 3_600_000  # that the clocks of two machines may differ by


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the letters that are meant."""

    send: list[Letter]  # in the order of the records that they hold
    left: Counter[str]  # letters by why they are left out


def planned(found: Collection[Letter], settings: Settings, cluster: Cluster, limit: int | None) -> Plan:
    """Which of these can be sent back: the oldest so many."""
    left = Counter[str]()
    once: dict[Identity, Letter] = {}
    topics = {one.topic for one in settings.detectors.values()}
    for one in sorted(found, key=lambda one: (one.at, one.source)):
        if one.source.topic not in topics:
            left[f"no detector of {settings.path} reads {one.source.topic}"] += 1
        elif one.truncated:
            left["they hold only a part of their record"] += 1
        elif one.identity in once:
            left["they hold a record that another one holds, as after a restart"] += 1
        else:
            once[one.identity] = one
    there: dict[str, tuple[int, ...]] = {}
    for topic in sorted({one.source.topic for one in once.values()}):
        begun = min(one.at for one in once.values() if one.source.topic == topic) - CLOCKS_APART_MS
        before, there[topic] = _sent_before(cluster, topic, begun)
        for identity in before & once.keys():
            del once[identity]
            left["their record was sent back before"] += 1
    send = []
    for one in once.values():
        if one.source.partition in there[one.source.topic]:
            send.append(one)
        else:
            left[f"{one.source.topic} has no partition {one.source.partition} any more"] += 1
    return Plan(sorted(send[:limit], key=lambda one: one.source), left)


def _sent_before(cluster: Cluster, topic: str, since_ms: int) -> tuple[set[Identity], tuple[int, ...]]:
    """Which records a topic holds a second time, sent back since then, and its partitions."""
    found: set[Identity] = set()
    reader = TopicReader(cluster, topic, since_ms)
    try:
        with progress(f"looking in {topic} for what was sent back before", reader.total) as bar:
            for records in reader:
                found |= sent_back(records)
                bar.to(reader.total - reader.remaining)
            bar.to(reader.total)
        return found, reader.partitions
    finally:
        reader.close()


def send_back(some: Sequence[Letter], cluster: Cluster) -> None:
    """Send records back and wait until they are stored."""
    if not some:
        return
    sink = KafkaSink(cluster, linger_ms=5)
    try:
        with progress("sending back", len(some)) as bar:
            for done, one in enumerate(some):
                if sink.in_flight() > UNDER_WAY:
                    sink.flush(FLUSH_SECONDS)
                sink.send(one.again(), Partition(one.source.topic, one.source.partition))
                bar.to(done + 1)
            sink.flush(FLUSH_SECONDS)
    except BrokerError as error:
        raise BrokerError(
            f"{error}. Give the same command again: what has arrived is found in the topic, and is not sent twice"
        ) from error
    finally:
        sink.close(1.0)
