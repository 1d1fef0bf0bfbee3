"""All figures of detectors on labelled series side by side, one table: by series, and their means.

A series has T rows in order of time, each with a known label. A figure that means nothing is None, and a mean is over
the series where there is one and says how many they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.evaluation.events import best_f1, event_quality, found_at_the_top
from pipeline.evaluation.nab import nab_score
from pipeline.evaluation.ranking import auc_pr, vus_pr
from pipeline.records import Flags, Floats

OURS = "plumbline"
RANKINGS = ("vus_pr", "auc_pr", "best_f1", "top_1")


@dataclass(frozen=True, slots=True)
class Judged:
    """One series before it is judged."""

    name: str
    label: Flags  # (T,)
    scores: Mapping[str, Floats]  # by detector, (T,) NaN where null; OURS is there
    exceeds: Flags  # (T,) of ours
    alert: Flags  # (T,) of ours
    finds: Flags  # (T,) of ours: the rows in alert that find the event that they are in, as `quality.finding` has it
    window: int  # of VUS
    rows_per_day: float | None  # None on an index clock
    target: float  # share of readings that may exceed


def verdict(series: Sequence[Judged], each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The whole of evaluation.json, without a NaN; `each` is what `judge` says of every series, in their order."""
    detectors = list(series[0].scores)
    return {
        "series": list(each),
        "detectors": {
            name: {
                **{figure: _mean([one["ranking"][name][figure] for one in each]) for figure in RANKINGS},
                "nab": asdict(nab_score([(_detections(one, name), one.label) for one in series])),
            }
            for name in detectors
        },
        "at_bar": _means([one["at_bar"] for one in each]),
        "alerts": _means([one["alerts"] for one in each]),
        "achieved_over_nominal": _mean([one["achieved_over_nominal"] for one in each]),
        "nab_threshold": "chosen on the labels in hindsight, as NAB's authors do",
        "best_f1_threshold": "chosen on the labels in hindsight, without point adjustment",
    }


def judge(one: Judged) -> dict[str, Any]:
    """The figures of one series."""
    at_bar = event_quality(one.label, one.exceeds, one.rows_per_day)
    rate = at_bar.achieved_rate
    return {
        "name": one.name,
        "outcome": outcome(one),
        "rows": len(one.label),
        "anomalous": int(one.label.sum()),
        "unscored": float(np.isnan(one.scores[OURS]).mean()) if len(one.label) else None,
        "window": one.window,
        "target": one.target,
        "achieved_over_nominal": None if rate is None else rate / one.target,
        "ranking": {name: _ranking(score, one.label, one.window) for name, score in one.scores.items()},
        "at_bar": asdict(at_bar),
        "alerts": asdict(event_quality(one.label, one.alert, one.rows_per_day, one.finds)),
    }


def outcome(one: Judged) -> str:
    """What became of a series, in a word; one without a score counts all the same, as the lowest everywhere."""
    if not len(one.label):
        return "no_labels"
    if np.isnan(one.scores[OURS]).all():
        return "no_scores"
    if not one.label.any():
        return "all_normal"
    return "all_anomalous" if one.label.all() else "judged"


def _detections(one: Judged, name: str) -> Floats:
    """What NAB is handed: of ours the rows above the moving bar, as an operator hears of no others; (T,) NaN: none."""
    score = one.scores[name]
    return np.where(one.exceeds, score, np.nan) if name == OURS else score


def _ranking(score: Floats, label: Flags, window: int) -> dict[str, float | None]:
    top = found_at_the_top(score, label)
    return {
        "vus_pr": vus_pr(score, label, window),
        "auc_pr": auc_pr(score, label),
        "best_f1": best_f1(score, label),
        "top_1": None if top is None else float(top),
    }


def _means(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {figure: _mean([one[figure] for one in each]) for figure in each[0]}


def _mean(values: Sequence[float | None]) -> dict[str, Any]:
    there = [value for value in values if value is not None]
    return {"mean": float(np.mean(there)) if there else None, "series": len(there)}
