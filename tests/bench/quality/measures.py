"""What is measured of scored series beside `pipeline.evaluation`: rates, events, the scores of data sets' authors.

T rows of one series in order of time. `labels` (T,) is 1 where a row is anomalous; an event is a run of such rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.quality import delays, events
from pipeline.records import Flags, Floats

Labels = npt.NDArray[np.uint8]

FAR_FROM_LABEL = 100  # rows: a row as near to a label may belong to its event
NORMAL_ROWS_PER_ALARM = 10  # a series is judged by itself where its normal rows hold so many nominal false alarms


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
    return Alarms(
        int(normal.sum()),
        int((exceeds & normal).sum()),
        tuple(delays(labels.astype(bool), exceeds).tolist()),
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


def whole_file(labels: Labels, handed: Floats, train_rows: int) -> tuple[Floats, Flags]:
    """Scores (P, T) and labels (T,) with train before them, unscored: `nab_score` wants whole files."""
    before = np.full((len(handed), train_rows), np.nan)
    return (
        np.concatenate((before, handed), axis=1),
        np.concatenate((np.zeros(train_rows, bool), labels.astype(bool))),
    )
