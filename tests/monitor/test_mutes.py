"""Muted series: what is withheld, what is told when a mute ends, and all of it against a plain search."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.exceptions import StateError
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.mutes import Mute
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Outcome
from tests.fixtures import unmoved
from tests.monitor.test_silence import ODD
from tests.streams import BEGIN, STEP, series, stream

DETECTOR = unmoved(longest_runs=(4, 5))
POLICY = Policy(FalseAlarms(probability=0.02), bar="static", clear_after=2)


def step(number):
    return BEGIN + number * STEP


def mute(first, last, name="pump", reason="new bearings"):
    return Mute(name, None if first is None else step(first), None if last is None else step(last), reason)


def fault(rows=200, first=100, length=30):
    values = np.random.default_rng(0).normal(0, 0.01, (rows, 2))
    values[first : first + length] += 9.0 * (-1.0) ** np.arange(length)[:, None]
    return stream(series("pump", values))


def told(readings, *mutes, cuts=(), restart=False, policy=POLICY):
    """All events, by one monitor or by a new one after every cut."""
    policy = replace(policy, mutes=mutes)
    monitor, said = Monitor(DETECTOR, policy), []
    for rows in np.split(np.arange(len(readings)), sorted(cuts)):
        some = readings[rows]
        scores, alerts = monitor.observe(some)
        said += [*alerts, *monitor.listen(some, scores.outcome)]
        if restart:
            state = monitor.snapshot()
            monitor = Monitor(DETECTOR, policy)
            monitor.restore(state)
    return said


def brief(alerts):
    return [(alert.event, (alert.at - BEGIN) // STEP, alert.muted) for alert in alerts if alert.event != "updated"]


PLAIN = told(fault())


def test_the_fault_is_told_where_nothing_is_muted():
    assert brief(PLAIN)[0] == ("raised", 100, None)
    assert brief(PLAIN)[-1][0] == "cleared"


def test_an_incident_that_is_over_before_its_mute_is_never_told_and_marked_with_the_reason():
    assert {alert.muted for alert in told(fault(), mute(90, 190))} == {"new bearings"}
    assert [replace(alert, muted=None) for alert in told(fault(), mute(90, 190))] == PLAIN


def test_one_that_is_still_open_is_raised_by_the_first_reading_after_the_mute():
    alerts = told(fault(), mute(90, 110))
    events = brief(alerts)
    raised = next(alert for alert in alerts if alert.muted is None)

    assert events[0] == ("raised", 100, "new bearings")
    assert (raised.event, raised.at, raised.start, raised.id) == ("raised", step(110), step(100), PLAIN[0].id)
    assert raised.offset == 110
    assert raised.channels[0].value == fault().values[110, DETECTOR.names.index(raised.channels[0].channel)]
    assert events[-1] == (*brief(PLAIN)[-1][:2], None)


def test_one_that_was_told_is_cleared_in_a_mute_that_began_later():
    alerts = told(fault(), mute(105, None))

    assert brief(alerts) == brief(PLAIN)
    assert {alert.muted for alert in alerts if alert.event == "updated"} <= {"new bearings"}


def test_a_mute_is_of_the_series_that_fit_it_and_of_no_others():
    assert told(fault(), mute(None, None, "pump-*")) == PLAIN
    assert {alert.muted for alert in told(fault(), mute(None, None, "p?mp"))} == {"new bearings"}


def test_the_first_mute_that_holds_gives_the_reason():
    alerts = told(fault(), mute(0, 50, reason="early"), mute(90, None, reason="one"), mute(90, None, reason="two"))

    assert {alert.muted for alert in alerts} == {"one"}


def test_scores_and_counts_are_those_without_the_mute():
    plain, muted = Monitor(DETECTOR, POLICY), Monitor(DETECTOR, replace(POLICY, mutes=(mute(None, None),)))

    np.testing.assert_array_equal(plain.observe(fault())[0].score, muted.observe(fault())[0].score)
    assert plain.tally() == muted.tally()


def test_muted_members_of_a_group_are_not_its_members():
    alerts = told(fault(), mute(90, 190))

    assert Monitor(DETECTOR, POLICY).group(alerts) == alerts


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: mute(5, 5), "a mute of pump ends before it begins: to must be later than from"),
        (lambda: mute(5, 6, reason=" "), "a mute of pump has no reason: say why"),
    ],
)
def test_a_mute_that_cannot_be_meant_is_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()


def test_what_is_withheld_and_damaged_is_refused():
    monitor = Monitor(DETECTOR, replace(POLICY, mutes=(mute(90, 190),)))
    monitor.observe(fault()[:110])

    with pytest.raises(StateError, match="what is withheld of a series is damaged"):
        monitor._mutes.restore({"pump": monitor._mutes.pack("pump")[:-1]})


WHOLE = told(ODD)
MUTES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "[cd]", "*"]), st.integers(0, 250), st.integers(1, 120)).map(
        lambda drawn: mute(drawn[1], drawn[1] + drawn[2], drawn[0])
    ),
    max_size=4,
)


def test_the_stream_holds_incidents_of_every_kind():
    assert {alert.kind for alert in WHOLE} == {"anomaly", "silent"}


def plainly(alerts, mutes):
    """What is told of a stream under mutes, given what is told without: incident by incident, from the words."""
    outcome = Monitor(DETECTOR, POLICY).observe(ODD)[0].outcome
    taken = np.isin(outcome, [Outcome.SCORED, Outcome.WARMING])
    found = []
    for one in dict.fromkeys(alert.id for alert in alerts):
        events = [alert for alert in alerts if alert.id == one]
        mine = [each for each in mutes if each.series in (events[0].series, "*") or events[0].series in each.series]

        def muted(at, mine=mine):
            return any(each.begin <= at < each.end for each in mine)

        code = ODD.names.index(events[0].series)
        speakers = ODD.series == code if events[0].kind != "silent" else ODD.partition == events[0].partition
        last = next((alert.offset for alert in events if alert.event == "cleared"), len(ODD))
        rows = [r for r in range(events[0].offset, last) if taken[r] and speakers[r] and not muted(int(ODD.at[r]))]
        first = events[0].offset if not muted(events[0].at) else rows[0] if rows else None
        if first is None:
            continue
        at = events[0].at if first == events[0].offset and not muted(events[0].at) else int(ODD.at[first])
        found.append(("raised", one, at, first))
        later = [a for a in events[1:] if a.offset > first and (a.event == "cleared" or not muted(a.at))]
        found += [(alert.event, one, alert.at, alert.offset) for alert in later]
    return sorted(found)


@settings(max_examples=40, deadline=None)
@given(MUTES)
def test_what_is_told_under_mutes_is_what_a_plain_search_tells(mutes):
    alerts = [alert for alert in told(ODD, *mutes) if alert.muted is None]

    assert sorted((alert.event, alert.id, alert.at, alert.offset) for alert in alerts) == plainly(WHOLE, mutes)


@settings(max_examples=25, deadline=None)
@given(MUTES, st.lists(st.integers(0, len(ODD)), max_size=12), st.booleans())
def test_no_cutting_and_no_restart_changes_what_is_told(mutes, cuts, restart):
    def in_order(alerts):
        return sorted(alerts, key=lambda alert: (alert.offset, alert.id, alert.event, alert.muted is None))

    assert in_order(told(ODD, *mutes, cuts=cuts, restart=restart)) == in_order(told(ODD, *mutes))
