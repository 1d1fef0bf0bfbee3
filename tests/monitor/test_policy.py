"""What an operator may promise and ask for; what makes no sense is refused where it is made."""

import numpy as np
import pytest

from pipeline.detector.detector import Channel
from pipeline.exceptions import SettingsError
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import ChannelRule, FalseAlarms, Policy
from pipeline.records import Outcome
from tests.fixtures import unmoved
from tests.streams import series, stream


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FalseAlarms(), "a rate per series-week or a probability per reading, one of the two"),
        (lambda: FalseAlarms(rate=1, probability=0.1), "one of the two"),
        (lambda: FalseAlarms(rate=0.0), "rate is 0.0: a positive number of false alarms per series-week is needed"),
        (lambda: FalseAlarms(rate=float("nan")), "rate is nan"),
        (lambda: FalseAlarms(probability=0.5), "probability is 0.5: a share of readings above 0 and below 0.5"),
        (lambda: FalseAlarms(probability=0.0), "probability is 0.0"),
        (lambda: ChannelRule(direction="up"), "direction is 'up': both, above or below is needed"),
        (lambda: ChannelRule(ignore_below=-1.0), "ignore_below is negative: it is the size of a deviation"),
        (lambda: ChannelRule(ignore_below_percent=-1.0), "ignore_below is negative"),
        (lambda: ChannelRule(valid_range=(2.0, 2.0)), r"valid_range is \(2.0, 2.0\): the first number must be"),
        (lambda: ChannelRule(valid_range=(float("nan"), 2.0)), "valid_range is"),
        (lambda: Policy(bar="fixed"), "bar is 'fixed': tracking or static is needed"),
        (lambda: Policy(clear_after=0), "clear_after is 0: an incident needs at least one calm reading to clear"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_promise_can_be_scaled_but_never_to_half_of_all_readings():
    assert FalseAlarms(rate=2.0).scaled(10) == FalseAlarms(rate=20.0)
    assert FalseAlarms(probability=0.01).scaled(0.1).probability == pytest.approx(0.001)
    assert FalseAlarms(probability=0.1).scaled(10) == FalseAlarms(probability=0.49)


def test_a_rule_for_a_channel_that_is_not_there_is_refused_by_name():
    with pytest.raises(SettingsError) as refused:
        Monitor(unmoved(), Policy(channels={"temp": ChannelRule(), "pressure": ChannelRule()}))

    assert str(refused.value) == "the policy has a rule for pressure; this detector's channels are temp, flow"


JUMPS = np.zeros((60, 2))
JUMPS[30:, 0] -= 9.0  # temp falls, once


def observed(rule, values=JUMPS, channel="temp", **policy):
    monitor = Monitor(unmoved(), Policy(FalseAlarms(probability=0.01), channels={channel: rule}, **policy))
    return (*monitor.observe(stream(series("pump", values))), monitor)


def test_a_fall_is_not_alerted_where_only_rises_are_asked_for_and_is_counted():
    scores, alerts, monitor = observed(ChannelRule(direction="above"))
    tally = monitor.tally()

    assert alerts == []
    assert not scores.alert.any()
    assert scores.exceeds[30]
    assert tally.exceeded == scores.exceeds.sum()
    assert sum(tally.held_back.values()) == tally.exceeded
    assert tally.held_back["direction"] >= 1


def test_rules_never_change_a_score():
    plain = observed(ChannelRule())[0]
    rules = (
        ChannelRule(direction="above"),
        ChannelRule(ignore_below=50.0),
        ChannelRule(ignore_below_percent=1e9),
        ChannelRule(valid_range=(-1.0, 1.0)),
    )
    for rule in rules:
        scores = observed(rule)[0]

        np.testing.assert_array_equal(scores.score, plain.score)
        np.testing.assert_array_equal(scores.bar, plain.bar)
        np.testing.assert_array_equal(scores.exceeds, plain.exceeds)
    assert plain.alert.any()


def test_small_deviations_are_ignored_in_the_channels_unit():
    assert observed(ChannelRule(ignore_below=9.5))[1] == []
    assert observed(ChannelRule(ignore_below=8.5))[1] != []


def test_a_value_out_of_its_range_raises_while_a_series_still_warms_up():
    """No score is needed for it, and none is made up: it counts 0; the incident ends though there was no bar."""
    values = np.zeros((60, 2))
    values[2:4] = 0.5
    scores, alerts, monitor = observed(ChannelRule(valid_range=(-0.4, 0.4)), values)

    assert scores.outcome[2] == Outcome.WARMING
    assert scores.alert.tolist() == [False] * 2 + [True] * 4 + [False] * 54
    assert [(alert.event, alert.because, alert.severity) for alert in alerts] == [
        ("raised", "range", "critical"),
        ("cleared", "range", "critical"),
    ]
    assert (alerts[0].score, alerts[0].bar) == (0.0, 0.0)
    assert monitor.tally().raised == {"critical": 1}


def test_a_range_holds_for_context_too():
    detector = unmoved((Channel("temp", "sensor"), Channel("valve", "context")))
    values = np.zeros((30, 2))
    values[20, 1] = 7.0
    monitor = Monitor(detector, Policy(channels={"valve": ChannelRule(valid_range=(0.0, 1.0))}))
    _, alerts = monitor.observe(stream(series("pump", values)))

    assert alerts[0].because == "range"
    assert alerts[0].channels[0].channel == "valve"
