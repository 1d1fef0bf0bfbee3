"""Groups: incidents that open together in series with one label are told as one incident with members.

A layer above the incidents of the series, which go on as they are: events of series come in, in order, and events as
they are told go out. The service feeds it as readings come, a backtest in the order of event time: docs/decisions/0011.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.detector.detector import Detector
from pipeline.monitor.labels import Labelling
from pipeline.monitor.membership import Membership
from pipeline.monitor.policy import Grouping
from pipeline.records import Alert, Event, Group, Labels, Member, Severity

MEMBERS_TOLD = 100  # of one event; of 10,000 members an event would be larger than a broker takes

Key = tuple[int, Labels]  # partition, and the labels that are grouped by


@dataclass(slots=True)
class Running:
    """The incident of a group while it is open."""

    id: str
    key: Key
    start: int
    members: dict[str, Member] = field(default_factory=dict)  # by series
    open: int = 0  # members whose own incident is open
    critical: bool = False

    def put(self, member: Member) -> None:
        """Take in a member, or what is new of one."""
        before = self.members.get(member.series)
        self.open += (member.end is None) - (before is not None and before.end is None)
        self.critical |= member.severity == "critical"
        self.members[member.series] = member

    @property
    def severity(self) -> Severity:
        """The highest so far of any member."""
        return "critical" if self.critical else "warning"


class Groups:
    """The groups of one monitor. Its state is a `Membership` of each member, and goes with the slot of its series."""

    def __init__(self, detector: Detector, grouping: Grouping, labelling: Labelling) -> None:
        self._digest = detector.named_by
        self._by = grouping.by
        self._within = grouping.within * detector.step
        self._labelling = labelling
        self._of: dict[str, Running] = {}  # by series
        self._open: dict[Key, list[Running]] = defaultdict(list)
        self.raised: Counter[str] = Counter()  # incidents by severity at raising, those of a group once

    def __contains__(self, series: str) -> bool:
        """Whether a series is a member of an incident that is open."""
        return series in self._of

    def follow(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The events that are told, of the events of series in their order."""
        return [told for alert in alerts if (told := self._told(alert)) is not None]

    def severities(self) -> Counter[Severity]:
        """How many groups are open, by severity."""
        return Counter(group.severity for groups in self._open.values() for group in groups)

    def _told(self, alert: Alert) -> Alert | None:
        """What is told of an event of a series; one that no score has to do with, or that is muted, by itself."""
        if alert.kind != "anomaly" or alert.muted is not None:
            return alert
        return self._raise(alert) if alert.event == "raised" else self._go_on(alert)

    def _raise(self, alert: Alert) -> Alert | None:
        """A series raises: alone, as the first of a group, or as a member of one that is open."""
        labels = chosen(alert.labels, self._by)
        if labels is None:
            self.raised[alert.severity] += 1
            return alert
        key = (alert.partition, labels)
        group = self._of.get(alert.series) or self._to_join(key, alert.start)
        if group is None:
            self.raised[alert.severity] += 1
            group = self._begin(key, alert.start)
            self._note(group, alert)
            return told_of(group, "raised", alert)
        joins, critical = alert.series not in group.members, group.critical
        self._note(group, alert)
        is_news = group.critical > critical or (joins and is_told(len(group.members)))
        return told_of(group, "updated", alert) if is_news else None

    def _go_on(self, alert: Alert) -> Alert | None:
        """A series that had raised turns critical or clears; None where its group has nothing new to tell."""
        group = self._of.get(alert.series)
        if group is None:
            return alert
        critical = group.critical
        self._note(group, alert)
        if alert.event == "cleared" and not group.open:
            self._forget(group)
        elif alert.event == "cleared" or (alert.event == "updated" and group.critical == critical):
            return None
        return told_of(group, alert.event, alert)

    def _note(self, group: Running, alert: Alert) -> None:
        """What a series tells of itself in its group."""
        group.put(member_after(group.members.get(alert.series), alert))
        self._of[alert.series] = group

    def _to_join(self, key: Key, start: int) -> Running | None:
        """The open group that an incident of this start belongs to; of several the one that began last."""
        near = (group for group in self._open.get(key, ()) if abs(start - group.start) <= self._within)
        return max(near, key=lambda group: (group.start, group.id), default=None)

    def _begin(self, key: Key, start: int) -> Running:
        group = Running(group_id(self._digest, key[1], start), key, start)
        self._open[key].append(group)
        return group

    def _forget(self, group: Running) -> None:
        """A group is over, or what is left of it belongs to nobody."""
        for series in group.members:
            del self._of[series]
        self._open[group.key].remove(group)
        if not self._open[group.key]:
            del self._open[group.key]

    def membership(self, series: str) -> bytes:
        """What a series is in its group, to be kept with its slot; empty where it is in none."""
        group = self._of.get(series)
        if group is None:
            return b""
        return Membership(group.id, group.start, group.key[0], group.members[series]).pack()

    def restore(self, memberships: Mapping[str, bytes]) -> None:
        """Put back what `membership` gave of these series; whatever was known of them is replaced.

        One that was given under other labels than are declared now goes on by itself.
        """
        self.drop(memberships)
        for series, packed in memberships.items():
            if packed:
                self._put_back(series, Membership.unpack(series, self._digest, packed))
        self._forget_the_deserted()

    def drop(self, gone: Iterable[str]) -> None:
        """Forget these series; a group that no open incident is left of goes with them, untold."""
        for series in gone:
            group = self._of.pop(series, None)
            if group is not None:
                group.open -= group.members.pop(series).end is None
        self._forget_the_deserted()

    def _put_back(self, series: str, membership: Membership) -> None:
        labels = chosen(self._labelling.of(series), self._by)
        if labels is None or group_id(self._digest, labels, membership.start) != membership.group:
            return
        key = (membership.partition, labels)
        groups = (group for group in self._open.get(key, ()) if group.id == membership.group)
        group = next(groups, None) or self._begin(key, membership.start)
        group.put(membership.member)
        self._of[series] = group

    def _forget_the_deserted(self) -> None:
        for group in [group for groups in self._open.values() for group in groups if not group.open]:
            self._forget(group)


