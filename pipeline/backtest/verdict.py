"""An explanation in words: one sentence with the verdict, small tables behind it, and notes.

Written for a person at night, who knows the sensor and not the program.
"""

from __future__ import annotations

import math

from pipeline.backtest.explanation import ChannelPart, Explanation, Peak
from pipeline.backtest.trace import of_scores
from pipeline.detector.calibration import Calibration
from pipeline.detector.fusion import FUSED_OFFSET
from pipeline.formats.alerts import coarse, duration, number, percent, sentence, when
from pipeline.records import Alert, Outcome

CHANNELS_SHOWN = 8  # in the table
CHANNELS_NAMED = 3  # in the sentence
RULES = {
    "direction": "its direction is one that the settings do not want to hear of (direction)",
    "ignore_below": "it is smaller than the settings want to hear of (ignore_below)",
}

Rows = list[tuple[str, ...]]  # the first has the heads


def verdict(explained: Explanation) -> str:
    """Whether the reading was flagged and why, in one sentence."""
    said = _raised(explained) or _unscored(explained) or _scored(explained)
    text = f"{explained.series} at {when(explained.at, explained.clock)} {said}."
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _raised(explained: Explanation) -> str:
    """What raised an incident at this reading; empty where nothing did."""
    alert = _event(explained, "raised")
    if alert is None:
        return ""
    how = "was flagged" if alert.severity == "warning" else "was flagged, critical"
    if alert.because == "range":
        first = alert.channels[0]
        part = next(each for each in explained.channels if each.deviation.channel == first.channel)
        low, high = part.rule.valid_range or (-math.inf, math.inf)
        return f"{how}: {first.channel} is outside its valid range, {low:g} to {high:g}, and that raises by itself"
    lasting = f", by a deviation of some {alert.span} readings" if alert.because == "sustained" else ""
    return f"{how}: {_compared(explained)}{lasting}{_contributions(explained)}"


def _unscored(explained: Explanation) -> str:
    """Why it has no score; empty where it has one."""
    last = None if explained.before.at is None else when(explained.before.at, explained.clock, explained.at)
    if explained.outcome == Outcome.LATE:
        return f"was not scored: it is late, its series had already a reading of {last}; it changed nothing"
    if explained.outcome == Outcome.DUPLICATE:
        return "was not scored: it is a duplicate, a reading of that time came before it; it changed nothing"
    if explained.outcome == Outcome.MISSING:
        return "was not scored: no channel that is scored has a value (missing); the state of the series stands still"
    if explained.outcome != Outcome.WARMING:
        return ""
    if explained.reset:
        why = f"it came {_gap(explained)} after the last one, too long a gap, and the series begins again"
    elif explained.began_again is not None:
        why = f"the series warms up after the gap before {when(explained.began_again, explained.clock, explained.at)}"
    else:
        why = "the series has just begun and warms up"
    left = explained.after.unscored
    then = f"it is scored after {left:,} more" if left else "it is scored from the next one on"
    return f"was not scored: {why}; {then}"


def _scored(explained: Explanation) -> str:
    """Why a score raised nothing."""
    before, after = explained.before.incident, explained.after.incident
    compared = _compared(explained)
    if before is None:
        if not explained.exceeds:
            return f"was not flagged: {compared}"
        rule = explained.held_back or ""
        return f"was not flagged: {compared}, but {RULES.get(rule, f'the alert was held back ({rule})')}"
    since = when(before.start, explained.clock, explained.at)
    if explained.exceeds:
        return f"is part of the incident open since {since}: {compared}"
    if after is None:
        return f"was not flagged and ended the incident open since {since}: {compared}"
    calm = f"{after.calm} of {explained.clear_after} calm readings that would clear it"
    return f"was not flagged by itself: {compared}; the incident open since {since} goes on, {calm}"


def _compared(explained: Explanation) -> str:
    """Score against bar."""
    rare, how = rarity(explained.score, explained.calibration), "above" if explained.exceeds else "not above"
    return f"its score of {explained.score:.2f}, {rare}, is {how} its bar of {explained.bar:.2f}"


def rarity(decades: float, calibration: Calibration) -> str:
    """A score in words, never finer than the calibration can tell."""
    one_in = calibration.one_in(decades)
    if one_in <= 1:
        return "as common as any"
    if one_in > len(calibration.sample):
        return f"rarer than 1 in {coarse(one_in):,} readings"
    return f"1 in {coarse(one_in):,} readings"


def _contributions(explained: Explanation) -> str:
    """Which channels the error is made of; empty where there is but one."""
    scored = [part.deviation for part in explained.channels if part.scored]
    named = [f"{each.channel} {percent(each.contribution)}" for each in scored if each.contribution >= 0.005]
    if len(scored) == 1 or not named:
        return ""
    return "; " + ", ".join(named[:CHANNELS_NAMED]) + " of the deviation"


def channel_rows(explained: Explanation) -> Rows:
    """The channels, the largest share first."""
    verb = "exceeds" if explained.before.incident else "flagged"
    heads = ("channel", "value", "expected (99 % band)", "off by", "in common residuals", "share", f"alone {verb}")
    rows = [_channel_row(part) for part in explained.channels[:CHANNELS_SHOWN]]
    more = len(explained.channels) - len(rows)
    return [heads, *rows, *([(f"and {more} more", *[""] * (len(heads) - 1))] if more else [])]


