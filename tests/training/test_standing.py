"""How long values stood still in a history, and what is made of it."""

import numpy as np

from pipeline.detector.detector import Channel
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.monitor.slots import Slots
from pipeline.training.calibrating import begun
from pipeline.training.history import History
from pipeline.training.preparing import prepared
from pipeline.training.standing import longest_runs
from tests.fixtures import fitted, unmoved
from tests.streams import BEGIN, STEP, series, stream, wave

SENSORS = tuple(Channel(name, "sensor") for name in ("temp", "flow", "switch"))


def history(name, rows=200, runs=(), seed=0):
    """Three channels, of which the last is 0 or 1; temp stands at one value in these rows, (first, last)."""
    rng = np.random.default_rng(seed)
    values = np.stack([rng.normal(size=rows), rng.normal(size=rows), rng.integers(0, 2, rows)], axis=1)
    for first, last in runs:
        values[first:last, 0] = 3.0
    return History(name, BEGIN + STEP * np.arange(rows), values, np.isnan(values))


def found(*histories, trimmed=None):
    """What is learnt of these histories, and the columns of their slots in order."""
    detector = unmoved(SENSORS)
    ready = prepared(histories, detector.names)
    if trimmed is not None:
        ready = [each.without(trimmed) for each in ready]
    slots = begun(detector, ready)
    return longest_runs(ready, slots, detector.scored).tolist(), slots


def test_the_longest_run_is_of_the_whole_history_and_a_channel_of_two_values_has_none():
    assert found(history("a", runs=[(20, 27), (180, 191)]))[0] == [11, 1, 0]


def test_a_channel_that_is_at_rest_most_of_the_time_has_none():
    counter = history("a")
    counter.values[:, 1] = np.where(np.arange(200) % 10 < 5, 0.0, counter.values[:, 1])

    assert found(counter)[0] == [1, 5, 0]

    counter.values[9, 1] = 0.0

    assert found(counter)[0] == [1, 0, 0]


def test_a_series_never_seen_is_held_to_the_longest_of_all_and_to_none_where_one_stood():
    steady = history("c")
    steady.values[:, 1] = 4.0
    longest, slots = found(history("a", runs=[(20, 27)]), history("b", runs=[(50, 70)], seed=1))

    assert longest == [20, 1, 0]
    assert slots.runs.longest[:2].tolist() == [[7, 1, 0], [20, 1, 0]]
    assert found(history("a"), steady)[0] == [1, 0, 0]


def test_what_was_trimmed_is_as_if_it_had_not_been_there():
    trimmed = np.zeros(200, bool)
    trimmed[20:60] = True

    assert found(history("a", runs=[(25, 55)]), trimmed=trimmed)[0] == [1, 1, 0]


def test_a_run_at_the_end_of_a_history_goes_on_behind_it():
    calm = wave(1000)
    calm[990:] = 21.5
    detector = fitted([series("pump", calm)])
    later = wave(60, first=1000)
    later[:25] = 21.5
    policy = Policy(FalseAlarms(probability=1e-4), bar="static")

    def raised(readings):
        return next(alert for alert in Monitor(detector, policy).observe(readings)[1] if alert.kind == "stuck")

    assert detector.longest_runs == (10,)
    first = raised(stream(series("pump", later, BEGIN + 1000 * STEP)))
    assert (first.start, first.at) == (BEGIN + 990 * STEP, BEGIN + 1020 * STEP)


def test_slots_hold_what_the_monitor_goes_on_with():
    _, slots = found(history("a", runs=[(195, 200)]))

    assert isinstance(slots, Slots)
    assert (slots.runs.length[0, 0], slots.runs.value[0, 0]) == (5, 3.0)
    assert slots.runs.since[0, 0] == BEGIN + 195 * STEP
