"""How long ago, or since when, as it is typed: 90min, 36h, 14d, 8w, or a time."""

from __future__ import annotations

import re
from datetime import UTC

from pipeline.exceptions import SettingsError
from pipeline.formats import times

UNITS = {"min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds_of(text: str, option: str) -> int:
    """A length of time; SettingsError, naming the option, when it is none."""
    seconds = _seconds(text)
    if seconds is None:
        raise SettingsError(f"{option} is {text!r}: a number and a unit are needed, such as 90min, 36h, 14d or 8w")
    return seconds


def moment_of(text: str, option: str, now: float) -> int:
    """The moment so long before `now` (seconds since 1970 UTC), or the time itself, in milliseconds since 1970 UTC."""
    seconds = _seconds(text)
    if seconds is not None:
        return int((now - seconds) * 1000)
    at = times.parse(text.strip(), UTC)
    if at is None:
        raise SettingsError(
            f"{option} is {text!r}: a length of time such as 90min, 36h or 14d is needed, or a time such as "
            "2024-05-01T14:05, UTC where it does not say"
        )
    return at // 1000


def _seconds(text: str) -> int | None:
    found = re.fullmatch(r"(\d+)\s*(min|h|d|w)", text.strip())
    return int(found[1]) * UNITS[found[2]] if found is not None and int(found[1]) else None
