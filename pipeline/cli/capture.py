"""`plumbline capture`."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa

from pipeline.bundle import load
from pipeline.cli.broker import cluster_of
from pipeline.cli.configuration import assembly_of, load_settings
from pipeline.cli.console import counted, note, progress, say
from pipeline.cli.registry import registry_of
from pipeline.cli.since import seconds_of
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.parquet_sink import ParquetSink
from pipeline.exceptions import DataError, SettingsError
from pipeline.formats.frames import SERIES, TIMESTAMP, frame_of
from pipeline.formats.inputs import decoder_of
from pipeline.records import Clock, Outcome
from pipeline.settings import DetectorSettings


def capture(config: Path, /, *, out: Path, last: str | None = None, detector: str | None = None) -> None:
    """Keep what a topic holds as a file to train on.

    The records are read as the service would read them, joined and put in order where the configuration asks for it;
    those that are no readings are counted and left out. The file is Parquet with the columns series, timestamp and the
    channels.

    Parameters
    ----------
    config
        The configuration.
    out
        The Parquet file to write.
    last
        Only what was written to the topic since then: 90min, 36h, 14d, 8w. Empty: all that it holds.
    detector
        Which of the configuration's detectors.
    """
    seconds = None if last is None else seconds_of(last, "--last")
    settings = load_settings(config)
    chosen = settings.detector(detector)
    if chosen.topic is None or chosen.input is None:
        raise SettingsError(f"detectors.{chosen.name}.input is missing: capture needs its topic")
    channels, clock = _channels(chosen), chosen.input.time.clock
    decoder = decoder_of(chosen.input, channels, registry_of(settings, os.environ))
    cluster = cluster_of(settings, "capture", os.environ)
    reader = TopicReader(cluster, chosen.topic, None if seconds is None else int((time.time() - seconds) * 1000))
    assembly = assembly_of(chosen.input, channels)
    rejected: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    example = ""
    try:
        with (
            progress(f"reading {chosen.topic}", reader.total) as bar,
            ParquetSink(out, _schema(channels, clock)) as sink,
        ):
            for records in reader:
                decoded = decoder.decode(records)
                rejected.update(one.reason for one in decoded.rejected)
                if decoded.rejected and not example:
                    first = decoded.rejected[0]
                    example = f"{first.reason}: {first.detail} (offset {records[first.row].offset})"
                left_out["ignored"] += len(decoded.ignored)
                readings = decoded.readings
                if assembly is not None:
                    readings, settled = assembly.take(readings)
                    left_out.update(Outcome(code).name.lower() for code in settled.outcome.tolist())
                sink.append(frame_of(readings, channels, clock))
                bar.to(reader.total - reader.remaining)
            if assembly is not None:
                sink.append(frame_of(assembly.flush(decoder.names), channels, clock))
            if not sink.rows:
                raise DataError(_empty(chosen.topic, last, example))
    finally:
        reader.close()
    say(f"{out}: {counted(sink.rows, 'reading')} of {len(decoder.names)} series from {chosen.topic}")
    if rejected:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in rejected.items())
        note(
            f"{counted(rejected.total(), 'record')} left out, for they are no readings: {reasons}; the first: {example}"
        )
    _tell_left_out(left_out)


def _tell_left_out(outcomes: Counter[str]) -> None:
    """What came to no reading, though it was none that is invalid; what was joined is in one."""
    told = ", ".join(f"{name} {count:,}" for name, count in outcomes.items() if count and name != "joined")
    if told:
        note(f"records left out: {told}")


def _channels(settings: DetectorSettings) -> tuple[str, ...]:
    """The channels that the configuration names, else the bundle's."""
    if settings.channels:
        return settings.channels
    if settings.bundle is not None and settings.bundle.exists():
        return load(settings.bundle).names
    raise SettingsError(
        f"detectors.{settings.name}.channels is missing, and there is no bundle to take them from: name the channels"
    )


def _schema(channels: tuple[str, ...], clock: Clock) -> pa.Schema:
    moment = pa.timestamp("us", tz="UTC") if clock == "time" else pa.int64()
    return pa.schema([(TIMESTAMP, moment), (SERIES, pa.string()), *((name, pa.float64()) for name in channels)])


def _empty(topic: str, last: str | None, example: str) -> str:
    if example:
        return f"topic {topic}: no record is a reading; the first: {example}"
    return f"topic {topic} holds no record" + (f" of the last {last}" if last else "")
