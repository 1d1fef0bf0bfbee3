"""Readings/s of backtest and service against a program that runs its window of 100 again for every record.

.venv/bin/python tests/bench/throughput.py [--readings 200000] [--series 1000] [--records 400]

All in one run, with the demo's network (64 units, learnt here): the Monitor on the demo's series and on a fleet, as the
backtest runs it; `plumbline serve` on a real Kafka, a process of its own, from a topic that holds all readings to lag
0, without and with a topic of scores; and the naive peer, which has no Kafka to read from: bytes to JSON, the last 100
readings to a tensor, nn.LSTM over all of them. A busy machine slows all of these, and the service's broker most:
compare within one run, and look at the readings per second of the service's own CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import deque
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from models.predictor import Predictor
from pipeline.bundle import save
from pipeline.cli.demo_kafka import SERVE, broker, total
from pipeline.cli.demo_steps import learn
from pipeline.cli.publish import publish
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.local_broker import free_port
from pipeline.connectors.parquet_sink import ParquetSink
from pipeline.detector.detector import Detector
from pipeline.formats.frames import frame_of
from pipeline.formats.json import JsonEncoder
from pipeline.formats.mapping import InputMapping, SeriesMapping
from pipeline.monitor.monitor import Monitor
from pipeline.records import Readings

SEED, WINDOW, WARM = 0, 100, 20
CALM = 8_400  # of the demo's readings: none of the following 200 is abnormal
POLL = 5_000  # readings that the service observes together, at most
NOISE = 0.2  # standard deviation that tells one machine of the fleet from another
TOPIC = "fleet"


def main() -> None:
    """Measure one after the other and print how many times faster each is than the naive peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readings", type=int, default=200_000)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--records", type=int, default=400, help="for the naive peer")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(about())
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1), broker() as found:
        folder = Path(name)
        learnt = learn(folder)
        slow = naive(learnt.rest, learnt.detector, asked.records)

        def tell(called: str, rate: float) -> None:
            print(f"{called:44} {rate:>10,.0f} readings/s, {rate / slow:>6.1f} x naive")

        monitor = Monitor(learnt.detector)
        tell("Monitor, one series", observed(monitor, learnt.rest[:CALM], CALM))
        slot = next(iter(monitor.snapshot().values()))
        fleet = replace(learnt.detector, slots={f"machine-{number:04}": slot for number in range(asked.series)})
        readings = fleet_readings(fleet, learnt.rest[CALM:], asked.readings // asked.series)
        tell("Monitor, fleet, polls of 5,000", observed(Monitor(fleet), readings, POLL))
        tell("Monitor, fleet, all at once", observed(Monitor(fleet), readings, len(readings)))
        save(fleet, folder / "fleet")
        publish_all(folder, found.servers, readings, fleet)
        for scores, called in (("null", "serve, fleet"), (f"{TOPIC}.scores", "serve, fleet, each score to a topic")):
            wall, cpu = served(folder, found.servers, scores, len(readings))
            tell(called, wall)
            tell("  by its own CPU time", cpu)
        naive(learnt.rest, learnt.detector, asked.records)  # has the machine changed meanwhile?


def fleet_readings(fleet: Detector, rest: Readings, rows: int) -> Readings:
    """The next rows of every machine, in the order of time; each is the demo's machine with noise of its own."""
    S = len(fleet.series)
    rng = np.random.default_rng(SEED)
    return Readings(
        list(fleet.series),
        np.tile(np.arange(S, dtype=np.int32), rows),
        np.repeat(rest.at[:rows], S),
        np.repeat(rest.values[:rows], S, axis=0) + rng.normal(0, NOISE, (rows * S, 1)),
        np.repeat(rest.missing[:rows], S, axis=0),
        np.zeros(rows * S, np.int32),
        np.arange(rows * S),
    )


def observed(monitor: Monitor, readings: Readings, at_once: int) -> float:
    """Readings/s of a Monitor that is given so many together; says what it found."""
    scored = alerts = 0
    begun = time.perf_counter()
    for first in range(0, len(readings), at_once):
        scores, raised = monitor.observe(readings[first : first + at_once])
        scored += int(np.count_nonzero(scores.scored))
        alerts += len(raised)
    seconds = time.perf_counter() - begun
    print(f"  {len(readings):,} readings of {len(monitor):,} series: {scored:,} scored, {alerts:,} alerts")
    return len(readings) / seconds


def naive(readings: Readings, detector: Detector, count: int) -> float:
    """Records/s of a program that keeps the last 100 readings and runs them all for each new one."""
    torch.manual_seed(SEED)
    network = Predictor(1, hidden=detector.settings.hidden, horizon=detector.settings.horizon).eval()
    records = [value for _, value in JsonEncoder(mapping(), detector.names).encode(readings[: WINDOW + WARM + count])]
    window: deque[list[float]] = deque(maxlen=WINDOW)
    seconds = []
    with torch.inference_mode():
        expected = 0.0
        for record in records:
            begun = time.perf_counter()
            value = (json.loads(record)[detector.names[0]] - 90.0) / 10.0
            _error = (value - expected) ** 2
            window.append([value])
            if len(window) == WINDOW:
                changes, _ = network(torch.tensor([window]))
                expected = value + float(changes[0, -1, 0, 0])
                seconds.append(time.perf_counter() - begun)
    seconds = seconds[WARM:]
    cut = quantiles(seconds, n=100)[98]
    rate = len(seconds) / sum(seconds)
    print(f"naive: {rate:,.0f} readings/s; median {median(seconds) * 1e6:,.0f} us, p99 {cut * 1e6:,.0f} us a record")
    return rate


def mapping() -> InputMapping:
    """The records' form."""
    return InputMapping(series=SeriesMapping(key=True))


def configuration(folder: Path, servers: str, scores: str, port: int) -> Path:
    """The service's settings; a group and a state for each run."""
    run = scores.replace(".", "-")
    path = folder / f"{run}.yaml"
    path.write_text(
        f"""
kafka: {{bootstrap_servers: {servers}, group_id: {TOPIC}-{run}}}
detectors: {{fleet: {{bundle: fleet, input: {{topic: {TOPIC}, series: {{key: true}}}}}}}}
outputs: {{alerts: {TOPIC}.alerts, scores: {scores}, dead_letters: {TOPIC}.dead}}
state: {{folder: state-{run}, every_seconds: 5}}
telemetry: {{listen: 127.0.0.1:{port}}}
"""
    )
    return path


def publish_all(folder: Path, servers: str, readings: Readings, fleet: Detector) -> None:
    """Fill the topic, as a file of the fleet through `plumbline publish`."""
    for topic in (TOPIC, f"{TOPIC}.alerts", f"{TOPIC}.scores", f"{TOPIC}.dead"):
        create_topic(Cluster(servers), topic)
    batch = frame_of(readings, fleet.names, fleet.clock)
    with ParquetSink(folder / "fleet.parquet", batch.schema) as sink:
        sink.append(batch)
    publish(configuration(folder, servers, "null", 0), data=[folder / "fleet.parquet"])


def served(folder: Path, servers: str, scores: str, count: int) -> tuple[float, float]:
    """Readings/s of the service from the first to the last look at its metrics page, by the clock and by its CPU."""
    with free_port() as port:
        pass
    command = [sys.executable, *SERVE, str(configuration(folder, servers, scores, port))]
    looks: list[tuple[float, float, float]] = []  # time, CPU seconds, readings so far
    begun = time.perf_counter()
    with (folder / "serve.log").open("wb") as log:
        service = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
    try:
        done = False
        while not done:
            assert service.poll() is None, (folder / "serve.log").read_text()
            time.sleep(0.05)
            page = look(port)
            read = total(page, "plumbline_readings_total")
            if read and (not looks or read > looks[-1][2]):
                looks.append((time.perf_counter(), total(page, "process_cpu_seconds_total"), read))
            done = read >= count and not total(page, "plumbline_lag_records")
    finally:
        service.terminate()
        code = service.wait(60)
    first, last = looks[0], looks[-1]
    whole = last[0] - begun
    print(f"  served {last[2]:,.0f} readings in {whole:.1f} s from the start of the process; exit code {code}")
    return (last[2] - first[2]) / (last[0] - first[0]), (last[2] - first[2]) / (last[1] - first[1])


def look(port: int) -> str:
    """The metrics page; nothing while it is not there."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()
    except (URLError, ConnectionError):
        return ""


def about() -> str:
    """What a figure is worth nothing without."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    processor = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "kafka-python", "plumbline"))
    load = ", ".join(f"{part:.1f}" for part in os.getloadavg())
    return (
        f"{processor}, {os.cpu_count()} cores, load {load}; Python {platform.python_version()}, {packages}\n"
        f"seed {SEED}, one thread a process, window of the naive peer {WINDOW}"
    )


if __name__ == "__main__":
    main()
