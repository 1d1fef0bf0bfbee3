"""What is counted, on a registry passed in, and read by Prometheus.

The loop calls one method for each thing that happened, once a poll and never once a record. What belongs to a
partition or to a series is collected at scrape time from what is ours then: a partition that went to another replica
vanishes here at once, or sums over the replicas would count it twice. Every bounded label value stands at 0 from the
start, or `increase()` would miss the first event. A figure that is not known is left out; none stands for it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Literal, get_args

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from pipeline.monitor.parts import Warming
from pipeline.records import (
    Alert,
    Event,
    Ignored,
    Ints,
    Outcome,
    QuietKind,
    Readings,
    Reason,
    Rejected,
    Scores,
    Severity,
    Why,
)
from pipeline.service.health import Deadlines, Health
from pipeline.service.lag import Lag
from pipeline.service.ports import Clock, Partition, Record
from pipeline.service.resumption import Restored
from pipeline.service.scraped import Behind, Moment, Sensors
from pipeline.service.stream import Served
from pipeline.service.watched import SeriesShown, WatchedSeries

Stage = Literal["decode", "observe", "emit", "commit"]
Operation = Literal["poll", "commit", "produce", "metadata"]
Rule = Literal["direction", "ignore_below", "budget"]

OUTCOMES = tuple(outcome.name.lower() for outcome in Outcome)

STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Telemetry:
    """Everything that is counted while serving; `health` is fed by the same calls."""

    def __init__(
        self,
        registry: CollectorRegistry,
        clock: Clock,
        served: Sequence[Served],
        *,
        version: str,
        series: SeriesShown,
        deadlines: Deadlines,
    ) -> None:
        # The library's only switch against a `_created` beside each counter; it has no types.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.health = Health(clock, deadlines)
        self._clock = clock
        self._registry = registry
        self._families: dict[str, Counter | Gauge] = {}
        self._lag = Lag(clock)
        self._sensors = Sensors()
        self._last_poll = Moment("plumbline_last_poll_timestamp_seconds", "Time of the last poll that returned.")
        self._last_commit = Moment("plumbline_last_commit_timestamp_seconds", "Time of the last successful commit.")
        for collector in (Behind(self._lag), self._sensors, self._last_poll, self._last_commit):
            registry.register(collector)
        for of_the_process in (ProcessCollector, PlatformCollector, GCCollector):
            of_the_process(registry=registry)
        self._invalid_share = Gauge(
            "plumbline_invalid_ratio",
            "Share of the last records, 1,000 or more, that were no readings.",
            ("detector",),
            registry=registry,
        )
        self._detectors = Info("plumbline_detector", "A detector that is served.", ("detector",), registry=registry)
        self._count_work()
        self._state_facts(version)
        self.serve(served, series)

    def serve(self, served: Sequence[Served], series: SeriesShown) -> None:
        """These detectors from now on. What was counted of one that went stays, what was shown of it does not."""
        clock = self._clock
        self._served = {one.name: one for one in served}
        self._watched = {one.name: WatchedSeries(len(one.channels), series, clock, one.step_seconds) for one in served}
        self._sensors.show(self._served, self._watched)
        self._held_back_before: dict[tuple[str, str], int] = {}  # a monitor counts from its own beginning
        self._count_readings()
        self._describe()

    def _count_readings(self) -> None:
        each, severities = tuple(self._served), get_args(Severity)
        self._readings = self._counters("readings", "Records by outcome.", detector=each, outcome=OUTCOMES)
        self._invalid = self._counters("invalid", "Invalid records by reason.", detector=each, reason=tuple(Reason))
        self._ignored = self._counters("ignored", "Ignored records by reason.", detector=each, reason=tuple(Why))
        self._invalid_share.clear()
        self._exceedances = self._counters("exceedances", "Scored readings above their bar.", detector=each)
        self._held_back = self._counters(
            "held_back", "Exceeding readings that raised nothing, by the rule.", detector=each, rule=get_args(Rule)
        )
        self._incidents = self._counters(
            "incidents", "Incidents raised, by their severity then.", detector=each, severity=severities
        )
        self._alerts = self._counters("alerts", "Alerts sent, by event.", detector=each, event=get_args(Event))
        self._muted = self._counters(
            "muted_alerts", "Alerts not sent, for their series is muted.", detector=each, event=get_args(Event)
        )
        self._open = self._gauges("open_incidents", "Incidents that are open.", detector=each, severity=severities)
        self._quiet_incidents = self._counters(
            "quiet_incidents",
            "Incidents raised that no score has to do with, by kind.",
            detector=each,
            kind=get_args(QuietKind),
        )
        self._open_quiet = self._gauges(
            "open_quiet_incidents", "Of these the ones that are open.", detector=each, kind=get_args(QuietKind)
        )
        self._held = self._gauges("series", "Series of which a slot is held.", detector=each)
        self._waiting = self._gauges("waiting_readings", "Readings that wait for others before them.", detector=each)
        self._warming = self._gauges("series_warming", "Series that are not scored yet, or not again.", detector=each)
        self._warm_up_readings = self._gauges(
            "warm_up_readings", "Readings that one of these series still needs at most.", detector=each
        )
        timed = [one.name for one in self._served.values() if one.step_seconds]
        self._warm_up_seconds = self._gauges("warm_up_seconds", "The same as time, by their steps.", detector=timed)

    def _count_work(self) -> None:
        stages = Histogram(
            "plumbline_stage_duration_seconds",
            "Time that a turn of the loop took in each stage; a commit may take several turns.",
            ("stage",),
            buckets=STAGE_BUCKETS,
            registry=self._registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in get_args(Stage)}
        results = ("ok", "error")
        self._commits = self._counters("commits", "Commits of offsets.", result=results)
        self._dead_letters = self._counters(
            "dead_letters", "Invalid records handed on as dead letters.", result=results
        )
        self._put_off = Counter(
            "plumbline_put_off_records", "Records set back until their schema can be had.", registry=self._registry
        )
        self._waiting_partitions = Gauge(
            "plumbline_waiting_partitions",
            "Partitions whose records wait for the schema registry.",
            registry=self._registry,
        )
        self._restores = self._counters(
            "restores", "How assigned partitions went on: with saved state, or why not.", reason=get_args(Restored)
        )
        self._reloads = self._counters(
            "model_reloads", "New configurations and bundles, taken over or not.", result=results
        )
        self._kafka_errors = self._counters("kafka_errors", "Failed calls to Kafka.", operation=get_args(Operation))

    def _state_facts(self, version: str) -> None:
        ready = Gauge("plumbline_ready", "1 while /-/ready answers 200.", registry=self._registry)
        ready.set_function(lambda: float(self.health.ready().ok))
        self._config_is_good = Gauge(
            "plumbline_config_last_reload_successful",
            "1 unless the last new configuration was refused, and the one of before goes on.",
            registry=self._registry,
        )
        self._config_is_good.set(1)
        build = Info("plumbline_build", "This program.", registry=self._registry)
        build.info({"version": version, "python": platform.python_version()})

    def _describe(self) -> None:
        """What is said of each detector once."""
        topics = sorted({one.topic for one in self._served.values()})
        self._assigned = self._gauges("assigned_partitions", "Partitions assigned to this process.", topic=topics)
        targets = self._gauges(
            "target_exceedance_ratio", "The promised share of exceeding readings.", detector=tuple(self._served)
        )
        self._detectors.clear()
        for one in self._served.values():
            targets[(one.name,)].set(one.target)
            self._detectors.labels(one.name).info({"digest": one.digest, "topic": one.topic})

    def _counters(self, name: str, help_text: str, **values: Sequence[str]) -> dict[tuple[str, ...], Counter]:
        """A counter for every combination of the labels' values, each at 0 where it was not there before."""
        counter = self._families.get(name)
        if not isinstance(counter, Counter):
            counter = Counter(f"plumbline_{name}", help_text, tuple(values), registry=self._registry)
            self._families[name] = counter
        return {labels: counter.labels(*labels) for labels in product(*values.values())}

    def _gauges(self, name: str, help_text: str, **values: Sequence[str]) -> dict[tuple[str, ...], Gauge]:
        """A gauge for every combination of the labels' values, each at 0, and for no other."""
        gauge = self._families.get(name)
        if not isinstance(gauge, Gauge):
            gauge = Gauge(f"plumbline_{name}", help_text, tuple(values), registry=self._registry)
            self._families[name] = gauge
        gauge.clear()
        return {labels: gauge.labels(*labels) for labels in product(*values.values())}

    def polled(self) -> None:
        """A poll returned, with or without records."""
        self._last_poll.set(self._clock.now())
        self.health.turned()

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """These are all the partitions that are ours now; to be called at every change, also when there are none."""
        ours = frozenset(partitions)
        self.health.assigned(ours)
        self._lag.only(ours)
        for (topic,), gauge in self._assigned.items():
            gauge.set(sum(1 for partition in ours if partition.topic == topic))
        for name, watched in self._watched.items():
            topic = self._served[name].topic
            watched.only({partition.number for partition in ours if partition.topic == topic})

    def lag(self, remaining: Mapping[Partition, int], read: Mapping[Partition, Sequence[Record]]) -> None:
        """How many records remain in each partition after a poll that brought the records `read`."""
        self._lag.polled(remaining, read)
        self.health.unread(remaining, read.keys())

    def observed(self, detector: str, readings: Readings, scores: Scores, alerts: Sequence[Alert]) -> None:
        """A detector observed readings; `alerts` are those that are sent."""
        counts = np.bincount(scores.outcome, minlength=len(OUTCOMES)).tolist()
        for outcome, count in zip(OUTCOMES, counts, strict=True):
            if count:
                self._readings[detector, outcome].inc(count)
        if exceeding := int(np.count_nonzero(scores.exceeds)):
            self._exceedances[(detector,)].inc(exceeding)
        for alert in alerts:
            self._alerts[detector, alert.event].inc()
            if alert.event == "raised" and alert.kind == "anomaly":
                self._incidents[detector, alert.severity].inc()
            elif alert.event == "raised":
                self._quiet_incidents[detector, alert.kind].inc()
        self._watched[detector].observed(readings, scores)
        self.health.commit_due()

    def muted(self, detector: str, alerts: Sequence[Alert]) -> None:
        """Events that were not sent, for their series are muted."""
        for alert in alerts:
            self._muted[detector, alert.event].inc()

    def beside(self, detector: str, counts: Ints, ignored: Sequence[Ignored] = ()) -> None:
        """So many records by `Outcome`, (O,), were no readings by themselves: joined to others, too late, ignored."""
        for one in ignored:
            self._ignored[detector, one.why].inc()
        for outcome, count in zip(OUTCOMES, counts.tolist(), strict=True):
            if count:
                self._readings[detector, outcome].inc(count)
        if counts.any():
            self.health.commit_due()

    def rejected(self, detector: str, rejected: Sequence[Rejected]) -> None:
        """Records of a detector's topic were no readings."""
        for one in rejected:
            self._invalid[detector, one.reason].inc()
        if rejected:
            self._readings[detector, "invalid"].inc(len(rejected))
            self.health.commit_due()

    def invalid_share(self, detector: str, share: float) -> None:
        """The share of a detector's last records that were no readings, as it is held against the limit."""
        self._invalid_share.labels(detector).set(share)

    def held(
        self,
        detector: str,
        series: int,
        open_incidents: Mapping[Severity, int],
        open_quiet: Mapping[QuietKind, int],
        held_back: Mapping[str, int],
        waiting: int,
        warming: Warming,
    ) -> None:
        """What a monitor holds: so many slots, their open incidents, and what its rules held back since the start.

        And how many readings wait for others, and what the series need that warm up.
        """
        self._held[(detector,)].set(series)
        self._waiting[(detector,)].set(waiting)
        self._warming[(detector,)].set(warming.series)
        self._warm_up_readings[(detector,)].set(warming.readings)
        if warming.seconds is not None and (detector,) in self._warm_up_seconds:
            self._warm_up_seconds[(detector,)].set(warming.seconds)
        for severity, count in open_incidents.items():
            self._open[detector, severity].set(count)
        for kind, quiet in open_quiet.items():
            self._open_quiet[detector, kind].set(quiet)
        for rule, count in held_back.items():
            counted = self._held_back_before.get((detector, rule), 0)
            self._held_back[detector, rule].inc(count - counted)
            self._held_back_before[detector, rule] = count

    def dead_letters(self, count: int, *, ok: bool) -> None:
        """So many invalid records were stored in the dead-letter topic, or could not be."""
        self._dead_letters[("ok" if ok else "error",)].inc(count)

    def committed(self, *, ok: bool) -> None:
        """Offsets were committed, or could not be."""
        self._commits[("ok" if ok else "error",)].inc()
        if ok:
            self._last_commit.set(self._clock.now())
            self.health.committed()
        else:
            self.health.commit_due()

    def put_off(self, records: int) -> None:
        """So many records were polled and set back, for they could not be read."""
        self._put_off.inc(records)

    def wait(self, partitions: int) -> None:
        """The records of so many partitions wait to be readable."""
        self._waiting_partitions.set(partitions)

    def restored(self, reason: Restored) -> None:
        """A partition was assigned and goes on with its state, or without one for this reason."""
        self._restores[(reason,)].inc()

    def reloaded(self, *, ok: bool) -> None:
        """A new configuration was taken over, or refused."""
        self._reloads[("ok" if ok else "error",)].inc()
        self._config_is_good.set(ok)

    def kafka_error(self, operation: Operation) -> None:
        """A call to Kafka failed."""
        self._kafka_errors[(operation,)].inc()

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Measure what is done inside as one stage."""
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._stages[name].observe(self._clock.monotonic() - began)
