from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import times

NOON = 1_387_214_700_000_000  # 2013-12-16T17:25:00Z
moments = st.integers(times.EARLIEST, times.LATEST)


@given(moments)
def test_iso_text_reads_back_as_the_same_microsecond(at):
    assert times.parse(times.iso(at), UTC) == at


@given(st.integers(0, 2**33 * 1_000_000), st.sampled_from(["s", "ms", "us", "ns"]))
def test_a_number_in_any_unit_reads_back_as_the_same_microsecond(at, unit):
    assert times.from_number(times.to_number(at, unit), unit) == at


@given(st.integers(86_400_000_000, 2**52))
def test_a_wall_clock_is_as_far_from_utc_as_the_standard_library_says(at):
    berlin, wall = ZoneInfo("Europe/Berlin"), times.moment(at)
    expected = (wall.replace(tzinfo=berlin) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

    assert times.parse(wall.isoformat(), berlin) == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2013-12-16T17:25:00Z", NOON),
        ("2013-12-16 17:25", NOON),
        ("2013-12-16T19:25:00+02:00", NOON),
        ("2013-12-16T17:25:00.123456Z", NOON + 123_456),
        ("2013-12-16T17:25:00.123456999Z", NOON + 123_456),  # nanoseconds are cut off
        ("2013-12-16T17:25:00.5", NOON + 500_000),
        ("2013-12-16", NOON - NOON % 86_400_000_000),
        ("1969-12-31T23:59:59.999999Z", -1),
    ],
)
def test_iso_8601_is_read_to_the_microsecond(text, at):
    assert times.parse(text, UTC) == at


@pytest.mark.parametrize("text", ["", "soon", "17", "2013-13-01", "2013-12-16T17:25:60Z", "0001-01-01T00:00:00+05:00"])
def test_what_is_no_moment_is_none(text):
    assert times.parse(text, UTC) is None


def test_an_hour_that_a_wall_clock_shows_twice_is_its_first():
    berlin = ZoneInfo("Europe/Berlin")

    assert times.parse("2024-10-27T02:30:00", berlin) == times.parse("2024-10-27T00:30:00Z", UTC)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_many_wall_clocks_at_once_are_what_each_is_alone(name):
    zone = times.zone(name)
    first = times.parse("2024-01-01T00:00:00", UTC)
    walls = np.arange(first, first + 366 * 86_400_000_000, 7 * 60_000_000 + 1)
    alone = [times.parse(times.moment(int(wall)).isoformat(), zone) for wall in walls[::37]]

    assert times.to_utc(walls, zone)[::37].tolist() == alone


@pytest.mark.parametrize(
    ("number", "unit", "at"),
    [
        (1_387_214_700, "s", NOON),
        (1_387_214_700.25, "s", NOON + 250_000),
        (1_387_214_700_001, "ms", NOON + 1_000),
        (1_387_214_700_000_001_999, "ns", NOON + 1),
        (-1, "ns", -1),
        (17, "index", 17),
        (17.0, "index", 17),
        (17.5, "index", None),
        (2**62 + 1, "index", None),
        (1e300, "s", None),
        (float("nan"), "s", None),
        (float("inf"), "index", None),
        (10**400, "ms", None),
        (253_402_300_800, "s", None),  # the year 10000
    ],
)
def test_numbers_are_read_in_their_unit_or_refused(number, unit, at):
    assert times.from_number(number, unit) == at


def test_a_zone_that_nobody_knows_is_refused_by_name():
    with pytest.raises(ValueError, match=r"timezone is 'Mars/Olympus'"):
        times.zone("Mars/Olympus")


clocks = st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "Africa/Monrovia"])
digits = st.text("0123456789-:.,TZ+W ", max_size=35)


@given(st.one_of(st.text(max_size=40), digits, moments.map(times.iso), st.datetimes().map(str)), clocks)
def test_any_text_is_a_moment_within_the_calendar_or_none(text, zone):
    at = times.parse(text, times.zone(zone))

    assert at is None or times.EARLIEST <= at <= times.LATEST
    assert at is None or times.parse(times.iso(at), UTC) == at


@given(st.one_of(st.integers(), st.integers(-(10**400), 10**400), st.floats()), st.sampled_from(times.UNITS[1:]))
def test_any_number_is_a_moment_of_its_clock_or_none(number, unit):
    at = times.from_number(number, unit)

    assert at is None or times.within(at, times.clock_of(unit)) == at


@given(st.lists(st.floats(-1e11, 1e11), min_size=2, max_size=2).map(sorted), st.sampled_from(["s", "ms", "us", "ns"]))
def test_what_is_later_as_a_number_is_not_earlier_as_a_moment(numbers, unit):
    first, last = (times.from_number(number, unit) for number in numbers)

    assert first is None or last is None or first <= last
