"""Moments as people and machines write them, and as the program counts them.

Inside, a moment is a whole number: microseconds since 1970 UTC, or a sample number. Outside it is ISO 8601 text or a
number in a stated unit. Finer digits than a microsecond are cut off, never rounded up, so that order is kept.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from pipeline.records import Clock, Ints

Unit = Literal["iso8601", "s", "ms", "us", "ns", "index"]
UNITS: tuple[str, ...] = get_args(Unit)

EARLIEST = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z
LATEST = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
FARTHEST = 2**62  # sample numbers up to here can be subtracted from each other without overflow

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_EPOCH = _EPOCH.replace(tzinfo=None)  # a clock on a wall
_MICROSECOND = timedelta(microseconds=1)
_QUARTER_HOUR = 900_000_000  # microseconds; clocks are changed at quarters of an hour


def zone(name: str) -> tzinfo:
    """The time zone of that name; ValueError when this machine knows none."""
    if name == "UTC":
        return UTC  # needs no time zone data, which small images lack
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"timezone is {name!r}: a name such as Europe/Berlin is needed, and the machine must have time zone data"
        ) from error


def clock_of(unit: Unit) -> Clock:
    """The clock that numbers of this unit belong to."""
    return "index" if unit == "index" else "time"


def parse(text: str, local: tzinfo) -> int | None:
    """Microseconds of an ISO 8601 moment; None where it is none. Without an offset it is a wall clock in `local`.

    An hour that a wall clock shows twice is taken as its first.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=local)
    return within((moment - _EPOCH) // _MICROSECOND, "time")


def from_number(number: int | float, unit: Unit) -> int | None:
    """Microseconds of a number in `unit`, or the sample number itself; None where it is none."""
    if isinstance(number, float):
        if not math.isfinite(number):
            return None
        fraction, whole = math.modf(number)
    else:
        fraction, whole = 0.0, number
    if unit == "index":
        return within(int(whole), "index") if fraction == 0 else None
    per_second = PER_SECOND[unit]
    if per_second > 1_000_000:
        return within(int(whole) // (per_second // 1_000_000), "time")
    scale = 1_000_000 // per_second
    return within(int(whole) * scale + round(fraction * scale), "time")


def within(at: int, clock: Clock) -> int | None:
    """The moment itself; None outside the years 1 to 9999, or beyond the farthest sample number."""
    if clock == "index":
        return at if -FARTHEST <= at <= FARTHEST else None
    return at if EARLIEST <= at <= LATEST else None


def to_number(at: int, unit: Unit) -> int | float:
    """The reverse of `from_number`: whole where it can be."""
    if unit == "index":
        return at
    per_second = PER_SECOND[unit]
    if per_second >= 1_000_000:
        return at * (per_second // 1_000_000)
    scale = 1_000_000 // per_second
    return at // scale if at % scale == 0 else at / scale


def iso(at: int) -> str:
    """ISO 8601 in UTC with Z; microseconds only where there are any."""
    return moment(at).isoformat() + "Z"


def moment(at: int) -> datetime:
    """The date and time in UTC, naive."""
    return _LOCAL_EPOCH + timedelta(microseconds=at)


def to_utc(walls: Ints, local: tzinfo) -> Ints:
    """Wall clocks in `local` as UTC, (N,) to (N,) microseconds; all must lie within the years 2 to 9998.

    The offset is looked up once for each quarter of an hour that occurs.
    """
    if local is UTC:
        return walls
    quarters, position = np.unique(walls // _QUARTER_HOUR, return_inverse=True)
    offsets = [_offset(int(quarter) * _QUARTER_HOUR, local) for quarter in quarters]
    return walls - np.array(offsets, dtype=np.int64)[position]


def _offset(wall: int, local: tzinfo) -> int:
    """Microseconds that a wall clock in `local` is ahead of UTC."""
    offset = moment(wall).replace(tzinfo=local).utcoffset()
    return 0 if offset is None else offset // _MICROSECOND
