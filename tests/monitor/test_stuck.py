"""Stuck channels: values that stand still for longer than three times their longest run in training."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detector.detector import Channel
from pipeline.formats.alerts import sentence
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import ChannelRule, FalseAlarms, Policy
from pipeline.monitor.stuck import no_runs, remember, run_on
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream

SENSORS = (Channel("temp", "sensor"), Channel("valve", "context"), Channel("flow", "sensor"))
DETECTOR = unmoved(SENSORS, longest_runs=(4, 0, 5))  # more than 12 and 15 readings with one value are stuck
CALM = Policy(FalseAlarms(probability=1e-4), bar="static")  # what is told here is told of no score


def told(values, policy=CALM, detector=DETECTOR, name="pump", begin=BEGIN):
    """The events of stuck channels, of readings (T, 3) with these values."""
    _, alerts = Monitor(detector, policy).observe(stream(series(name, np.asarray(values, float), begin)))
    return [alert for alert in alerts if alert.kind == "stuck"]


def moving(rows, seed=0):
    """Readings (rows, 3) of which no two are alike."""
    return np.random.default_rng(seed).normal(0, 0.01, (rows, 3))


def standing(rows, first, last, channel=0, value=0.5):
    """The same with one value of a channel from one row up to, not including, another."""
    values = moving(rows)
    values[first:last, channel] = value
    return values


def test_a_channel_is_stuck_when_it_stands_for_longer_than_three_times_its_longest_run():
    assert told(standing(60, 20, 32)) == []

    raised, cleared = told(standing(60, 20, 33))

    assert (raised.event, raised.at, raised.start, raised.end) == ("raised", BEGIN + 32 * STEP, BEGIN + 20 * STEP, None)
    assert (raised.severity, raised.because, raised.closing) == ("warning", "stuck", None)
    assert (raised.quiet.readings, raised.quiet.limit) == (13, 12)
    assert [(each.channel, each.value, each.expected) for each in raised.channels] == [("temp", 0.5, None)]
    assert (cleared.event, cleared.at, cleared.end) == ("cleared", BEGIN + 33 * STEP, BEGIN + 33 * STEP)
    assert (cleared.id, cleared.start, cleared.closing) == (raised.id, raised.start, "moved")
    assert cleared.quiet.readings == 13


def test_it_is_one_incident_for_as_long_as_it_stands():
    raised, cleared = told(standing(300, 20, 250))

    assert (raised.event, cleared.event, cleared.quiet.readings) == ("raised", "cleared", 230)


@pytest.mark.parametrize("cut", [0, 20, 21, 23, 30])
def test_a_run_that_begins_at_a_wrong_time_is_told_from_when_it_was_noticed(cut):
    readings = stream(series("pump", standing(60, 20, 50), BEGIN))
    at = readings.at.copy()
    at[20] += 1000 * STEP
    readings, monitor = replace(readings, at=at), Monitor(DETECTOR, CALM)
    alerts = [*monitor.observe(readings[:cut])[1], *monitor.observe(readings[cut:])[1]]
    raised, cleared = (alert for alert in alerts if alert.kind == "stuck")

    assert raised.start == raised.at == BEGIN + 34 * STEP  # two of them were late
    assert cleared.start == raised.start


def test_one_that_stands_until_the_end_stays_open():
    monitor = Monitor(DETECTOR, CALM)
    monitor.observe(stream(series("pump", standing(60, 20, 60))))

    assert monitor.open_quiet() == {"stuck": 1, "silent": 0}
    assert monitor.tally().quiet == {"stuck": 1}
    assert sum(monitor.open_incidents().values()) == sum(monitor.tally().raised.values()) == 0


def test_a_series_has_one_incident_whichever_of_its_channels_are_stuck():
    values = standing(80, 20, 50)
    values[10:60, 2] = 7.0
    events = told(values)

    assert [(event.event, (event.at - BEGIN) // STEP) for event in events] == [
        ("raised", 25),
        ("updated", 32),
        ("cleared", 60),
    ]
    assert len({event.id for event in events}) == 1
    assert {event.start for event in events} == {BEGIN + 10 * STEP}
    assert [[channel.channel for channel in event.channels] for event in events] == [
        ["flow"],
        ["flow", "temp"],
        ["flow"],
    ]


def test_two_channels_that_move_at_one_reading_are_told_together():
    values = standing(80, 20, 60)
    values[20:60, 2] = 7.0
    last = told(values)[-1]

    assert (last.event, [channel.channel for channel in last.channels]) == ("cleared", ["temp", "flow"])


def test_a_reading_without_the_channel_neither_goes_on_with_a_run_nor_ends_it():
    values = standing(60, 20, 40)
    values[22:26, 0] = np.nan
    raised, cleared = told(values)

    assert ((raised.at - BEGIN) // STEP, raised.quiet.readings) == (36, 13)
    assert (cleared.at - BEGIN) // STEP == 40


def test_a_long_gap_does_not_end_a_run():
    readings = stream(series("pump", standing(60, 20, 40)).shifted(25, 500))
    alerts = [alert for alert in Monitor(DETECTOR, CALM).observe(readings)[1] if alert.kind == "stuck"]

    assert [(alert.event, alert.offset) for alert in alerts] == [("raised", 32), ("cleared", 40)]


def test_readings_that_are_not_taken_count_for_nothing():
    calm = series("pump", standing(60, 20, 33))
    late = stream(calm.repeated(25, 25).repeated(24, 28))  # a duplicate and a late one, both with the same value
    events = [alert for alert in Monitor(DETECTOR, CALM).observe(late)[1] if alert.kind == "stuck"]

    assert [(event.event, event.at, event.quiet.readings) for event in events] == [
        ("raised", BEGIN + 32 * STEP, 13),
        ("cleared", BEGIN + 33 * STEP, 13),
    ]


def test_context_is_never_stuck():
    assert told(standing(300, 20, 280, channel=1)) == []


def test_a_channel_that_stood_or_had_two_values_in_training_is_never_stuck():
    assert told(standing(300, 20, 280), detector=unmoved(SENSORS, longest_runs=(0, 0, 5))) == []
    assert told(standing(300, 20, 280), detector=unmoved(SENSORS)) == []


@pytest.mark.parametrize(("rows", "events"), [(10, []), (11, ["raised", "cleared"])])
def test_a_run_of_ten_readings_is_never_stuck(rows, events):
    detector = unmoved(SENSORS, longest_runs=(1, 0, 1))

    assert [event.event for event in told(standing(60, 20, 20 + rows), detector=detector)] == events


def test_the_policy_may_ask_for_longer_ones_or_for_none_and_a_channel_may_be_left_out():
    values = standing(100, 20, 45)

    assert [event.quiet.limit for event in told(values, replace(CALM, stuck_after=5))] == [20, 20]
    assert told(values, replace(CALM, stuck_after=0)) == []
    assert told(values, replace(CALM, channels={"temp": ChannelRule(stuck=False)})) == []
    assert len(told(values, replace(CALM, channels={"flow": ChannelRule(stuck=False)}))) == 2


@pytest.mark.parametrize("factor", [0.5, -3.0])
def test_a_multiple_below_one_is_refused(factor):
    with pytest.raises(
        ValueError, match=rf"stuck_after is {factor:g}: 1 or more \(times the longest run in training\)"
    ):
        Policy(stuck_after=factor)


def test_a_series_never_seen_is_held_to_what_the_others_did():
    assert [event.event for event in told(standing(60, 20, 33), name="new")] == ["raised", "cleared"]


def test_an_incident_that_is_open_when_the_rule_is_dropped_ends_when_the_value_moves():
    readings = stream(series("pump", standing(60, 20, 40)))
    before, after = Monitor(DETECTOR, CALM), Monitor(DETECTOR, replace(CALM, stuck_after=0))
    raised = before.observe(readings[:36])[1]
    after.restore(before.snapshot())
    events = after.observe(readings[36:])[1]

    assert [(event.event, event.id) for event in events] == [("cleared", raised[0].id)]


def test_it_counts_in_no_number_of_the_scores():
    values = standing(200, 20, 180)
    calm, odd = Monitor(DETECTOR, replace(CALM, stuck_after=0)), Monitor(DETECTOR, CALM)
    scores, _ = calm.observe(stream(series("pump", values)))
    others, _ = odd.observe(stream(series("pump", values)))
    one, other = calm.tally(), odd.tally()

    assert other.quiet == {"stuck": 1}
    assert replace(other, quiet=one.quiet) == one
    np.testing.assert_array_equal(scores.alert, others.alert)
    np.testing.assert_array_equal(scores.score, others.score)


def test_ids_are_of_detector_kind_series_and_start():
    one, other = told(standing(60, 20, 40))[0], told(standing(60, 20, 40), name="fan")[0]
    later = told(standing(60, 21, 41))[0]

    assert len({one.id, other.id, later.id}) == 3
    assert told(standing(60, 20, 50))[0].id == one.id


def test_sentences():
    rules = {"temp": ChannelRule(unit="°C")}
    values = standing(80, 20, 50, value=71.25)
    values[10:60, 2] = 7.0
    raised, updated, cleared = (sentence(event) for event in told(values, replace(CALM, channels=rules)))

    assert raised == (
        "pump: flow is stuck at 7 at 2023-11-15 00:20; one value in 16 readings, more than 15; since 2023-11-14 23:05"
    )
    assert updated == (
        "pump: flow is stuck at 7 at 2023-11-15 00:55; one value in 23 readings, more than 15; temp too; "
        "since 2023-11-14 23:05"
    )
    assert cleared == "pump: flow moves again at 2023-11-15 03:15 after 4 h 10 min; 50 readings had one value"


def plainly(values, there, series_of):
    """The length of the run after each reading, by a plain loop; (T, K)."""
    known, lengths = {}, np.zeros(values.shape, int)
    for row in range(len(values)):
        for channel in range(values.shape[1]):
            key = (series_of[row], channel)
            value, length = known.get(key, (None, 0))
            if there[row, channel]:
                value, length = values[row, channel], length + 1 if values[row, channel] == value else 1
            known[key] = (value, length)
            lengths[row, channel] = length
    return lengths


@pytest.mark.parametrize("seed", range(6))
def test_a_plain_loop_counts_the_same_runs_however_the_readings_are_cut(seed):
    rng = np.random.default_rng(seed)
    rows = 400
    values, there = rng.integers(0, 2, (rows, 3)).astype(float), rng.random((rows, 3)) < 0.8
    slots, at = rng.integers(0, 4, rows), np.arange(rows) * 10
    runs = no_runs(3)
    runs.grow(4)
    found, since = np.zeros((rows, 3), int), np.zeros((rows, 3), int)
    for part in np.split(np.arange(rows), np.sort(rng.integers(0, rows, int(rng.integers(0, 40))))):
        after = run_on(runs, slots[part], part, at[part], np.where(there, values, np.nan)[part], there[part])
        remember(runs, after)
        found[after.rows], since[after.rows] = after.length, after.since
    expected = plainly(values, there, slots)

    np.testing.assert_array_equal(found, expected)
    for channel in range(3):
        for row in np.flatnonzero(found[:, channel] > 0):
            mine = np.flatnonzero((slots == slots[row]) & there[:, channel] & (np.arange(rows) <= row))
            assert since[row, channel] == at[mine[-found[row, channel]]]