def _channel_row(part: ChannelPart) -> tuple[str, ...]:
    each = part.deviation
    unit = f" {each.unit}" if each.unit else ""
    value = "missing" if each.value is None else number(each.value, each) + unit
    expected, off = "", ""
    if each.expected is not None and each.lower is not None and each.upper is not None:
        expected = f"{number(each.expected, each)} ({number(each.lower, each)} to {number(each.upper, each)})"
        if each.value is not None:
            difference = number(each.value - each.expected, each)
            off = f"{'' if difference.startswith('-') else '+'}{difference}{unit}"
    if not part.scored:
        return each.channel, value, expected, off, "", "not scored", ""
    commons = "" if part.commons is None else f"{part.commons:.1f}"
    share = "" if each.expected is None else percent(each.contribution)
    return each.channel, value, expected, off, commons, share, _limits(part)


def _limits(part: ChannelPart) -> str:
    if part.limits is None:
        return ""
    if part.limits.anyway:
        return "at any value"
    ends = [
        *([f"below {number(part.limits.below, part.deviation)}"] if part.limits.below is not None else []),
        *([f"above {number(part.limits.above, part.deviation)}"] if part.limits.above is not None else []),
    ]
    return " or ".join(ends) or "at no value"


def view_rows(explained: Explanation) -> Rows:
    """The smoothed errors of all views, as they enter F."""
    heads = ("view", "over", "error", "smoothed", "99 % of calibration", "level", "weight", "share of F")
    return [
        heads,
        *(
            (
                view.view,
                _readings(view.span),
                *(f"{each:.3g}" for each in (view.error, view.smoothed, view.high)),
                f"{view.level:.3f}",
                f"{view.weight:.2f}",
                percent(view.share),
            )
            for view in explained.views
        ),
    ]


def score_rows(explained: Explanation) -> Rows:
    """The fused error and the bar, in x and in decades."""
    normal = explained.calibration
    held = (
        ("this reading", explained.x, explained.score),
        ("its bar", explained.bar_x, explained.bar),
        ("where its bar started", explained.bar_start, explained.bar_start_decades),
    )
    rows = [(name, f"{x:.3f}", f"{decades:.2f}", rarity(decades, normal)) for name, x, decades in held]
    return [("held against", "x", "decades", "in words"), *rows]


def notes(explained: Explanation) -> list[str]:
    """What else a person may want to know, a sentence each."""
    said = []
    if explained.imputed:
        said.append(f"The {_steps(explained.imputed)} right before it had no reading and ran on their own forecast.")
    if explained.outcome == Outcome.SCORED:
        said += [_bar_moved(explained), _needed(explained)]
    elif explained.after.incident is not None and not explained.events:
        said.append(f"The incident open since {when(explained.after.incident.start, explained.clock)} goes on.")
    if (cleared := _event(explained, "cleared")) and cleared.closing == "gap":
        said.append(f"The gap before it closed the incident open since {when(cleared.start, explained.clock)}.")
    if explained.peak is not None:
        said.append(_peak(explained, explained.peak))
    if _event(explained, "updated"):
        said.append("With this reading the incident became critical.")
    if raised := _event(explained, "raised"):
        said.append(f"The incident is {raised.id}.")
    apart = [alert for alert in explained.events if alert.kind != "anomaly"]
    return [*said, *(f"Apart from its score: {sentence(alert)}." for alert in apart)]


def _peak(explained: Explanation, peak: Peak) -> str:
    """The incident's highest score and its time, by which it can be asked for."""
    so_far = " so far" if peak.so_far else ""
    if peak.at == explained.at:
        return f"No other reading of the incident has scored higher{so_far}."
    return f"The incident has its peak{so_far}, a score of {peak.score:.2f}, at {when(peak.at, explained.clock)}."


def _bar_moved(explained: Explanation) -> str:
    before, moved = explained.before, explained.bar_x - explained.bar_start
    counts = (
        f"{before.exceeded:,} of {_readings(before.scored)} scored before it exceeded "
        f"(1 in {round(1 / explained.target):,} is promised)"
    )
    if abs(moved) < 5e-4:
        return f"The bar stands where it started; {counts}."
    return f"The bar has moved by {moved:+.3f} in x since it started: {counts}."


def _needed(explained: Explanation) -> str:
    """How far x, and F in it, were from the bar."""
    fused, needed = (math.exp(x) - FUSED_OFFSET for x in (explained.x, explained.bar_x))
    far = abs(explained.bar_x - explained.x)
    if explained.exceeds:
        return f"x is {far:.3f} above the bar: F is {fused:.3f}, up to {needed:.3f} would not have exceeded."
    return f"x is {far:.3f} below the bar: F is {fused:.3f}, more than {max(needed, 0.0):.3f} would have exceeded."


def _event(explained: Explanation, event: str) -> Alert | None:
    return next((alert for alert in of_scores(explained.events) if alert.event == event), None)


def _gap(explained: Explanation) -> str:
    return duration(explained.at - (explained.before.at or 0), explained.clock)


def _readings(count: int) -> str:
    return f"{count:,} reading" if count == 1 else f"{count:,} readings"


def _steps(count: int) -> str:
    return "step" if count == 1 else f"{count:,} steps"
