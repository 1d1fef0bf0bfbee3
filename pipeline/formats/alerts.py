"""Alerts for machines, as JSON, and for people, as one sentence.

JSON keeps every digit and the times in full. The sentence is read at night: digits as fine as the band deserves, the
date once, rarity no finer than the calibration can tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from pipeline.formats import times
from pipeline.records import Alert, Clock, Deviation, Group, Labels, Quiet

CHANNELS_SHOWN = 3  # in a sentence; the others are counted
MEMBERS_SHOWN = 3  # the same

_DURATIONS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000))  # microseconds


def encode(alert: Alert) -> bytes:
    """One line of JSON, the same bytes for the same alert."""
    return msgspec.json.encode(as_dict(alert))


def cloud_event(alert: Alert) -> Iterator[tuple[str, bytes]]:
    """Headers of a record that make it an event of CloudEvents 1.0, in the binary mode of its Kafka binding.

    Source and id name the event: every copy of it has the same.
    """
    headers = {
        "ce_specversion": "1.0",
        "ce_type": f"plumbline.incident.{alert.event}",
        "ce_source": f"/plumbline/{quote(alert.detector, safe='')}",
        "ce_id": f"{alert.id}-{alert.event}-{alert.at}",
        "ce_subject": alert.series,
        **({"ce_time": times.iso(alert.at)} if alert.clock == "time" else {}),
        "content-type": "application/json",
    }
    yield from ((name, text.encode()) for name, text in headers.items())


def as_dict(alert: Alert) -> dict[str, Any]:
    """The alert in values of JSON: times as ISO 8601 with Z, or sample numbers; None where there is none.

    Labels are there where they are declared, group and members where the incident is a group's. Where the kind is not
    anomaly, what only a score has is None, and `quiet` says how long it lasted.
    """
    scored = alert.kind == "anomaly"
    return {
        "id": alert.id,
        "event": alert.event,
        "kind": alert.kind,
        "detector": alert.detector,
        "digest": alert.digest,
        "series": alert.series,
        "severity": alert.severity,
        "at": _outside(alert.at, alert.clock),
        "start": _outside(alert.start, alert.clock),
        "end": None if alert.end is None else _outside(alert.end, alert.clock),
        "peak_at": _outside(alert.peak_at, alert.clock) if scored else None,
        "score": alert.score if scored else None,
        "bar": alert.bar if scored else None,
        "target": alert.target if scored else None,
        "because": alert.because,
        "span": alert.span if scored else None,
        "one_in": alert.one_in if scored else None,
        "closing": alert.closing,
        "channels": [
            {
                "channel": channel.channel,
                "value": channel.value,
                "expected": channel.expected,
                "lower": channel.lower,
                "upper": channel.upper,
                "contribution": channel.contribution if scored else None,
                "unit": channel.unit,
            }
            for channel in alert.channels
        ],
        "partition": alert.partition,
        "offset": alert.offset,
        **({"quiet": {"readings": quiet.readings, "limit": quiet.limit}} if (quiet := alert.quiet) else {}),
        **({"muted": alert.muted} if alert.muted is not None else {}),
        **({"labels": dict(alert.labels)} if alert.labels else {}),
        **(_group(alert.group, alert) if alert.group is not None else {}),
        "sentence": sentence(alert),
    }


def _group(group: Group, alert: Alert) -> dict[str, Any]:
    """Whose incident it is and its members, the one with the highest score first."""
    return {
        "group": {"id": alert.id, "labels": dict(group.labels), "joined": group.joined, "open": group.open},
        "members": [
            {
                "series": member.series,
                "id": member.id,
                "severity": member.severity,
                "start": _outside(member.start, alert.clock),
                "end": None if member.end is None else _outside(member.end, alert.clock),
                "score": member.score,
                "peak_at": _outside(member.peak_at, alert.clock),
            }
            for member in group.members
        ],
    }


def _outside(at: int, clock: Clock) -> str | int:
    return times.iso(at) if clock == "time" else at


def sentence(alert: Alert) -> str:
    """What happened, for an operator, in one line whatever the names contain. Times are UTC."""
    if alert.quiet is not None:
        parts = _stuck(alert, alert.quiet) if alert.kind == "stuck" else _silent(alert, alert.quiet)
    else:
        parts = _ended(alert) if alert.event == "cleared" else _ongoing(alert)
    whose = alert.series if alert.group is None else f"{in_words(alert.group.labels)}, {alert.series}"
    text = f"{whose}{_urgency(alert)}: " + "; ".join(part for part in parts if part)
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _urgency(alert: Alert) -> str:
    if alert.event == "cleared" or alert.severity == "warning":
        return ""
    return " now critical" if alert.event == "updated" and alert.group is None else " critical"


def in_words(labels: Labels) -> str:
    """Labels for a person: site north, line 3."""
    return ", ".join(f"{name} {value}" for name, value in labels)


def _ongoing(alert: Alert) -> list[str]:
    """The parts of the sentence while the incident is open."""
    return [
        "the budget of alerts is spent with this one: until its period ends, only a higher score raises"
        if alert.event == "budget_spent"
        else "",
        "a value is out of its valid range" if alert.because == "range" else "",
        _reading(alert.channels[0], when(alert.at, alert.clock)),
        _rarity(alert) and _rarity(alert) + _lasting(alert),
        _contributions(alert),
        f"open since {when(alert.start, alert.clock, alert.at)}" if alert.start < alert.at else "",
        _members(alert.group) if alert.group is not None and alert.group.joined > 1 else "",
    ]


def _stuck(alert: Alert, quiet: Quiet) -> list[str]:
    """The parts of the sentence about channels that stand still, or stood."""
    first, now = alert.channels[0], when(alert.at, alert.clock)
    others = ", ".join(channel.channel for channel in alert.channels[1 : CHANNELS_SHOWN + 1])
    more = len(alert.channels) - 1 - CHANNELS_SHOWN
    too = f"{others} too" if more <= 0 else f"{others} and {more} more too"
    if alert.event == "cleared":
        moves = f"{first.channel} moves again at {now} after {duration(alert.at - alert.start, alert.clock)}"
        return [moves, f"{quiet.readings:,} readings had one value", too if others else ""]
    value = "" if first.value is None else f" at {number(first.value, first)}{_unit(first)}"
    return [
        f"{first.channel} is stuck{value} at {now}",
        f"one value in {quiet.readings:,} readings, more than {quiet.limit:,}",
        too if others else "",
        f"since {when(alert.start, alert.clock, alert.at)}",
    ]


def _silent(alert: Alert, quiet: Quiet) -> list[str]:
    """The parts of the sentence about a series that sends nothing, or sent nothing."""
    now = when(alert.at, alert.clock)
    if alert.event == "cleared":
        return [f"speaks again at {now} after {duration(alert.at - alert.start, alert.clock)}"]
    return [
        f"silent at {now}",
        f"no reading for {quiet.readings:,} steps, more than {quiet.limit:,}, while others go on",
        f"the last one was at {when(alert.start, alert.clock, alert.at)}",
    ]


def _ended(alert: Alert) -> list[str]:
    """The parts of the sentence when the incident is over."""
    if alert.group is not None:
        return _group_ended(alert, alert.group)
    lasted = max(0, alert.at - alert.start)  # one that a wrong time far ahead raised began after its end
    after = f"{when(alert.at, alert.clock)} after {duration(lasted, alert.clock)}"
    peak = f"peak {_rarity(alert)}".rstrip() + f" at {when(alert.peak_at, alert.clock, alert.at)}"
    return [f"{_ending(alert)} at {after}", peak, _contributions(alert)]


def _ending(alert: Alert) -> str:
    return "closed by a gap in the readings, which go on" if alert.closing == "gap" else "back to normal"


def _group_ended(alert: Alert, group: Group) -> list[str]:
    """The parts of the sentence when the last member of a group is over it."""
    last = f"the last of {group.joined} series " if group.joined > 1 else ""
    after = f"{when(alert.at, alert.clock)} after {duration(alert.at - alert.start, alert.clock)}"
    highest = group.members[0]
    peak = f"peak of {highest.series} at {when(highest.peak_at, alert.clock, alert.at)}"
    return [f"{last}{_ending(alert)} at {after}", peak, _members(group) if group.joined > 1 else ""]


def _members(group: Group) -> str:
    """How many series an incident has and which: the highest scores first."""
    names = ", ".join(member.series for member in group.members[:MEMBERS_SHOWN])
    others = group.joined - min(len(group.members), MEMBERS_SHOWN)
    return f"{group.joined} series: {names}" + (f" and {others} more" if others else "")


def _reading(channel: Deviation, when: str) -> str:
    """One channel's value and what was expected of it."""
    if channel.value is None:
        text = f"{channel.channel} missing at {when}"
    else:
        text = f"{channel.channel} {number(channel.value, channel)}{_unit(channel)} at {when}"
    if channel.expected is None:
        return text
    return f"{text}, expected {number(channel.expected, channel)}{_band(channel)}"


