"""Seconds to save and to bring back the state of many series: in a folder, and in a changelog on a real Kafka.

.venv/bin/python tests/bench/state.py [--series 1000 100000]

The demo's detector (64 units), one partition. A checkpoint is what the service does: snapshots, then a transaction
with the offset, or a file and the offset; between two slices of it the service polls. `share` is what the checkpoint of
all series takes of the 30 seconds between two, and so of the readings that a service at its limit could have scored
meanwhile.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline.cli.demo_kafka import broker
from pipeline.cli.demo_steps import learn
from pipeline.connectors.kafka_changelog import KafkaChangelogReader, require_changelog
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_source import KafkaSource
from pipeline.connectors.kafka_transactions import TransactionalSink
from pipeline.connectors.state_folder import StateFolder
from pipeline.detector.detector import Detector
from pipeline.monitor.monitor import Monitor
from pipeline.records import Readings
from pipeline.service.changelog import Changelog
from pipeline.service.checkpoints import StoreCheckpoints
from pipeline.service.ports import Checkpoint, Checkpoints, Partition
from pipeline.service.service_settings import ServiceSettings
from pipeline.settings import StateSettings
from tests.bench.throughput import about

ROWS = 5_000  # readings observed together
AT_ONCE = ServiceSettings().series_at_once
TENTH = 10


def main() -> None:
    """Measure one number of series after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, nargs="+", default=[1_000, 100_000])
    asked = parser.parse_args()
    print(about())
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1), broker() as found:
        learnt = learn(Path(name))
        for series in asked.series:
            measure(Cluster(found.servers), Path(name) / str(series), learnt.detector, learnt.rest, series)


def measure(cluster: Cluster, folder: Path, detector: Detector, rest: Readings, series: int) -> None:
    """One line for each way to keep the state."""
    monitor = Monitor(detector, fresh=True)
    for row in range(3):
        seconds = observed(monitor, rest, row, series)
    topic = f"fleet-{series}"
    create_topic(cluster, topic)
    require_changelog(cluster, f"{topic}-state", 1)
    source = member(cluster, topic)
    sink = TransactionalSink(cluster, topic, source.member)
    with StateFolder(folder) as store:
        ways: dict[str, Checkpoints] = {
            "folder": StoreCheckpoints(source, store),
            "changelog": Changelog(
                f"{topic}-state", sink, partial(KafkaChangelogReader, cluster), outputs_inside=False
            ),
        }
        print(f"\n{series:,} series, {monitor.slot_bytes:,} bytes each; scoring one reading of each: {seconds:.2f} s")
        print(
            "| kept in | first checkpoint | all changed | its longest slice | a tenth changed | share | restored "
            "| its longest slice | let go |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for kept, checkpoints in ways.items():
            first, _ = timed(commit(checkpoints, topic, monitor, 1, None))
            every, longest = timed(commit(checkpoints, topic, monitor, 2, 0))
            tenth, _ = timed(commit(checkpoints, topic, monitor, 3, series * (TENTH - 1) // TENTH))
            fresh = Monitor(detector, fresh=True)
            back, slowest = timed(restore(checkpoints, topic, fresh))
            assert len(fresh) == series
            gone, _ = timed(drop(fresh))
            share = every / StateSettings(None).every_seconds
            print(
                f"| {kept} | {first:.2f} s | {every:.2f} s | {longest:.2f} s | {tenth:.2f} s | {share:.1%} "
                f"| {back:.2f} s | {slowest:.2f} s | {gone:.2f} s |"
            )
    source.close(1)
    ways["changelog"].close(1)


def observed(monitor: Monitor, rest: Readings, row: int, series: int) -> float:
    """Seconds to score one row of every series; the offset of a series is its number."""
    names = [f"machine-{number:06}" for number in range(series)]
    took = 0.0
    for first in range(0, series, ROWS):
        code = np.arange(first, min(first + ROWS, series), dtype=np.int32)
        count = len(code)
        readings = Readings(
            names,
            code,
            np.repeat(rest.at[row : row + 1], count),
            np.repeat(rest.values[row : row + 1], count, axis=0),
            np.repeat(rest.missing[row : row + 1], count, axis=0),
            np.zeros(count, np.int32),
            code.astype(np.int64),
        )
        begun = time.perf_counter()
        monitor.observe(readings)
        took += time.perf_counter() - begun
    return took


def member(cluster: Cluster, topic: str) -> KafkaSource:
    """The only member of a group, which has its partition."""
    source = KafkaSource(cluster, topic, [topic])
    while not source.poll(0.5).assigned:
        pass
    source.seek(Partition(topic, 0), 0)
    return source


def commit(checkpoints: Checkpoints, topic: str, monitor: Monitor, offset: int, since: int | None) -> Iterator[None]:
    """One checkpoint, of the slots that changed where that is enough."""
    partition, series, wanted = Partition(topic, 0), monitor.series_of(0), None
    if since is not None:
        wanted = checkpoints.needed("fleet", partition, monitor.series_of(0, since))
    series = series if wanted is None else [name for name in series if name in wanted]
    state = Checkpoint(
        "fleet", offset, monitor.detector.digest, series, monitor.snapshot, AT_ONCE, whole=wanted is None
    )
    yield from checkpoints.commit({partition: offset}, {partition: state})


def restore(checkpoints: Checkpoints, topic: str, monitor: Monitor) -> Iterator[None]:
    """The state back in a monitor."""
    restoring = checkpoints.restore("fleet", Partition(topic, 0))
    while not restoring.advance(0.5):
        yield
    state = restoring.state()
    assert state is not None
    yield from monitor.restoring(state.slots, AT_ONCE)


def drop(monitor: Monitor) -> Iterator[None]:
    """The partition is another's."""
    monitor.drop(0)
    yield


def timed(work: Iterator[None]) -> tuple[float, float]:
    """Seconds that work takes, and the longest of its slices."""
    begun = last = time.perf_counter()
    longest = 0.0
    for _ in chain(work, [None]):
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return last - begun, longest


if __name__ == "__main__":
    main()
