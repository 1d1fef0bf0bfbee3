"""The life of a group's incident, event by event, with the events of the series given by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.formats.alerts import encode
from pipeline.monitor.groups import MEMBERS_TOLD, Groups, in_time, is_told
from pipeline.monitor.incidents import incident_id
from pipeline.monitor.labels import Labelling, LabelRule
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Grouping, Policy
from pipeline.records import Alert, Deviation
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream

DETECTOR = unmoved()
RULES = (LabelRule("{site}/{line}/*"),)


class Site:
    """Groups by site, and the incidents of series at given steps."""

    def __init__(self, by=("site",), within=5, rules=RULES):
        self.labelling = Labelling(rules)
        self.groups = Groups(DETECTOR, Grouping(by, within), self.labelling)
        self.starts = {}

    def tell(self, name, event, step, score=3.0, severity="warning", partition=0):
        """What is told of this event of a series; None where nothing is."""
        if event == "raised":
            self.starts[name] = step
        start = BEGIN + STEP * self.starts[name]
        said = self.groups.follow([self.alert(name, event, start, BEGIN + STEP * step, score, severity, partition)])
        return said[0] if said else None

    def alert(self, name, event, start, at, score, severity, partition):
        return Alert(
            id=incident_id(DETECTOR.digest, name, start),
            event=event,
            at=at,
            detector="pumps",
            digest=DETECTOR.digest,
            series=name,
            severity=severity,
            start=start,
            end=at if event == "cleared" else None,
            peak_at=at,
            score=score,
            bar=2.5,
            target=0.01,
            because="point",
            span=5,
            one_in=200,
            closing="calm" if event == "cleared" else None,
            channels=(Deviation("temp", "K", 1.0, 0.0, -1.0, 1.0, 1.0),),
            partition=partition,
            offset=0,
            clock="time",
            labels=self.labelling.of(name),
        )


def names(alert):
    return [member.series for member in alert.group.members]


def test_the_first_series_raises_others_join_and_the_last_clears():
    site = Site()
    first = site.tell("north/1/a", "raised", 0)
    second = site.tell("north/2/b", "raised", 3, score=4.0)

    assert site.tell("north/1/a", "cleared", 6, score=3.5) is None

    last = site.tell("north/2/b", "cleared", 9, score=4.0)

    assert [alert.event for alert in (first, second, last)] == ["raised", "updated", "cleared"]
    assert {alert.id for alert in (first, second, last)} == {first.id}
    assert {alert.start for alert in (first, second, last)} == {BEGIN}
    assert [alert.end for alert in (first, second, last)] == [None, None, BEGIN + 9 * STEP]
    assert [(alert.group.joined, alert.group.open) for alert in (first, second, last)] == [(1, 1), (2, 2), (2, 0)]
    assert last.group.labels == (("site", "north"),)
    assert names(last) == ["north/2/b", "north/1/a"]
    assert [(each.start, each.end, each.score) for each in last.group.members] == [
        (BEGIN + 3 * STEP, BEGIN + 9 * STEP, 4.0),
        (BEGIN, BEGIN + 6 * STEP, 3.5),
    ]
    assert last.group.members[1].id == incident_id(DETECTOR.digest, "north/1/a", BEGIN)


def test_the_id_is_of_labels_and_start_whichever_series_was_first():
    one, other = Site(), Site()
    ids = [site.tell(name, "raised", 0).id for site, name in ((one, "north/1/a"), (other, "north/1/b"))]

    assert ids[0] == ids[1]
    assert len({*ids, one.tell("south/1/a", "raised", 0).id, Site().tell("north/1/a", "raised", 1).id}) == 3


@pytest.mark.parametrize(("step", "event"), [(5, "updated"), (6, "raised")])
def test_what_opens_later_than_the_window_is_another_incident(step, event):
    site = Site(within=5)
    first = site.tell("north/1/a", "raised", 0)
    later = site.tell("north/1/b", "raised", step)

    assert later.event == event
    assert (later.id == first.id) == (event == "updated")


def test_a_series_that_is_behind_the_others_joins_too_and_of_two_groups_the_later_one():
    site = Site(within=5)
    site.tell("north/1/a", "raised", 0)
    second = site.tell("north/1/b", "raised", 6)
    between = site.tell("north/1/c", "raised", 3)

    assert (between.event, between.id, between.start) == ("updated", second.id, BEGIN + 6 * STEP)


def test_a_member_that_raises_again_stays_in_its_group_and_keeps_its_highest_score():
    site = Site(within=5)
    site.tell("north/1/a", "raised", 0)
    site.tell("north/1/b", "raised", 1, score=5.0)
    site.tell("north/1/b", "cleared", 3, score=6.0)

    assert site.tell("north/1/b", "raised", 30, score=4.0) is None

    site.tell("north/1/a", "cleared", 31)
    last = site.tell("north/1/b", "cleared", 32, score=4.5)

    assert last.event == "cleared"
    assert last.group.members[0].score == 6.0
    assert last.group.members[0].start == BEGIN + 30 * STEP


def test_a_series_that_raises_after_its_group_is_over_begins_another():
    site = Site()
    first = site.tell("north/1/a", "raised", 0)
    site.tell("north/1/a", "cleared", 2)
    again = site.tell("north/1/a", "raised", 3)

    assert (again.event, again.group.joined) == ("raised", 1)
    assert again.id != first.id


def test_a_group_becomes_critical_with_the_first_member_that_does_and_says_so_once():
    site = Site()
    site.tell("north/1/a", "raised", 0)
    site.tell("north/1/b", "raised", 1)
    critical = site.tell("north/1/b", "updated", 2, severity="critical")

    assert (critical.event, critical.severity) == ("updated", "critical")
    assert site.tell("north/1/a", "updated", 3, severity="critical") is None
    assert site.tell("north/1/c", "raised", 4).severity == "critical"


def test_the_end_of_a_budget_is_told_with_the_group_of_the_series_that_spent_it():
    site = Site()
    first = site.tell("north/1/a", "raised", 0)
    spent = site.tell("north/1/a", "budget_spent", 0)

    assert (spent.event, spent.id, spent.group) == ("budget_spent", first.id, first.group)


def test_series_that_lack_a_label_are_told_by_themselves():
    site = Site()
    alone = [site.tell("pump", event, step) for step, event in enumerate(("raised", "updated", "cleared"))]

    assert [alert.event for alert in alone] == ["raised", "updated", "cleared"]
    assert {alert.id for alert in alone} == {incident_id(DETECTOR.digest, "pump", BEGIN)}
    assert {alert.group for alert in alone} == {None}


def test_several_labels_group_the_series_that_share_all_of_them():
    site = Site(by=("line", "site"))
    raised = [site.tell(name, "raised", 0) for name in ("north/1/a", "north/2/a", "south/1/a", "north/1/b")]

    assert [alert.event for alert in raised] == ["raised", "raised", "raised", "updated"]
    assert raised[0].group.labels == (("line", "1"), ("site", "north"))


def test_each_partition_has_groups_of_its_own():
    site = Site()
    one, other = site.tell("north/1/a", "raised", 0), site.tell("north/1/b", "raised", 0, partition=1)

    assert (one.event, other.event, other.group.joined) == ("raised", "raised", 1)
    assert one.id == other.id, "one site and one time: readers may take the two for one"


def test_ten_thousand_members_are_one_incident_whose_events_stay_few_and_small():
    site = Site(within=10)
    told = [site.tell(f"north/1/{number}", "raised", number // 1000, score=number / 1e3) for number in range(10_000)]
    events = [alert for alert in told if alert is not None]
    cleared = [site.tell(f"north/1/{number}", "cleared", 20, score=number / 1e3) for number in range(10_000)]
    last = cleared[-1]

    assert len(events) == MEMBERS_TOLD + 6  # at 200, 400, ... 6,400
    assert [alert.event for alert in events[:2]] == ["raised", "updated"]
    assert cleared[:-1] == [None] * 9_999
    assert (last.event, last.group.joined, last.group.open) == ("cleared", 10_000, 0)
    assert names(last)[:2] == ["north/1/9999", "north/1/9998"]
    assert max(len(encode(alert)) for alert in (*events, last)) < 20_000


def test_members_are_told_one_by_one_and_later_whenever_they_doubled():
    assert [members for members in range(1, 1000) if is_told(members)] == [*range(1, 101), 200, 400, 800]


def test_a_dropped_series_leaves_its_group_and_a_deserted_group_is_forgotten():
    site = Site()
    first = site.tell("north/1/a", "raised", 0)
    site.tell("north/1/b", "raised", 1)
    site.groups.drop(["north/1/a"])
    joined = site.tell("north/1/c", "raised", 2)

    assert (joined.id, names(joined)) == (first.id, ["north/1/b", "north/1/c"])
    site.tell("north/1/b", "cleared", 3)
    site.groups.drop(["north/1/c"])
    assert "north/1/b" not in site.groups
    assert site.groups.severities() == {}


def test_memberships_bring_an_open_group_back_with_members_that_are_over_it():
    site, heir = Site(), Site()
    first = site.tell("north/1/a", "raised", 0, score=7.0, severity="critical")
    site.tell("north/1/b", "raised", 1)
    site.tell("north/1/a", "cleared", 3, score=7.0, severity="critical")
    heir.starts = dict(site.starts)
    heir.groups.restore({name: site.groups.membership(name) for name in ("north/1/b", "north/1/a", "pump")})
    said, again = (each.tell("north/1/b", "cleared", 4) for each in (site, heir))

    assert said == again
    assert (again.id, again.severity, names(again)) == (first.id, "critical", ["north/1/a", "north/1/b"])


def test_an_incident_that_was_given_under_other_labels_goes_on_by_itself():
    site, heir = Site(), Site(rules=(LabelRule("{site}-*"), LabelRule("*", (("site", "all"),))))
    site.tell("north/1/a", "raised", 0)
    heir.starts = dict(site.starts)
    heir.groups.restore({"north/1/a": site.groups.membership("north/1/a")})
    cleared = heir.tell("north/1/a", "cleared", 4)

    assert (cleared.id, cleared.group) == (incident_id(DETECTOR.digest, "north/1/a", BEGIN), None)


def test_events_of_one_time_stay_in_the_order_in_which_they_came():
    site = Site()
    events = [site.alert(name, "raised", BEGIN, at, 3.0, "warning", 0) for name, at in (("b", 2), ("a", 1), ("c", 2))]

    assert [alert.series for alert in in_time(events)] == ["a", "b", "c"]


def monitors(*policies):
    return [Monitor(unmoved(), policy) for policy in policies]


PLAIN = Policy(FalseAlarms(probability=0.05), bar="static", labels=RULES)
GROUPED = Policy(FalseAlarms(probability=0.05), bar="static", labels=RULES, grouping=Grouping(("site",)))


def site_that_fails(rows=60):
    parts = [series(f"north/1/{name}", np.zeros((rows, 2))).with_values(slice(30, 40), 9.0) for name in "ab"]
    return stream(*parts, series("pump", np.zeros((rows, 2))).with_values(slice(30, 40), 9.0))


def test_state_of_before_grouping_is_read_and_what_is_open_goes_on_by_itself():
    readings = site_that_fails()
    before, after = monitors(PLAIN, GROUPED)
    raised = before.group(before.observe(readings[: 3 * 33])[1])
    after.restore(before.snapshot())
    goes_on = {alert.id for alert in raised}
    later = [alert for alert in after.group(after.observe(readings[3 * 33 :])[1]) if alert.id in goes_on]

    assert {alert.event for alert in raised} == {"raised"}
    assert {alert.id for alert in later if alert.event == "cleared"} == goes_on
    assert {alert.group for alert in later} == {None}


def test_state_of_grouping_is_read_where_nothing_is_grouped_any_more():
    readings = site_that_fails()
    before, after, never = monitors(GROUPED, PLAIN, PLAIN)
    before.group(before.observe(readings[: 3 * 33])[1])
    never.observe(readings[: 3 * 33])
    after.restore(before.snapshot())

    assert after.snapshot() == never.snapshot() != before.snapshot()
    assert after.observe(readings[3 * 33 :])[1] == never.observe(readings[3 * 33 :])[1]


def test_open_incidents_and_those_raised_count_a_group_once_and_tell_its_members():
    plain, grouped = monitors(PLAIN, GROUPED)
    for monitor in (plain, grouped):
        monitor.group(monitor.observe(site_that_fails()[: 3 * 33])[1])

    assert sum(plain.open_incidents().values()) == 3
    assert sum(grouped.open_incidents().values()) == 2
    assert (sum(plain.tally().raised.values()), plain.tally().members) == (3, None)
    assert (sum(grouped.tally().raised.values()), grouped.tally().members) == (2, 3)
    grouped.drop(0)
    assert sum(grouped.open_incidents().values()) == 0


def test_a_stuck_series_is_told_by_itself():
    site = Site()
    stuck = replace(site.tell("north/1/a", "raised", 0), kind="stuck", group=None)

    assert site.groups.follow([stuck]) == [stuck]
    assert site.tell("north/1/b", "raised", 1).group.joined == 2
    assert site.groups.raised.total() == 1


def test_groups_under_other_policies_are_counted_in_the_order_of_time():
    readings = site_that_fails()
    by_series = readings[readings.series.argsort(kind="stable")]
    curious = Monitor(unmoved(), GROUPED, what_if=(GROUPED, PLAIN))
    events = curious.observe(by_series)[1]
    curious.group(in_time(events))

    assert curious.tallies_aside()[0] == curious.tally()
    assert curious.tallies_aside()[1].members is None
    assert json.loads(encode(events[0]))["labels"] == {"site": "north", "line": "1"}
