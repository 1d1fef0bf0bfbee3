"""A hundred thousand series that nobody has seen, one after the other, through a service on a real Kafka."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from kafka import KafkaProducer

from pipeline.connectors.local_broker import free_port
from tests.laws.live import Live
from tests.laws.test_exactly_once import changelog
from tests.service.small import CHANNELS, bundled

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

SERIES, EVERY = 100_000, 20  # and of one in so many the reading comes again
POLL = 5_000  # records, at most
MEMORY_MIB = 700  # which the process stays below
SECONDS = 120.0  # from its start until all is committed


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture(params=["folder", "exactly_once"])
def live(kafka, fresh_name, tmp_path, bundle, request):
    with Live(kafka, fresh_name, tmp_path, bundle) as service:
        if request.param == "folder":
            service.change("every_seconds: 30", "every_seconds: 5")
        else:
            changelog(service, request.param)
            service.change("every_seconds: 2", "every_seconds: 5")
        yield service


def publish(live, numbers):
    """The first reading of each of these series."""
    producer = KafkaProducer(bootstrap_servers=live.servers, acks="all", linger_ms=50)
    for number in numbers:
        fields = {"series": f"pump-{number:06}", "timestamp": "2026-03-01T00:00:00Z", **dict.fromkeys(CHANNELS, 20.0)}
        producer.send(f"{live.name}-readings", json.dumps(fields).encode(), fields["series"].encode())
    producer.flush(30)
    producer.close(5)


def memory_mib(live, what):
    """What the process holds (VmRSS), or held at most (VmHWM)."""
    status = Path(f"/proc/{live.process.pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1024


def scraped(port):
    """The telemetry: name and labels to value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (one.rsplit(" ", 1) for one in lines if not one.startswith("#"))}


def within(told, stage, seconds):
    """The share of the rounds in which a stage took so long at most."""
    rounds = told[f'plumbline_stage_duration_seconds_count{{stage="{stage}"}}']
    return told[f'plumbline_stage_duration_seconds_bucket{{le="{seconds}",stage="{stage}"}}'] / rounds


def test_a_hundred_thousand_new_series_are_each_taken_in_saved_and_known_again(live, record_property):
    with free_port() as port:
        pass
    live.change("listen: null", f"listen: 127.0.0.1:{port}")
    live.start()
    live.wait_for("partition assigned")
    empty = memory_mib(live, "VmRSS")
    live.stop()
    publish(live, range(SERIES))
    begun = time.monotonic()
    live.start()
    live.wait_for_commit(SERIES, 120)
    took, most, told = time.monotonic() - begun, memory_mib(live, "VmHWM"), scraped(port)
    polls = told['plumbline_stage_duration_seconds_count{stage="observe"}']
    code, stopping = live.stop()
    saved = sum(map(int, re.findall(r"slots=(\d+)", live.log())))
    rows = live.read("scores", SERIES)
    restored, begun = live.log().count("with=state") + 2, time.monotonic()
    live.start()
    while live.log().count("with=state") < restored:
        time.sleep(0.1)
    back, again = time.monotonic() - begun, range(0, SERIES, EVERY)
    publish(live, again)
    rows = live.read("scores", SERIES + len(again))
    held = memory_mib(live, "VmRSS")
    live.stop()
    for name, value in {
        "seconds until committed": took,
        "polls": polls,
        "MiB of an empty service": empty,
        "MiB at most": most,
        "MiB after the restart": held,
        "share of observing within a second": within(told, "observe", 1.0),
        "share of commits within a second": within(told, "commit", 1.0),
        "slots saved": saved,
        "seconds to stop": stopping,
        "seconds until restored": back,
    }.items():
        record_property(name, round(value, 1))

    assert code == 0, live.log()
    assert Counter(row["outcome"] for row in rows) == {"warming": SERIES, "duplicate": len(again)}
    assert len({row["series"] for row in rows}) == SERIES
    assert told['plumbline_readings_total{detector="pumps",outcome="warming"}'] == SERIES
    assert told['plumbline_series{detector="pumps"}'] == told['plumbline_series_warming{detector="pumps"}'] == SERIES
    assert SERIES / POLL <= polls < 3 * SERIES / POLL, "most polls brought as many new ones as they may"
    for stage in ("decode", "observe", "emit", "commit"):  # between two polls
        assert within(told, stage, 2.5) == 1.0
    assert saved >= SERIES
    assert took < SECONDS
    assert most < MEMORY_MIB
