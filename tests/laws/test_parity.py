"""The service on a real Kafka says of every reading what the backtest says of the same file."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from kafka import KafkaConsumer, TopicPartition

from pipeline.bundle import load, save
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.detector.fit_settings import FitSettings
from pipeline.formats import times
from pipeline.formats.frames import readings_of
from pipeline.formats.json import JsonEncoder
from pipeline.formats.mapping import InputMapping, SeriesMapping
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Outcome
from pipeline.service.ports import Message
from pipeline.training.fit import fit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHANNELS = ("temp", "flow")
POLICY = Policy(FalseAlarms(probability=0.01))
ROWS = 400  # of each series
CUTS = (700, 860)  # rows of all series together: in the middle of a batch and of an incident
OVERTAKEN = 70  # rows back that a late reading comes from


def frame_of(rows, seed, begin="2026-03-01"):
    """Three series side by side, row by row, each a wave with noise."""
    rng = np.random.default_rng(seed)
    parts = []
    for series in range(3):
        wave = np.sin(np.arange(rows) / 10 + series)
        parts.append(
            pd.DataFrame(
                {
                    "timestamp": pd.date_range(begin, periods=rows, freq="min", tz="UTC"),
                    "series": f"pump-{series}",
                    "temp": 20 + 5 * wave + rng.normal(0, 0.3, rows),
                    "flow": 3 + wave**2 + rng.normal(0, 0.1, rows),
                }
            )
        )
    return pd.concat(parts).sort_values(["timestamp", "series"], kind="stable", ignore_index=True)


def file_of(folder):
    """What was read later: faults, missing values, a gap, a duplicate and a late reading."""
    frame = frame_of(ROWS, seed=7, begin="2026-03-02")
    faulty = frame["timestamp"].between("2026-03-02T03:50", "2026-03-02T04:55") & (frame["series"] != "pump-1")
    frame.loc[faulty, "temp"] += 30.0
    frame.loc[frame.index % 37 == 0, "flow"] = np.nan
    frame.loc[100, ["temp", "flow"]] = np.nan
    gap = frame["timestamp"].between("2026-03-02T01:00", "2026-03-02T01:30") & (frame["series"] == "pump-1")
    frame = frame[~gap]
    again = frame.iloc[[500, 500 - OVERTAKEN]]
    frame = pd.concat([frame.iloc[:501], again, frame.iloc[501:]], ignore_index=True)
    path = folder / "later.parquet"
    frame.to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity") / "bundle"
    save(fit(frame_of(800, seed=3), settings=FitSettings(steps=40, evaluate_every=20, warm_up=32)), folder)
    return folder


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return file_of(tmp_path_factory.mktemp("later"))


@pytest.fixture(scope="module")
def backtest(bundle, file):
    """The readings of the file in order, and what the monitor says of them."""
    detector = load(bundle)
    readings = readings_of(pq.read_table(file), detector.names)
    scores, alerts = Monitor(detector, POLICY, name="pumps").observe(readings)
    return readings, scores, alerts


class Live:
    """The service's topics on a broker, and the service as a process of its own."""

    def __init__(self, servers, name, folder, bundle, partitions=2):
        self.servers, self.name, self.folder = servers, name, folder
        self.topics = {kind: f"{name}-{kind}" for kind in ("readings", "alerts", "scores", "dead")}
        for kind, topic in self.topics.items():
            create_topic(Cluster(servers), topic, partitions if kind == "readings" else 1)
        self.config = folder / "plumbline.yaml"
        self.config.write_text(
            f"""
kafka:
  bootstrap_servers: {servers}
  group_id: {name}
  client: {{session_timeout_ms: 6000, heartbeat_interval_ms: 1500}}  # a group waits so long for a killed one
detectors:
  pumps:
    bundle: {bundle}
    input: {{topic: {self.topics["readings"]}, series: {{field: series}}, time: {{field: timestamp}}}}
    policy: {{false_alarms: {{probability: 0.01}}}}
outputs: {{alerts: {self.topics["alerts"]}, scores: {self.topics["scores"]}, dead_letters: {self.topics["dead"]}}}
state: {{folder: state, every_seconds: 30}}
telemetry: {{listen: null}}
"""
        )
        self.process = None

    def publish(self, readings):
        encoded = JsonEncoder(MAPPING, CHANNELS).encode(readings)
        sink = KafkaSink(Cluster(self.servers))
        for key, value in encoded:
            sink.send(Message(self.topics["readings"], key, value))
        sink.flush(30.0)
        sink.close(5.0)

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
        """What stands in a topic of one partition, in order, once it is enough."""
        key = TopicPartition(self.topics[kind], 0)
        consumer = KafkaConsumer(bootstrap_servers=self.servers, group_id=None, enable_auto_commit=False)
        values, deadline = [], time.monotonic() + seconds
        try:
            consumer.assign([key])
            consumer.seek(key, 0)
            while len(values) < consumer.end_offsets([key])[key] or not enough(values):
                assert time.monotonic() < deadline, f"{len(values)} values after {seconds} s:\n{self.log()}"
                for records in consumer.poll(200).values():
                    values.extend(json.loads(record.value) for record in records)
        finally:
            consumer.close()
        return values

    def said(self):
        return (self.folder / "said").read_text().splitlines()

    def log(self):
        return (self.folder / "log").read_text()


