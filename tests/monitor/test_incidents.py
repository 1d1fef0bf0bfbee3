"""The life of an incident, reading by reading, with scores and bars given by hand."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from pipeline.formats.alerts import sentence
from pipeline.monitor.budget import none_spent
from pipeline.monitor.incidents import Incidents, Judged, ignored_by, incident_id, none_open
from pipeline.monitor.policy import ChannelRule, Policy
from pipeline.records import Outcome, Scores
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream

DETECTOR = unmoved()
CALM = np.array([1.0, 2.0])


class Life:
    """One series of two channels under a policy."""

    def __init__(self, **policy):
        columns = none_open(2)
        columns.grow(1)
        spent = none_spent()
        spent.grow(1)
        self.incidents = Incidents(DETECTOR, Policy(**policy), columns, spent, "pumps")
        self.columns = columns
        self.at = BEGIN

    def follow(self, *scores, bar=3.0, values=CALM, **changes):
        """What becomes of readings with these scores; the alert column, and the events."""
        rows = len(scores)
        readings = stream(series("pump", np.tile(values, (rows, 1)), self.at))
        self.at += rows * STEP
        shape = np.zeros((rows, 2))
        score = np.array([0.0 if each is None else each for each in scores])
        said = Scores(
            outcome=np.array([Outcome.MISSING if each is None else Outcome.SCORED for each in scores], np.uint8),
            score=score,
            bar=np.full(rows, bar),
            exceeds=score > bar,
            alert=np.zeros(rows, bool),
            expected=shape + CALM,
            lower=shape + CALM - 1,
            upper=shape + CALM + 1,
            fused=score,
        )
        judged = Judged(
            readings=readings,
            scores=said,
            reset=np.zeros(rows, bool),
            known=np.ones(rows, bool),
            share=shape + np.array([0.75, 0.25]),
            span=np.full(rows, 5),
            target=np.full(rows, 0.01),
            calibration=np.zeros(rows, np.int64),
        )
        for name, value in changes.items():
            judged = replace(judged, **{name: np.broadcast_to(value, getattr(judged, name).shape)})
        alert, events = self.incidents.follow(judged, np.zeros(rows, np.int64))
        return alert.tolist(), [event for _, event in events]


def test_one_that_a_wrong_time_far_ahead_raised_has_no_negative_length():
    life = Life()
    _, raised = life.follow(3.5)
    life.at -= 1000 * STEP
    _, (cleared,) = life.follow(0.0, reset=True)

    assert cleared.at < cleared.start == cleared.end == raised[0].at
    assert "after 0 ms" in sentence(cleared)


def told(events):
    return [(event.event, event.severity) for event in events]


def test_a_reading_that_exceeds_raises_and_one_at_the_bar_does_not():
    assert Life().follow(2.9, 3.0, 3.01)[0] == [False, False, True]


def test_an_incident_clears_after_three_readings_in_a_row_a_decade_below_the_bar():
    alert, events = Life().follow(3.5, 1.9, 1.9, 2.0, 1.9, 1.9, 1.9, 1.9)

    assert alert == [True, True, True, True, True, True, False, False]
    assert told(events) == [("raised", "warning"), ("cleared", "warning")]
    assert events[1].at == events[1].end == BEGIN + 6 * STEP


@pytest.mark.parametrize(("bar", "calm", "not_calm"), [(5.0, 3.9, 4.0), (2.0, 0.9, 1.0), (1.4, 0.69, 0.7)])
def test_calm_is_below_the_bar_less_a_decade_or_half_the_bar_whichever_is_more(bar, calm, not_calm):
    one, other = Life(), Life()

    assert one.follow(bar + 0.1, calm, calm, calm, bar=bar)[0][-1] is False
    assert other.follow(bar + 0.1, *[not_calm] * 9, bar=bar)[0][-1] is True


def test_calm_is_held_against_the_bar_at_raising_however_high_it_rose_since():
    life = Life()
    life.follow(3.5, bar=3.0)

    assert life.follow(2.5, 2.5, 2.5, 2.5, bar=9.0)[0] == [True] * 4
    assert life.follow(1.9, 1.9, 1.9, bar=9.0)[0] == [True, True, False]


@pytest.mark.parametrize("clear_after", [1, 5])
def test_how_many_calm_readings_clear_is_the_policys(clear_after):
    alert, _ = Life(clear_after=clear_after).follow(3.5, *[0.0] * clear_after)

    assert alert == [True] * clear_after + [False]


def test_readings_that_were_not_taken_neither_calm_nor_disturb():
    alert, events = Life().follow(3.5, 0.0, None, None, 0.0, None, 0.0, None)

    assert alert == [True] * 6 + [False, False]
    assert len(events) == 2


def test_a_decade_above_the_bar_is_critical():
    assert told(Life().follow(4.0)[1]) == [("raised", "critical")]
    assert told(Life().follow(3.99)[1]) == [("raised", "warning")]


def test_a_warning_that_becomes_critical_is_updated_once():
    _, events = Life().follow(3.5, 3.9, 4.0, 5.0, 1.0, 6.0)

    assert told(events) == [("raised", "warning"), ("updated", "critical")]
    assert events[1].at == BEGIN + 2 * STEP


def test_raised_updated_and_cleared_are_one_incident():
    _, events = Life().follow(3.5, 4.5, 0.0, 0.0, 0.0)
    text = f"{DETECTOR.digest}|pump|{BEGIN}"

    assert [event.event for event in events] == ["raised", "updated", "cleared"]
    assert {event.id for event in events} == {hashlib.sha256(text.encode()).hexdigest()[:16]}
    assert {event.start for event in events} == {BEGIN}
    assert {event.bar for event in events} == {3.0}
    assert [event.end for event in events] == [None, None, BEGIN + 4 * STEP]


def test_ids_differ_by_detector_series_and_time():
    ids = {incident_id("aa", "pump", 1), incident_id("ab", "pump", 1), incident_id("aa", "pump", 2)}

    assert len(ids | {incident_id("aa", "pumps", 1)}) == 4
    assert all(len(bytes.fromhex(each)) == 8 for each in ids)


def test_the_peak_is_the_highest_so_far_and_what_weighed_most_there():
    life = Life()
    life.follow(3.5)
    life.follow(5.0, span=64)
    _, events = life.follow(4.5, 0.0, 0.0, 0.0)

    assert (events[-1].score, events[-1].peak_at) == (5.0, BEGIN + STEP)
    assert (events[-1].because, events[-1].span) == ("sustained", 64)


@pytest.mark.parametrize(("span", "because"), [(1, "point"), (5, "point"), (6, "sustained"), (128, "sustained")])
def test_what_weighs_most_over_a_long_span_lasts(span, because):
    assert Life().follow(3.5, span=span)[1][0].because == because


def test_contributions_are_shares_of_the_error_since_the_raising():
    life = Life()
    life.follow(3.5)
    _, events = life.follow(4.5, share=[0.15, 0.85])

    assert [(each.channel, each.contribution) for each in events[0].channels] == [
        ("flow", pytest.approx(0.55)),
        ("temp", pytest.approx(0.45)),
    ]


def test_an_alert_tells_value_expectation_and_band_of_each_channel_and_its_unit():
    life = Life(channels={"temp": ChannelRule(unit="°C")})
    _, (event,) = life.follow(3.5, values=np.array([71.2, np.nan]))
    temp, flow = event.channels

    assert (temp.channel, temp.unit, temp.value) == ("temp", "°C", 71.2)
    assert (temp.expected, temp.lower, temp.upper) == (1.0, 0.0, 2.0)
    assert (flow.value, flow.expected) == (None, 2.0)
    assert (event.detector, event.digest, event.series) == ("pumps", DETECTOR.digest, "pump")
    assert (event.target, event.partition, event.offset, event.clock) == (0.01, 0, 0, "time")


def test_nothing_is_expected_where_there_was_no_forecast():
    _, (event,) = Life().follow(3.5, known=False)

    assert {each.expected for each in event.channels} == {None}


def test_rarity_in_words_stops_at_the_calibrations_resolution():
    _, (event,) = Life().follow(7.0)

    assert event.one_in == 200  # of 199 errors


def test_a_long_gap_closes_and_the_reading_after_it_may_raise_again():
    life = Life()
    life.follow(3.5)
    alert, events = life.follow(4.5, reset=True)

    assert alert == [True]
    assert [(event.event, event.closing) for event in events] == [("cleared", "gap"), ("raised", None)]
    assert events[0].id != events[1].id


def test_after_clearing_the_next_exceedance_is_a_new_incident():
    _, events = Life().follow(3.5, 0.0, 0.0, 0.0, 3.6)

    assert [event.event for event in events] == ["raised", "cleared", "raised"]
    assert events[0].id != events[2].id


@pytest.mark.parametrize(
    ("rule", "change", "expected", "why"),
    [
        (ChannelRule(), -5.0, 10.0, ""),
        (ChannelRule(direction="above"), -5.0, 10.0, "direction"),
        (ChannelRule(direction="above"), 5.0, 10.0, ""),
        (ChannelRule(direction="below"), 5.0, 10.0, "direction"),
        (ChannelRule(direction="below"), -5.0, 10.0, ""),
        (ChannelRule(ignore_below=5.1), 5.0, 10.0, "ignore_below"),
        (ChannelRule(ignore_below=5.0), -5.0, 10.0, ""),
        (ChannelRule(ignore_below_percent=49.0), 5.0, 10.0, ""),
        (ChannelRule(ignore_below_percent=51.0), 5.0, -10.0, "ignore_below"),
        (ChannelRule(ignore_below_percent=50.0), 1e-9, 0.0, ""),
        (ChannelRule(direction="above", ignore_below=9.0), -1.0, 0.0, "direction"),
    ],
)
def test_what_a_rule_makes_not_worth_an_alert(rule, change, expected, why):
    assert ignored_by(rule, change, expected) == why


def test_rules_hold_back_where_they_leave_less_than_half_of_the_error_standing():
    """temp makes 75 % of the error, flow 25 %."""
    down = np.array([-9.0, -9.0])
    by_temp = Life(channels={"temp": ChannelRule(direction="above")})
    by_flow = Life(channels={"flow": ChannelRule(direction="above")})
    by_both = Life(channels={"temp": ChannelRule(ignore_below=50), "flow": ChannelRule(direction="above")})

    assert by_temp.follow(3.5, 3.5, values=down) == ([False, False], [])
    assert by_temp.incidents.held_back == {"direction": 2}
    assert by_flow.follow(3.5, values=down)[0] == [True]
    assert not by_flow.incidents.held_back
    assert by_both.follow(3.5, values=down)[0] == [False]
    assert by_both.incidents.held_back == {"ignore_below": 1}  # the rule that held back most


def test_half_of_the_error_standing_is_enough():
    life = Life(channels={"temp": ChannelRule(direction="above")})

    assert life.follow(3.5, values=CALM - 9, share=[0.5, 0.5])[0] == [True]


def test_a_rule_does_not_hold_back_what_goes_on():
    life = Life(channels={"temp": ChannelRule(direction="above")})
    alert, _ = life.follow(3.5, values=CALM + 9)
    more, _ = life.follow(3.5, 3.5, values=CALM - 9)

    assert alert + more == [True] * 3
    assert not life.incidents.held_back


def test_a_value_out_of_its_range_raises_by_itself_critical_and_is_never_calm():
    life = Life(channels={"flow": ChannelRule(valid_range=(0.0, 5.0))})
    alert, events = life.follow(0.0, 0.0, 0.0, 0.0, 0.0, values=np.array([1.0, 5.5]))
    after, more = life.follow(0.0, 0.0, 0.0, values=np.array([1.0, 5.0]))

    assert alert == [True] * 5
    assert told(events) == [("raised", "critical")]
    assert (events[0].because, events[0].span) == ("range", 0)
    assert after == [True, True, False]
    assert [(event.event, event.closing) for event in more] == [("cleared", "calm")]


def test_the_channel_out_of_its_range_comes_first_whatever_it_contributes():
    life = Life(channels={"flow": ChannelRule(valid_range=(0.0, 5.0))})
    _, (event,) = life.follow(0.0, values=np.array([1.0, -0.1]))

    assert [each.channel for each in event.channels] == ["flow", "temp"]
    assert event.channels[0].contribution == 0.25


@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_the_borders_of_a_range_are_in_it_and_a_missing_value_is_not_outside(value):
    life = Life(channels={"flow": ChannelRule(valid_range=(0.0, 5.0))})

    assert life.follow(0.0, values=np.array([1.0, value]))[0] == [False]


def test_a_range_is_not_held_back_and_makes_a_warning_critical():
    rules = {"temp": ChannelRule(direction="below", valid_range=(-100.0, 100.0))}
    life = Life(channels=rules)
    life.follow(3.5, values=np.array([-9.0, 0.0]))
    _, events = life.follow(0.0, values=np.array([500.0, 0.0]))

    assert told(events) == [("updated", "critical")]
    assert told(Life(channels=rules).follow(3.5, values=np.array([500.0, 0.0]))[1]) == [("raised", "critical")]


def test_a_reading_that_was_not_taken_is_not_held_against_the_range():
    life = Life(channels={"flow": ChannelRule(valid_range=(0.0, 5.0))})

    assert life.follow(None, values=np.array([1.0, 9.0])) == ([False], [])


def test_incidents_are_counted_by_severity_at_raising():
    life = Life()
    life.follow(3.5, 5.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0)

    assert life.incidents.raised == {"warning": 1, "critical": 1}
