"""The one table to show: ours by data set beside what was published, the gate and principal components.

Published figures are those of TSB-AD's tables (Liu and Paparrizos, NeurIPS 2024, and later papers by the same measure).
They are of all series that the benchmark has of a data set, in its own split: TSB mode is judged as they were, strict
mode learns from another part and is judged on less. Ours stands in both modes where both were run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.bench.quality.scoring import OURS
from tests.bench.quality.tables import SIX, mean_and_spread, means_of_sets, number, table

GATE, COMPONENTS = "ridge_ar", "window_pca"
PUBLISHED = {  # VUS-PR: LSTMAD, the best of any kind and its name
    "ucr": (0.023, 0.381, "KMeansAD"),
    "nab": (0.182, 0.484, "POLY"),
    "smd": (0.325, 0.37, "CNN"),
    "smap": (0.163, 0.380, "KMeansAD"),
    "msl": (0.217, 0.435, "KMeansAD"),
}
WORDS = {"on": "On the tuning list", "off": "Off the tuning list"}


def show(figures: Sequence[dict[str, Any]]) -> str:
    """Markdown, VUS-PR, the list and the rest apart; in brackets the spread over seeds, where there are several."""
    head = ["set", "series", "seeds", f"{OURS}, strict", f"{OURS}, TSB mode"]
    head += ["LSTMAD, published", "best, published", "ridge AR, the gate", "PCA of windows"]
    parts = []
    for listed, words in WORDS.items():
        sets = [name for name in SIX if any(each["dataset"] == name and each["list"] == listed for each in figures)]
        if sets:
            rows = [_row(figures, listed, name) for name in sets] + [_mean_row(figures, listed)]
            parts.append(f"## {words}\n\n{table(head, rows)}\n")
    return "\n".join(parts)


def _row(figures: Sequence[dict[str, Any]], listed: str, dataset: str) -> list[str]:
    there = {(f["config"], f["mode"]): f for f in figures if f["dataset"] == dataset and f["list"] == listed}
    own = [each for (config, _), each in there.items() if config == OURS] or list(there.values())
    lstmad, best, name = PUBLISHED.get(dataset, (None, None, ""))
    return [
        dataset,
        str(max(each["series"] for each in own)),
        str(max(len(each["seeds"]) for each in own)),
        _figure(there.get((OURS, "strict"))),
        _figure(there.get((OURS, "tsb"))),
        number(lstmad, 3),
        "-" if best is None else f"{best:.3f} {name}",
        *(_in_either_mode(there, config) for config in (GATE, COMPONENTS)),
    ]


def _mean_row(figures: Sequence[dict[str, Any]], listed: str) -> list[str]:
    """Means over sets as `means_of_sets` has them, and over how many: smd on the list in TSB mode, all else strict."""
    found = {each["config"]: each for each in means_of_sets(figures) if each["list"] == listed}
    words = {config: f"{each['vus_pr']:.3f} ({len(each['sets'])} of {len(SIX)} sets)" for config, each in found.items()}
    others = [words.get(config, "-") for config in (GATE, COMPONENTS)]
    return ["mean", "", "", words.get(OURS, "-"), "-", "-", "-", *others]


def _in_either_mode(there: dict[tuple[str, str], dict[str, Any]], config: str) -> str:
    """Strict, and TSB mode after it where it was run."""
    strict, tsb = _figure(there.get((config, "strict"))), _figure(there.get((config, "tsb")))
    said = [] if strict == "-" else [strict]
    return "; ".join(said if tsb == "-" else [*said, f"TSB mode {tsb}"]) or "-"


def _figure(each: dict[str, Any] | None) -> str:
    if each is None or each["vus_pr"] is None:
        return "-"
    return mean_and_spread(each["vus_pr"]) if len(each["seeds"]) > 1 else number(each["vus_pr"]["mean"], 3)
