"""Monitor: what a detector says of readings as they come, and what it remembers of each series.

observe: Readings -> tracker (forecasts) -> errors, smoothed -> levels -> score -> bar -> incidents. The backtest and
the service both call it, and nothing else computes a score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from pipeline.detector.detector import Detector
from pipeline.exceptions import SettingsError
from pipeline.monitor.assembly import Assembly, Settled, nothing_settled
from pipeline.monitor.budget import none_spent
from pipeline.monitor.decision import no_bars
from pipeline.monitor.groups import Groups, in_time
from pipeline.monitor.incidents import TAKEN, none_open
from pipeline.monitor.judge import Judge
from pipeline.monitor.labels import Labelling
from pipeline.monitor.mutes import Mutes
from pipeline.monitor.parts import Parts, Running, Standing, Warming
from pipeline.monitor.policy import Policy
from pipeline.monitor.quiet import QuietEvents
from pipeline.monitor.scorer import Scorer
from pipeline.monitor.silence import Silence
from pipeline.monitor.slots import Slots, nothing
from pipeline.monitor.smoothing import span_of
from pipeline.monitor.snapshot import Slot, digest_of
from pipeline.monitor.stuck import Stuck
from pipeline.monitor.timeline import rounds_of
from pipeline.monitor.tracker import Tracker
from pipeline.records import Alert, Flags, Ints, Outcome, Outcomes, QuietKind, Readings, Scores, Severity

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted under one policy since the monitor began."""

    target: float  # the promised share, for a series with the detector's own step
    scored: int  # readings
    exceeded: int  # readings
    raised: Mapping[str, int]  # incidents by severity at raising; those of a group once
    held_back: Mapping[str, int]  # exceeding readings that raised nothing, by rule
    quiet: Mapping[QuietKind, int]  # incidents that no score has to do with, by kind; in none of the numbers before
    members: int | None = None  # incidents of single series, where they are told as groups


