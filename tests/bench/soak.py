"""Hours of a fleet in minutes: many readings through a real Kafka while processes of one group come, go and are killed.

python -m tests.bench.soak [--readings 200000] [--series 10000] [--rate 4000] [--event-seconds 60] [--out soak]

Two `plumbline serve` in one group keep their state in a changelog and put each score out exactly once. One of them, the
elder, stays from the beginning to the end: its memory is what is held against time. The other is killed and stopped, a
third joins and is killed, the elder reloads. Of what comes out each record has to be one outcome of its own series, and
of a few series each score what the backtest says. Writes soak.json and soak.png; exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from pipeline.bundle import load
from pipeline.cli.demo_kafka import broker
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.local_broker import free_port
from pipeline.formats.json import JsonDecoder
from pipeline.formats.mapping import InputMapping, SeriesMapping, TimeMapping
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.service.outputs import OUTCOMES
from pipeline.service.ports import Message
from tests.bench.soak_report import Asked, Told, write
from tests.service.memory import Entry
from tests.service.small import bundled

BEGIN, STEP = 1_700_000_040, 60  # seconds
RARELY = {"missing": 1e-3, "duplicate": 1e-3, "invalid": 2e-4}  # share of records that are no reading to be scored
WATCHED = 20  # series that are held against the backtest
AT_ONCE = 1_000  # records sent between two looks at what came out
SAMPLE_SECONDS, SAY_SECONDS = 2.0, 30.0
QUIET_SECONDS = 180.0  # without an output, after which it has stood still
MAPPING = InputMapping(series=SeriesMapping(key=True), time=TimeMapping(field="ts", unit="s"))
POLICY = Policy(FalseAlarms(probability=0.001))
CONFIGURATION = """
kafka:
  bootstrap_servers: {servers}
  group_id: {name}
  client: {{session_timeout_ms: 10000, heartbeat_interval_ms: 2500}}
detectors:
  fleet:
    bundle: {bundle}
    input: {{topic: {name}, series: {{key: true}}, time: {{field: ts, unit: s}}}}
    policy: {{false_alarms: {{probability: 0.001}}}}
outputs: {{alerts: {name}-alerts, scores: {name}-scores, dead_letters: {name}-dead}}
state: {{changelog: {name}-state, every_seconds: 10}}
telemetry: {{listen: 127.0.0.1:{port}}}
delivery: exactly_once
"""


class Fleet:
    """The records of all series, row after row, some of them late, missing or broken; each knows what it is."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._rng = np.random.default_rng(asked.seed)
        self.names = [f"sensor-{number:05}".encode() for number in range(asked.series)]
        self.watched: dict[bytes, list[bytes]] = {name: [] for name in self.names[:: max(1, asked.series // WATCHED)]}

    def records(self) -> Iterator[tuple[str, bytes, bytes]]:
        """What it is, its key, its value."""
        left, row = self._asked.readings, 0
        while left:
            for record in self._row(row)[:left]:
                left -= 1
                if (kept := self.watched.get(record[1])) is not None:
                    kept.append(record[2])
                yield record
            row += 1

    def _row(self, row: int) -> list[tuple[str, bytes, bytes]]:
        rng, count, ts = self._rng, len(self.names), BEGIN + STEP * row
        wave = np.sin(row / 10 + np.arange(count))
        values = np.stack([20 + 5 * wave, 20 + 2.5 * wave]) + rng.normal(0, 0.3, (2, count))
        drawn = rng.random(count)
        some = {}
        below = 0.0
        for name, share in RARELY.items():
            some[name] = (drawn >= below) & (drawn < below + share)
            below += share
        records = []
        columns = (self.names, *values.round(3).tolist(), *(some[name].tolist() for name in RARELY))
        for key, temp, flow, missing, twice, broken in zip(*columns, strict=True):
            value = b'{"ts":%d,"temp":%.3f,"flow":%.3f}' % (ts, temp, flow)
            if broken:
                records.append(("invalid", key, value[:-1]))
            elif missing:
                records.append(("missing", key, b'{"ts":%d,"temp":null,"flow":null}' % ts))
            else:
                records.append(("reading", key, value))
                if twice:
                    records.append(("duplicate", key, value))
        return records


class Member:
    """One `plumbline serve` of the group, begun again and again under one name."""

    def __init__(self, name: str, folder: Path, configuration: str) -> None:
        self.name, self._folder = name, folder
        self._config = folder / f"{name}.yaml"
        self._config.write_text(configuration)
        self._process: subprocess.Popen[bytes] | None = None
        self.codes: list[int] = []

    def start(self) -> None:
        """Begin; its log goes on where it ended."""
        command = [str(Path(sys.executable).with_name("plumbline")), "serve", str(self._config)]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, cwd=self._folder)

    def send(self, number: signal.Signals) -> None:
        """Give it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal, and wait."""
        if self._process is not None:
            self._process.send_signal(number)
            self.codes.append(self._process.wait(60))
            self._process = None

    def memory(self) -> float | None:
        """Resident memory in MiB; None where it does not run. AssertionError where it ended by itself."""
        if self._process is None:
            return None
        assert self._process.poll() is None, (self._folder / f"{self.name}.log").read_text()[-2000:]
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), None)


