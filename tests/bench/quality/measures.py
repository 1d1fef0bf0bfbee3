"""What is measured of scored series beside `pipeline.evaluation`: rates, events, the scores of data sets' authors.

T rows of one series in order of time. `labels` (T,) is 1 where a row is anomalous; an event is a run of such rows.
Where a threshold is chosen on the labels, in hindsight, its docstring says so: such a figure is no promise to an
operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.quality import events
from pipeline.records import Flags, Floats, Ints

Labels = npt.NDArray[np.uint8]

FAR_FROM_LABEL = 100  # rows: a row as near to a label may belong to its event
NORMAL_ROWS_PER_ALARM = 10  # a series is judged by itself where its normal rows hold so many nominal false alarms
UCR_MARGIN = 100  # rows on both sides of the interval that count as found (data/README.md)
NAB_TP, NAB_FP, NAB_FN = 1.0, 0.11, 1.0  # the standard profile
SKAB_FALSE_ALARMS = 0.136  # share of normal rows


def ranks(score: Floats, scored: Flags) -> Floats:
    """Scores in which rows without one are below all others; equal to all others where none has one."""
    lowest = float(score[scored].min()) - 1.0 if scored.any() else 0.0
    return np.where(scored, score, lowest)


def far_from_labels(labels: Labels, rows: int = FAR_FROM_LABEL) -> Flags:
    """Which rows are normal and at least so many rows from the nearest anomalous row."""
    padded = np.concatenate((np.zeros(rows), labels, np.zeros(rows - 1)))
    sums = np.concatenate(([0.0], np.cumsum(padded)))
    width = 2 * rows - 1
    near: Flags = (sums[width:] - sums[:-width])[1:] > 0  # any label within rows - 1 on either side
    return ~near


@dataclass(frozen=True, slots=True)
class Alarms:
    """What one series' exceedances at one nominal rate are worth."""

    normal: int  # scored rows far from labels
    false: int  # of them exceed
    delays: tuple[int, ...]  # rows from the start of each event found to its first exceedance
    lengths: tuple[int, ...]  # of all events


def alarms(labels: Labels, scored: Flags, exceeds: Flags, begin: int = 0) -> Alarms:
    """The exceedances of one series, false ones counted from row `begin` on."""
    normal = far_from_labels(labels) & scored
    normal[:begin] = False
    first, last = events(labels.astype(bool))
    rows = np.append(np.flatnonzero(exceeds), len(exceeds))
    hit = rows[np.searchsorted(rows, first)]
    found = hit < last
    return Alarms(
        int(normal.sum()),
        int((exceeds & normal).sum()),
        tuple((hit - first)[found].tolist()),
        tuple((last - first).tolist()),
    )


@dataclass(frozen=True, slots=True)
class AlarmFigures:
    """Exceedances of many series at one nominal rate; None where nothing is there to judge."""

    judged: int  # series with enough normal rows
    within_twice: float | None  # share of them
    pooled_ratio: float | None  # achieved over nominal of the other series together
    ratio: float | None  # achieved over nominal of all series together
    events: int
    recall: float | None
    chance: float | None  # of exceedances as frequent in normal rows, spread evenly: 1 - (1 - a)^length
    delay_median: float | None  # rows
    delay_90: float | None


def alarm_figures(series: Sequence[Alarms], nominal: float) -> AlarmFigures:
    """How the promise of a nominal rate is kept over series, and what is found beside chance at the achieved rate."""
    judged = [each for each in series if each.normal >= NORMAL_ROWS_PER_ALARM / nominal]
    others = [each for each in series if each.normal < NORMAL_ROWS_PER_ALARM / nominal]
    normal, false = sum(each.normal for each in series), sum(each.false for each in series)
    lengths = np.array([length for each in series for length in each.lengths])
    delays = np.array([delay for each in series for delay in each.delays])
    achieved = false / normal if normal else None
    return AlarmFigures(
        judged=len(judged),
        within_twice=_mean([each.false / each.normal <= 2 * nominal for each in judged]),
        pooled_ratio=_ratio(others, nominal),
        ratio=_ratio(series, nominal),
        events=len(lengths),
        recall=len(delays) / len(lengths) if len(lengths) else None,
        chance=float((1 - (1 - achieved) ** lengths).mean()) if len(lengths) and achieved is not None else None,
        delay_median=float(np.median(delays)) if len(delays) else None,
        delay_90=float(np.quantile(delays, 0.9)) if len(delays) else None,
    )