def _unit(channel: Deviation) -> str:
    return f" {channel.unit}" if channel.unit else ""


def _band(channel: Deviation) -> str:
    if channel.lower is None or channel.upper is None:
        return ""
    lower, upper = number(channel.lower, channel), number(channel.upper, channel)
    return f" ({lower} to {upper})" if "-" in lower + upper else f" ({lower}-{upper})"


def number(value: float, channel: Deviation) -> str:
    """A number with as many decimals as give the channel's band two digits."""
    width = 0.0 if channel.lower is None or channel.upper is None else channel.upper - channel.lower
    if not (1e-6 < width < math.inf and abs(value) < 1e9):
        return f"{value:.4g}"
    decimals = max(1 - math.floor(math.log10(width)), 0)
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # adding zero takes the sign off a zero


def _rarity(alert: Alert) -> str:
    """How rare the peak is; empty where a rule raised the incident, or where it is not rare."""
    if alert.because == "range" or alert.one_in <= 1:
        return ""
    return f"rarer than 1 in {coarse(alert.one_in):,} readings"


def coarse(one_in: int) -> int:
    """Its first two digits, as many as can be relied on."""
    digits: int = 10 ** max(len(str(one_in)) - 2, 0)
    return one_in // digits * digits


def _lasting(alert: Alert) -> str:
    return f", by a deviation of some {alert.span} readings" if alert.because == "sustained" else ""


