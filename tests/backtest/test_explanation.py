"""One reading explained: exact limits, what held an alert back, and what stood before and after."""

import math

import numpy as np
import pytest

from pipeline.backtest.explanation import AFTER, BEFORE, edge, explain
from pipeline.detector.detector import Channel
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import ChannelRule, FalseAlarms, Policy
from pipeline.records import Outcome
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream

STILL = Policy(FalseAlarms(probability=0.01), bar="static")


def calm(rows=400, channels=2):
    return series("pump", np.zeros((rows, channels)), BEGIN)


def error_at_the_bar(bar_x):
    """The error of one reading, all before it 0, whose x is the bar; it is smoothed over 5 and over 20 readings."""

    def x(error):
        level = [0.3 * math.log(1 + ((e + 0.001) / 1.001) ** (1 / 0.3)) for e in (error / 3, 2 * error / 21)]
        return math.log(sum(level) / 2 + 0.2)

    low, high = 0.0, 1000.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if x(middle) > bar_x else (middle, high)
    return low


def test_the_limits_are_the_values_at_which_x_passes_the_bar():
    """The forecast is the last reading, 0; the error is the mean of the two squared changes."""
    told = explain(unmoved(), STILL, stream(calm().with_values(300, 1.0, 1)), 300)
    flow, temp = told.channels
    needed = error_at_the_bar(told.bar_x)

    assert told.bar_x == told.bar_start == unmoved().calibrations[0].start_of_bar(0.01)
    assert (flow.deviation.channel, temp.deviation.channel) == ("flow", "temp")
    assert (flow.commons, temp.commons) == (1.0, 0.0)
    assert flow.limits.above == pytest.approx(math.sqrt(2 * needed), rel=1e-3)
    assert flow.limits.below == pytest.approx(-math.sqrt(2 * needed), rel=1e-3)
    assert temp.limits.above == pytest.approx(math.sqrt(2 * needed - 1), rel=1e-3)  # flow's change stays
    assert not flow.limits.anyway


def test_a_value_at_its_limit_is_flagged_and_one_just_inside_is_not(case):
    later = case.later
    rows = np.flatnonzero(later.series == 0)
    place = 30  # before the first fault
    told = explain(case.detector, case.policy, later[rows], place)

    def raises(channel, value):
        values = later.values.copy()
        values[rows[place], channel] = value
        monitor = Monitor(case.detector, case.policy)
        alone = later[rows[: place + 1]]
        altered = type(later)(
            later.names, alone.series, alone.at, values[rows[: place + 1]], alone.missing, alone.partition, alone.offset
        )
        return any(alert.event == "raised" and alert.at == told.at for alert in monitor.observe(altered)[1])

    assert told.before.incident is None
    tried = [part for part in told.channels if part.limits and part.limits.above is not None]
    assert tried
    for part in tried:
        inside = part.limits.above - 0.01 * (part.limits.above - part.deviation.expected)
        assert raises(part.position, part.limits.above)
        assert not raises(part.position, inside)


def test_a_channel_is_flagged_at_any_value_where_another_is_enough():
    flow, temp = explain(unmoved(), STILL, stream(calm().with_values(300, 9.0, 1)), 300).channels

    assert temp.limits.anyway
    assert not flow.limits.anyway
    assert flow.limits.above < 9


def test_a_direction_that_nobody_wants_to_hear_of_has_no_limit_and_is_named():
    above = Policy(STILL.false_alarms, bar="static", channels={"temp": ChannelRule(direction="above")})
    low = explain(unmoved(), above, stream(calm().with_values(300, -9.0)), 300)
    high = explain(unmoved(), above, stream(calm().with_values(300, 9.0)), 300)

    assert (low.exceeds, low.held_back, low.events) == (True, "direction", ())
    assert low.channels[0].limits.below is None
    assert low.channels[0].limits.above is not None
    assert (high.exceeds, high.held_back, high.events[0].event) == (True, None, "raised")


def test_a_small_deviation_is_held_back_by_its_size():
    large = Policy(STILL.false_alarms, bar="static", channels={"temp": ChannelRule(ignore_below=20.0)})

    assert explain(unmoved(), large, stream(calm().with_values(300, 9.0)), 300).held_back == "ignore_below"


def test_the_bar_is_told_as_far_as_earlier_exceedances_moved_it():
    policy = Policy(FalseAlarms(probability=0.01))
    told = explain(unmoved(), policy, stream(calm().with_values(100, 9.0)), 102)
    step = unmoved().calibrations[0].step
    start, floor, bar, jump = told.bar_start, unmoved().calibrations[0].floor, told.bar_start, 0.0
    for count in range(102 - 8):  # eight readings warm up
        exceeds = count == 100 - 8  # up to 9; the bar is then above the way down again
        jump = step * (1 + 2 / (1 + count / 200)) if exceeds else jump
        bar = max(bar + (jump or step) * (exceeds - 0.01), floor)

    assert (told.before.scored, told.before.exceeded) == (94, 1)
    assert told.bar_x == pytest.approx(bar)
    assert told.bar_start_decades == pytest.approx(math.log10(200 / (200 - math.ceil(0.99 * 200))))
    assert start > floor


@pytest.mark.parametrize(
    ("row", "outcome", "unscored"),
    [(0, Outcome.WARMING, 7), (7, Outcome.WARMING, 0), (8, Outcome.SCORED, 0), (60, Outcome.WARMING, 7)],
)
def test_warming_says_how_many_more_readings_it_takes(row, outcome, unscored):
    told = explain(unmoved(), STILL, stream(calm().shifted(60, 50)), row)

    assert (told.outcome, told.after.unscored) == (outcome, unscored)
    assert told.reset == (row == 60)


def test_a_reset_long_before_the_neighbourhood_is_remembered():
    told = explain(unmoved(), STILL, stream(calm(700).shifted(20, 50)), 600)

    assert told.began_again == BEGIN + 70 * STEP
    assert not told.reset


def test_steps_that_were_bridged_are_counted():
    assert explain(unmoved(), STILL, stream(calm().shifted(60, 3)), 60).imputed == 3


def test_the_neighbourhood_is_as_the_monitor_scored_it_and_ends_with_the_series():
    later = stream(calm().with_values(slice(200, 210), 3.0))
    scores, alerts = Monitor(unmoved(), STILL).observe(later)
    for row in (0, 100, 205, 300, 399):
        near = explain(unmoved(), STILL, later, row).near
        first, last = max(row - BEFORE, 0), min(row + 1 + AFTER, 400)

        assert (len(near.scores), len(near.readings), len(near.parts.fused)) == (last - first,) * 3
        assert near.row == row - first
        np.testing.assert_array_equal(near.scores.score, scores.score[first:last])
        assert near.alerts == tuple(alert for alert in alerts if later.at[first] <= alert.at <= later.at[last - 1])


def test_a_context_channel_has_no_commons_and_no_limits():
    detector = unmoved((Channel("temp", "sensor"), Channel("valve", "context")))
    temp, valve = explain(detector, STILL, stream(calm().with_values(300, 2.0)), 300).channels

    assert (temp.scored, valve.scored) == (True, False)
    assert (valve.commons, valve.limits, valve.deviation.contribution) == (None, None, 0.0)
    assert [view.view for view in explain(detector, STILL, stream(calm()), 300).views] == [
        "prediction",
        "level",
        "level",
    ]


def test_an_edge_is_found_where_there_is_one():
    assert edge(lambda distance: distance >= 1.7, 24.0) == pytest.approx(1.7, rel=1e-3)
    assert edge(lambda distance: distance >= 30, 24.0) is None