def _ratio(series: Sequence[Alarms], nominal: float) -> float | None:
    normal = sum(each.normal for each in series)
    return sum(each.false for each in series) / normal / nominal if normal else None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def episodes(labels: Labels, alert: Flags) -> int:
    """How many incidents open on rows far from labels."""
    begins = alert & ~np.concatenate(([False], alert[:-1]))
    return int((begins & far_from_labels(labels)).sum())


def top_one(labels: Labels, score: Floats) -> bool:
    """Whether the highest score, the first of equals, is within 100 rows of the one event (Wu and Keogh 2023)."""
    rows = np.flatnonzero(labels)
    return bool(rows[0] - UCR_MARGIN <= np.argmax(score) <= rows[-1] + UCR_MARGIN)


def best_f1(labels: Labels, score: Floats, false_alarms: float = 1.0) -> float:
    """The best F1 of rows over all thresholds, in hindsight, with at most this share of normal rows above it.

    No point adjustment. 0 where no threshold keeps the share.
    """
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(labels[order].astype(np.int64))
    above = np.arange(1, len(score) + 1)
    ends = np.append(np.diff(score[order]) != 0, True)  # a threshold takes all equal scores or none
    positive = int(hits[-1])
    kept = ends & (above - hits <= false_alarms * (len(score) - positive))
    f1 = 2 * hits / (above + positive)
    return float(f1[kept].max()) if kept.any() else 0.0


def nab_weights(labels: Labels) -> tuple[Floats, Ints]:
    """What a detection at each row is worth in NAB, and the number of its window, -1 outside (Lavin, Ahmad 2015, 3.C).

    Standard profile. In a window of w rows the row k before the one after its last is worth a scaled sigmoid of -k/w,
    1 at most; d rows after a window of w rows a false positive costs .11 times the sigmoid of d/(w - 1), and .11 far
    away or before any window.
    """
    first, last = events(labels.astype(bool))
    worth, window = np.full(len(labels), -NAB_FP), np.full(len(labels), -1, np.int64)
    most = float(_sigmoid(np.array([-1.0]))[0])
    for number, (begin, end) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        width = end - begin
        worth[begin:end] = NAB_TP * _sigmoid(-(end - np.arange(begin, end)) / width) / most
        window[begin:end] = number
        until = int(first[number + 1]) if number + 1 < len(first) else len(labels)
        worth[end:until] = NAB_FP * _sigmoid((np.arange(end, until) - (end - 1)) / max(width - 1, 1))
    return worth, window


def _sigmoid(position: Floats) -> Floats:
    """NAB's scaled sigmoid of a position relative to the end of a window: 1 to -1, and -1 beyond three widths."""
    return np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 3.0))) - 1.0)


def nab_score(series: Sequence[tuple[Labels, Floats]]) -> float:
    """NAB's standard score of files (labels and scores of the rows after probation), 0 for no detection, 100 perfect.

    One threshold for all files, chosen in hindsight as NAB's authors do. Each window counts its best detection.
    """
    worths, windows, scores, before = [], [], [], 0
    for labels, score in series:
        worth, window = nab_weights(labels)
        worths.append(worth)
        windows.append(np.where(window >= 0, window + before, -1))
        scores.append(score)
        before += int(window.max(initial=-1)) + 1
    worth, window, score = np.concatenate(worths), np.concatenate(windows), np.concatenate(scores)
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.diff(score[order]) != 0, True)
    total, best = -NAB_FN * before, -NAB_FN * before
    found = np.full(before, -NAB_FN)  # what each window is worth so far
    columns = (worth[order].tolist(), window[order].tolist(), ends.tolist())
    for value, number, end in zip(*columns, strict=True):
        gain = value if number < 0 else max(value - found[number], 0.0)
        if number >= 0:
            found[number] += gain
        total += gain
        if end:
            best = max(best, total)
    return float(100 * (best + NAB_FN * before) / ((NAB_TP + NAB_FN) * before))
