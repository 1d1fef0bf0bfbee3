"""A budget of incidents: what it lets through, where its periods begin, and that it survives a restart."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.exceptions import SettingsError
from pipeline.formats.alerts import sentence
from pipeline.monitor.budget import Ledger, none_spent
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import Budget, ChannelRule, FalseAlarms, Policy
from tests.fixtures import unmoved
from tests.streams import series, stream

HOUR, DAY = 3_600_000_000, 86_400_000_000


def ledger(alerts=2, per="day", slots=4):
    """A budget and its columns."""
    spent = none_spent()
    spent.grow(slots)
    return Ledger(unmoved(), Budget(alerts, per), spent), spent


def test_when_it_is_spent_only_a_new_maximum_passes():
    book, _ = ledger()
    lasts = [book.take(DAY + at, 0, slot, score) for at, slot, score in ((0, 0, 4.0), (1, 1, 3.0))]

    assert lasts == [False, True]
    assert [book.allows(DAY + 2, 0, score) for score in (3.5, 4.0, 4.1)] == [False, False, True]


def test_a_new_maximum_is_the_next_one_to_pass_and_the_end_is_told_once():
    book, _ = ledger()
    lasts = [book.take(DAY, 0, 0, score) for score in (3.0, 4.0, 5.0, 6.0)]

    assert lasts == [False, True, False, False]
    assert not book.allows(DAY, 0, 5.5)


@pytest.mark.parametrize(("per", "length"), [("hour", HOUR), ("day", DAY), ("week", 7 * DAY)])
def test_the_next_period_begins_afresh(per, length):
    book, _ = ledger(1, per)
    book.take(10 * length, 0, 0, 9.0)

    assert not book.allows(11 * length - 1, 0, 3.0)
    assert book.allows(11 * length, 0, 3.0)


def test_each_partition_has_a_budget_of_its_own():
    book, _ = ledger(1)
    book.take(DAY, 0, 0, 9.0)

    assert not book.allows(DAY, 0, 3.0)
    assert book.allows(DAY, 1, 3.0)


def test_a_series_that_goes_over_to_another_period_gives_up_what_it_took_in_the_last():
    book, spent = ledger(2)
    book.take(DAY, 0, 0, 5.0)
    book.take(DAY, 0, 0, 6.0)
    book.take(2 * DAY, 0, 0, 3.0)

    assert (spent.period[0], spent.raised[0], spent.highest[0]) == (2, 1, 3.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budget(0), "alerts is 0: a budget needs room for at least one incident"),
        (lambda: Budget(1, "month"), "per is 'month': hour, day, week or a positive number of samples is needed"),
        (lambda: Budget(1, 0), "per is 0"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("changes", "per", "message"),
    [
        (
            {"clock": "index", "step": 1},
            "day",
            "budget has per: day, but the detector's clock is index: ask for a number",
        ),
        ({}, 1000, "budget has per: 1000, but the detector's clock is time: ask for hour, day or week"),
    ],
)
def test_a_period_of_another_clock_is_refused(changes, per, message):
    with pytest.raises(SettingsError, match=message):
        Monitor(unmoved(**changes), Policy(budget=Budget(3, per)))


def jumping(names, seed=0, rows=400):
    """Series that are out for one reading now and then, by any amount: incidents of a few readings."""
    rng = np.random.default_rng(seed)
    made = []
    for name in names:
        values = (rng.random((rows, 2)) < 0.02) * rng.uniform(1.5, 4, (rows, 2))
        made.append(series(name, values))
    return stream(*made)


NAMES = ("pump", "fan", "mill")
PROMISE = FalseAlarms(probability=0.05)
PLAIN, TIGHT = Policy(PROMISE, bar="static"), Policy(PROMISE, bar="static", budget=Budget(3))


def run(policy, readings, cuts=(), restart=False):
    """The alerts over a stream cut before these rows, by one monitor or by a new one after every cut; and the tally."""
    monitor, alerts = Monitor(unmoved(), policy), []
    held = 0
    for rows in np.split(np.arange(len(readings)), list(cuts)):
        alerts += monitor.observe(readings[rows])[1]
        if restart:
            held += monitor.tally().held_back.get("budget", 0)
            state = monitor.snapshot()
            monitor = Monitor(unmoved(), policy)
            monitor.restore(state)
    return alerts, held or monitor.tally().held_back.get("budget", 0)


def test_what_the_budget_holds_back_is_counted_and_the_end_of_it_is_told_with_the_incident_that_spent_it():
    readings = jumping(NAMES)
    plain, tight = run(PLAIN, readings)[0], run(TIGHT, readings)
    raised = [alert for alert in tight[0] if alert.event == "raised"]
    told = [place for place, alert in enumerate(tight[0]) if alert.event == "budget_spent"]

    assert len(raised) < sum(alert.event == "raised" for alert in plain)
    assert tight[1] > 0
    assert told
    for place in told:
        before, event = tight[0][place - 1 : place + 1]
        assert (before.event, before.id) == ("raised", event.id)
        assert "the budget of alerts is spent with this one" in sentence(event)
    days = [alert.at // DAY for alert in raised]
    for day in set(days):
        scores = [alert.score for alert, own in zip(raised, days, strict=True) if own == day]
        assert all(score > max(scores[:number]) for number, score in enumerate(scores) if number >= 3)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("every", [1, 7, 333])
def test_any_cutting_of_the_stream_and_any_restart_spend_the_same(every, restart):
    readings = jumping(NAMES)
    if every == 1 and restart:
        readings = readings[:600]
    whole = run(TIGHT, readings)

    assert run(TIGHT, readings, range(every, len(readings), every), restart) == whole


def test_a_value_out_of_its_range_is_never_held_back_by_the_budget():
    rules = {"temp": ChannelRule(valid_range=(-1.0, 1.0))}
    values = np.zeros((120, 2))
    values[[30, 50, 70, 90], 0] = 5.0
    readings = stream(series("pump", values))
    alerts, _ = run(Policy(PROMISE, bar="static", channels=rules, budget=Budget(1)), readings)

    assert [alert.because for alert in alerts if alert.event == "raised"] == ["range"] * 4


def test_what_one_partition_spends_does_not_depend_on_how_another_is_read_between():
    readings = jumping((*NAMES, "saw", "press", "kiln"))
    partition = (readings.series % 2).astype(readings.partition.dtype)
    readings = replace(readings, partition=partition)
    mixed, halves = run(TIGHT, readings)[0], [run(TIGHT, readings[partition == half])[0] for half in (0, 1)]
    later = run(TIGHT, readings[np.argsort(partition, kind="stable")])[0]

    for half in (0, 1):
        assert [alert for alert in mixed if alert.partition == half] == halves[half]
        assert [alert for alert in later if alert.partition == half] == halves[half]
        assert any(alert.event == "budget_spent" for alert in halves[half])


def test_a_partition_takes_what_it_spent_along_to_another_process():
    readings = jumping((*NAMES, "saw", "press", "kiln"))
    readings = replace(readings, partition=(readings.series % 2).astype(readings.partition.dtype))
    middle = len(readings) // 2
    here, there = Monitor(unmoved(), TIGHT), Monitor(unmoved(), TIGHT)
    said = here.observe(readings[:middle])[1]
    there.restore(here.snapshot(here.series_of(1)))
    here.drop(1)
    rest = readings[middle:]
    said += here.observe(rest[rest.partition == 0])[1] + there.observe(rest[rest.partition == 1])[1]
    whole = run(TIGHT, readings)[0]

    for half in (0, 1):
        assert [a for a in said if a.partition == half] == [a for a in whole if a.partition == half]
