"""`plumbline init`."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from pipeline.cli.columns import open_files
from pipeline.cli.configuration import assembly_of
from pipeline.cli.console import counted, say
from pipeline.cli.proposal import Proposal, configuration
from pipeline.cli.survey import survey
from pipeline.connectors.tables import Tables
from pipeline.exceptions import DataError, SettingsError
from pipeline.records import Readings, join
from pipeline.settings import DetectorSettings, parse_settings

ROWS_LOOKED_AT = 200_000  # of files
RECORDS_LOOKED_AT = 1_000  # of a topic


def init(
    *,
    data: list[Path] | None = None,
    topic: str | None = None,
    out: Path = Path("plumbline.yaml"),
    bootstrap_servers: str | None = None,
    channels: list[str] | None = None,
    ignore: list[str] | None = None,
) -> None:
    """Write a commented configuration that runs, from a file or a topic.

    It names the channels that were found, their ranges and the step of the readings; from a topic it also guesses which
    fields are the time, the series and the channels, and says why. Look it over: it is a proposal.

    Parameters
    ----------
    data
        Files or folders of history, Parquet or CSV.
    topic
        A Kafka topic that holds records already.
    out
        The file to write; one that is there already is left alone.
    bootstrap_servers
        Where Kafka is; else KAFKA_BOOTSTRAP_SERVERS, else localhost:9092.
    channels
        Only these columns of the files.
    ignore
        Not these columns of the files.
    """
    if (data is None) == (topic is None):
        raise SettingsError("init looks at files or at a topic: give --data FILE or --topic NAME, one of the two")
    if out.exists():
        raise SettingsError(f"{out} is there already: name another file by --out, or remove it")
    servers = bootstrap_servers or os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or "localhost:9092"
    proposal = _from_topic(topic, servers) if topic is not None else _from_files(data or [], servers, channels, ignore)
    text = configuration(proposal, shlex.quote(str(out)))
    parse_settings(text, out)
    out.write_text(text, encoding="utf-8")
    seen = proposal.survey
    channel_count = counted(len(seen.channels), "channel")
    say(f"{out}: {channel_count}, {len(seen.series)} series, looked at {counted(seen.readings, 'reading')}")
    for step in proposal.next_steps(shlex.quote(str(out))):
        say(f"  {step}")


def _from_files(
    data: Sequence[Path], servers: str, channels: Sequence[str] | None, ignore: Sequence[str] | None
) -> Proposal:
    tables = open_files(data, DetectorSettings("detector"), channels, ignore)
    readings = list(_first_rows(tables))
    if not readings:
        raise DataError(f"{data[0]}: no row is a reading")
    name = _name(data[0].resolve().name.partition(".")[0])
    looked_at = survey(join(readings), tables.channels, tables.clock)
    return Proposal(name, looked_at, servers, files=shlex.join(map(str, data)))


def _first_rows(tables: Tables) -> Iterator[Readings]:
    rows = 0
    for _, _, decoded in tables.decoded():
        if len(decoded.readings):
            yield decoded.readings
        rows += len(decoded.readings)
        if rows >= ROWS_LOOKED_AT:
            return


def _from_topic(topic: str, servers: str) -> Proposal:
    from pipeline.cli.guess import guess
    from pipeline.connectors.kafka_client import Cluster  # here: files are looked at without a Kafka client
    from pipeline.connectors.kafka_reader import TopicReader
    from pipeline.formats.json import JsonDecoder

    reader = TopicReader(Cluster(servers), topic)
    try:
        records = list(islice((record for batch in reader for record in batch), RECORDS_LOOKED_AT))
    finally:
        reader.close()
    if not records:
        raise DataError(f"topic {topic} is empty: init guesses from records that are there")
    found = guess(records, topic)
    decoded = JsonDecoder(found.mapping, found.channels).decode(records)
    if not len(decoded.readings):
        raise DataError(f"topic {topic}: no record is a reading; the first: {decoded.rejected[0].detail}")
    readings, assembly = decoded.readings, assembly_of(found.mapping, found.channels)
    if assembly is not None:
        readings = join([assembly.take(readings)[0], assembly.flush(readings.names)])
    looked_at = survey(readings, found.channels, found.mapping.time.clock)
    reasons = (*found.reasons, f"{len(decoded.readings)} of {len(records)} records are readings by this")
    return Proposal(_name(topic), looked_at, servers, topic, found.mapping, reasons)


def _name(text: str) -> str:
    """A name for a detector: it becomes a folder and stands in every alert."""
    return re.sub(r"[^\w-]+", "-", text).strip("-") or "detector"
