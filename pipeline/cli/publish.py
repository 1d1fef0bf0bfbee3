"""`plumbline publish`."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.cli.broker import cluster_of
from pipeline.cli.columns import open_files
from pipeline.cli.configuration import load_settings
from pipeline.cli.console import counted, note, progress, say
from pipeline.connectors.kafka_client import create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.tables import Tables
from pipeline.exceptions import DataError, SettingsError
from pipeline.formats.encoder import RecordEncoder
from pipeline.formats.inputs import encoder_of
from pipeline.records import Clock, Ints, Readings, Reason, join
from pipeline.service.ports import Message
from pipeline.settings import DetectorSettings

AT_ONCE = 1_000  # readings between two looks at what is under way
UNDER_WAY = 20_000  # messages; more are not sent before these are acknowledged
FLUSH_SECONDS = 60.0
STEP_SECONDS = 0.1  # readings due within one step go out together


def publish(
    config: Path,
    /,
    *,
    data: list[Path],
    speed: float | Literal["max"] = "max",
    limit: int | None = None,
    partitions: int = 1,
    channels: list[str] | None = None,
    ignore: list[str] | None = None,
    detector: str | None = None,
) -> None:
    """Write a file's readings to the input topic, as if they happened now.

    Each row becomes a record as the detector's input describes it, with its own timestamp; its key keeps a series in
    one partition. A topic that is not there is created.

    Parameters
    ----------
    config
        The configuration.
    data
        Files and folders; all below a folder is read.
    speed
        1: as fast as it happened, 60: a minute a second, max: as fast as Kafka takes it. Of sample numbers, so many a
        second.
    limit
        Stop after so many readings.
    partitions
        Of the topic, when it is created.
    channels
        Only these columns.
    ignore
        Not these columns.
    detector
        Which of the configuration's detectors.
    """
    if speed != "max" and not speed >= 0:
        raise SettingsError(f"--speed is {speed:g}: a number above 0 is needed, or max")
    if limit is not None and limit < 1:
        raise SettingsError(f"--limit is {limit}: at least 1 is needed")
    settings = load_settings(config)
    chosen = settings.detector(detector)
    tables = open_files(data, chosen, channels, ignore)
    topic, encoder = _encoding(chosen, tables)
    cluster = cluster_of(settings, "publish", os.environ)
    if create_topic(cluster, topic, partitions):
        note(f"topic {topic} was not there: created with {counted(partitions, 'partition')}")
    rejected: Counter[Reason] = Counter()
    batches = _some(_readings(tables, rejected), limit)
    if speed not in ("max", 0):
        batches = paced(list(batches), float(speed), tables.clock)
    total = tables.rows if limit is None or tables.rows is None else min(limit, tables.rows)
    sink, sent, start = KafkaSink(cluster, linger_ms=5), 0, time.monotonic()
    try:
        with progress(f"publishing to {topic}", total) as bar:
            for readings in batches:
                _send(sink, topic, encoder, readings)
                sent += len(readings)
                bar.to(sent)
    finally:  # also when interrupted: what is said to be published is stored
        sink.flush(FLUSH_SECONDS)
        sink.close(1.0)
        rate = sent / max(time.monotonic() - start, 1e-9)
        say(f"{counted(sent, 'reading')} published to {topic} at {cluster.bootstrap_servers}, {rate:,.0f} a second")
    if rejected:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in rejected.items())
        note(f"{counted(rejected.total(), 'row')} left out, for they are no readings: {reasons}")


def _encoding(settings: DetectorSettings, tables: Tables) -> tuple[str, RecordEncoder]:
    """The topic, and how readings become its records."""
    where = f"detectors.{settings.name}.input"
    if settings.topic is None or settings.input is None:
        raise SettingsError(f"{where} is missing: publish needs its topic")
    if settings.input.time.clock != tables.clock:
        raise DataError(
            f"{tables.files[0].path}: its timestamps are a clock of {tables.clock}, {where}.time has unit "
            f"{settings.input.time.unit}: mend the unit, or detectors.{settings.name}.files.unit"
        )
    if settings.input.format == "avro":
        raise SettingsError(f"{where}.format is avro, which publish does not write: its schema belongs to the sender")
    try:
        return settings.topic, encoder_of(settings.input, tables.channels)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}; --channels or --ignore leave columns out") from error


def _readings(tables: Tables, rejected: Counter[Reason]) -> Iterator[Readings]:
    """All readings, file after file, in pieces."""
    for _, _, decoded in tables.decoded():
        rejected.update(one.reason for one in decoded.rejected)
        for start in range(0, len(decoded.readings), AT_ONCE):
            yield decoded.readings[start : start + AT_ONCE]


def _some(batches: Iterable[Readings], limit: int | None) -> Iterator[Readings]:
    """The first readings, or all."""
    left = limit
    for readings in batches:
        if left is None:
            yield readings
            continue
        yield readings[:left]
        left -= len(readings)
        if left <= 0:
            return


def _send(sink: KafkaSink, topic: str, encoder: RecordEncoder, readings: Readings) -> None:
    try:
        records = encoder.encode(readings)
    except ValueError as error:
        raise SettingsError(f"these readings cannot be written as the input describes it: {error}") from error
    if sink.in_flight() > UNDER_WAY:
        sink.flush(FLUSH_SECONDS)
    for key, value in records:
        sink.send(Message(topic, key, value))


def in_order(readings: Readings) -> tuple[Readings, Ints]:
    """Readings of many series as they would have come, and the time at which each came, (N,) ascending.

    A reading whose clock steps back comes right after the one before it in its series: order within a series is kept.
    """
    came = readings.at.copy()
    for code in np.unique(readings.series):
        mine = readings.series == code
        came[mine] = np.maximum.accumulate(readings.at[mine])
    order = np.argsort(came, kind="stable")
    return readings[order], came[order]


def paced(
    batches: list[Readings],
    speed: float,
    clock: Clock,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Readings]:
    """The readings in order of time, each when it is due."""
    if not batches:
        return
    readings, came = in_order(join(batches))
    due = (came - came[0]) / (speed * (1e6 if clock == "time" else 1.0))  # seconds after the first
    start, first = now(), 0
    while first < len(readings):
        sleep(max(0.0, due[first] - (now() - start)))
        last = int(np.searchsorted(due, now() - start + STEP_SECONDS, side="right"))
        last = min(max(last, first + 1), first + AT_ONCE)
        yield readings[first:last]
        first = last
