"""However a stream is cut, ordered between its series, or goes on: the same is said of every reading."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import ChannelRule, FalseAlarms, Policy
from pipeline.records import Outcome
from tests.laws.agreement import TOLERANCE, assert_agree, observed

FEW = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def whole(case):
    """What is said of the whole stream at once."""
    return observed(Monitor(case.detector, case.policy), case.later)


def test_the_stream_holds_everything_that_may_happen_and_keeps_clear_of_bars(case, whole):
    scores, alerts = whole
    found = {Outcome(outcome) for outcome in scores.outcome}
    events = {(alert.event, alert.severity, alert.closing) for alert in alerts}

    assert found == set(Outcome) - {Outcome.INVALID, Outcome.JOINED, Outcome.IGNORED}  # which are of records
    assert {("raised", "critical", None), ("cleared", "critical", "calm"), ("cleared", "critical", "gap")} <= events
    assert np.abs(scores.score - scores.bar)[scores.scored].min() > 100 * TOLERANCE


@FEW
@given(data=st.data())
def test_any_cutting_of_the_stream_says_the_same(case, whole, data):
    rows = len(case.later)
    cuts = data.draw(st.lists(st.integers(0, rows), min_size=1, max_size=60))  # a piece may be empty

    assert_agree(observed(Monitor(case.detector, case.policy), case.later, cuts), whole)


def test_readings_one_by_one_say_the_same(case, whole):
    cuts = range(1, len(case.later))

    assert_agree(observed(Monitor(case.detector, case.policy), case.later, cuts), whole)


@pytest.mark.parametrize("rows", [1, 7, 333])
def test_what_is_said_again_after_a_crash_is_the_same_to_the_last_bit(case, whole, rows):
    again, alerts = observed(Monitor(case.detector, case.policy), case.later, range(rows, len(case.later), rows))

    for name in ("score", "bar", "fused", "expected", "lower", "upper"):
        assert getattr(again, name).tobytes() == getattr(whole[0], name).tobytes()
    assert alerts == whole[1]


def test_cutting_changes_nothing_under_rules_ranges_and_a_static_bar(channels):
    rules = {
        "temp": ChannelRule(ignore_below=100.0),
        "flow": ChannelRule(direction="above", ignore_below_percent=1.0, valid_range=(0.5, 3.07)),
    }
    policy = Policy(FalseAlarms(probability=0.02), bar="static", clear_after=5, channels=rules)
    monitors = [Monitor(channels.detector, policy) for _ in range(2)]
    at_once = observed(monitors[0], channels.later)

    assert_agree(observed(monitors[1], channels.later, range(7, len(channels.later), 7)), at_once)
    assert monitors[0].tally() == monitors[1].tally()
    assert {"direction", "ignore_below"} <= monitors[0].tally().held_back.keys()
    assert {alert.because for alert in at_once[1]} >= {"point", "range"}


@FEW
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_series_does_not_matter(fleet, seed):
    readings, rng = fleet.later, np.random.default_rng(seed)
    order = np.argsort(rng.permutation(len(readings)), kind="stable")
    places = {code: np.sort(order[readings.series == code]) for code in np.unique(readings.series)}
    mixed = np.empty(len(readings), np.int64)  # a random order that keeps that of each series
    for code, where in places.items():
        mixed[where] = np.flatnonzero(readings.series == code)
    scores, alerts = observed(Monitor(fleet.detector, fleet.policy), readings)
    other, others = observed(Monitor(fleet.detector, fleet.policy), readings[mixed], range(90, len(readings), 90))

    for name in readings.names:
        mine, theirs = (readings.series == readings.names.index(name)), readings.series[mixed]
        assert_agree(
            (scores[mine], [alert for alert in alerts if alert.series == name]),
            (other[theirs == readings.names.index(name)], [alert for alert in others if alert.series == name]),
        )


def test_the_names_of_codes_may_come_in_any_order_and_from_another_list(fleet):
    readings = fleet.later
    names = list(reversed(readings.names))
    renamed = replace(readings, names=names, series=(len(names) - 1 - readings.series).astype(np.int32))
    monitor = Monitor(fleet.detector, fleet.policy)
    first, second = monitor.observe(readings[:1000]), monitor.observe(renamed[1000:])
    scores, alerts = Monitor(fleet.detector, fleet.policy).observe(readings)

    assert_agree((first[0], first[1]), (scores[:1000], alerts[: len(first[1])]))
    assert_agree((second[0], second[1]), (scores[1000:], alerts[len(first[1]) :]))


@pytest.mark.parametrize("rows", [1, 61, 130, 299, 333, 470])
def test_scores_do_not_change_by_what_comes_later(case, whole, rows):
    scores, alerts = whole
    beginning = Monitor(case.detector, case.policy).observe(case.later[:rows])
    rng = np.random.default_rng(rows)
    tail = slice(rows, None)
    noise = replace(
        case.later,
        values=np.concatenate((case.later.values[:rows], rng.normal(0, 1e6, case.later.values[tail].shape))),
        missing=np.concatenate((case.later.missing[:rows], rng.random(case.later.missing[tail].shape) < 0.3)),
    )
    overwritten = Monitor(case.detector, case.policy).observe(noise)

    until = [alert for alert in alerts if alert.offset < rows]
    assert_agree(beginning, (scores[:rows], until))
    assert_agree((overwritten[0][:rows], [a for a in overwritten[1] if a.offset < rows]), (scores[:rows], until))


def test_what_would_have_been_under_other_policies_changes_nothing_and_is_cut_alike(case, whole):
    others = [Policy(FalseAlarms(probability=p)) for p in (0.1, 0.001)]
    curious = [Monitor(case.detector, case.policy, what_if=others) for _ in range(2)]
    alone = [Monitor(case.detector, other) for other in others]
    for monitor in alone:
        monitor.observe(case.later)

    assert_agree(observed(curious[0], case.later), whole)
    assert_agree(observed(curious[1], case.later, range(50, len(case.later), 50)), whole)
    assert curious[0].tallies_aside() == curious[1].tallies_aside() == [monitor.tally() for monitor in alone]


def test_no_channel_is_special_by_its_place(channels):
    order = np.array([2, 0, 1])
    there = replace(channels.later, values=channels.later.values[:, order], missing=channels.later.missing[:, order])
    plain = replace(channels.detector, slots={})  # a series never seen: its scaling is gathered anew
    scores, alerts = Monitor(plain, channels.policy).observe(channels.later)
    others, same = Monitor(exchanged(plain, order), channels.policy).observe(there)

    np.testing.assert_array_equal(scores.outcome, others.outcome)
    np.testing.assert_array_equal(scores.alert, others.alert)
    np.testing.assert_allclose(scores.score, others.score, 0, TOLERANCE)
    np.testing.assert_allclose(scores.expected[:, order], others.expected, 1e-5, 1e-7)  # some are all but zero
    assert [(a.event, a.at, a.channels[0].channel) for a in alerts] == [
        (a.event, a.at, a.channels[0].channel) for a in same
    ]


def exchanged(detector, order):
    """The same detector with its channels in another order: the same weights at other places."""
    engine, count = detector.engine, len(order)
    first = engine.layers[0]
    rows = np.concatenate((order, np.arange(count, len(first.weight))))
    ahead = (np.arange(engine.horizon)[:, None] * count + order).ravel()
    layers = (replace(first, weight=first.weight[rows]), *engine.layers[1:])
    return replace(
        detector,
        channels=tuple(detector.channels[place] for place in order),
        engine=replace(
            engine, layers=layers, head_weight=engine.head_weight[:, ahead], head_bias=engine.head_bias[ahead]
        ),
        calibrations=tuple(
            replace(each, channel_scale=each.channel_scale[order], band=each.band[:, order])
            for each in detector.calibrations
        ),
    )
