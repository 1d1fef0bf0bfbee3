"""Small real detectors for every test, each fitted once a session, with what came after their history.

torch is imported when the first of them is asked for, and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from pipeline.detector.calibration import calibrate
from pipeline.detector.detector import Channel, Detector
from pipeline.detector.engine import Engine, Layer
from pipeline.detector.fit_settings import FitSettings
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.monitor.slots import Slots
from pipeline.records import Clock, Floats, Readings
from tests.streams import BEGIN, STEP, Series, machine, series, stream, wave

SETTINGS = FitSettings(hidden=16, steps=60, evaluate_every=20, warm_up=24, device="cpu")
POLICY = Policy(FalseAlarms(probability=0.01))


@dataclass(frozen=True)
class Case:
    """A detector, what it was fitted on, and a stream in which everything happens that may."""

    detector: Detector
    histories: tuple[Series, ...]
    later: Readings
    policy: Policy = POLICY


def fitted(
    histories: Sequence[Series],
    channels: Sequence[str] = ("temp",),
    clock: Clock = "time",
    settings: FitSettings = SETTINGS,
) -> Detector:
    """The detector of these histories."""
    from pipeline.training.fit import finished, fitting  # here: brings torch
    from pipeline.training.history import History

    learnt = [History(each.name, each.at, each.values, each.missing) for each in histories]
    return finished(fitting(learnt, channels, clock, settings, seconds=lambda: 0.0))


def disturbed(calm: Series, step: int = STEP) -> Series:
    """A series of 560 readings with faults, gaps, rows that are late, double or missing, and a fault before a gap."""
    mean = float(np.nanmean(calm.values[:, 0]))
    odd = calm.with_values(60, 3 * mean).with_values(slice(120, 150), 1.3 * mean)
    odd = odd.with_values(slice(296, 300), 2 * mean).without(80).without(slice(200, 203)).without(301)
    odd = odd.shifted(180, 4, step).shifted(300, 50, step).shifted(420, 9, step)
    return odd.repeated(100, 100).repeated(90, 110).repeated(130, 131).repeated(295, 300).repeated(500, 500)


@pytest.fixture(scope="session")
def one() -> Case:
    """One series of one channel."""
    history = series("pump", wave(1200))
    later = disturbed(series("pump", wave(560, first=1200), BEGIN + 1200 * STEP))
    return Case(fitted([history]), (history,), stream(later))


@pytest.fixture(scope="session")
def channels() -> Case:
    """One series of two sensors and a valve; readings are missing now and then, in the history too."""
    history = series("mixer", machine(1600)).without(slice(5, None, 37), 0).without(slice(11, None, 53), 1)
    history = history.without(slice(17, None, 71), 2).without(slice(700, 704))
    later = disturbed(series("mixer", machine(560, first=1600), BEGIN + 1600 * STEP))
    later = later.without(slice(3, None, 29), 0).without(slice(7, None, 31), 1).without(slice(13, None, 43), 2)
    later = later.without(slice(230, 233), slice(0, 2))
    return Case(fitted([history], ("temp", "flow", "valve")), (history,), stream(later))


@pytest.fixture(scope="session")
def fleet() -> Case:
    """Two series with a calibration of their own, a pooled one, one too short for any; later one never seen, too."""
    lengths = {"a": 5060, "b": 5060, "c": 600, "d": 80}
    seeds = {name: seed for seed, name in enumerate(lengths)}
    histories = tuple(
        series(name, wave(rows, seed, mean=20.0 + 10 * seed, size=5.0 + seed), BEGIN - rows * STEP)
        for (name, rows), seed in zip(lengths.items(), seeds.values(), strict=True)
    )
    after = {
        name: series(name, wave(560, seed, first=lengths[name], mean=20.0 + 10 * seed, size=5.0 + seed))
        for name, seed in seeds.items()
    }
    new = series("new", wave(300, 9, mean=-3.0, size=0.01), BEGIN + 150 * STEP).with_values(slice(260, 264), -2.0)
    later = stream(disturbed(after["a"]), after["b"], after["c"].with_values(slice(50, 60), 60.0), after["d"], new)
    return Case(fitted(histories), histories, later)


@pytest.fixture(scope="session")
def counter() -> Case:
    """One series whose clock counts its samples."""
    history = series("press", wave(900, seed=5), 0, 1)
    later = disturbed(series("press", wave(560, seed=5, first=900), 900, 1), 1)
    return Case(fitted([history], clock="index"), (history,), stream(later))


@pytest.fixture(params=["one", "channels", "fleet", "counter"], scope="session")
def case(request) -> Case:
    """Each of the four in turn."""
    return request.getfixturevalue(request.param)


def unmoved(
    channels: Sequence[Channel] = (Channel("temp", "sensor"), Channel("flow", "sensor")),
    sample: Floats | None = None,
    **changes: Any,
) -> Detector:
    """A detector that expects the last reading again, of which every number can be worked out by hand.

    Errors are squares of changes; the 99 % levels are 1, the band is +-1, the sample is 199 errors x from -1.6 to .5.
    The series `pump` has mean 0 and deviation 1; eight readings warm up.
    """
    count, hidden, horizon = len(channels), 4, 2
    layer = Layer(np.zeros((count + hidden, 4 * hidden), np.float32), np.zeros(4 * hidden, np.float32))
    engine = Engine(
        (layer,), np.zeros((hidden, horizon * count), np.float32), np.zeros(horizon * count, np.float32), count
    )
    smoothed = 2 if sum(channel.role == "sensor" for channel in channels) > 1 else 3
    band = np.array([[-1.0], [1.0]]) * np.ones(count)
    errors = np.linspace(-1.6, 0.5, 199) if sample is None else sample
    parts: dict[str, Any] = {
        "channels": tuple(channels),
        "clock": "time",
        "step": STEP,
        "regular": True,
        "period": 64,
        "settings": FitSettings(hidden=hidden, horizon=horizon, warm_up=8),
        "engine": engine,
        "calibrations": (calibrate(np.ones(count), np.ones(1), np.ones(smoothed), band, errors),),
    }
    detector = Detector(**(parts | changes))
    slots = Slots(detector)
    slot = slots.begin("pump", detector.step, detector.regular, detector.period)
    slots.scale(slot, np.zeros(count), np.ones(count))
    slots.runs.longest[slot] = detector.longest_of_scored
    return replace(detector, slots=slots.take(["pump"], detector.digest))
