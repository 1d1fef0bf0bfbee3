"""`plumbline notify` as a process, on a real Kafka, telling a real Alertmanager, a real HTTP server and a file."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.local_broker import free_port
from pipeline.formats import alerts
from pipeline.notify.notices import signature
from pipeline.service.outputs import alert_message
from tests.connectors.test_http_post import Server
from tests.monitor.test_mutes import PLAIN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PATIENCE = 60.0


class Notify:
    """The process, and what it tells whom."""

    def __init__(self, kafka, name, folder, notify):
        self.kafka, self.name, self.folder, self.process = kafka, name, folder, None
        create_topic(Cluster(kafka), f"{name}-alerts")
        config = {
            "kafka": {
                "bootstrap_servers": kafka,
                "group_id": name,
                "client": {"session_timeout_ms": 6000, "heartbeat_interval_ms": 1500},
            },
            "detectors": {"pumps": None},
            "outputs": {"alerts": f"{name}-alerts"},
            "notify": {"listen": None, **notify},
        }
        (folder / "plumbline.yaml").write_text(yaml.safe_dump(config))

    def start(self, *options):
        command = [str(Path(sys.executable).with_name("plumbline")), "notify", "plumbline.yaml", *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def publish(self, *events):
        sink = KafkaSink(Cluster(self.kafka))
        for alert in events:
            sink.send(alert_message(f"{self.name}-alerts", alert))
        sink.flush(10)
        sink.close(1)

    def log(self):
        return (self.folder / "log").read_text()

    def until(self, answer):
        end = time.monotonic() + PATIENCE
        while not (answered := answer()):
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)
        return answered


@pytest.fixture
def notify(kafka, fresh_name, tmp_path):
    made = []

    def make(**options):
        made.append(Notify(kafka, fresh_name, tmp_path, options))
        return made[-1]

    yield make
    for each in made:
        if each.process is not None:
            each.process.kill()
            each.process.wait()


def lines(folder):
    path = folder / "alerts.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []


def test_a_webhook_that_is_down_holds_up_no_file_and_is_told_all_of_it_later_over_a_kill(notify, tmp_path):
    server = Server()
    server.answer = 503
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    hook = {"url": server.url, "secret": {"file": "secret"}, "timeout_seconds": 2}
    told = notify(webhook=hook, json_lines="alerts.jsonl")
    told.publish(*PLAIN)
    try:
        told.start("--from-start")
        told.until(lambda: len(lines(tmp_path)) == len(PLAIN))
        told.until(lambda: server.got)
        told.stop(signal.SIGKILL)
        server.got.clear()
        server.answer = 202
        told.start()
        told.until(lambda: len(server.got) >= len(PLAIN))
        told.publish(PLAIN[0])
        told.until(lambda: len(server.got) == len(PLAIN) + 1)
        assert told.stop() == 0
    finally:
        server.close()
    wanted = [alerts.encode(alert) for alert in (*PLAIN, PLAIN[0])]

    assert [body for _, _, body in server.got] == wanted
    assert lines(tmp_path)[-1] == wanted[-1]
    assert set(lines(tmp_path)) == set(wanted)
    for _, headers, body in server.got:
        sent = {name.lower(): text for name, text in headers.items()}
        key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        assert sent["webhook-signature"] == signature(key, sent["webhook-id"], int(sent["webhook-timestamp"]), body)
        assert sent["ce-subject"] == json.loads(body)["series"]
    assert "not delivered" in told.log()
    assert "MfKQ" not in told.log()


@pytest.mark.skipif(shutil.which("prometheus-alertmanager") is None, reason="there is no prometheus-alertmanager")
def test_a_real_alertmanager_shows_what_is_open_and_that_it_is_over(notify, tmp_path):
    with free_port() as port, free_port() as cluster:
        pass  # they were free a moment ago, each another
    (tmp_path / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    manager = subprocess.Popen(
        [
            "prometheus-alertmanager",
            "--config.file=am.yml",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--cluster.listen-address=127.0.0.1:{cluster}",
            "--storage.path=am",
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def active():
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/v2/alerts?active=true", timeout=5) as answer:
                return json.load(answer)
        except (URLError, ConnectionError):
            return None

    cleared = next(row for row, alert in enumerate(PLAIN) if alert.event == "cleared")
    told = notify(alertmanager={"url": f"http://127.0.0.1:{port}", "every_seconds": 10})
    told.publish(*PLAIN[:cleared])
    try:
        told.start("--from-start")
        (shown,) = told.until(active)
        assert shown["labels"] == {
            "alertname": "PlumblineAnomaly",
            "severity": PLAIN[cleared - 1].severity,
            "detector": "detector",
            "series": "pump",
        }
        assert shown["annotations"]["incident"] == PLAIN[0].id
        assert told.stop() == 0
        told.start()  # what is open is known from the topic, and told of again
        ends = active()[0]["endsAt"]
        told.until(lambda: active()[0]["endsAt"] > ends)
        told.publish(PLAIN[cleared])
        told.until(lambda: active() == [])
        assert told.stop() == 0
    finally:
        manager.kill()
        manager.wait()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "notify names nobody: add one, such as notify: {alertmanager: {url: http://localhost:9093}}"),
        ({"webhook": {"url": "ftp://a"}}, "an address is needed, such as https://example.org/alerts, found"),
        ({"webhook": {"url": "http://a", "secret": {"env": "NOT_SET"}}}, "the environment variable NOT_SET is empty"),
        ({"alertmanager": {"url": "http://a", "ca_file": "none.pem"}}, "none.pem cannot be read"),
        ({"json_line": "a"}, "notify.json_line: unknown; did you mean json_lines?"),
    ],
)
def test_what_cannot_be_meant_is_one_message(notify, written, message):
    told = notify(**written)
    told.start()

    assert told.process.wait(PATIENCE) != 0
    assert message in " ".join(told.log().split())
