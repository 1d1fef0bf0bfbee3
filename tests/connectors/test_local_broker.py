"""A broker of our own: killed, restarted, and ended with the process that started it."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.kafka_source import KafkaSource
from pipeline.connectors.local_broker import LocalBroker, cache_folder, fetch, why_unavailable
from pipeline.exceptions import BrokerError, UnacknowledgedError
from pipeline.service.ports import Message, Partition

BROKER_IN_A_PROCESS = """
import os, sys
from pipeline.connectors.local_broker import LocalBroker, cache_folder
broker = LocalBroker(cache_folder(os.environ))
broker.start()
print(broker.log.parent, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cache():
    cache = cache_folder(os.environ)
    if reason := why_unavailable(cache):
        pytest.skip(f"no Kafka of our own: {reason}")
    return cache


def test_the_cache_is_where_the_environment_says():
    assert cache_folder({"PLUMBLINE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/plumbline")
    assert cache_folder({}) == Path.home() / ".cache/plumbline"


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        ({}, "no java on the path"),
        ({"java": "echo 'openjdk version \"11.0.2\"'"}, 'java is too old .*"11.0.2"'),
        ({"java": "echo 'openjdk version \"17.0.1\"'"}, "no mvn on the path"),
        ({"java": "echo 'openjdk version \"21\"'", "mvn": ""}, None),
    ],
)
def test_what_is_missing_is_said(tmp_path, monkeypatch, programs, reason):
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = why_unavailable(tmp_path / "cache")

    assert found == reason or (reason and re.match(reason, found))


FAKE_MAVEN = """#!/bin/sh
for word; do case "$word" in -DoutputDirectory=*) folder="${word#*=}";; esac; done
echo called >> "$(dirname "$0")/calls"
touch "$folder/kafka.jar"
"""


def test_the_jars_are_fetched_once_however_many_ask(tmp_path, monkeypatch):
    (tmp_path / "mvn").write_text(FAKE_MAVEN)
    (tmp_path / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(fetch, [tmp_path / "cache"] * 4))
    (jars,) = found

    assert sorted(path.name for path in jars.iterdir()) == ["kafka-pom.xml", "kafka.jar"]
    assert (tmp_path / "calls").read_text() == "called\n"
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [jars.name, f"{jars.name}.lock"]


def test_what_maven_said_is_shown_and_nothing_half_fetched_stays(tmp_path, monkeypatch):
    (tmp_path / "mvn").write_text("#!/bin/sh\necho no route to host; exit 1\n")
    (tmp_path / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(BrokerError, match=r"Maven could not fetch Apache Kafka .*\n*no route to host"):
        fetch(tmp_path / "cache")

    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.kafka
def test_clients_survive_a_broker_that_is_killed_and_restarted(cache):
    with LocalBroker(cache) as broker:
        broker.create_topic("readings")
        cluster = Cluster(broker.bootstrap_servers)
        sink, source = KafkaSink(cluster), KafkaSource(cluster, "group", ["readings"], request_seconds=1)
        (partition,) = source.poll(1).assigned
        source.seek(partition, 0)
        source.resume([partition])
        sink.send(Message("readings", None, b"before"))
        sink.flush(10)
        broker.kill()
        sink.send(Message("readings", None, b"meanwhile"))
        with pytest.raises(UnacknowledgedError, match="1 messages not acknowledged"):
            sink.flush(0.5)
        with pytest.raises(BrokerError, match=r"committing 1 offsets of group group .* failed"):
            source.commit({partition: 0})
        broker.restart()
        sink.flush(30)
        values, deadline = [], time.monotonic() + 30
        while len(values) < 2 and time.monotonic() < deadline:
            values += [record.value for record in source.poll(0.5).records.get(partition, ())]
        source.commit({partition: 2})
        committed = source.committed(partition)
        sink.close(5)
        source.close(5)

    assert partition == Partition("readings", 0)
    assert values == [b"before", b"meanwhile"]
    assert committed == 2


@pytest.mark.kafka
def test_a_broker_that_cannot_start_shows_the_end_of_its_log(cache):
    with pytest.raises(BrokerError, match=r"(?s)Kafka did not start; the end of its log:.*no\.such\.Authorizer"):
        LocalBroker(cache, {"authorizer.class.name": "no.such.Authorizer"}).start()


@pytest.mark.kafka
def test_a_broker_ends_with_the_process_that_started_it_even_if_that_is_killed(cache):
    command = [sys.executable, "-c", BROKER_IN_A_PROCESS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        home = Path(parent.stdout.readline().strip())
        running = processes_of(home)
        watcher = os.pidfd_open(min(running))  # the shell, which ends last
        parent.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([watcher], [], [], 20)
    os.close(watcher)

    assert ended
    assert len(running) > 1
    assert not processes_of(home)
    assert not home.exists()


def processes_of(home):
    """Numbers of the processes that name a folder in their command line."""
    found = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if str(home) in line]
