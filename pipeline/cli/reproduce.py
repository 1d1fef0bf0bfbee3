"""`plumbline reproduce`."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.backtest.reproduction import Compared, Document, Replay, rows
from pipeline.cli.broker import cluster_of
from pipeline.cli.configuration import assembly_of, load_settings
from pipeline.cli.console import counted, progress, say, table
from pipeline.cli.fits import loaded
from pipeline.cli.registry import registry_of
from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_reader import PartitionReader, TopicReader
from pipeline.detector.detector import Detector
from pipeline.exceptions import DataError, SettingsError
from pipeline.formats.decoder import RecordDecoder
from pipeline.formats.inputs import decoder_of
from pipeline.monitor.monitor import Monitor
from pipeline.service.resumption import ResumeRules
from pipeline.settings import DetectorSettings

NEEDED = ("id", "event", "detector", "digest", "series", "partition", "offset")  # else it is no alert of ours
NAMED = 5  # incidents in a message
BEFORE = ResumeRules().replay  # records; as many as the service warms up by where a state is missing


def reproduce(
    config: Path,
    alert: str,
    /,
    *,
    records: int = BEFORE,
    from_start: bool = False,
    bundle: Path | None = None,
    fresh: bool = False,
) -> int:
    """Score an alert's readings again and compare.

    Every event of the incident names the partition and offset of the reading that caused it. That partition is read up
    to there, scored in silence by the same monitor as in the service, and what comes out is put beside what was told.
    The exit code is 0 where all of it is the same, 1 where it is not or cannot be known.

    Network and smoothed errors forget what is long past; the bar, the habits of a series and a budget do not. So it is
    exact from the first record of the partition on, if the service began there too; from later on it may differ.

    Parameters
    ----------
    config
        The configuration that the alert came from, with its bundle and its policy.
    alert
        The id of the incident; its first letters will do.
    records
        Begin so many records before the first event.
    from_start
        Begin where the log of the partition begins.
    bundle
        The detector of then, where the configuration names another one by now.
    fresh
        Begin cold: the service was started with --fresh.
    """
    if records < 0:
        raise SettingsError(f"--records is {records}: a number of records, 0 or more, is needed")
    settings = load_settings(config)
    if settings.outputs.alerts is None:
        raise SettingsError(f"{config}: outputs.alerts is null: there is no topic that the alert could stand in")
    cluster = cluster_of(settings, "reproduce", os.environ)
    told = _told(cluster, settings.outputs.alerts, alert)
    chosen = settings.detector(told[0]["detector"])
    chosen = chosen if bundle is None else replace(chosen, bundle=bundle)
    detector = _detector(chosen)
    first = told[0]
    say(f"{first['id']}: {first['sentence'] if 'sentence' in first else first['series']}")
    if first["digest"] not in detector.kin or first["series"] in detector.added.get(first["digest"], ()):
        say(
            f"cannot be reproduced: it is of the detector {first['digest'][:12]}, and {chosen.bundle} is "
            f"{detector.digest[:12]}; name the bundle of then by --bundle"
        )
        return 1
    by_partition: dict[int, list[Document]] = defaultdict(list)
    for document in told:
        by_partition[int(document["partition"])].append(document)
    most = None if from_start else records
    assert chosen.input is not None
    decoder = decoder_of(chosen.input, detector.names, registry_of(settings, os.environ))
    return max(_compare(cluster, chosen, detector, decoder, some, most, fresh=fresh) for some in by_partition.values())


def _detector(settings: DetectorSettings) -> Detector:
    """The bundle, which fits the input; SettingsError where either is not named."""
    where = f"detectors.{settings.name}"
    if settings.bundle is None or settings.input is None or settings.topic is None:
        raise SettingsError(f"{where} needs a bundle and an input with its topic: its readings are to be scored again")
    return loaded(settings, settings.bundle)


def _told(cluster: Cluster, topic: str, asked: str) -> list[Document]:
    """The events of the incident whose id begins so, each once and in their order; DataError where it is not one."""
    events: dict[str, dict[tuple[str, int, int], Document]] = defaultdict(dict)  # of these, by id
    latest: dict[str, str] = {}  # of all, what is said of them
    for document in _alerts(cluster, topic):
        latest.pop(document["id"], None)
        latest[document["id"]] = f"{document['id']} ({document['series']}, {document.get('start')})"
        if document["id"].startswith(asked.lower()):
            about = document["event"], int(document["partition"]), int(document["offset"])
            events[document["id"]].setdefault(about, document)
    if len(events) == 1:
        (found,) = events.values()
        return list(found.values())
    if events:
        raise DataError(
            f"{len(events)} incidents in {topic} begin with {asked}: {_few([latest[one] for one in events])}"
        )
    known = f"; the latest are {_few(list(latest.values())[::-1])}" if latest else ""
    raise DataError(
        f"no alert in {topic} has an id that begins with {asked}: it holds {counted(len(latest), 'incident')}{known}"
    )


def _alerts(cluster: Cluster, topic: str) -> Iterator[dict[str, Any]]:
    """All alerts in a topic; what is none is passed over."""
    reader = TopicReader(cluster, topic)
    try:
        with progress(f"reading {topic}", reader.total) as bar:
            for records in reader:
                for record in records:
                    try:
                        document = json.loads(record.value or b"")
                    except ValueError:
                        continue
                    if isinstance(document, dict) and all(name in document for name in NEEDED):
                        yield document
                bar.to(reader.total - reader.remaining)
            bar.to(reader.total)
    finally:
        reader.close()


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


@dataclass(frozen=True, slots=True)
class Past:
    """What of a partition was scored again."""

    where: str  # the partition, for a person
    begin: int  # offset
    kept: tuple[int, int]  # offsets: what the log holds, the first and the end

    def words(self) -> str:
        """What is lacking of the past, if anything."""
        if self.begin == 0:
            return f"scored again from the first record of {self.where} on"
        if self.begin == self.kept[0]:
            return f"scored again from {self.where}@{self.begin} on, where the log begins: what came before was deleted"
        return f"scored again from {self.where}@{self.begin} on; --from-start begins at {self.kept[0]}"


def _compare(
    cluster: Cluster,
    settings: DetectorSettings,
    detector: Detector,
    decoder: RecordDecoder,
    told: Sequence[Document],
    most: int | None,
    *,
    fresh: bool,
) -> int:
    """The events of one partition, compared and told; the exit code."""
    assert settings.topic is not None
    number, offsets = int(told[0]["partition"]), [int(document["offset"]) for document in told]
    first, below = min(offsets), max(offsets) + 1
    reader = PartitionReader(cluster, settings.topic, number, below, None if most is None else below - first + most)
    past = Past(f"{settings.topic}[{number}]", reader.begin, reader.kept)
    assembly = assembly_of(settings.input, detector.names)
    replay = Replay(Monitor(detector, settings.policy, name=settings.name, fresh=fresh, assembly=assembly), told)
    try:
        if impossible := _impossible(past, first, below):
            say(f"cannot be reproduced: {impossible}")
            return 1
        _score(reader, replay, decoder, past)
    finally:
        reader.close()
    compared = replay.compared()
    for one in compared:
        say()
        say(f"{one.told['event']}, at {past.where}@{one.told['offset']}")
        say(table([["", "alert", "again"], *_lines(one)], indent="  "))
    say()
    say(f"{counted(replay.readings, 'reading')} {past.words()}")
    say(verdict(compared, past))
    return 0 if all(one.same for one in compared) else 1


def _impossible(past: Past, first: int, below: int) -> str:
    """Why the readings are not there; empty where they are."""
    kept, end = past.kept
    if first < kept:
        return f"the log of {past.where} begins at {kept} by now, and the reading at {first} was deleted"
    if below > end:
        return f"the log of {past.where} ends at {end}, before {below - 1}: the topic was made anew"
    return ""


def _score(reader: PartitionReader, replay: Replay, decoder: RecordDecoder, past: Past) -> None:
    with progress(f"scoring {past.where}", reader.total) as bar:
        for records in reader:
            replay.observe(records, decoder.decode(records))
            bar.to(reader.total - reader.remaining)
        bar.to(reader.total)


def _lines(one: Compared) -> list[list[str]]:
    """Field, what the alert says, what comes out, and whether that is another thing."""
    return [
        [row.field, _shown(row.told, exact=not row.same), _shown(row.found, exact=not row.same) + _mark(row.same)]
        for row in rows(one)
    ]


def _mark(same: bool) -> str:
    return "" if same else "  <- differs"


def _shown(value: object, *, exact: bool) -> str:
    if value is None:
        return "-"
    return f"{value:.8g}" if isinstance(value, float) and not exact else str(value)


def verdict(compared: Sequence[Compared], past: Past) -> str:
    """In words whether the same came out, and what may be the cause where it did not."""
    other = [one for one in compared if not one.same]
    if not other:
        how = "to the last digit" if all(one.exactly for one in compared) else "but for the last digits"
        return f"reproduced: {counted(len(compared), 'event')} came out the same, {how}"
    text = f"not reproduced: {'; '.join(one.words() for one in other)}."
    if any("target" in one.differing for one in other):
        text += " The promise is another one by now: take the policy of then."
    if past.begin > past.kept[0]:
        return f"{text} The bar and the habits of a series hang on all that came before: try --from-start."
    if past.begin > 0:
        return (
            f"{text} What the service remembered of the records that were deleted is not to be had: the bar and the "
            "habits of a series hang on all that came before, so this alone may be the cause."
        )
    return (
        f"{text} Nothing of the past is lacking. What is left: records that are not those of then, another policy, a "
        "service that began elsewhere (--fresh, --start latest) or had lost its state (plumbline_restores_total), or a "
        "series on two partitions."
    )
