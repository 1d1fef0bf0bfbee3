"""One process of the service: begun, turned, given another configuration, killed between any two steps, stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from prometheus_client import CollectorRegistry

from pipeline.detector.detector import Detector
from pipeline.exceptions import BrokerError, PlumblineError, SettingsError
from pipeline.formats.mapping import InputMapping
from pipeline.service.changelog import Changelog
from pipeline.service.checkpoints import StoreCheckpoints
from pipeline.service.health import Deadlines
from pipeline.service.link import Connection
from pipeline.service.reload import Staged
from pipeline.service.resumption import ResumeRules
from pipeline.service.service import Service
from pipeline.service.service_settings import ServiceSettings
from pipeline.service.stream import Served, Stream
from pipeline.service.telemetry import Telemetry
from pipeline.service.watched import SeriesShown
from tests.service.small import TOPICS, stream_of
from tests.simulator.cluster import Cluster
from tests.simulator.ports import (
    CHANGELOG,
    Asked,
    SimulatedClock,
    SimulatedDecoder,
    SimulatedFolder,
    SimulatedReader,
    SimulatedSink,
    SimulatedSource,
    SimulatedTransactions,
)

Keeping = Literal["folder", "changelog", "exactly_once"]
EPOCH = 16


class KilledError(BaseException):
    """The process ends here; nothing after this line runs."""


class OnDisk:
    """What lies on the disk of a process and has not been looked at; satisfies `service.reload.Changes`."""

    def __init__(self, process: Process) -> None:
        self.new: Callable[[], Staged] | None = None
        self._process = process

    def staged(self) -> Staged | None:
        new, self.new = self.new, None
        return None if new is None else new()

    def taken(self) -> None:
        self._process.trace(f"{self._process.name} has taken over")
        self._process.step("reload")


class Process:
    """A service with its name, which is its disk and its transactional id too."""

    def __init__(
        self,
        cluster: Cluster,
        detector: Detector,
        name: str,
        keeping: Keeping,
        mapping: InputMapping,
        batch: int,
        resume: ResumeRules,
        slice_for: float,
    ) -> None:
        self.slice_for = slice_for
        self.cluster, self.detector, self.name, self.keeping, self.batch = cluster, detector, name, keeping, batch
        self.mapping = mapping
        self.resume = resume
        self.service: Service | None = None
        self.dies_in: int | None = None  # steps
        self.held_up_in: int | None = None  # steps
        self.hold_up: Callable[[], None] = lambda: None
        self.deletes_in: int | None = None  # steps
        self.retention: Callable[[], None] = lambda: None
        self.steps = 0
        self.trace: Callable[[str], None] = lambda _: None
        self.registries: list[CollectorRegistry] = []  # of each start
        self._epochs = 0
        self._disk = OnDisk(self)

    @property
    def running(self) -> bool:
        return self.service is not None

    def step(self, name: str) -> None:
        """Something has just been done; perhaps it was the last, or nothing is done for long."""
        self.steps += 1
        self.passed_by()
        if self.held_up_in is not None:
            self.held_up_in -= 1
            if self.held_up_in < 0:
                self.held_up_in = None
                self.trace(f"{self.name} stands still after {name}")
                self.hold_up()
                self.trace(f"{self.name} goes on")
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.trace(f"{self.name} is killed after {name}")
                raise KilledError(name)

    def passed_by(self) -> None:
        """Something has just been done or learnt; perhaps retention passes next."""
        if self.deletes_in is not None:
            self.deletes_in -= 1
            if self.deletes_in < 0:
                self.deletes_in = None
                self.retention()

    def begin(self) -> None:
        """Start anew, with nothing in memory."""
        stream, clock = self._stream(self.detector), SimulatedClock(self.cluster)
        served = Served(stream.detector, stream.topic, self.detector.digest, self.detector.names, 0.01)
        self.registries.append(CollectorRegistry())
        telemetry = Telemetry(
            self.registries[-1], clock, [served], version="0", series=SeriesShown(), deadlines=Deadlines()
        )
        self._disk = OnDisk(self)
        self.service = Service(
            [stream],
            self._connect,
            TOPICS,
            telemetry,
            clock,
            Asked(self.cluster, lambda: False),
            lambda _: None,
            self._settings(),
            self._disk,
        )
        self._guarded(self.service.start)

    def reload(self, detector: Detector, *, anew: bool) -> None:
        """Lay down another bundle, or the same again; `anew`: in a configuration that needs a new connection."""
        self.detector = detector
        connect = self._connect if anew else None
        self._disk.new = lambda: Staged([self._stream(detector)], TOPICS, self._settings(), SeriesShown(), connect)

    def reload_what_cannot_be_used(self) -> None:
        """Lay down a configuration that is refused; whoever lays it down takes it away before the next start."""

        def refused() -> Staged:
            raise SettingsError("no such bundle")

        self._disk.new = refused

    def _stream(self, detector: Detector) -> Stream:
        stream = stream_of(detector, mapping=self.mapping)
        return replace(stream, decoder=SimulatedDecoder(self.cluster, stream.decoder))

    def _settings(self) -> ServiceSettings:
        exactly = self.keeping == "exactly_once"
        return ServiceSettings(
            commit_every=1.0 if exactly else 3.0,
            save_every=3.0 if exactly else 0.0,
            poll_for=0.3,
            flush_for=1.0,
            turn_for=self.slice_for,
            restore_for=self.slice_for,
            series_at_once=1,  # a state of four series has slices too
            resume=self.resume,
        )

    def turn(self) -> None:
        """One round of the loop."""
        if self.service is not None:
            self._guarded(self.service.turn)

    def stop(self) -> bool:
        """As SIGTERM asks; whether all is committed."""
        done: list[bool] = []
        if self.service is not None:
            service = self.service
            self._guarded(lambda: done.append(service.stop()))
            self.service = None
        return done == [True]

    def kill(self) -> None:
        """At once, between two turns."""
        self.service = None

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except KilledError:
            self.service = None
        except BrokerError:
            self.service = None  # at its start; a supervisor begins it again
        except PlumblineError as error:
            raise AssertionError(f"{self.name} ended: {error}") from error
        finally:
            if self.service is None:
                self.dies_in = self.held_up_in = self.deletes_in = None

    def _connect(self) -> Connection:
        source = SimulatedSource(self.cluster, self, self.batch)
        if self.keeping == "folder":
            folder = SimulatedFolder(self.cluster, self)
            return Connection(source, SimulatedSink(self.cluster, self), StoreCheckpoints(source, folder))
        transactions = SimulatedTransactions(self.cluster, self, source)
        inside = self.keeping == "exactly_once"
        sink = transactions if inside else SimulatedSink(self.cluster, self)
        reader = partial(SimulatedReader, self.cluster)
        checkpoints = Changelog(CHANGELOG, transactions, reader, outputs_inside=inside, epoch=self._epoch)
        return Connection(source, sink, checkpoints)

    def _epoch(self) -> bytes:
        self._epochs += 1
        return f"{self.name}{self.cluster.generation}.{self._epochs}.{self.steps}".encode().ljust(EPOCH, b".")[:EPOCH]
