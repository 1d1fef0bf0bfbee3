"""A small detector without a training, its readings as records, and a service on a world in memory."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from prometheus_client import CollectorRegistry

from pipeline.bundle import save
from pipeline.cli.configuration import assembly_of
from pipeline.detector.calibration import calibrate
from pipeline.detector.detector import Channel, Detector
from pipeline.detector.engine import Engine, Layer
from pipeline.detector.fit_settings import FitSettings
from pipeline.detector.views import spans_of
from pipeline.formats import times
from pipeline.formats.json import JsonDecoder
from pipeline.formats.mapping import InputMapping, JoinMapping, SeriesMapping
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Readings
from pipeline.service.checkpoints import StoreCheckpoints
from pipeline.service.health import Deadlines
from pipeline.service.link import Connection
from pipeline.service.outputs import OutputTopics
from pipeline.service.resumption import ResumeRules
from pipeline.service.service import Service
from pipeline.service.service_settings import ServiceSettings
from pipeline.service.stream import Served, Stream
from pipeline.service.telemetry import Telemetry
from pipeline.service.watched import SeriesShown
from tests.service.memory import MemoryClock, MemorySink, MemorySource, MemoryStop, MemoryStore

CHANNELS = ("temp", "flow")
STEP = 60_000_000  # a minute
BEGIN = 1_700_000_040_000_000
POLICY = Policy(FalseAlarms(probability=0.01))
TOPICS = OutputTopics("alerts", "scores", "dead")


def small_detector(seed=0):
    """Random weights, a forecast near the last reading, calibrated on 600 calm readings of its own."""
    rng = np.random.default_rng(seed)
    hidden, channels = 6, len(CHANNELS)
    layer = Layer(
        rng.normal(0, 0.4, (channels + hidden, 4 * hidden)).astype(np.float32), np.zeros(4 * hidden, np.float32)
    )
    engine = Engine(
        (layer,),
        rng.normal(0, 0.1, (hidden, channels * 2)).astype(np.float32),
        np.zeros(channels * 2, np.float32),
        channels,
    )
    spans = len(spans_of(_bare(engine, ()).views, 20))
    guess = calibrate(
        np.full(channels, 0.02),
        np.ones(1),
        np.full(spans, 3.0),
        np.array([[-0.5] * channels, [0.5] * channels]),
        np.linspace(-1.5, -1, 50),
    )
    monitor = Monitor(_bare(engine, (guess,)), POLICY)
    scores, _ = monitor.observe(readings_of(calm_values(600, seed=seed + 100)))
    fused = scores.fused[scores.scored]
    return _bare(engine, (calibrate(guess.channel_scale, guess.regional, guess.high, guess.band, fused),))


def bundled(folder, seed=0):
    """The small detector as a bundle, with the slot of a series that it has seen; the folder."""
    detector = small_detector(seed)
    monitor = Monitor(detector, POLICY)
    monitor.observe(readings_of(calm_values(50)))
    save(replace(detector, slots=monitor.snapshot()), folder)
    return folder


def _bare(engine, calibrations):
    return Detector(
        channels=tuple(Channel(name, "sensor") for name in CHANNELS),
        clock="time",
        step=STEP,
        regular=True,
        period=20,
        settings=FitSettings(hidden=6, horizon=2, warm_up=8, max_gap=10),
        engine=engine,
        calibrations=calibrations,
    )


def calm_values(rows, seed=0):
    """A slow wave with noise, (rows, C)."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(rows) / 10)[:, None] * [1.0, 0.5]
    return 20 + 5 * wave + rng.normal(0, 0.3, (rows, len(CHANNELS)))


def with_faults(values, at, length=6, size=15.0):
    """The same with a fault that lasts at each of these rows."""
    values = values.copy()
    for row in at:
        values[row : row + length] += size
    return values


def readings_of(values, series="pump", partition=0):
    """Rows of one series, a minute apart."""
    rows = len(values)
    return Readings(
        [series],
        np.zeros(rows, np.int32),
        BEGIN + STEP * np.arange(rows),
        values,
        np.isnan(values),
        np.full(rows, partition, np.int32),
        np.arange(rows),
    )


def publish(world, values, series="pump", topic="readings", partition=0, start=0):
    """The rows as records of a topic."""
    for row, reading in enumerate(values.tolist()):
        fields = {"ts": times.iso(BEGIN + STEP * (start + row)), **dict(zip(CHANNELS, reading, strict=True))}
        world.publish(topic, partition, series.encode(), json.dumps(fields).encode())


MAPPING = InputMapping(series=SeriesMapping(key=True), time=replace(InputMapping().time, field="ts"))


JOINED = replace(
    MAPPING,
    shape="long",
    series=SeriesMapping(field="sensor"),
    join=JoinMapping(SeriesMapping(key=True)),
    lateness_seconds=3 * STEP / 1_000_000,
)


def monitor_of(detector, mapping=MAPPING, name="pumps"):
    """A monitor that has seen nothing, of such records."""
    return Monitor(detector, POLICY, name=name, assembly=assembly_of(mapping, detector.names))


def stream_of(detector, name="pumps", topic="readings", mapping=MAPPING):
    """A topic with a monitor that has seen nothing."""
    return Stream(name, topic, JsonDecoder(mapping, detector.names), monitor_of(detector, mapping, name))


class Bench:
    """One service on a world, with what it said and counted."""

    def __init__(self, world, detector, *, streams=None, until=None, batch=7, store=True, changes=None, **settings):
        self.world = world
        self.registry = CollectorRegistry()
        self.said = []
        self.sources = []
        self.sinks = []
        clock = MemoryClock(world)
        streams = streams or [stream_of(detector)]
        self.streams = streams
        served = [
            Served(one.detector, one.topic, one.monitor.detector.digest, one.monitor.detector.names, 0.01)
            for one in streams
        ]
        self.telemetry = Telemetry(
            self.registry, clock, served, version="0", series=SeriesShown(), deadlines=Deadlines()
        )

        self._batch, self._store = batch, MemoryStore(world) if store else None
        self.service = Service(
            streams,
            self.connecting([one.topic for one in streams]),
            TOPICS,
            self.telemetry,
            clock,
            MemoryStop(world, until or self.caught_up),
            self.said.append,
            ServiceSettings(**{"commit_every": 2.0, "resume": ResumeRules(), **settings}),
            changes,
        )

    def connecting(self, topics):
        """How a service connects that reads these topics."""

        def connect():
            source, sink = MemorySource(self.world, topics, batch=self._batch), MemorySink(self.world)
            self.sources.append(source)
            self.sinks.append(sink)
            return Connection(source, sink, StoreCheckpoints(source, self._store))

        return connect

    @property
    def source(self):
        return self.sources[-1]

    def caught_up(self):
        """Whether everything in the logs was polled."""
        if not self.sources or not self.source.position:
            return False
        return all(at >= len(self.world.logs[partition]) for partition, at in self.source.position.items())

    def run(self):
        return self.service.run()

    def begin(self, turns=0):
        """Connect and take so many turns, the first of which brings the assignment alone."""
        self.service.start()
        self.go_on(turns)

    def go_on(self, turns):
        for _ in range(turns):
            self.service.turn()

    def finish(self):
        """Take turns until everything in the logs was polled, then stop."""
        while not self.caught_up():
            self.service.turn()
        return self.service.stop()


def alerts_in(world):
    """Alerts stored, as the values of JSON."""
    return [json.loads(message.value) for message in world.stored if message.topic == "alerts"]


def scores_in(world):
    """Scores stored, as the values of JSON."""
    return [json.loads(message.value) for message in world.stored if message.topic == "scores"]