def group_id(digest: str, labels: Labels, start: int) -> str:
    """The name of a group's incident: whichever series of these labels raised first at this time, it is the same."""
    return hashlib.sha256(f"{digest}|group|{labels!r}|{start}".encode()).hexdigest()[:16]


def chosen(labels: Labels, names: Iterable[str]) -> Labels | None:
    """The labels of these names, in their order; None where one is lacking."""
    known = dict(labels)
    return tuple((name, known[name]) for name in names) if all(name in known for name in names) else None


def is_told(members: int) -> bool:
    """Whether a new member is an event: up to as many as are listed, and then whenever they have doubled."""
    times, rest = divmod(members, MEMBERS_TOLD)
    return members <= MEMBERS_TOLD or (rest == 0 and times & (times - 1) == 0)


def member_after(before: Member | None, alert: Alert) -> Member:
    """A member after an event of its series; what was higher in an earlier incident of it stays."""
    now = Member(alert.series, alert.id, alert.severity, alert.start, alert.end, alert.score, alert.peak_at)
    if before is None:
        return now
    highest = before if before.score >= now.score else now
    severity: Severity = "critical" if "critical" in (before.severity, now.severity) else "warning"
    return replace(now, severity=severity, score=highest.score, peak_at=highest.peak_at)


def told_of(group: Running, event: Event, alert: Alert) -> Alert:
    """An event of a group, caused by this event of a member."""
    members = heapq.nsmallest(MEMBERS_TOLD, group.members.values(), key=lambda each: (-each.score, each.series))
    return replace(
        alert,
        id=group.id,
        event=event,
        severity=group.severity,
        start=group.start,
        group=Group(group.key[1], len(group.members), group.open, tuple(members)),
    )


def in_time(alerts: Iterable[Alert]) -> list[Alert]:
    """Events in the order of event time, those of one time as they came."""
    return sorted(alerts, key=lambda alert: alert.at)