class Monitor:
    """Scores readings of any number of series, and raises and clears incidents."""

    def __init__(
        self,
        detector: Detector,
        policy: Policy | None = None,
        *,
        name: str = "detector",
        fresh: bool = False,
        what_if: Sequence[Policy] = (),
        assembly: Assembly | None = None,
    ) -> None:
        """Begin with the slots of the bundle, or cold where `fresh`; `name` is the detector's in alerts.

        With an `assembly` records are to be given to `assemble` first.

        Under the policies of `what_if` incidents are counted as well, on the same scores, and nothing is emitted; where
        they are grouped, their events are kept for that.
        SettingsError where a policy names a channel that the detector does not have, or promises a rate per week where
        weeks mean nothing.
        """
        self.detector = detector
        self.policy = policy or Policy()
        check_channels(self.policy, detector)
        self._fresh = fresh
        self._assembly = assembly
        asides = [(no_bars(), none_open(len(detector.channels)), none_spent()) for _ in what_if]
        self._slots = Slots(detector, aside=[columns for three in asides for columns in three])
        self._tracks, self._marks, self._table = self._slots.tracks, self._slots.marks, self._slots.table
        self._tracker = Tracker(detector, self._tracks)
        self._scorer = Scorer(detector, self._tracks, self._marks)
        own = (self._slots.bars, self._slots.open, self._slots.spent)
        self._judge = Judge(detector, self.policy, *own, name)
        self._aside = [Judge(detector, other, *three, name) for other, three in zip(what_if, asides, strict=True)]
        self._quiet = QuietEvents(detector, Labelling(self.policy.labels), name)
        self._stuck = Stuck(detector, self.policy, self._slots.runs, self._quiet)
        self._silence = Silence(self.policy, self._slots.silences, self._tracks, self._marks, self._table, self._quiet)
        self._mutes = Mutes(self.policy.mutes, detector.names, self._marks, self._table)
        self._groups = groups_of(detector, self.policy)
        self._aside_events: list[tuple[Policy, list[Alert]]] = [(other, []) for other in what_if]  # to be grouped
        self._names: Sequence[str] = ()
        self._coded: Flags = np.zeros(0, bool)  # which codes of the names have been looked up
        self._slot_of_code: Ints = np.zeros(0, np.int64)

    @property
    def target(self) -> float:
        """The promised share of exceeding readings, for a series with the detector's own step."""
        return self._judge.decision.target

    def assemble(self, readings: Readings) -> tuple[Readings, Settled]:
        """What is to be observed now where readings wait for others, and the records that are settled.

        Without an assembly: all that was given, and none.
        """
        if self._assembly is None:
            return readings, nothing_settled()
        slots = self._slots_of(readings)  # what waits of a series is kept with its slot
        self._marks.partition[slots] = readings.partition
        self._marks.offset[slots] = readings.offset
        return self._assembly.take(readings)

    def follow(self, readings: Readings) -> tuple[Readings, Settled, Scores, list[Alert]]:
        """All that is done with what records brought, in the order of arrival: what was observed and settled, and told.

        The scores are of the readings that were observed.
        """
        observed, settled = self.assemble(readings)
        scores, alerts = self.observe(observed)
        return observed, settled, scores, self.group([*alerts, *self.listen(observed, scores.outcome)])

    def waiting(self) -> int:
        """How many readings wait for others."""
        return 0 if self._assembly is None else len(self._assembly)

    def observe(self, readings: Readings) -> tuple[Scores, list[Alert]]:
        """Take N readings; their scores in input order, and the events that they caused, in order.

        Where the policy groups series, hand the events to `group`, or no incident is counted.

        ValueError where the readings do not have the detector's number of channels.
        """
        scores, alerts, _ = self.observe_in_parts(readings)
        return scores, alerts

    def observe_in_parts(self, readings: Readings) -> tuple[Scores, list[Alert], Parts]:
        """The same, and what the scores were made of."""
        if readings.values.shape[1] != len(self.detector.channels):
            raise ValueError(
                f"readings of {readings.values.shape[1]} channels, a detector of {len(self.detector.channels)}: "
                f"{', '.join(self.detector.names)}"
            )
        slots = self._slots_of(readings)
        rounds = rounds_of(slots)
        tracked = self._tracker.advance(readings, slots, rounds)
        judged, parts = self._scorer.score(readings, tracked, slots, rounds)
        steps, regular = self._tracks.step[slots], self._tracks.regular[slots]
        scores, said, bar, target = self._judge.judge(judged, slots, steps, regular)
        for judge, (other, events) in zip(self._aside, self._aside_events, strict=True):
            aside = judge.judge(judged, slots, steps, regular).alerts
            events += [replace(alert, channels=()) for _, alert in aside] if other.grouping else []
        taken = scores.outcome <= TAKEN
        said += self._stuck.follow(readings, taken, slots)
        if self._assembly is None:  # else it is noted where they came from, further on than what they released
            self._marks.partition[slots] = readings.partition
            self._marks.offset[slots] = readings.offset
        said = self._mutes.follow(sorted(said, key=lambda event: event[0]), readings, slots, taken, scores)
        alerts = [alert for _, alert in said]
        return scores, alerts, replace(parts, bar=bar, target=target)

    def listen(self, readings: Readings, outcome: Outcomes) -> list[Alert]:
        """The events of series that fall silent or speak again, as N readings tell that were observed.

        They are to come in the order of arrival, each once; a backtest that reads series one after the other gives them
        in the order of time, when it has observed them all. Their values are not looked at.
        """
        slots = self._slots_of(readings)
        taken = outcome <= TAKEN
        said = self._silence.follow(readings, slots, taken, outcome == Outcome.SCORED)
        said = self._mutes.follow(said, readings, slots, taken, None)
        return [alert for _, alert in said]

    def group(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The events as they are told: those of series that are grouped as events of one incident.

        `alerts` are all that `observe` gave, each once and in the order of the readings. A backtest that reads series
        one after the other gives them in the order of time, `groups.in_time`.
        """
        return list(alerts) if self._groups is None else self._groups.follow(alerts)

    def tally(self) -> Tally:
        """What was counted under the policy."""
        return self._tally(self._judge, self._groups)

    def tallies_aside(self) -> list[Tally]:
        """What was counted under each policy of `what_if`."""
        tallies = []
        for judge, (other, events) in zip(self._aside, self._aside_events, strict=True):
            groups = groups_of(self.detector, other)
            if groups is not None:
                groups.follow(in_time(events))
            tallies.append(self._tally(judge, groups))
        return tallies

    def _tally(self, judge: Judge, groups: Groups | None) -> Tally:
        bars, incidents, slots = judge.bars, judge.incidents, self._table.in_use()
        return Tally(
            target=judge.decision.target,
            scored=int(bars.scored[slots].sum()),
            exceeded=int(bars.exceeded[slots].sum()),
            raised=dict(incidents.raised if groups is None else groups.raised),
            held_back=dict(incidents.held_back),
            quiet=dict(self._quiet.raised),
            members=None if groups is None else incidents.raised.total(),
        )

    def open_incidents(self) -> dict[Severity, int]:
        """How many incidents are open, by severity; those of a group are one."""
        columns, groups = self._slots.open, self._groups
        alone, of_groups = columns.open, Counter[Severity]()
        if groups is not None:
            alone, of_groups = alone.copy(), groups.severities()
            alone[[slot for slot in np.flatnonzero(alone).tolist() if self._table.name(slot) in groups]] = False
        critical = int((alone & columns.critical).sum())
        return {
            "warning": int(alone.sum()) - critical + of_groups["warning"],
            "critical": critical + of_groups["critical"],
        }

    def open_quiet(self) -> dict[QuietKind, int]:
        """How many incidents are open that no score has to do with, by kind."""
        return {"stuck": self._stuck.still_open(), "silent": self._silence.still_open()}

    def warming(self) -> Warming:
        """How many series are not scored yet, and how long that lasts at most."""
        tracks = self._tracks
        slots = np.flatnonzero(tracks.started)
        left = tracks.unscored(slots, self.detector.settings.warm_up)
        lasting = int((left * tracks.step[slots]).max(initial=0))
        seconds = lasting / 1e6 if self.detector.clock == "time" else None
        return Warming(int(np.count_nonzero(left)), int(left.max(initial=0)), seconds)

    def last(self, series: str) -> int | None:
        """The time of the last reading of a series that was fitted or seen; None where there is none."""
        if series not in self._table and series in self.detector.slots:
            self._begin(series)
        known = series in self._table and bool(self._tracks.started[self._table[series]])
        return int(self._tracks.at[self._table[series]]) if known else None

    def standing(self, series: str) -> Standing:
        """Where a series stands; one never seen is given the slot that its first reading would have given it."""
        slot = self._table[series] if series in self._table else self._begin(series)
        tracks, bars, columns = self._tracks, self._slots.bars, self._slots.open
        running = Running(
            start=int(columns.start[slot]),
            raised_at=float(columns.raised_at[slot]),
            calm=int(columns.calm[slot]),
            critical=bool(columns.critical[slot]),
            peak=float(columns.peak[slot]),
            peak_at=int(columns.peak_at[slot]),
        )
        return Standing(
            at=int(tracks.at[slot]) if tracks.started[slot] else None,
            unscored=int(tracks.unscored(np.array([slot]), self.detector.settings.warm_up)[0]),
            step=int(tracks.step[slot]),
            spans=tuple(span_of(tracks.alpha[slot]).tolist()),
            bar=float(bars.bar[slot]) if bars.set[slot] else None,
            scored=int(bars.scored[slot]),
            exceeded=int(bars.exceeded[slot]),
            incident=running if columns.open[slot] else None,
        )

    def __len__(self) -> int:
        """How many series are remembered."""
        return len(self._table)

    @property
    def slot_bytes(self) -> int:
        """The size of what is remembered of one series."""
        return self._table.row_bytes

    def series_of(self, partition: int, since: int = 0) -> list[str]:
        """The series last seen on a partition, or those alone that changed since an offset.

        Where series are grouped all may have changed: what a member remembers of its group changes with the others.
        """
        return self._slots.on_partition(partition, since if self._groups is None else 0)

    def snapshot(self, series: Iterable[str] | None = None) -> dict[str, bytes]:
        """What is remembered of each series, or of these, as versioned bytes."""
        names = self._table.names() if series is None else series
        membership = nothing if self._groups is None else self._groups.membership
        waiting = nothing if self._assembly is None else self._assembly.pack
        return self._slots.take(names, self.detector.digest, membership, waiting, self._mutes.pack)

    def restore(self, slots: Mapping[str, bytes]) -> None:
        """Put back what `snapshot` took out; StateError where one belongs elsewhere or is damaged.

        A slot from before its series was added to the detector is passed over: the series begins as the bundle left it.
        """
        for _ in self.restoring(slots, max(1, len(slots))):
            pass

    def restoring(self, slots: Mapping[str, bytes], at_once: int) -> Iterator[None]:
        """The same in slices of so many series. Until it is exhausted none of them may be observed.

        The slots of all are looked at before the first is put back; where only what waits of a series, or what is
        withheld of it, proves to be damaged, some have come back already.
        """
        added, found = self.detector.added, dict[str, Slot]()
        for some in _pieces(slots, at_once):
            here = {name: slot for name, slot in some.items() if name not in added.get(digest_of(slot) or "", ())}
            found |= self._slots.read(here, self.detector)
            yield
        for known in _pieces(found, at_once):
            self._slots.put(known)
            if self._assembly is not None:
                self._assembly.unpack({name: slot.waiting for name, slot in known.items()})
            self._mutes.restore({name: slot.withheld for name, slot in known.items()})
            yield
        if self._groups is not None:  # together, for a group has members in many slices
            self._groups.restore({name: slot.membership for name, slot in found.items()})
        self._forget_codes()

    def drop(self, partition: int) -> int:
        """Forget the series last seen on a partition; how many."""
        dropped = self._slots.on_partition(partition)
        self._table.drop(dropped)
        if self._groups is not None:
            self._groups.drop(dropped)
        if self._assembly is not None:
            self._assembly.drop(dropped)
        self._mutes.drop(dropped)
        self._forget_codes()
        return len(dropped)

    def _slots_of(self, readings: Readings) -> Ints:
        """The slot of each reading's series, (N,); series that have none are given one."""
        if readings.names is not self._names:
            self._names = readings.names
            self._forget_codes()
        more = len(readings.names) - len(self._coded)
        if more:
            self._coded = np.concatenate((self._coded, np.zeros(more, bool)))
            self._slot_of_code = np.concatenate((self._slot_of_code, np.zeros(more, np.int64)))
        for code in np.unique(readings.series[~self._coded[readings.series]]).tolist():
            name = readings.names[code]
            self._slot_of_code[code] = self._table[name] if name in self._table else self._begin(name)
            self._coded[code] = True
        return self._slot_of_code[readings.series]

    def _forget_codes(self) -> None:
        """Look every series up again: its slot may be another one."""
        self._silence.forget()
        self._coded, self._slot_of_code = np.zeros(0, bool), np.zeros(0, np.int64)

    def _begin(self, series: str) -> int:
        """A slot as the bundle left it, or of a series never seen."""
        detector = self.detector
        if series not in detector.slots:
            slot = self._slots.begin(series, detector.step, detector.regular, detector.period)
            self._slots.runs.longest[slot] = detector.longest_of_scored
            return slot
        self._slots.put(self._slots.read({series: detector.slots[series]}, detector))
        slot = self._table[series]
        if self._fresh:
            self._slots.chill(slot)
        return slot


def _pieces(slots: Mapping[str, Item], at_once: int) -> Iterator[dict[str, Item]]:
    left = iter(slots.items())
    while some := dict(islice(left, at_once)):
        yield some


def groups_of(detector: Detector, policy: Policy) -> Groups | None:
    """The groups of a policy, none of them open; None where each series is told by itself."""
    return None if policy.grouping is None else Groups(detector, policy.grouping, Labelling(policy.labels))


def check_channels(policy: Policy, detector: Detector) -> None:
    """SettingsError where the policy has a rule for a channel that the detector does not have."""
    unknown = [channel for channel in policy.channels if channel not in detector.names]
    if unknown:
        raise SettingsError(
            f"the policy has a rule for {', '.join(unknown)}; this detector's channels are {', '.join(detector.names)}"
        )
