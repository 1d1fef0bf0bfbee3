"""What telemetry costs: a share of a loop of 100,000 readings/s, and a scrape of 10,000 series.

.venv/bin/python tests/bench/telemetry.py
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from statistics import median, quantiles

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from pipeline.monitor.parts import Warming
from pipeline.records import Outcome, Readings, Scores
from pipeline.service.health import Deadlines
from pipeline.service.ports import Partition
from pipeline.service.stream import Served
from pipeline.service.telemetry import Telemetry
from pipeline.service.watched import SeriesShown

SERIES, READINGS_PER_SECOND = 10_000, 100_000
NAMES = [f"plant-{number // 100}/line-{number % 100}/pump" for number in range(SERIES)]
PARTITIONS = [Partition("readings", number) for number in range(64)]


class SystemClock:
    """The machine's time."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Written:
    """A record of now, as much as telemetry looks at."""

    timestamp = int(time.time() * 1000)


def batch(rng: np.random.Generator, N: int, C: int) -> tuple[Readings, Scores]:
    """N readings of any series, one in a thousand in an incident."""
    drawn = rng.normal(size=(4, N, C))
    alert = rng.random(N) < 1e-3
    readings = Readings(
        NAMES,
        rng.integers(0, SERIES, N, dtype=np.int32),
        np.arange(N),
        drawn[0],
        np.zeros((N, C), bool),
        rng.integers(0, len(PARTITIONS), N, dtype=np.int32),
        np.arange(N),
    )
    score = rng.exponential(1 / np.log(10), N) + 5 * alert
    outcome = np.full(N, Outcome.SCORED, np.uint8)
    bar = np.full(N, 3.0)
    return readings, Scores(outcome, score, bar, score > 3, alert, drawn[1], drawn[2], drawn[3], score)


def build(C: int) -> tuple[CollectorRegistry, Telemetry]:
    """One detector of C channels, every partition assigned."""
    registry = CollectorRegistry()
    served = [Served("pumps", "readings", "ab" * 32, tuple(f"channel_{c:02d}" for c in range(C)), 1e-4)]
    telemetry = Telemetry(
        registry, SystemClock(), served, version="0", series=SeriesShown(max=20), deadlines=Deadlines()
    )
    telemetry.assigned(PARTITIONS)
    return registry, telemetry


def one_poll(telemetry: Telemetry, readings: Readings, scores: Scores) -> None:
    """Every call that a turn of the loop makes."""
    telemetry.polled()
    for stage in ("decode", "observe", "emit"):
        with telemetry.stage(stage):
            pass
    telemetry.observed("pumps", readings, scores, [])
    telemetry.held(
        "pumps", SERIES, {"warning": 1, "critical": 0}, {"stuck": 0}, {"direction": 0}, 0, Warming(0, 0, 0.0)
    )
    telemetry.lag(dict.fromkeys(PARTITIONS, 3), {key: [Written()] for key in PARTITIONS[:2]})


def timed(action: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    """Print the share of the loop and the cost of a scrape."""
    rng = np.random.default_rng(0)
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"prometheus_client {version('prometheus-client')}"
    )
    for N in (500, 5_000):
        for C in (1, 3):
            _, telemetry = build(C)
            batches = [batch(rng, N, C) for _ in range(20)]
            for warm_up in batches:
                one_poll(telemetry, *warm_up)
            seconds = [timed(partial(one_poll, telemetry, *b)) for b in batches for _ in range(20)]
            share = median(seconds) * READINGS_PER_SECOND / N
            print(
                f"polls of {N} readings, {C} channels: median {median(seconds) * 1e6:.0f} us, "
                f"p99 {quantiles(seconds, n=100)[98] * 1e6:.0f} us, {share:.1%} of a loop of 100,000 readings/s"
            )
    for C in (1, 3, 38):
        registry, telemetry = build(C)
        for _ in range(5):
            one_poll(telemetry, *batch(rng, SERIES, C))
        seconds = [timed(partial(generate_latest, registry)) for _ in range(50)]
        print(
            f"scrape, {SERIES:,} series, 20 listed, {C} channels, {len(PARTITIONS)} partitions: "
            f"median {median(seconds) * 1e3:.1f} ms, p99 {quantiles(seconds, n=100)[98] * 1e3:.1f} ms, "
            f"{len(generate_latest(registry)) / 1e3:.0f} kB"
        )


if __name__ == "__main__":
    main()
