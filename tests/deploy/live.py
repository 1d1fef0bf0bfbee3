"""A real service on a real Kafka, scraped by a real Prometheus, for the tests that ask it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pandas as pd
import yaml

from pipeline.bundle import save
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.local_broker import free_port
from pipeline.detector.fit_settings import FitSettings
from pipeline.service.ports import Message
from pipeline.training.fit import fit
from tests.deploy.promql import DEPLOY

PATIENCE = 60.0  # seconds that anything here may take
SERIES = ("pump-0", "pump-1", "pump-2")
LEARNT, LIVE, FAULTY = 800, 200, 3  # rows of each series: of the history, published after it, and the last of these


class Process:
    """A program under test, its output in a file."""

    def __init__(self, command, folder, name):
        self._output = folder / f"{name}.log"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)

    def until(self, answer):
        """What `answer` returns once it is true; AssertionError when the program ends or takes too long."""
        end = time.monotonic() + PATIENCE
        while not (answered := answer()):
            try:
                self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                assert time.monotonic() < end, f"waited for {PATIENCE:.0f} s: {self.said()}"
            else:
                raise AssertionError(f"ended with {self._process.returncode}: {self.said()}")
        return answered

    def said(self):
        return self._output.read_text(errors="replace")[-3000:]

    def hang_up(self):
        """Ask to read its configuration again."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self):
        """Ask to end; the exit code."""
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Prometheus(Process):
    """A server on this port."""

    def __init__(self, folder, port, config):
        self.port = port
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        super().__init__(
            [
                shutil.which("prometheus"),
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            folder,
            "prometheus",
        )

    def get(self, path, **parameters):
        """`data` of an answer of the API, None while there is none."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except (URLError, ConnectionError):
            return None

    def values(self, expression):
        """What the samples of an expression say now, without those that are no number."""
        found = self.get("query", query=expression)
        return [float(one["value"][1]) for one in found["result"] if one["value"][1] != "NaN"] if found else []


class Ports(NamedTuple):
    """Who listens where."""

    service: int
    prometheus: int
    nobody: int


def three_ports():
    """Ports that were free a moment ago, each another."""
    with free_port() as service, free_port() as prometheus, free_port() as nobody:
        return Ports(service, prometheus, nobody)


def readings():
    """Rows of every series, a minute apart: a wave with noise, and a fault in the last ones."""
    rng = np.random.default_rng(0)
    rows, parts = LEARNT + LIVE, []
    for number, series in enumerate(SERIES):
        wave = np.sin(np.arange(rows) / 10 + number)
        temp, flow = 20 + 5 * wave + rng.normal(0, 0.3, rows), 3 + wave**2 + rng.normal(0, 0.1, rows)
        temp[-FAULTY:] += 30
        at = pd.date_range("2026-03-01", periods=rows, freq="min", tz="UTC")
        parts.append(pd.DataFrame({"timestamp": at, "series": series, "temp": temp, "flow": flow}))
    return pd.concat(parts).sort_values(["timestamp", "series"], kind="stable", ignore_index=True)


def learnt():
    """The rows that the detector is fitted on."""
    return readings().iloc[: LEARNT * len(SERIES)]


def live():
    """The rows that come afterwards."""
    return readings().iloc[LEARNT * len(SERIES) :]


@contextmanager
def serving(folder, kafka, name, port):
    """`plumbline serve` on topics of this name."""
    cluster = Cluster(kafka, {})
    for topic in (name, f"{name}.alerts", f"{name}.dead"):
        create_topic(cluster, topic, partitions=2)
    save(fit(learnt(), settings=FitSettings(steps=40, evaluate_every=20, warm_up=32)), folder / "bundle")
    config = {
        "kafka": {"bootstrap_servers": kafka, "group_id": name},
        "detectors": {
            "pumps": {
                "bundle": "bundle",
                "input": {"topic": name, "series": {"key": True}, "time": {"field": "ts"}},
                "policy": {"false_alarms": {"probability": 0.01}},
            }
        },
        "outputs": {"alerts": f"{name}.alerts", "dead_letters": f"{name}.dead"},
        "state": {"folder": "state", "every_seconds": 1},
        "telemetry": {"listen": f"127.0.0.1:{port}"},
    }
    (folder / "serve.yaml").write_text(yaml.safe_dump(config))
    service = Process([Path(sys.executable).parent / "plumbline", "serve", "serve.yaml"], folder, "serve")
    try:
        yield service
    finally:
        service.stop()


@contextmanager
def scraping(folder, ports):
    """A Prometheus with the real rules, less their patience, which scrapes the service and one that is not there."""
    rules = (DEPLOY / "prometheus" / "rules.yml").read_text(encoding="utf-8")
    (folder / "rules.yml").write_text(re.sub(r"^ +(for|keep_firing_for): .*\n", "", rules, flags=re.MULTILINE))
    targets = {"plumbline": ports.service, "plumbline-gone": ports.nobody}
    config = {
        "global": {"scrape_interval": "250ms", "evaluation_interval": "250ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{where}"]}]} for job, where in targets.items()
        ],
    }
    prometheus = Prometheus(folder, ports.prometheus, config)
    try:
        yield prometheus
    finally:
        prometheus.stop()


def publish(kafka, topic, frame, broken):
    """The rows as records of a topic, and so many that are none."""
    sink = KafkaSink(Cluster(kafka, {}))
    for row in frame.itertuples():
        fields = {"ts": row.timestamp.isoformat(), "temp": row.temp, "flow": row.flow}
        sink.send(Message(topic, row.series.encode(), json.dumps(fields).encode()))
    for _ in range(broken):
        sink.send(Message(topic, None, b'{"ts": '))
    sink.flush(PATIENCE)
    sink.close(5)
