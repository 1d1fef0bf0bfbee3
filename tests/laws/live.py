"""`plumbline serve` as a process of its own, with its topics on a real broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from copy import copy
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from pipeline.cli.main import main
from pipeline.connectors.kafka_client import Cluster, create_topic


def write(path, bundle, servers, name):
    """A configuration for backtest, publish and serve alike."""
    path.write_text(
        f"""
kafka:
  bootstrap_servers: {servers}
  group_id: {name}
  client: {{session_timeout_ms: 6000, heartbeat_interval_ms: 1500}}  # a group waits so long for a killed one
detectors:
  pumps:
    bundle: {bundle}
    input: {{topic: {name}-readings, series: {{field: series}}, time: {{field: timestamp}}}}
    policy: {{false_alarms: {{probability: 0.01}}, silent_after: 0}}  # two partitions
outputs: {{alerts: {name}-alerts, scores: {name}-scores, dead_letters: {name}-dead}}
state: {{folder: state, every_seconds: 30}}
telemetry: {{listen: null}}
"""
    )
    return path


class Live:
    """The service as a process of its own, and its topics on a broker."""

    def __init__(self, servers, name, folder, bundle, partitions=2):
        self.servers, self.name, self.folder = servers, name, folder
        create_topic(Cluster(servers), f"{name}-readings", partitions=partitions)
        for kind in ("alerts", "scores", "dead"):
            create_topic(Cluster(servers), f"{name}-{kind}")
        self.config = write(folder / "plumbline.yaml", bundle, servers, name)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *trace):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def change(self, old, new):
        """Write something else into the configuration."""
        text = self.config.read_text()

        assert old in text

        self.config.write_text(text.replace(old, new))

    def publish(self, frame):
        path = self.folder / "part.parquet"
        frame.to_parquet(path, index=False)

        assert main(["publish", str(self.config), "--data", str(path)]) == 0

    def second(self):
        """Another process of the same configuration, which has not begun."""
        other = copy(self)
        other.process = None
        return other

    def start(self, *options):
        command = [str(Path(sys.executable).with_name("plumbline")), "serve", str(self.config), *options]
        with (self.folder / "said").open("ab") as said, (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=said, stderr=log, cwd=self.folder)

    def stop(self, number=signal.SIGTERM):
        """End the service; its exit code, and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process = None
        return code, time.monotonic() - began

    def read(self, kind, count=0):
        """What stands in a topic of one partition, in order, once there are as many as `count`."""
        return self.read_until(kind, lambda values: len(values) >= count)

    def read_until(self, kind, enough, seconds=60.0):
        """What stands in a topic of one partition and is committed, in order, once it is enough."""
        key = TopicPartition(f"{self.name}-{kind}", 0)
        consumer = KafkaConsumer(
            bootstrap_servers=self.servers, group_id=None, enable_auto_commit=False, isolation_level="read_committed"
        )
        values, deadline = [], time.monotonic() + seconds
        try:
            consumer.assign([key])
            consumer.seek(key, 0)
            while consumer.position(key) < consumer.end_offsets([key])[key] or not enough(values):
                assert time.monotonic() < deadline, f"{len(values)} values after {seconds} s:\n{self.log()}"
                for records in consumer.poll(200).values():
                    values.extend(json.loads(record.value) for record in records)
        finally:
            consumer.close()
        return values

    def wait_for(self, words, seconds=60.0):
        """Return when the service has logged these words."""
        deadline = time.monotonic() + seconds
        while words not in self.log():
            assert time.monotonic() < deadline, f"no {words!r} after {seconds} s:\n{self.log()}"
            time.sleep(0.1)

    def wait_for_commit(self, records, seconds=60.0):
        """Return when the group has so many records of its two partitions behind it."""
        keys = [TopicPartition(f"{self.name}-readings", number) for number in range(2)]
        consumer = KafkaConsumer(bootstrap_servers=self.servers, group_id=self.name, enable_auto_commit=False)
        deadline = time.monotonic() + seconds
        try:
            while sum(consumer.committed(key) or 0 for key in keys) < records:
                assert time.monotonic() < deadline, f"{records} are not committed after {seconds} s:\n{self.log()}"
                time.sleep(0.1)
        finally:
            consumer.close()

    def said(self):
        return (self.folder / "said").read_text().splitlines()

    def log(self):
        return (self.folder / "log").read_text()