MAPPING = InputMapping(series=SeriesMapping(field="series"))


@pytest.fixture
def live(kafka, fresh_name, tmp_path, bundle):
    service = Live(kafka, fresh_name, tmp_path, bundle)
    yield service
    if service.process is not None:
        service.process.kill()
        service.process.wait()


def about(row):
    """Which reading a score is about."""
    return row["series"], row["timestamp"], row["outcome"]


def rows_of(readings, scores, series):
    """What the backtest says of one series, as the scores topic has it."""
    chosen = np.flatnonzero(readings.series == readings.names.index(series))
    outcomes = [Outcome(code).name.lower() for code in scores.outcome[chosen].tolist()]
    return [times.iso(at) for at in readings.at[chosen].tolist()], outcomes, chosen


def same_as_the_backtest(backtest, live_scores, live_alerts):
    """Times, outcomes, alerts and ids exactly, scores within 1e-5, series by series in order."""
    readings, scores, alerts = backtest
    for series in readings.names:
        mine = [row for row in live_scores if row["series"] == series]
        moments, outcomes, chosen = rows_of(readings, scores, series)

        assert [row["timestamp"] for row in mine] == moments
        assert [row["outcome"] for row in mine] == outcomes
        assert [row["alert"] for row in mine] == scores.alert[chosen].tolist()
        scored = scores.scored[chosen]
        assert [row["score"] is not None for row in mine] == scored.tolist()
        for column in ("score", "bar"):
            found = [row[column] for row in mine if row["score"] is not None]
            np.testing.assert_allclose(found, getattr(scores, column)[chosen][scored], rtol=0, atol=1e-5)
        found = [[row["expected"][name] for name in CHANNELS] for row in mine if row["score"] is not None]
        np.testing.assert_allclose(found, scores.expected[chosen][scored], rtol=1e-5, atol=1e-5)
        assert [(alert["id"], alert["event"], alert["at"]) for alert in live_alerts if alert["series"] == series] == [
            (alert.id, alert.event, times.iso(alert.at)) for alert in alerts if alert.series == series
        ]


def test_the_file_holds_what_the_law_must_survive(backtest):
    _, scores, alerts = backtest

    assert set(scores.outcome.tolist()) == {code for code in Outcome if code != Outcome.INVALID}
    assert {alert.event for alert in alerts} >= {"raised", "cleared"}
    for cut in CUTS:
        assert any(alert.offset < cut for alert in alerts), "an incident is open when the service stops"
        assert scores.alert[cut - 3 : cut].any()


def test_backtest_equals_live_over_two_restarts_in_mid_incident(live, backtest):
    readings, _, alerts = backtest
    begun = 0
    for cut in (*CUTS, len(readings)):
        live.publish(readings[begun:cut])
        live.start()
        live.read("scores", cut)
        code, seconds = live.stop()
        begun = cut

        assert code == 0, live.log()
        assert seconds < 20
    live_alerts = live.read("alerts")

    same_as_the_backtest(backtest, live.read("scores"), live_alerts)
    assert len(live_alerts) == len(alerts)
    assert live.said() == [alert["sentence"] for alert in live_alerts]
    assert live.read("dead") == []


def test_what_a_killed_service_repeats_is_the_same_again(live, backtest):
    readings = backtest[0]
    begun = 0
    for cut, number in zip(CUTS, (signal.SIGTERM, signal.SIGKILL), strict=True):
        live.publish(readings[begun:cut])
        live.start()
        live.read("scores", cut)
        live.stop(number)
        begun = cut
    live.publish(readings[begun:])
    live.start()
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == len(readings))
    live.stop()
    rows, first = live.read("scores"), {}
    for row in rows:
        first.setdefault(about(row), row)
    events = {}
    for alert in live.read("alerts"):
        events.setdefault((alert["id"], alert["event"]), alert)

    same_as_the_backtest(backtest, list(first.values()), list(events.values()))
    assert len(rows) == len(readings) + CUTS[1] - CUTS[0]


def test_a_dry_run_leaves_the_broker_as_it_was(live, backtest):
    readings, _, alerts = backtest
    live.publish(readings)
    live.start("--dry-run")
    deadline = time.monotonic() + 60
    while len(live.said()) < len(alerts) and time.monotonic() < deadline:
        time.sleep(0.2)
    code, _ = live.stop()
    consumer = KafkaConsumer(bootstrap_servers=live.servers, group_id=live.name)
    committed = [consumer.committed(TopicPartition(live.topics["readings"], number)) for number in range(2)]
    consumer.close()

    assert code == 0
    assert len(live.said()) == len(alerts)
    assert live.read("alerts") == live.read("scores") == []
    assert committed == [None, None]
    assert not (live.folder / "state").exists()
