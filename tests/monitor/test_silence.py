"""Series that fall silent while others go on: when it is told, and when it is not; and what it is made of, plainly."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Outcome, join
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream

DETECTOR = unmoved()
AFTER = 20
POLICY = Policy(FalseAlarms(probability=0.02), bar="static", clear_after=1, stuck_after=0.0)
WARM_UP = DETECTOR.settings.warm_up


def calm(name, rows=200, begin=BEGIN, seed=0):
    return series(name, np.random.default_rng(seed).normal(0, 0.1, (rows, len(DETECTOR.channels))), begin)


def told(readings, policy=POLICY, cuts=(), restart=False):
    """The events of silent series, by one monitor or by a new one after every cut."""
    monitor, said = Monitor(DETECTOR, policy), []
    for rows in np.split(np.arange(len(readings)), sorted(cuts)):
        some = readings[rows]
        scores, _ = monitor.observe(some)
        said += monitor.listen(some, scores.outcome)
        if restart:
            state = monitor.snapshot()
            monitor = Monitor(DETECTOR, policy)
            monitor.restore(state)
    return said


def brief(alert):
    return alert.event, alert.series, (alert.start - BEGIN) // STEP, (alert.at - BEGIN) // STEP


def test_a_series_is_silent_when_the_others_are_more_than_so_many_steps_ahead_until_it_speaks():
    quiet = calm("quiet").shifted(100, 30)
    said = told(stream(calm("other", rows=240), quiet))

    assert [brief(alert) for alert in said] == [("raised", "quiet", 99, 120), ("cleared", "quiet", 99, 130)]
    raised, cleared = said
    assert raised.kind == raised.because == "silent"
    assert (raised.quiet.readings, raised.quiet.limit) == (21, AFTER)
    assert raised.channels == ()
    assert (raised.closing, cleared.closing) == (None, "spoke")
    assert raised.id == cleared.id
    assert raised.offset == 220  # of the reading of the other one that told it


def test_so_many_steps_exactly_are_no_silence():
    assert told(stream(calm("other"), calm("quiet").shifted(100, AFTER - 1))) == []
    assert len(told(stream(calm("other"), calm("quiet").shifted(100, AFTER)))) == 2


def test_where_all_are_silent_nothing_is_told():
    assert told(stream(calm("other").shifted(100, 500), calm("quiet").shifted(100, 500))) == []


def test_one_alone_is_never_silent():
    assert told(stream(calm("alone").shifted(100, 500))) == []


def test_of_another_partition_nothing_is_known():
    readings = stream(calm("other"), calm("quiet")[:100])

    apart = replace(readings, partition=readings.series.astype(np.int32))

    assert told(apart) == []
    assert len(told(readings)) == 1


def test_a_clock_that_is_far_ahead_makes_nobody_silent():
    readings = stream(calm("wrong"), calm("a", seed=1), calm("b", seed=2))
    wrong = (readings.series == 0) & (readings.at == BEGIN + 100 * STEP)
    readings = replace(readings, at=np.where(wrong, readings.at + 10_000 * STEP, readings.at))

    assert wrong.sum() == 1
    assert told(readings) == []


def test_a_series_that_was_never_scored_is_not_missed():
    assert told(stream(calm("other"), calm("once", rows=WARM_UP - 2))) == []


def test_one_that_is_behind_is_silent_once_until_it_has_caught_up():
    """A gateway that hands over old readings in one go: no alarm for each of them."""
    both = stream(calm("other", rows=300), calm("behind", rows=300))
    behind = both.series == 1
    before, after = both.at < BEGIN + 100 * STEP, both.at >= BEGIN + 250 * STEP
    parts = [both[before], both[~before & ~after & ~behind], both[~before & ~after & behind], both[after]]
    arrived = join(parts)
    arrived = replace(arrived, offset=np.arange(len(arrived)))

    assert [brief(alert) for alert in told(arrived)] == [
        ("raised", "behind", 99, 120),
        ("cleared", "behind", 99, 229),
    ]


def test_never_is_never():
    assert told(stream(calm("other"), calm("quiet")[:100]), replace(POLICY, silent_after=0)) == []


def test_the_count_and_what_is_open():
    readings = stream(calm("other"), calm("quiet")[:100])
    monitor = Monitor(DETECTOR, POLICY)
    monitor.listen(readings, monitor.observe(readings)[0].outcome)

    assert monitor.open_quiet() == {"stuck": 0, "silent": 1}
    assert monitor.tally().quiet == {"silent": 1}
    deaf = Monitor(DETECTOR, POLICY)
    deaf.observe(readings)
    assert monitor.tally().raised == deaf.tally().raised
    monitor.drop(0)
    assert monitor.open_quiet() == {"stuck": 0, "silent": 0}


def test_a_silence_is_of_a_slot_that_changed():
    """A checkpoint of what changed has to hold the series that said nothing."""
    readings = stream(calm("other"), calm("quiet")[:100])
    monitor = Monitor(DETECTOR, POLICY)
    monitor.listen(readings[:210], monitor.observe(readings[:210])[0].outcome)
    last = int(readings.offset[209])
    assert "quiet" not in monitor.series_of(0, last + 1)
    rest = readings[210:]
    monitor.listen(rest, monitor.observe(rest)[0].outcome)

    assert "quiet" in monitor.series_of(0, last + 1)


@pytest.mark.parametrize("number", [-1, -20])
def test_a_negative_number_of_steps_is_refused(number):
    with pytest.raises(ValueError, match=f"silent_after is {number}: a number of steps is needed, or 0 for never"):
        Policy(silent_after=number)


def odd(name, seed, rows=260):
    """A series with gaps short and long, wrong clocks, missing values, and rows late or twice."""
    rng = np.random.default_rng(seed)
    made = calm(name, rows, seed=seed)
    for row in rng.integers(30, rows - 10, 4).tolist():
        made = made.shifted(row, int(rng.integers(1, 50)))
    made = made.without(np.flatnonzero(rng.random(rows) < 0.05))
    for row in rng.integers(10, rows - 10, 3).tolist():
        made = made.repeated(row, row + int(rng.integers(0, 3)))
    at = made.at.copy()
    at[int(rng.integers(60, rows))] += 5000 * STEP
    return replace(made, at=at)


WHOLE_STREAM = stream(*(odd(name, seed) for seed, name in enumerate("abcdef")))
ODD = replace(WHOLE_STREAM, partition=(WHOLE_STREAM.series % 2).astype(np.int32))


def plainly(readings, outcome):
    """What is told of silent series, reading by reading, written from the words."""
    spoke, known, start, newest, said = {}, set(), {}, {}, []
    for row in range(len(readings)):
        name, partition, at = readings.names[readings.series[row]], int(readings.partition[row]), int(readings.at[row])
        if outcome[row] not in (Outcome.SCORED, Outcome.WARMING):
            continue
        spoke[partition, name] = at
        if outcome[row] == Outcome.SCORED:
            known.add((partition, name))
            newest[partition] = max(newest.get(partition, at), at)
        now = newest.get(partition)
        if now is None:
            continue
        if (partition, name) in start and now - at <= AFTER * STEP:
            said.append(("cleared", name, start.pop((partition, name)), at))
        for other in sorted(known):
            if other[0] == partition and other[1] != name and other not in start and now - spoke[other] > AFTER * STEP:
                start[other] = spoke[other]
                said.append(("raised", other[1], spoke[other], now))
    return said


WHOLE = told(ODD)


def test_the_stream_is_what_the_law_needs():
    assert len([alert for alert in WHOLE if alert.event == "raised"]) > 5
    assert len([alert for alert in WHOLE if alert.event == "cleared"]) > 4


def test_what_is_told_is_what_a_plain_loop_tells():
    scores, _ = Monitor(DETECTOR, POLICY).observe(ODD)
    found = [(alert.event, alert.series, alert.start, alert.at) for alert in WHOLE]

    assert sorted(found) == sorted(plainly(ODD, scores.outcome))
    for alert in WHOLE:
        text = f"{DETECTOR.digest}|silent|{alert.series}|{alert.start}"
        assert alert.id == hashlib.sha256(text.encode()).hexdigest()[:16]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, len(ODD)), max_size=12), st.booleans())
def test_no_cutting_and_no_restart_changes_what_is_told(cuts, restart):
    assert told(ODD, cuts=cuts, restart=restart) == WHOLE
