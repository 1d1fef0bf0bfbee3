"""The demo through a real Kafka: a broker, `plumbline serve` as a process of its own, publish, topics, metrics page."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Final, Self
from urllib.error import URLError
from urllib.request import urlopen

import pyarrow.parquet

from pipeline.cli.broker import SERVERS_VARIABLE
from pipeline.cli.console import counted, note, say
from pipeline.cli.demo_steps import Learnt, end, learn, replay
from pipeline.cli.publish import publish
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.local_broker import VERSION, LocalBroker, cache_folder, fetched, free_port, why_unavailable
from pipeline.connectors.state_folder import StateFolder
from pipeline.demo import story
from pipeline.exceptions import BrokerError, PlumblineError

START_SECONDS: Final = 60.0  # for the service to be ready
SCORE_SECONDS: Final = 180.0  # for all readings, on a slow machine
STOP_SECONDS: Final = 30.0  # the service promises 20
AT_ONCE: Final = 1_000  # readings that the Monitor of this process is given together: how they are cut is all one
LOOK_SECONDS: Final = 0.2  # between two looks at the metrics page
SERVE: Final = ("-P", "-c", "import sys; from pipeline.cli.main import main; sys.exit(main())", "serve")
SHOWN: Final = (
    *("plumbline_readings_total", "plumbline_target_exceedance_ratio", "plumbline_exceedances_total"),
    *("plumbline_open_incidents", "plumbline_lag_records"),
)
CONFIGURATION: Final = """\
# What `plumbline demo --kafka` served. By hand, where `plumbline kafka` runs, or any broker that may create topics:
#   rm -r state  # it remembers these readings: they would be late
#   plumbline publish plumbline.yaml --data {series}.parquet --speed 3000
#   plumbline serve plumbline.yaml
# Paths are relative to this file.

kafka:
  bootstrap_servers: {servers}  # the environment's KAFKA_BOOTSTRAP_SERVERS comes before it
  group_id: {name}

detectors:
  {series}:
    bundle: bundle
    input:
      topic: {name}
      series: {{key: true}}
      time: {{field: timestamp, unit: iso8601}}
    policy:
      false_alarms: {{rate: 1, per: series-week}}

outputs:
  alerts: {name}.alerts
  scores: {name}.scores  # every reading with what was expected, score and bar
  dead_letters: {name}.dead  # records that are no readings

state: {{folder: state, every_seconds: 5}}
telemetry: {{listen: 127.0.0.1:{port}}}  # /metrics, /-/healthy, /-/ready
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where Kafka answers; a foreign one may hold what earlier runs left there."""

    servers: str
    foreign: bool


def through_kafka(out: Path) -> None:
    """Tell the demo's story by the service on a broker, and compare its alerts with those of a Monitor."""
    with interrupted_by_sigterm(), broker() as found:
        name = f"{story.SERIES}-{secrets.token_hex(3)}" if found.foreign else story.SERIES
        for topic in (name, f"{name}.alerts", f"{name}.scores", f"{name}.dead"):  # before the training: it may fail
            create_topic(Cluster(found.servers), topic)
        learnt = learn(out)
        seconds = _serve(found, name, out, learnt)
        sent = _events(found, f"{name}.alerts")
    replayed = replay(learnt, lambda _: None, AT_ONCE)
    say(compared(f"{name}.alerts", sent, [(alert.id, alert.event) for alert in replayed.trace.alerts]))
    N = len(learnt.rest)
    fast = f"{N:,} readings from the first published to the last scored in {seconds:.1f} s, {N / seconds:,.0f} a second"
    end(learnt, replayed, out, fast, f"; the service's {out / 'plumbline.yaml'} and {out / 'serve.log'}")
    if found.foreign:
        note(f"the topics {name} and {name}.* stay at {found.servers}")


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that neither service nor broker outlives it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def broker() -> Iterator[Broker]:
    """The Kafka that the environment names, or one of our own until the block ends; BrokerError where none can be."""
    if servers := os.environ.get(SERVERS_VARIABLE):
        yield Broker(servers, foreign=True)
        return
    cache = cache_folder(os.environ)
    if reason := why_unavailable(cache):
        raise BrokerError(f"no Kafka can be started here: {reason}; or name one that runs in {SERVERS_VARIABLE}")
    if not fetched(cache):
        note(f"fetching Apache Kafka {VERSION} from Maven Central, once")
    with LocalBroker(cache) as own:
        say(f"Apache Kafka {VERSION} was started and answers at {own.bootstrap_servers}.")
        yield Broker(own.bootstrap_servers, foreign=False)


