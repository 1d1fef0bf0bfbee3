"""How well events are found by flags at the deployed bar, and what the flags cost between the events.

T rows of one series in order of time: `label` (T,) tells which rows are anomalous, `flags` (T,) which are flagged. An
event is a run of anomalous rows, an *episode* a run of flagged ones. `finds` (T,) tells which of the flagged rows find
the event that they are in: all where rows are flagged that exceed; where an incident is open, those that
`quality.finding` tells, for one that was open before the event finds nothing by staying open. No point adjustment
anywhere. A figure that means nothing here is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.quality import chance_recall, delays, event_recall, events, false_alarm_rate, ranked
from pipeline.records import Flags, Floats

PER_READINGS = 10_000


@dataclass(frozen=True, slots=True)
class EventQuality:
    """Figures of one series at one bar."""

    events: int
    found: int  # with a row that finds them
    precision: float | None  # share of the episodes that find an event
    recall: float | None
    f1: float | None
    chance_recall: float | None  # 1 - (1 - a)^L at the rate a outside the events, mean over events of length L
    affiliation_precision: float | None
    affiliation_recall: float | None
    delay_median_rows: float | None  # over the events found
    delay_90_rows: float | None
    achieved_rate: float | None  # share of rows outside the events that are flagged
    false_episodes: int  # that find no event
    false_episodes_per_10000: float | None  # readings outside the events
    false_episodes_per_day: float | None  # None on an index clock


def event_quality(
    label: Flags, flags: Flags, rows_per_day: float | None = None, finds: Flags | None = None
) -> EventQuality:
    """All figures of one series; `rows_per_day` is None where time is an index, `finds` where all flagged rows do."""
    finds = flags if finds is None else finds
    recall, found, number = event_recall(label, finds)
    starts, ends = events(flags)
    hits = np.append(0, np.cumsum(label & finds))  # before each row
    true = int((hits[ends] > hits[starts]).sum())
    precision = true / len(starts) if len(starts) else None
    rate = false_alarm_rate(label, flags)
    rows = delays(label, finds)
    false, outside = len(starts) - true, int((~label).sum())
    affiliation = affiliation_precision_recall(label, flags)
    return EventQuality(
        events=number,
        found=found,
        precision=precision,
        recall=recall,
        f1=_f1(precision, recall),
        chance_recall=None if rate is None else chance_recall(label, rate),
        affiliation_precision=affiliation[0],
        affiliation_recall=affiliation[1],
        delay_median_rows=float(np.median(rows)) if len(rows) else None,
        delay_90_rows=float(np.quantile(rows, 0.9)) if len(rows) else None,
        achieved_rate=rate,
        false_episodes=false,
        false_episodes_per_10000=false / outside * PER_READINGS if outside else None,
        false_episodes_per_day=false / outside * rows_per_day if outside and rows_per_day else None,
    )


def best_f1(score: Floats, label: Flags, false_alarms: float = 1.0) -> float | None:
    """The highest F1 of rows over all thresholds, chosen in hindsight; no point adjustment, a null is the lowest.

    Only thresholds with at most the share `false_alarms` of the normal rows above them count; 0 where there is none.
    """
    if not label.any() or label.all():
        return None
    ranks = ranked(score)
    order = np.argsort(-ranks, kind="stable")
    last = np.append(np.diff(ranks[order]) != 0, True)  # equal scores pass together
    hits, above = np.cumsum(label[order])[last], np.flatnonzero(last) + 1
    kept = above - hits <= false_alarms * (~label).sum()
    return float((2 * hits / (above + label.sum()))[kept].max(initial=0.0))


def found_at_the_top(score: Floats, label: Flags, slack: int = 100) -> bool | None:
    """UCR's question: is the highest score within `slack` rows of the one event? The first of equals counts."""
    starts, ends = events(label)
    if len(starts) != 1 or np.isnan(score).all():
        return None
    top = int(np.nanargmax(score))
    return bool(starts[0] - slack <= top <= ends[0] - 1 + slack)


def affiliation_precision_recall(label: Flags, flags: Flags) -> tuple[float | None, float | None]:
    """Huet, Navarro and Rossi, KDD 2022, section 3: how near flags are to events, against flags at random.

    Rows are intervals of length 1. Each event owns the rows nearest to it; precision is the mean over those events with
    a flag near them, recall over all.
    """
    starts, ends = events(label)
    if not len(starts):
        return None, None
    borders = np.concatenate([[0.0], (ends[:-1] + starts[1:]) / 2, [float(len(label))]])
    firsts, lasts = events(flags)
    precisions, recalls = [], []
    for a, b, s, e in zip(borders[:-1], borders[1:], starts.astype(float), ends.astype(float), strict=True):
        near = (firsts < b) & (lasts > a)
        inside = [(max(float(f), a), min(float(g), b)) for f, g in zip(firsts[near], lasts[near], strict=True)]
        if inside:
            precisions.append(_zone_precision(inside, a, b, s, e))
        recalls.append(_zone_recall(inside, a, b, s, e) if inside else 0.0)
    return (float(np.mean(precisions)) if precisions else None), float(np.mean(recalls))


def _zone_precision(inside: Sequence[tuple[float, float]], a: float, b: float, s: float, e: float) -> float:
    """Mean over the flags of the chance that a random place of the zone [a, b] is no nearer to the event [s, e]."""

    def chance(x: Floats) -> Floats:
        d = np.maximum(s - x, x - e)
        outside: Floats = ((s - a) - np.minimum(d, s - a) + (b - e) - np.minimum(d, b - e)) / (b - a)
        return outside

    total, length = 0.0, 0.0
    for f, g in inside:
        length += g - f
        total += max(min(g, e) - max(f, s), 0.0)  # in the event itself the chance is 1
        knots = [s - (b - e), e + (s - a)]
        total += _integral(chance, f, min(g, s), knots) + _integral(chance, max(f, e), g, knots)
    return total / length


def _zone_recall(inside: Sequence[tuple[float, float]], a: float, b: float, s: float, e: float) -> float:
    """Mean over the event of the chance that a random flag of the zone is no nearer to a place than the flags are."""
    edges = np.array(inside)  # (P, 2)

    def chance(y: Floats) -> Floats:
        d = np.maximum(np.maximum(edges[:, :1] - y, y - edges[:, 1:]), 0).min(axis=0)
        nearer: Floats = (np.minimum(d, y - a) + np.minimum(d, b - y)) / (b - a)
        return 1 - nearer

    flat = edges.ravel()
    knots = [*flat, *((flat + a) / 2), *((flat + b) / 2), *((edges[:-1, 1] + edges[1:, 0]) / 2)]
    return _integral(chance, s, e, knots) / (e - s)


def _integral(line: Callable[[Floats], Floats], begin: float, end: float, knots: Sequence[float]) -> float:
    """Of a continuous function that is straight between its knots: the trapezoids are exact."""
    if end <= begin:
        return 0.0
    x = np.unique([begin, *(knot for knot in knots if begin < knot < end), end])
    y = line(x)
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())


def _f1(precision: float | None, recall: float | None) -> float | None:
    if recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision and recall else 0.0
