"""Readings that wait for others: order, joining, and what becomes of each record; then the laws."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exceptions import StateError
from pipeline.monitor import assembly
from pipeline.monitor.assembly import Assembly
from pipeline.monitor.monitor import Monitor
from pipeline.records import Outcome, Readings, join
from tests.service.small import STEP, calm_values, readings_of, small_detector

NAN = float("nan")


def records(*rows, names=("pump", "fan")):
    """Records (series, time, a value a channel), of partition 3 from offset 100 on."""
    values = np.array([row[2:] for row in rows], float).reshape(len(rows), -1)
    return Readings(
        names,
        np.array([names.index(row[0]) for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int64),
        values,
        np.isnan(values),
        np.full(len(rows), 3, np.int32),
        100 + np.arange(len(rows)),
    )


def rows_of(readings):
    """The reverse, with None where a channel is missing."""
    values = [
        [None if gone else value for value, gone in zip(*row, strict=True)]
        for row in zip(readings.values.tolist(), readings.missing.tolist(), strict=True)
    ]
    names = [readings.names[code] for code in readings.series]
    return [(name, at, *row) for name, at, row in zip(names, readings.at.tolist(), values, strict=True)]


def outcomes(settled):
    return [Outcome(code).name for code in settled.outcome]


def test_a_reading_is_released_by_one_that_is_newer_by_the_lateness_and_has_its_offset():
    out, settled = Assembly(1, 10, joins=False).take(
        records(("pump", 0, 1.0), ("pump", 9, 2.0), ("pump", 10, 3.0), ("pump", 30, 4.0))
    )

    assert rows_of(out) == [("pump", 0, 1.0), ("pump", 9, 2.0), ("pump", 10, 3.0)]
    assert out.offset.tolist() == [102, 103, 103]
    assert out.partition.tolist() == [3, 3, 3]
    assert len(settled) == 0


def test_readings_that_come_in_another_order_are_released_in_that_of_time():
    given_, _ = Assembly(1, 10, joins=False).take(
        records(("pump", 5, 2.0), ("pump", 0, 1.0), ("pump", 9, 3.0), ("pump", 20, 4.0))
    )

    assert rows_of(given_) == [("pump", 0, 1.0), ("pump", 5, 2.0), ("pump", 9, 3.0)]


def test_what_is_older_than_what_was_released_is_late_and_what_is_of_its_time_a_duplicate():
    out, settled = Assembly(1, 5, joins=False).take(
        records(("pump", 0, 1.0), ("pump", 5, 2.0), ("pump", 0, 9.0), ("pump", -1, 9.0), ("pump", 5, 9.0))
    )

    assert rows_of(out) == [("pump", 0, 1.0)]
    assert outcomes(settled) == ["DUPLICATE", "LATE", "DUPLICATE"]
    assert settled.offset.tolist() == [102, 103, 104]


def test_a_series_does_not_wait_for_another():
    out, _ = Assembly(1, 10, joins=False).take(records(("pump", 0, 1.0), ("fan", 1000, 2.0), ("pump", 5, 3.0)))

    assert len(out) == 0


AHEAD = 10**9


def test_a_time_far_ahead_holds_nothing_back_and_makes_nothing_late():
    ordered = Assembly(1, 5, joins=False)
    out, settled = ordered.take(
        records(("pump", 0, 1.0), ("pump", AHEAD, 2.0), ("pump", 2, 3.0), ("pump", 1, 4.0), ("pump", 7, 5.0))
    )

    assert rows_of(out) == [("pump", 0, 1.0), ("pump", 1, 4.0), ("pump", 2, 3.0)]
    assert len(ordered) == 2
    assert len(settled) == 0


def test_a_sensor_whose_clock_jumps_leaves_the_others_joined():
    rows = [("pump", at, *values) for at in range(1, 4) for values in ((1.0, NAN), (NAN, 2.0))]
    out, settled = Assembly(2, 5, joins=True).take(records(("pump", AHEAD, 9.0, NAN), *rows))

    assert rows_of(out) == [("pump", 1, 1.0, 2.0), ("pump", 2, 1.0, 2.0), ("pump", 3, 1.0, 2.0)]
    assert outcomes(settled) == ["JOINED"] * 3


@pytest.mark.parametrize("wrong", [[("pump", AHEAD, 9.0)], [("pump", AHEAD, 9.0), ("pump", AHEAD + 9, 9.0)]])
@pytest.mark.parametrize("joins", [True, False])
def test_what_goes_on_after_a_wrong_time_was_released_is_not_held_against_it(joins, wrong):
    after = [("pump", at, 1.0) for at in range(1, 20)]
    taken = Assembly(1, 5, joins=joins)
    out, settled = taken.take(records(("pump", 0, 1.0), *wrong, *after))
    came = [*rows_of(out), *rows_of(taken.flush(out.names))]

    assert [row for row in came if row[1] < AHEAD] == [("pump", 0, 1.0), *after]
    assert len(settled) == 0


def test_one_wrong_time_costs_a_joined_series_no_more_than_a_warm_up():
    detector = small_detector()
    apart = readings_of(calm_values(90))
    at = apart.at.copy()
    at[40] += 10**12
    wrong = replace(apart, at=at)
    monitor = Monitor(detector, assembly=Assembly(2, STEP, joins=True))
    scores, _ = monitor.observe(monitor.assemble(wrong)[0])
    warming = [Outcome.WARMING] * detector.settings.warm_up

    assert scores.outcome[40:].tolist() == [*warming[:1], *[Outcome.LATE] * 2, *warming, *[Outcome.SCORED] * 39]


def test_records_of_one_time_are_one_reading_that_is_released_when_it_is_whole():
    out, settled = Assembly(3, 10, joins=True).take(
        records(("pump", 0, 1.0, NAN, NAN), ("pump", 0, NAN, NAN, 3.0), ("pump", 0, NAN, 2.0, NAN))
    )

    assert rows_of(out) == [("pump", 0, 1.0, 2.0, 3.0)]
    assert out.offset.tolist() == [102]
    assert outcomes(settled) == ["JOINED", "JOINED"]


def test_a_reading_that_lacks_a_sensor_waits_for_it_for_the_lateness_and_the_next_one_behind_it():
    joined = Assembly(2, 10, joins=True)
    out, _ = joined.take(records(("pump", 0, 1.0, NAN), ("pump", 5, 2.0, NAN), ("pump", 5, NAN, 3.0)))
    assert len(out) == 0
    assert len(joined) == 2

    out, _ = joined.take(records(("pump", 10, NAN, 4.0)))

    assert rows_of(out) == [("pump", 0, 1.0, None), ("pump", 5, 2.0, 3.0)]
    assert len(joined) == 1


def test_a_second_value_of_a_sensor_is_a_duplicate_and_the_first_one_stays():
    out, settled = Assembly(2, 10, joins=True).take(
        records(("pump", 0, 1.0, NAN), ("pump", 0, 8.0, NAN), ("pump", 0, NAN, 2.0), ("pump", 0, 8.0, NAN))
    )

    assert rows_of(out) == [("pump", 0, 1.0, 2.0)]
    assert outcomes(settled) == ["DUPLICATE", "JOINED", "DUPLICATE"]


def test_a_value_that_comes_after_its_reading_went_without_it_is_late():
    _, settled = Assembly(2, 10, joins=True).take(
        records(("pump", 0, 1.0, NAN), ("pump", 10, 1.0, NAN), ("pump", 0, NAN, 2.0))
    )

    assert outcomes(settled) == ["LATE"]


def test_a_record_without_a_value_is_missing_and_begins_no_reading():
    joined = Assembly(2, 10, joins=True)
    out, settled = joined.take(records(("pump", 0, NAN, NAN), ("pump", 50, 1.0, NAN)))

    assert len(out) == 0
    assert outcomes(settled) == ["MISSING"]
    assert len(joined) == 1


def test_of_too_many_that_wait_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(assembly, "MOST_WAITING", 3)
    out, _ = Assembly(1, 1000, joins=False).take(records(*[("pump", at, float(at)) for at in range(5)]))

    assert rows_of(out) == [("pump", 0, 0.0), ("pump", 1, 1.0)]


def test_the_end_of_a_history_releases_all():
    ordered = Assembly(1, 10, joins=False)
    given_ = records(("pump", 5, 2.0), ("fan", 7, 1.0), ("pump", 3, 1.0))
    ordered.take(given_)

    assert rows_of(ordered.flush(given_.names)) == [("pump", 3, 1.0), ("pump", 5, 2.0), ("fan", 7, 1.0)]
    assert len(ordered) == 0


@pytest.mark.parametrize("packed", [b"\xc1", b"\x81\xa6newest\xa1x"])
def test_what_waits_and_is_damaged_is_refused_and_nothing_is_put_back(packed):
    ordered = Assembly(1, 10, joins=False)
    ordered.take(records(("fan", 1, 1.0)))

    with pytest.raises(StateError, match="damaged"):
        ordered.unpack({"fan": b"", "pump": packed})
    assert len(ordered) == 1


def test_what_waits_of_other_channels_is_refused():
    ordered = Assembly(1, 10, joins=False)
    ordered.take(records(("fan", 1, 1.0)))

    with pytest.raises(StateError, match="what waits of fan has other channels"):
        Assembly(2, 10, joins=True).unpack({"fan": ordered.pack("fan")})


def test_a_negative_lateness_is_refused():
    with pytest.raises(ValueError, match="lateness is -1: 0 or more is needed"):
        Assembly(1, -1, joins=False)


LATENESS = 6
times = st.integers(0, 30)
value = st.one_of(st.none(), st.integers(0, 9))
streams = st.lists(
    st.tuples(st.sampled_from(["pump", "fan"]), times, value, value).map(
        lambda row: (*row[:2], *(NAN if one is None else one for one in row[2:]))
    ),
    max_size=40,
)


@given(streams, st.booleans(), st.data())
def test_no_cutting_and_no_restart_changes_what_comes_out(rows, joins, data):
    whole, pieces = Assembly(2, LATENESS, joins=joins), Assembly(2, LATENESS, joins=joins)
    given_ = records(*rows) if rows else records(("pump", 0, 1.0, 1.0))[:0]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(given_)), max_size=4)))
    out, settled = whole.take(given_)
    parts, ends = [], []
    for first, last in zip([0, *cuts], [*cuts, len(given_)], strict=True):
        some, end = pieces.take(given_[first:last])
        parts.append(some)
        ends += list(zip(end.outcome.tolist(), end.offset.tolist(), strict=True))
        heir = Assembly(2, LATENESS, joins=joins)
        heir.unpack({name: pieces.pack(name) for name in ("pump", "fan")})
        pieces = heir

    assert rows_of(join(parts)) == rows_of(out)
    assert join(parts).offset.tolist() == out.offset.tolist()
    assert ends == list(zip(settled.outcome.tolist(), settled.offset.tolist(), strict=True))


@given(streams, st.booleans())
def test_every_record_has_one_end_and_every_series_comes_out_in_order_but_for_clocks_set_back(rows, joins):
    ordered = Assembly(2, LATENESS, joins=joins)
    given_ = records(*rows) if rows else records(("pump", 0, 1.0, 1.0))[:0]
    out, settled = ordered.take(given_)

    assert len(out) + len(settled) + len(ordered) == len(given_)
    for code in range(2):
        onwards = np.diff(out.at[out.series == code])
        assert ((onwards > 0) | (onwards < -LATENESS)).all()
    assert (np.diff(out.offset) >= 0).all()


def in_time(moves):
    """Records of a pump, none older than another before it by more than the lateness."""
    rows, now = [], 0
    for onwards, back, *values in moves:
        now += onwards
        rows.append(("pump", now - back, *(NAN if one is None else one for one in values)))
    return rows


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, LATENESS), value, value), max_size=40).map(in_time))
def test_readings_put_in_order_are_those_that_a_plain_search_finds(rows):
    """A reading goes out when one that is newer by the lateness is there; worked out anew for each record."""
    given_ = records(*rows) if rows else records(("pump", 0, 1.0, 1.0))[:0]
    out, settled = Assembly(2, LATENESS, joins=False).take(given_)

    some = ~given_.missing.all(axis=1)
    kept, ended = [], Counter()
    for row, at in enumerate(given_.at.tolist()):
        before = [given_.at[other] for other in kept]
        gone = [each for each in before if each <= max(given_.at[:row][some[:row]], default=-99) - LATENESS]
        if not some[row]:
            ended["MISSING"] += 1
        elif gone and at < max(gone):
            ended["LATE"] += 1
        elif at in before:
            ended["DUPLICATE"] += 1
        else:
            kept.append(row)
    newest = max(given_.at[some], default=-99)
    wanted = sorted(int(given_.at[row]) for row in kept if given_.at[row] <= newest - LATENESS)

    assert out.at.tolist() == wanted
    assert Counter(outcomes(settled)) == ended


@given(streams)
def test_what_comes_within_the_lateness_is_joined_as_a_table_would_be(rows):
    """With time enough no record is late, and grouping by series and time gives the same readings."""
    given_ = records(*rows) if rows else records(("pump", 0, 1.0, 1.0))[:0]
    # a reading without gaps may go at once, so that an older one would be late: here none has all its channels
    given_ = Readings(
        given_.names,
        given_.series,
        given_.at,
        np.hstack([given_.values, np.full((len(given_), 1), NAN)]),
        np.hstack([given_.missing, np.ones((len(given_), 1), bool)]),
        given_.partition,
        given_.offset,
    )
    joined = Assembly(3, 100, joins=True)
    out, settled = joined.take(given_)
    table = defaultdict(lambda: [None, None, None])
    for name, at, *values in rows_of(given_):
        for channel, one in enumerate(values):
            if one is not None and table[name, at][channel] is None:
                table[name, at][channel] = one
    whole = {key: values for key, values in table.items() if any(one is not None for one in values)}

    assert len(out) == 0
    assert "LATE" not in outcomes(settled)
    assert {(name, at): values for name, at, *values in rows_of(joined.flush(given_.names))} == whole