def _serve(found: Broker, name: str, out: Path, learnt: Learnt) -> float:
    """Serve the bundle, publish the rest of the readings, and show what comes; the seconds that it took."""
    with free_port() as port:
        pass
    text = CONFIGURATION.format(servers=found.servers, name=name, series=story.SERIES, port=port)
    config, data = out / "plumbline.yaml", out / f"{story.SERIES}.parquet"
    config.write_text(text, encoding="utf-8")
    whole, N = pyarrow.parquet.read_table(story.data_file()), len(learnt.rest)
    pyarrow.parquet.write_table(whole.slice(len(whole) - N), data)
    with StateFolder(out / "state") as state:
        state.clear()  # of an earlier run
    with Service(config, f"127.0.0.1:{port}", out / "serve.log") as service:
        service.wait_until_ready()
        say(f"`plumbline serve {config}` is ready; now the other {N:,} readings; false alarms promised: 1 a week.")
        begun = time.monotonic()
        publish(config, data=[data])
        say()
        page = service.relay_until_scored(N)
        seconds = time.monotonic() - begun
        code, stopping = service.stop()
    say(f"\nOf http://{service.address}/metrics at the end:")
    for line in _shown(page):
        say(f"  {line}")
    say(f"The service ended {stopping:.1f} s after SIGTERM with exit code {code}.")
    if code:
        raise PlumblineError(f"the service failed at its end; its log is {service.log}")
    return seconds


class Service:
    """`plumbline serve` as a process of its own; its log goes to a file."""

    def __init__(self, config: Path, address: str, log: Path) -> None:
        self.address = address
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, *SERVE, str(config)], stdout=subprocess.PIPE, stderr=file, text=True
            )
        self._relay = Thread(target=self._pass_on, name="plumbline-demo-relay", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave no process behind, also where something failed or a person interrupted."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._relay.is_alive():
            self._relay.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def wait_until_ready(self) -> None:
        """Return when it has joined its group; PlumblineError when it ends before, or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while self.page("/-/ready") is None:
            self._pause(deadline, f"was not ready after {START_SECONDS:g} s")

    def relay_until_scored(self, count: int) -> str:
        """Say what it says until so many records have an outcome and none is left; the metrics page then."""
        self._relay.start()
        deadline = time.monotonic() + SCORE_SECONDS
        while True:
            page = self.page("/metrics") or ""
            done = int(total(page, "plumbline_readings_total"))
            if done >= count and not total(page, "plumbline_lag_records"):
                return page
            self._pause(deadline, f"observed {done:,} of {count:,} readings in {SCORE_SECONDS:g} s")

    def stop(self) -> tuple[int, float]:
        """Ask it to end; its exit code, and the seconds that it took."""
        begun = time.monotonic()
        self._process.terminate()
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise PlumblineError(f"the service did not end within {STOP_SECONDS:g} s; its log is {self.log}") from error
        self._relay.join()
        return code, time.monotonic() - begun

    def _pass_on(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                say(f"  {line.rstrip()}")

    def page(self, path: str) -> str | None:
        """A page of its HTTP server; None while it does not answer, or answers no."""
        try:
            with urlopen(f"http://{self.address}{path}", timeout=5.0) as answer:
                return str(answer.read().decode())
        except (URLError, ConnectionError, TimeoutError):
            return None

    def _pause(self, deadline: float, else_words: str) -> None:
        """Wait a moment; PlumblineError when the process ended meanwhile or the deadline is over."""
        try:
            code = self._process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise PlumblineError(f"the service {else_words}; its log is {self.log}") from None
            return
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
        raise PlumblineError(f"the service ended by itself with exit code {code}; the end of {self.log}:\n{tail}")


def samples(page: str) -> list[tuple[str, str, float]]:
    """The samples of a metrics page: name, name with labels, value."""
    pairs = [line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#")]
    return [(labelled.partition("{")[0], labelled, float(value)) for labelled, value in pairs]


def total(page: str, name: str) -> float:
    """The sum of all samples of this name."""
    return sum(value for each, _, value in samples(page) if each == name)


def _shown(page: str) -> Iterator[str]:
    """The lines that a person would look at first; of the outcomes those that occurred."""
    for name in SHOWN:
        for each, labelled, value in samples(page):
            if each == name and (value or name != "plumbline_readings_total"):
                yield f"{labelled} {value:g}" if value < 1 else f"{labelled} {value:.0f}"


def _events(found: Broker, topic: str) -> list[tuple[str, str]]:
    """Id and event of everything in the alerts topic, in order."""
    reader = TopicReader(Cluster(found.servers), topic)
    try:
        values = [json.loads(record.value or b"") for records in reader for record in records]
    finally:
        reader.close()
    return [(value["id"], value["event"]) for value in values]


def compared(topic: str, sent: Sequence[tuple[str, str]], raised: Sequence[tuple[str, str]]) -> str:
    """That live and replay agree, in words; PlumblineError where they do not. Each event is its id and its kind."""
    if list(sent) != list(raised):
        raise PlumblineError(
            f"{topic} holds other events than a Monitor raises on the same readings: {len(sent)} there, "
            f"{len(raised)} here, {len(set(sent) & set(raised))} in both; this is a defect, please report it"
        )
    incidents = len({incident for incident, _ in raised})
    return (
        f"{topic} holds {counted(len(sent), 'event')} of {counted(incidents, 'incident')}: "
        "the same ids in the same order as from a Monitor that reads the file."
    )