class Outputs:
    """What readers of committed records see of scores and dead letters."""

    def __init__(self, servers: str, name: str, watched: set[bytes]) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
            max_poll_records=5_000,
        )  # fmt: skip
        topics = [f"{name}-scores", f"{name}-dead"]
        keys = [TopicPartition(topic, p) for topic in topics for p in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(keys)
        self._consumer.seek_to_beginning(*keys)
        self._dead = topics[1]
        self.outcomes: Counter[str] = Counter()
        self.by_series: Counter[bytes] = Counter()
        self.watched: dict[bytes, list[dict]] = {series: [] for series in watched}
        self.count = 0

    def read(self, milliseconds: int) -> int:
        """Take in what came; how many."""
        taken = 0
        for key, records in self._consumer.poll(milliseconds).items():
            taken += len(records)
            for record in records:
                self.by_series[record.key] += 1
                if key.topic == self._dead:
                    self.outcomes["invalid"] += 1
                    continue
                self.outcomes[outcome_of(record.value)] += 1
                if (kept := self.watched.get(record.key)) is not None:
                    kept.append(json.loads(record.value))
        self.count += taken
        return taken

    def close(self) -> None:
        self._consumer.close()


def outcome_of(value: bytes) -> str:
    """The outcome that a score tells, without reading all of it."""
    begin = value.index(b'"outcome":"') + 11
    return value[begin : value.index(b'"', begin)].decode()


class Soak:
    """One run on a broker; the folder is given the bundle, the configurations and the logs."""

    def __init__(self, asked: Asked, servers: str, name: str, folder: Path, say: Callable[[str], None]) -> None:
        """Make the topics and the configurations; nothing runs yet."""
        cluster = Cluster(servers)
        for topic, partitions in ((name, asked.partitions), (f"{name}-scores", asked.partitions)):
            create_topic(cluster, topic, partitions=partitions)
        for kind in ("alerts", "dead"):
            create_topic(cluster, f"{name}-{kind}")
        self.asked, self.told = asked, Told(asked)
        self._topic, self._say = name, say
        self._fleet = Fleet(asked)
        self._bundle = bundled(folder / "bundle")
        self._members = []
        with ExitStack() as held:
            for one in ("elder", "other", "third"):
                port = held.enter_context(free_port())
                configuration = CONFIGURATION.format(servers=servers, name=name, bundle=self._bundle, port=port)
                self._members.append(Member(one, folder, configuration))
        self._sink = KafkaSink(cluster, linger_ms=5)
        self._outputs = Outputs(servers, name, set(self._fleet.watched))
        self._begun = 0.0

    def run(self) -> Told:
        """Send at the rate, read what comes out, let things happen, until all is out and everybody has stopped."""
        elder, other, _ = self._members
        try:
            elder.start()
            other.start()
            self._begun = time.monotonic()
            self._go()
            for member in self._members:
                member.end()
            while self._outputs.read(2_000):  # more than there should be
                pass
        finally:
            for member in self._members:
                member.end(signal.SIGKILL)
            self._sink.close(1.0)
            self._outputs.close()
        told = self.told
        told.exit_codes = {member.name: member.codes for member in self._members}
        told.outcomes = dict(self._outputs.outcomes)
        told.uneven_series = sum(self._outputs.by_series[key] != self._sent[key] for key in self._fleet.names)
        self._hold_against_the_backtest()
        return told

    def _go(self) -> None:
        asked, told, outputs = self.asked, self.told, self._outputs
        records, events = self._fleet.records(), self._events()
        kinds: Counter[str] = Counter()
        self._sent: Counter[bytes] = Counter()
        sent, last_output = 0, time.monotonic()
        sample_at, say_at, event_at = 0.0, 0.0, asked.event_seconds
        while sent < asked.readings or outputs.count < sent:
            now = time.monotonic() - self._begun
            for _ in range(min(AT_ONCE, asked.readings - sent, int(now * asked.rate) - sent)):
                kind, key, value = next(records)
                self._sink.send(Message(self._topic, key, value))
                kinds[kind] += 1
                self._sent[key] += 1
                sent += 1
            if outputs.read(20):
                last_output = time.monotonic()
            assert time.monotonic() - last_output < QUIET_SECONDS, f"nothing came out for {QUIET_SECONDS:.0f} s"
            if now >= sample_at:
                sample_at = now + SAMPLE_SECONDS
                memory = {each.name: round(held, 1) for each in self._members if (held := each.memory()) is not None}
                told.samples.append((round(now, 1), sent, sent - outputs.count, memory))
            if now >= event_at and sent < asked.readings:
                event_at = now + asked.event_seconds
                what, happen = next(events)
                told.events.append((round(now, 1), what))
                happen()
            if now >= say_at:
                say_at = now + SAY_SECONDS
                behind, memory = told.samples[-1][2:]
                self._say(f"{now:6.0f} s  {sent:,} sent, {behind:,} behind, MiB {memory}, {len(told.events)} events")
        told.seconds = time.monotonic() - self._begun
        told.sent = dict(kinds)

    def _events(self) -> Iterator[tuple[str, Callable[[], object]]]:
        elder, other, third = self._members
        return cycle(
            [
                ("the other is killed and begun", lambda: (other.end(signal.SIGKILL), other.start())),
                ("a third joins", third.start),
                ("the elder reloads", lambda: elder.send(signal.SIGHUP)),
                ("the other is stopped and begun", lambda: (other.end(), other.start())),
                ("the third is killed", lambda: third.end(signal.SIGKILL)),
            ]
        )

    def _hold_against_the_backtest(self) -> None:
        """The scores of the watched series, one after the other as a file of theirs would give them."""
        detector = load(self._bundle)
        for key, values in self._fleet.watched.items():
            log = [Entry(self._topic, 0, row, key, value) for row, value in enumerate(values)]
            decoded = JsonDecoder(MAPPING, detector.names).decode(log)
            scores, _ = Monitor(detector, POLICY, name="fleet").observe(decoded.readings)
            wanted = [
                (OUTCOMES[code], score)
                for code, score in zip(scores.outcome.tolist(), scores.score.tolist(), strict=True)
            ]
            found = [(row["outcome"], row["score"] or 0.0) for row in self._outputs.watched[key]]
            self.told.watched_scores += len(found)
            agreeing = sum(
                ours[0] == theirs[0] and abs(ours[1] - theirs[1]) <= 1e-5
                for ours, theirs in zip(wanted, found, strict=False)
            )
            self.told.differing_scores += max(len(wanted), len(found)) - agreeing


def main() -> int:
    """Run it on a Kafka of its own, or on that of KAFKA_BOOTSTRAP_SERVERS."""
    usual = Asked()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=usual.readings)
    parser.add_argument("--series", type=int, default=usual.series)
    parser.add_argument("--rate", type=float, default=usual.rate, help="readings a second")
    parser.add_argument("--event-seconds", type=float, default=usual.event_seconds)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    options = parser.parse_args()
    asked = Asked(options.readings, options.series, options.rate, options.event_seconds)
    options.out.mkdir(parents=True, exist_ok=True)
    with broker() as found:
        told = Soak(asked, found.servers, f"soak-{os.getpid()}", options.out.absolute(), print_now).run()
    write(told, options.out)
    print(json.dumps({"sent": told.sent, "outcomes": told.outcomes, **told.figures()}, indent=1))
    for one in told.broken():
        print(f"BROKEN: {one}")
    return 1 if told.broken() else 0


def print_now(line: str) -> None:
    """A line of progress, also into a pipe."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
