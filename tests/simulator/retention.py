"""Schedules in which retention passes at any step: what was not read is lost and told, all else is as promised."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.service.letters import dead_letter
from pipeline.service.outputs import alert_message, score_messages
from pipeline.service.ports import Message, Partition, Record
from tests.simulator.schedule import Schedule, about, first_known, observed, offsets_only_rise, same, seen_copies

MOST = 2  # passes over a partition: each doubles what its outputs may be


@dataclass
class Shrinking(Schedule):
    """A schedule whose logs lose their oldest records, read or not, in the middle of anything."""

    lost: int = 0  # partitions of which records were deleted unread; known at the end

    def __post_init__(self) -> None:
        super().__post_init__()
        self._passes = np.random.default_rng((self.seed, 2))  # of its own: all else is as without
        for process in self.members:
            process.retention = self._pass

    def check(self) -> None:
        """The promises that hold then; AssertionError with what is broken."""
        check(self)

    def _event(self) -> None:
        if self._passes.random() < 0.25:
            process = self.members[int(self._passes.integers(len(self.members)))]
            process.deletes_in = int(self._passes.integers(0, 40))
        super()._event()

    def _pass(self) -> None:
        """Delete up to somewhere near what is committed, or up to anywhere, or all."""
        cluster, rng = self.cluster, self._passes
        partition = Partition("readings", int(rng.integers(len(cluster.logs))))
        first, end = cluster.first(partition), len(cluster.logs[partition])
        near = cluster.committed.get(partition, 0) + int(rng.integers(-3, 9))
        where = int(rng.choice([near, int(rng.integers(first, end + 1)), end], p=[0.6, 0.3, 0.1]))
        if first < where <= end and sum(one.partition == partition for one in cluster.deletions) < MOST:
            self._tell(f"retention passes: {partition.number} begins at {where} of {end}")
            cluster.delete(partition, where)


class Variant(NamedTuple):
    """What one bundle puts out of a log that it was given from an offset on, by the offset of the record."""

    since: int
    told: Mapping[int, Sequence[Message]]


def check(schedule: Schedule) -> None:
    """Each record that was not deleted unread is scored as the backtest does from some beginning of its log.

    A beginning is where retention had left one. Of exactly once nothing comes twice; and a loss is told.
    """
    cluster, copies = schedule.cluster, seen_copies(schedule.cluster)
    said = {partition: list(variants(schedule, partition)) for partition in cluster.logs}
    known: dict[tuple, list[Message]] = defaultdict(list)
    most: Counter[tuple] = Counter()
    for partition, log in cluster.logs.items():
        for offset in range(len(log)):
            counts = [Counter(map(about, one.told.get(offset, ()))) for one in said[partition]]
            for key in set().union(*counts):
                most[key] += max(count[key] for count in counts)
        for one in said[partition]:
            for message in (each for some in one.told.values() for each in some):
                known[about(message)].append(message)
    for key, messages in copies.items():
        for message in messages:
            assert any(same(one, message) for one in known[key]), f"{key} says what no backtest says: {message.value!r}"
        if schedule.keeping == "exactly_once":
            assert len(messages) <= most[key], f"{key} was put out {len(messages)} times"
    silent = lost = 0
    for partition, log in cluster.logs.items():
        gone = {offset for one in cluster.deletions if one.partition == partition for offset in one.unknown}
        there = {offset: _there(said[partition], offset, copies) for offset in range(len(log))}
        missing = [offset for offset, found in there.items() if not found and offset not in gone]
        assert not missing, (
            f"of {partition} {len(missing)} records that were kept, or read, are lost, such as {missing[0]}"
        )
        unread = [offset for offset, found in there.items() if not found]
        lost += bool(unread)
        silent += any(offset >= first_known(cluster).get(partition, 0) for offset in unread)
    assert silent <= restores(schedule, "beyond_retention"), "records were lost, and nobody said so"
    schedule.lost = lost
    offsets_only_rise(cluster)


def variants(schedule: Schedule, partition: Partition) -> Iterator[Variant]:
    """What the batch backtest puts out of a partition, of each bundle and from each beginning."""
    beginnings = {0, *(one.first for one in schedule.cluster.deletions if one.partition == partition)}
    for detector in schedule.used:
        for since in sorted(beginnings):
            yield Variant(since, _told(schedule, detector, schedule.cluster.logs[partition][since:]))


def _told(schedule: Schedule, detector: Detector, log: Sequence[Record]) -> dict[int, list[Message]]:
    told: dict[int, list[Message]] = defaultdict(list)
    rejected, readings, scores, alerts = observed(schedule, detector, log)
    messages = score_messages("scores", detector.names, detector.clock, readings, scores)
    for offset, message in zip(readings.offset.tolist(), messages, strict=True):
        told[offset].append(message)
    for alert in alerts:
        told[alert.offset].append(alert_message("alerts", alert))
    for one in rejected:
        told[log[one.row].offset].append(dead_letter("dead", log[one.row], one))
    return told


def _there(said: Sequence[Variant], offset: int, copies: Mapping[tuple, Sequence[Message]]) -> bool:
    """Whether all that one of these puts out of a record is there."""
    return any(
        all(any(same(one, copy) for copy in copies.get(about(one), ())) for one in variant.told.get(offset, ()))
        for variant in said
        if variant.since <= offset
    )


def restores(schedule: Schedule, reason: str) -> int:
    """How often a partition began for this reason."""
    registries = [one for process in schedule.members for one in process.registries]
    return int(sum(one.get_sample_value("plumbline_restores_total", {"reason": reason}) or 0 for one in registries))
