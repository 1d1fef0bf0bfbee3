"""How well anomalies that are known were found: of rows, of events, and how soon.

T rows in order of time. `labels` (T,) tells which rows are anomalous; an *event* is a run of such rows. It is *found*
by a row inside it that raises an incident, or that exceeds while one is open: `finds` (T,) tells which rows do. Of
several series at once, `series` (T,) holds their codes, and no event reaches from one into the next. A figure that
means nothing here is None. All columns are (T,).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.records import Codes, Flags, Floats, Ints, runs


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality of detection on rows that are labelled; T rows, those without a label left out of what counts rows."""

    rows: int  # with a label
    anomalous: int  # of them
    unscored: float | None  # share of rows without a score; they count as the lowest
    average_precision: float | None
    roc_auc: float | None
    events: int
    found: int  # events with a row that finds them, as `finding` has it
    event_recall: float | None
    chance_recall: float | None  # of exceedances as frequent as outside the events and spread evenly
    delay_rows: float | None  # median over the events found
    false_alarm_rate: float | None  # share of scored rows outside the events that exceed


def assess(
    labels: Flags,
    known: Flags,
    scores: Floats,
    scored: Flags,
    exceeds: Flags,
    alert: Flags,
    series: Codes | None = None,
) -> Quality:
    """All figures of one run; `known`: the row has a label. Series may come in any mixture, each in order of time."""
    if series is not None:
        order = np.argsort(series, kind="stable")
        labels, known, series = labels[order], known[order], series[order]
        scores, scored, exceeds, alert = scores[order], scored[order], exceeds[order], alert[order]
    labels = labels & known
    ranked = np.where(scored, scores, np.nan)
    finds = finding(exceeds, alert, series)
    recall, found, events = event_recall(labels, finds, series)
    outside = false_alarm_rate(labels[known & scored], exceeds[known & scored])
    return Quality(
        rows=int(known.sum()),
        anomalous=int(labels.sum()),
        unscored=float(1 - scored[known].mean()) if known.any() else None,
        average_precision=average_precision(labels[known], ranked[known]),
        roc_auc=roc_auc(labels[known], ranked[known]),
        events=events,
        found=found,
        event_recall=recall,
        chance_recall=None if outside is None else chance_recall(labels, outside, series),
        delay_rows=detection_delay(labels, finds, series),
        false_alarm_rate=outside,
    )


def average_precision(labels: Flags, scores: Floats) -> float | None:
    """Area under precision over recall by rows; a null score (NaN) counts as the lowest. None of one class."""
    if not _two_classes(labels):
        return None
    return float(average_precision_score(labels, ranked(scores)))


def roc_auc(labels: Flags, scores: Floats) -> float | None:
    """Chance that an anomalous row scores above a normal one; a null score (NaN) counts as the lowest."""
    if not _two_classes(labels):
        return None
    return float(roc_auc_score(labels, ranked(scores)))


def finding(exceeds: Flags, alert: Flags, series: Codes | None = None) -> Flags:
    """Which rows find the event that they are in, (T,): of those with an incident open, what exceeds or raised it.

    An incident that was open before the event finds nothing by staying open. One that is open at the first row of a
    series was raised before it, unless that row exceeds. Rows of one series stand together.
    """
    raises = np.zeros(len(alert), bool)
    raises[1:] = alert[1:] & ~alert[:-1]
    if series is not None:
        raises[1:] &= series[1:] == series[:-1]
    return alert & (exceeds | raises)


def event_recall(labels: Flags, finds: Flags, series: Codes | None = None) -> tuple[float | None, int, int]:
    """Share of the events with at least one row that finds them, their number, and the number of events."""
    starts, ends = events(labels, series)
    found = int((_first(finds, starts) < ends).sum())
    return (found / len(starts) if len(starts) else None), found, len(starts)


def chance_recall(labels: Flags, rate: float, series: Codes | None = None) -> float | None:
    """Share of the events found by rows that exceed at this rate by chance: the mean of 1 - (1 - rate)^length."""
    starts, ends = events(labels, series)
    return float((1 - (1 - rate) ** (ends - starts)).mean()) if len(starts) else None


def detection_delay(labels: Flags, finds: Flags, series: Codes | None = None) -> float | None:
    """Median number of rows from the start of an event to the first that finds it, over the events found."""
    found = delays(labels, finds, series)
    return float(np.median(found)) if len(found) else None


def delays(labels: Flags, finds: Flags, series: Codes | None = None) -> Ints:
    """Rows from the start of each event found to the first row that finds it, (events found,)."""
    starts, ends = events(labels, series)
    first = _first(finds, starts)
    return (first - starts)[first < ends]


def false_alarm_rate(labels: Flags, exceeds: Flags) -> float | None:
    """Share of the rows outside the events that exceed their bar. None where every row is anomalous."""
    outside = ~labels
    return float(exceeds[outside].mean()) if outside.any() else None


def events(labels: Flags, series: Codes | None = None) -> tuple[Ints, Ints]:
    """First row of each run of anomalous rows, and the row after its last; rows of one series stand together."""
    starts, ends = runs(labels).T
    if series is None:
        return starts, ends
    borders = 1 + np.flatnonzero(labels[1:] & labels[:-1] & (series[1:] != series[:-1]))
    return np.union1d(starts, borders), np.union1d(ends, borders)


def _first(finds: Flags, starts: Ints) -> Ints:
    """The first row that finds at or after each start; the number of rows where there is none."""
    rows = np.append(np.flatnonzero(finds), len(finds))
    return rows[np.searchsorted(rows, starts)]


def _two_classes(labels: Flags) -> bool:
    return bool(labels.any() and not labels.all())


def ranked(scores: Floats) -> Floats:
    """The same order with nulls below everything, as small numbers: ranks keep what floats of any size would lose."""
    return np.unique(np.where(np.isnan(scores), -np.inf, scores), return_inverse=True)[1].astype(np.float64)
