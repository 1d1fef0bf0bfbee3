import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipeline.backtest.reproduction import Replay, rows
from pipeline.formats import alerts as written
from pipeline.monitor.labels import LabelRule
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Grouping
from pipeline.records import Decoded, Readings, Reason, Rejected
from tests.service.small import POLICY, calm_values, readings_of, small_detector, with_faults

CALM = calm_values(300, seed=3)
VALUES = with_faults(CALM, [150])


@dataclass
class Record:
    offset: int


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture(scope="module")
def told(detector):
    """The events of the fault's incident, as they stand in a topic."""
    monitor = Monitor(detector, POLICY, name="pumps")
    _, alerts = monitor.observe(readings_of(VALUES))
    fault = next(alert.id for alert in alerts if alert.offset == 150)
    return [json.loads(written.encode(alert)) for alert in alerts if alert.id == fault]


def replayed(detector, told, values=VALUES, begin=0, step=37, policy=POLICY, rejected=()):
    """The events beside what comes out of these rows, taken in batches from `begin` on."""
    replay = Replay(Monitor(detector, policy, name="pumps"), told)
    readings = readings_of(values)
    for start in range(begin, len(values), step):
        some = readings[start : start + step]
        gone = [row for row in range(len(some)) if start + row in rejected]
        kept = np.setdiff1d(np.arange(len(some)), gone)
        refused = tuple(Rejected(row, Reason.FIELD, "no such field") for row in gone)
        replay.observe([Record(start + row) for row in range(len(some))], Decoded(some[kept], kept, refused))
    return replay.compared()


@pytest.mark.parametrize("step", [1, 37, 1000])
def test_what_the_same_readings_say_again_is_the_same_however_they_are_cut(detector, told, step):
    compared = replayed(detector, told, step=step)

    assert [one.told["event"] for one in compared] == ["raised", "cleared"]
    assert all(one.same and one.exactly for one in compared)
    assert all(row.same for one in compared for row in rows(one))


def test_the_principal_things_stand_beside_each_other(detector, told):
    raised = told[0]
    shown = {row.field: (row.told, row.found) for row in rows(replayed(detector, told)[0])}

    assert list(shown)[:5] == ["event", "series", "severity", "at", "score"]
    assert shown["score"] == (raised["score"], raised["score"])
    assert shown["bar"] == (raised["bar"], raised["bar"])
    first = raised["channels"][0]
    assert shown[f"channels {first['channel']} expected"] == (first["expected"], first["expected"])


def test_a_reading_that_was_altered_comes_out_otherwise(detector, told):
    altered = VALUES.copy()
    altered[told[0]["offset"], 0] += 0.5
    raised = replayed(detector, told, altered)[0]
    differing = {row.field: (row.told, row.found) for row in rows(raised) if not row.same}

    assert not raised.same
    assert {"score", "channels temp value"} <= set(raised.differing)
    assert "score" in raised.words()
    value = next(channel["value"] for channel in told[0]["channels"] if channel["channel"] == "temp")
    assert differing["channels temp value"] == (value, pytest.approx(value + 0.5))


def test_an_altered_past_shows_in_what_was_expected(detector, told):
    altered = VALUES.copy()
    altered[told[0]["offset"] - 1] += 0.05
    raised = replayed(detector, told, altered)[0]

    assert not raised.same
    assert "channels temp value" not in raised.differing
    assert "channels temp expected" in raised.differing
    assert raised.words().startswith("raised came out with other numbers (score, ")
    assert raised.words().endswith(" more)")


def test_where_nothing_is_raised_the_reading_says_why(detector, told):
    raised = replayed(detector, told, CALM)[0]
    shown = {row.field: row.found for row in rows(raised)}

    assert (raised.same, raised.found, raised.again.words) == (False, None, "scored")
    assert shown["event"] == "none (scored)"
    assert 0 <= shown["score of the reading"] < shown["its bar"]
    assert raised.words() == "raised did not come out"
    assert shown["at"] == told[0]["at"]


def test_a_history_too_short_to_score_is_told(detector, told):
    raised = replayed(detector, told, begin=told[0]["offset"] - 3)[0]

    assert (raised.found, raised.again.words, raised.again.score) == (None, "warming", None)


def test_a_record_that_is_no_reading_now_is_told(detector, told):
    raised = replayed(detector, told, rejected=[told[0]["offset"]])[0]

    assert raised.again.words == "no reading: field, no such field"
    assert rows(raised)[0].found == "none (no reading: field, no such field)"


def test_a_record_that_is_gone_is_told(detector, told):
    raised = replayed(detector, told, VALUES[: told[0]["offset"]])[0]

    assert (raised.again, raised.same) == (None, False)
    assert rows(raised)[0].found == "none (no record)"


def test_a_policy_that_was_changed_shows_in_the_promise_however_small(detector, told):
    rarer = replace(POLICY, false_alarms=FalseAlarms(probability=0.01 + 2e-7))
    raised = replayed(detector, told, policy=rarer)[0]

    assert "target" in raised.differing


def test_a_number_near_zero_is_held_to_the_width_of_its_band(detector, told):
    compared = replayed(detector, told)
    near = [json.loads(json.dumps(event)) for event in told]
    near[0]["channels"][0]["expected"] += 1e-7
    far = [json.loads(json.dumps(event)) for event in told]
    far[0]["channels"][0]["expected"] += 0.01
    less, more = replayed(detector, near)[0], replayed(detector, far)[0]

    assert compared[0].exactly
    assert (less.same, less.exactly) == (True, False)
    assert more.differing == (f"channels {told[0]['channels'][0]['channel']} expected",)


def test_the_incident_of_a_group_comes_out_again(detector):
    rows_of_each = [readings_of(VALUES, "north/a"), readings_of(VALUES, "north/b")]
    order = np.argsort(np.concatenate([each.at for each in rows_of_each]), kind="stable")
    readings = Readings(
        ["north/a", "north/b"],
        np.repeat(np.array([0, 1], np.int32), len(VALUES))[order],
        *(
            np.concatenate([getattr(each, name) for each in rows_of_each])[order]
            for name in ("at", "values", "missing")
        ),
        np.zeros(2 * len(VALUES), np.int32),
        np.arange(2 * len(VALUES)),
    )
    policy = replace(POLICY, labels=(LabelRule("{site}/*"),), grouping=Grouping(("site",)))
    monitor = Monitor(detector, policy, name="pumps")
    events = [json.loads(written.encode(alert)) for alert in monitor.group(monitor.observe(readings)[1])]
    replay = Replay(Monitor(detector, policy, name="pumps"), [one for one in events if one["id"] == events[0]["id"]])
    for start in range(0, len(readings), 50):
        some = readings[start : start + 50]
        replay.observe([Record(int(offset)) for offset in some.offset], Decoded(some, np.arange(len(some))))
    compared = replay.compared()

    assert compared[-1].told["group"]["joined"] == 2
    assert all(one.same and one.exactly for one in compared)