def _contributions(alert: Alert) -> str:
    """Which channels make up the deviation; empty where there is but one."""
    shares = sorted(alert.channels, key=lambda channel: -channel.contribution)
    shown = [channel for channel in shares[:CHANNELS_SHOWN] if channel.contribution >= 0.005]
    if len(alert.channels) == 1 or not shown:
        return ""
    named = [f"{channel.channel} {percent(channel.contribution)}" for channel in shown]
    others = sum(channel.contribution for channel in shares[len(shown) :])
    if others >= 0.005:
        count = len(shares) - len(shown)
        named.append(f"{count} {'other' if count == 1 else 'others'} {percent(others)}")
    return ", ".join(named) + " of the deviation"


def percent(share: float) -> str:
    """A share, 0 to 1, in whole percent."""
    return f"{100 * share:.0f} %"


def when(at: int, clock: Clock, known: int | None = None) -> str:
    """A moment; the date is left out where it is that of `known`, seconds where there are none."""
    if clock == "index":
        return f"sample {at}"
    moment = times.moment(at)
    text = _clock_face(moment)
    return text if known is not None and times.moment(known).date() == moment.date() else f"{moment.date()} {text}"


def _clock_face(moment: datetime) -> str:
    if moment.microsecond:
        return moment.isoformat(timespec="milliseconds").partition("T")[2]
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"


def duration(length: int, clock: Clock) -> str:
    """A length of time in its two largest units."""
    if clock == "index":
        return f"{length} samples" if length != 1 else "1 sample"
    parts = []
    for unit, size in _DURATIONS:
        count, length = divmod(length, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or f"{length / 1000:g} ms"
