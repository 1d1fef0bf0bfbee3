"""A schedule: what happens to a cluster and its processes, drawn from a seed; and whether all promises were kept."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.formats import times
from pipeline.formats.json import JsonDecoder
from pipeline.records import Alert, Floats, Readings, Rejected, Scores
from pipeline.service.letters import dead_letter
from pipeline.service.outputs import alert_message, score_messages
from pipeline.service.ports import Message, Partition, Record
from pipeline.service.resumption import ResumeRules
from tests.service.small import (
    BEGIN,
    CHANNELS,
    JOINED,
    MAPPING,
    STEP,
    calm_values,
    monitor_of,
    small_detector,
    with_faults,
)
from tests.simulator.cluster import Cluster
from tests.simulator.process import Keeping, Process

PARTITIONS, SERIES, ROWS = 3, 4, 40
BACKFILL = 10_000  # records: all there are
SILENT = range(18, 39)  # rows: from when it was scored until the last but one
TOLERANCE = 1e-5


@dataclass
class Schedule:
    """One run, from its seed alone."""

    seed: int
    detector: Detector
    keeping: Keeping
    processes: int = 3
    events: int = 40
    late: bool = False  # the first process begins at the end of logs that are half full, and fills back
    registry: bool = False  # records need schemas, and the registry is away now and then
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._outages = np.random.default_rng((self.seed, 1))  # of its own: schedules without are what they were
        self.mapping = JOINED if self.seed % 3 == 2 else MAPPING  # records of one sensor each, or of all
        self.cluster = Cluster(self.rng, logs={Partition("readings", number): [] for number in range(PARTITIONS)})
        rules = ResumeRules("latest", backfill=BACKFILL) if self.late else ResumeRules()
        self.members = [
            Process(
                self.cluster,
                self.detector,
                f"p{number}",
                self.keeping,
                self.mapping,
                int(self.rng.integers(1, 12)),
                rules,
                0.0 if self.seed % 2 else 0.5,  # one slice of a commit or a restore at a turn, or all
            )
            for number in range(int(self.rng.integers(1, self.processes + 1)))
        ]
        self.ahead = self._records() if self.mapping is MAPPING else self._single_records()
        if self.late:
            self._publish(len(self.ahead) // 2)
        self.before = {partition: len(log) for partition, log in self.cluster.logs.items()}  # records at the start
        self.held_up: set[Process] = set()
        self.used = [self.detector]  # and others that a reload has brought
        for process in self.members:
            process.trace = self._tell
            process.hold_up = partial(self._others_go_on, process)

    def run(self) -> None:
        """Faults first; then everything is mended and runs to its end. AssertionError where a promise is broken."""
        for _ in range(self.events):
            self._event()
        self._mend()
        self.check()

    def check(self) -> None:
        """Whether all promises were kept; AssertionError with what is broken."""
        check(self)

    def _tell(self, what: str) -> None:
        self.trace.append(f"{self.cluster.seconds:8.2f}  {what}")

    def _event(self) -> None:
        if self.registry and self._outages.random() < 0.2:
            seconds = float(self._outages.choice([1.0, 5.0, 20.0, 60.0]))
            self._tell(f"the registry is away for {seconds:g} s")
            self.cluster.registry_down_until = self.cluster.seconds + seconds
        self._publish(int(self.rng.integers(0, 12)))
        process = self.members[int(self.rng.integers(len(self.members)))]
        chance = self.rng.random()
        if not process.running:
            self._tell(f"{process.name} begins")
            process.begin()
        elif chance < 0.10:
            process.dies_in = int(self.rng.integers(0, 60))
        elif chance < 0.16:
            process.held_up_in = int(self.rng.integers(0, 60))
        elif chance < 0.20:
            self._tell(f"{process.name} is asked to stop")
            process.stop()
        elif chance < 0.23:
            self._tell(f"{process.name} is killed between two turns")
            process.kill()
        elif chance < 0.27:
            seconds = float(self.rng.choice([1.0, 5.0, 20.0, 90.0]))
            self._tell(f"the broker is away for {seconds:g} s")
            self.cluster.down_until = self.cluster.seconds + seconds
        elif chance < 0.30:
            self.cluster.full ^= {process.name}
            self._tell(f"the disk of {process.name} is {'full' if process.name in self.cluster.full else 'mended'}")
        elif chance < 0.36:
            self._reload(process)
        for each in self.rng.permutation(len(self.members)).tolist():
            for _ in range(int(self.rng.integers(0, 5))):
                self._turn(self.members[each])

    def _reload(self, process: Process) -> None:
        """Another configuration for one process: with the same bundle, with another, or one that cannot be used."""
        which, anew = self.rng.choice(["the same", "another", "a broken"]), bool(self.rng.random() < 0.3)
        self._tell(f"{process.name} is given {which} bundle{' and a new connection' if anew else ''}")
        if which == "a broken":
            process.reload_what_cannot_be_used()
            return
        detector = process.detector
        if which == "another":
            detector = another() if detector is self.detector else self.detector
            self.used = [self.detector, another()]
        process.reload(detector, anew=anew)

    def _turn(self, process: Process) -> None:
        if process not in self.held_up:
            process.turn()

    def _others_go_on(self, process: Process) -> None:
        """A process stands still in the middle of a step, for shorter or longer than its session."""
        self.held_up.add(process)
        try:
            until = self.cluster.seconds + float(self.rng.choice([2.0, 8.0, 15.0, 40.0]))
            while self.cluster.seconds < until:
                self.cluster.wait(0.5)
                self._publish(int(self.rng.integers(0, 3)))
                for other in self.members:
                    self._turn(other)
        finally:
            self.held_up.discard(process)

    def _publish(self, count: int) -> None:
        for partition, key, value in self.ahead[:count]:
            self.cluster.publish(partition, key, value)
        del self.ahead[:count]

    def _mend(self) -> None:
        """No more faults; until every record is committed, and then everybody is asked to stop."""
        cluster = self.cluster
        self._publish(len(self.ahead))
        cluster.down_until = cluster.registry_down_until = 0.0
        cluster.full.clear()
        self._tell("all is mended")
        for process in self.members:
            process.dies_in = process.held_up_in = process.deletes_in = None
        ends = {partition: len(log) for partition, log in cluster.logs.items()}
        for _ in range(4000):
            for process in self.members:
                if process.running:
                    process.turn()
                else:
                    process.begin()
            if all(cluster.committed.get(partition, 0) == end for partition, end in ends.items()):
                break
        else:
            raise AssertionError(f"not all was committed: {cluster.committed} of {ends}")
        for process in self.members:
            process.stop()

    def _records(self) -> list[tuple[Partition, bytes, bytes]]:
        """Rows of all series in turn, with faults, some late, twice, missing or no reading at all."""
        values = self._values()
        records = []
        for row in range(ROWS):
            for series in self._speaking(row):
                at = BEGIN + STEP * (row if self.rng.random() > 0.04 else max(row - int(self.rng.integers(0, 4)), 0))
                fields = {"ts": times.iso(at), **dict(zip(CHANNELS, values[series][row].tolist(), strict=True))}
                if self.rng.random() < 0.03:
                    fields |= dict.fromkeys(CHANNELS)
                value = b"{" if self.rng.random() < 0.02 else json.dumps(fields).encode()
                records.append((Partition("readings", series % PARTITIONS), f"pump-{series}".encode(), value))
        return records

    def _values(self) -> list[Floats]:
        """Of each series, with a fault."""
        return [with_faults(calm_values(ROWS, seed=series), [20 + series], 5) for series in range(SERIES)]

    def _speaking(self, row: int) -> list[int]:
        """The series that have this row: the last one is silent for longer than it may be."""
        return [series for series in range(SERIES) if series < SERIES - 1 or row not in SILENT]

    def _single_records(self) -> list[tuple[Partition, bytes, bytes]]:
        """A record a sensor, out of order, some by more than is waited for; some twice, lacking, or of no channel."""
        values = self._values()
        due: list[tuple[float, tuple[Partition, bytes, bytes]]] = []
        for row in range(ROWS):
            for series in self._speaking(row):
                for sensor, value in zip((*CHANNELS, "door"), (*values[series][row].tolist(), 1.0), strict=True):
                    fields = {"ts": times.iso(BEGIN + STEP * row), "sensor": sensor, "value": value}
                    if self.rng.random() < 0.03:
                        fields["value"] = None
                    text = b"{" if self.rng.random() < 0.01 else json.dumps(fields).encode()
                    record = (Partition("readings", series % PARTITIONS), f"pump-{series}".encode(), text)
                    for _ in range(int(self.rng.choice([0, 1, 2], p=[0.04, 0.9, 0.06]))):
                        due.append((row + self.rng.exponential(1.0), record))
        return [record for _, record in sorted(due, key=lambda one: one[0])]


def observed(
    schedule: Schedule, detector: Detector, log: Sequence[Record], since: int = 0
) -> tuple[list[Rejected], Readings, Scores, list[Alert]]:
    """What the batch backtest makes of one log, and tells of its records from an offset on."""
    decoded = JsonDecoder(schedule.mapping, detector.names).decode(log)
    monitor = monitor_of(detector, schedule.mapping)
    readings, _ = monitor.assemble(decoded.readings)
    scores, alerts = monitor.observe(readings)
    alerts = [*alerts, *monitor.listen(readings, scores.outcome)]
    told = readings.offset >= since
    return (
        [one for one in decoded.rejected if log[one.row].offset >= since],
        readings[told],
        scores[told],
        [alert for alert in alerts if alert.offset >= since],
    )


@cache
def another() -> Detector:
    """The bundle that a reload brings in the place of the first."""
    return small_detector(seed=1)


def expected(schedule: Schedule, detector: Detector, since: Mapping[Partition, int]) -> dict[tuple, Message]:
    """What the batch backtest of the same logs puts out from these offsets on, by what it is about."""
    found: dict[tuple, Message] = {}
    for partition, log in schedule.cluster.logs.items():
        rejected, readings, scores, alerts = observed(schedule, detector, log, since[partition])
        messages = [
            *score_messages("scores", detector.names, detector.clock, readings, scores),
            *(alert_message("alerts", alert) for alert in alerts),
            *(dead_letter("dead", log[one.row], one) for one in rejected),
        ]
        for message in messages:
            assert about(message) not in found or message.topic == "scores"
            found.setdefault(about(message), message)
    return found


def about(message: Message) -> tuple:
    """What a message is about: the same for every copy of it."""
    if message.topic == "dead":
        headers = dict(message.headers)
        return "dead", headers["plumbline-partition"], headers["plumbline-offset"]
    document = json.loads(message.value or b"")
    if message.topic == "alerts":
        return "alerts", document["id"], document["event"], document["at"]
    return "scores", document["series"], document["timestamp"], document["outcome"]


def same(one: Message, other: Message) -> bool:
    """Words exactly, numbers within the tolerance: another batch moves the last bits."""
    if one.topic == "dead":
        return one == other
    return _close(json.loads(one.value or b""), json.loads(other.value or b""))


def _close(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other) <= TOLERANCE * max(1.0, abs(one))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[k], other[k]) for k in one if k != "sentence")
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_close(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def check(schedule: Schedule) -> None:
    """The promises of docs/delivery.md; AssertionError with what is broken.

    Where bundles were changed, each record is scored by one of them as if it had been there from the first: by which,
    its score tells, and its alerts are that one's. Where processes began at the end, nothing is told of what was there,
    and nothing is lost from the first offset on that the group knew.
    """
    cluster, since = schedule.cluster, schedule.before if schedule.late else dict.fromkeys(schedule.before, 0)
    said = [expected(schedule, detector, since) for detector in schedule.used]
    due = [expected(schedule, detector, first_known(cluster)) for detector in schedule.used] if schedule.late else said
    copies = seen_copies(cluster)
    foreign = copies.keys() - set().union(*said)
    assert not foreign, f"{len(foreign)} outputs are not the backtest's, such as {sorted(foreign, key=str)[0]}"
    for key, messages in copies.items():
        wanted = [one[key] for one in said if key in one]
        for message in messages:
            agreed = any(same(one, message) for one in wanted)
            assert agreed, f"{key} says another thing: {message.value!r}, not {wanted[0].value!r}"
    missing = {
        key
        for number, wanted in enumerate(due)
        for key in wanted.keys() - copies.keys()
        if key[0] != "alerts" or _scored_by(said, copies, wanted[key]) <= {number}
    }
    assert not missing, f"{len(missing)} outputs are lost, such as {sorted(missing, key=str)[0]}"
    if schedule.keeping == "exactly_once":
        _once(schedule, copies, since)
        for key in copies:
            whose = {number for number, wanted in enumerate(said) if key in wanted}
            if key[0] == "alerts":
                by = _scored_by(said, copies, copies[key][0])
                assert by & whose, f"{key} is of another bundle than the score of its reading"
    offsets_only_rise(cluster)


def _scored_by(said: list[dict[tuple, Message]], copies: dict[tuple, list[Message]], alert: Message) -> set[int]:
    """The backtests, by their numbers, that may have scored the reading of an alert; all where no score tells."""
    document = json.loads(alert.value or b"")
    tellers = [document["series"]]
    if document["kind"] == "silent" and document["event"] == "raised":  # told by a reading of another one
        tellers = [f"pump-{series}" for series in range(SERIES) if series % PARTITIONS == document["partition"]]
    scores = [key for key in copies if key[0] == "scores" and key[1] in tellers and key[2] == document["at"]]
    return {
        number
        for number, wanted in enumerate(said)
        if any(key in wanted and same(wanted[key], copy) for key in scores for copy in copies[key])
    }


def seen_copies(cluster: Cluster) -> dict[tuple, list[Message]]:
    """What readers of committed records see, by what it is about."""
    copies: dict[tuple, list[Message]] = defaultdict(list)
    for stored in cluster.stored:
        if stored.seen:
            copies[about(stored.message)].append(stored.message)
    return copies


def first_known(cluster: Cluster) -> dict[Partition, int]:
    """The first offset of each partition that was committed."""
    first: dict[Partition, int] = {}
    for _, offsets in cluster.history:
        first = {**offsets, **first}
    return first


def _once(schedule: Schedule, copies: dict[tuple, list[Message]], since: Mapping[Partition, int]) -> None:
    """No output twice: a reading that comes twice has two scores, and so many are expected."""
    counted: Counter[tuple] = Counter()
    for partition, log in schedule.cluster.logs.items():
        _, readings, scores, _ = observed(schedule, schedule.detector, log, since[partition])
        for message in score_messages("scores", schedule.detector.names, "time", readings, scores):
            counted[about(message)] += 1
    for key, messages in copies.items():
        most = counted.get(key, 1)
        fine = 1 <= len(messages) <= most if schedule.late else len(messages) == most
        assert fine, f"{key} was put out {len(messages)} times"


def offsets_only_rise(cluster: Cluster) -> None:
    """Whether nobody ever set an offset of the group back."""
    reached: dict[Partition, int] = {}
    for name, offsets in cluster.history:
        for partition, offset in offsets.items():
            assert offset >= reached.get(partition, 0), f"{name} set {partition} back to {offset}"
            reached[partition] = offset


def tried(seed: int, detector: Detector, keeping: Keeping, kind: type[Schedule] = Schedule, **more: bool) -> str | None:
    """What was broken under a seed; None where all was kept."""
    schedule = kind(seed, detector, keeping, **more)
    try:
        schedule.run()
    except Exception as error:  # noqa: BLE001  a process that ends of what nobody thought of has kept no promise
        return str(error) if isinstance(error, AssertionError) else repr(error)
    return None
