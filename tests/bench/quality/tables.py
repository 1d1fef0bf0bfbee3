"""Figures of series to figures of data sets, and these to Markdown and JSON.

A figure of a data set is computed for each seed by itself; then the mean over seeds, and their spread: the largest less
the smallest. The interval is a bootstrap over series of their means over seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.evaluation.events import best_f1
from pipeline.evaluation.nab import nab_score
from pipeline.records import Flags, Floats
from tests.bench.quality.measures import Alarms, Labels, alarm_figures
from tests.bench.quality.scoring import RATES

RESAMPLES, SEED_OF_RESAMPLES = 1000, 0
SKAB_FALSE_ALARMS = 0.136  # share of normal rows
SIX = ("ucr", "nab", "smd", "skab", "smap", "msl")


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one series and seed; None where one means nothing."""

    config: str
    mode: str
    dataset: str
    series: str
    on_list: bool
    seed: int
    vus_pr: float | None
    auc_pr: float | None
    unscored: float  # share of rows
    alarms: tuple[Alarms, ...]  # at each of RATES; empty of a baseline
    episodes: int | None  # incidents opened far from labels, under the promise of 1e-3
    top_one: bool | None
    best_f1: float | None
    period: int | None
    rows: tuple[Floats, Flags | Labels] | None  # scores and labels, where a figure needs all series together
    seconds: tuple[float | None, float]  # of fit and of scoring; None for the first where both are one call
    readings: tuple[int, int]  # learnt from, scored


Group = tuple[str, str, str, str]  # configuration, mode, data set, on or off the list


def groups(measured: Iterable[Measured]) -> dict[Group, list[Measured]]:
    """Series by what is reported together, the list apart."""
    found: dict[Group, list[Measured]] = {}
    for each in measured:
        found.setdefault((each.config, each.mode, each.dataset, "on" if each.on_list else "off"), []).append(each)
    return {group: found[group] for group in sorted(found, key=order)}


def order(group: Group) -> tuple[Any, ...]:
    """Off the list first, the six data sets as they are always named, ours before others."""
    config, mode, dataset, listed = group
    return (
        listed != "off",
        mode,
        SIX.index(dataset) if dataset in SIX else len(SIX),
        dataset,
        config != "plumbline",
        config,
    )


def figures_of(group: Group, members: Sequence[Measured]) -> dict[str, Any]:
    """All figures of one data set under one configuration."""
    config, mode, dataset, listed = group
    seeds = sorted({each.seed for each in members})
    by_seed = [[each for each in members if each.seed == seed] for seed in seeds]
    figures: dict[str, Any] = {
        "config": config,
        "mode": mode,
        "dataset": dataset,
        "list": listed,
        "seeds": seeds,
        "series": len({each.series for each in members}),
        "vus_pr": over_seeds(by_seed, lambda part: mean([each.vus_pr for each in part])),
        "vus_pr_95": interval([each.vus_pr for each in members], [each.series for each in members]),
        "auc_pr": over_seeds(by_seed, lambda part: mean([each.auc_pr for each in part])),
        "unscored": mean([each.unscored for each in members]),
        "fit_seconds_per_1000": _per_1000(members, 0),
        "score_seconds_per_1000": _per_1000(members, 1),
    }
    figures |= _own_figure(dataset, by_seed)
    figures["alarms"] = {f"{rate:g}": _alarms(by_seed, index, rate) for index, rate in enumerate(RATES)}
    figures["episodes_per_10000"] = over_seeds(by_seed, _episodes)
    figures["delay_periods"] = over_seeds(by_seed, _delay_periods)
    return figures


def _own_figure(dataset: str, by_seed: Sequence[Sequence[Measured]]) -> dict[str, Any]:
    """The figure that the authors of a data set, or its literature, report."""
    if dataset == "ucr":
        return {"top_one": over_seeds(by_seed, lambda part: mean([each.top_one for each in part]))}
    if dataset == "smd":
        return {"best_f1": over_seeds(by_seed, lambda part: mean([each.best_f1 for each in part]))}
    if dataset == "nab":
        return {"nab_standard": over_seeds(by_seed, _nab)}
    if dataset == "skab":
        return {"f1_at_13.6_percent": over_seeds(by_seed, _skab_f1)}
    return {}


def _nab(part: Sequence[Measured]) -> float | None:
    """NAB's score of all files at the best promise, in hindsight as its threshold is, the same for all."""
    files = [each.rows for each in part if each.rows]
    found = [nab_score([(handed[row], label) for handed, label in files]).score for row in range(len(files[0][0]))]
    return max((score for score in found if score is not None), default=None)


def _skab_f1(part: Sequence[Measured]) -> float | None:
    """F1 of the rows of all files by one threshold, in hindsight, at no more than 13.6 % false alarms."""
    rows = [each.rows for each in part if each.rows]
    labels, scores = np.concatenate([row[1] for row in rows]), np.concatenate([row[0] for row in rows])
    return best_f1(scores, labels.astype(bool), SKAB_FALSE_ALARMS)


def _per_1000(members: Sequence[Measured], part: int) -> float | None:
    """Processor seconds per 1,000 readings of fit (0) or scoring (1), of all series and seeds together."""
    seconds = [each.seconds[part] for each in members]
    if any(value is None for value in seconds):
        return None
    return 1000 * sum(value or 0.0 for value in seconds) / sum(each.readings[part] for each in members)


def _alarms(by_seed: Sequence[Sequence[Measured]], index: int, rate: float) -> dict[str, Any] | None:
    """The figures at one nominal rate, the mean over seeds of each; None of a baseline."""
    found = [[each.alarms[index] for each in part if each.alarms] for part in by_seed]
    if not any(found):
        return None
    figures = [asdict(alarm_figures(part, rate)) for part in found]
    return {name: mean([each[name] for each in figures]) for name in figures[0]}


def _episodes(part: Sequence[Measured]) -> float | None:
    told = [each for each in part if each.episodes is not None]
    normal = sum(each.alarms[RATES.index(1e-3)].normal for each in told)
    return 1e4 * sum(each.episodes or 0 for each in told) / normal if normal else None


def _delay_periods(part: Sequence[Measured]) -> float | None:
    """Median delay of the events found at 1e-3, in periods of their series."""
    told = [each for each in part if each.alarms and each.period]
    delays = [delay / (each.period or 1) for each in told for delay in each.alarms[RATES.index(1e-3)].delays]
    return float(np.median(delays)) if delays else None


def over_seeds(
    by_seed: Sequence[Sequence[Measured]], figure: Callable[[Sequence[Measured]], float | None]
) -> dict[str, float] | None:
    """Mean and spread over seeds of a figure; None where it means nothing."""
    found = [value for value in map(figure, by_seed) if value is not None]
    return {"mean": float(np.mean(found)), "spread": float(np.ptp(found))} if found else None


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that there are."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def interval(values: Sequence[float | None], series: Sequence[str]) -> tuple[float, float] | None:
    """The central 95 % of the mean over series, of each the mean over seeds, when series are drawn anew."""
    by_series: dict[str, list[float]] = {}
    for name, value in zip(series, values, strict=True):
        if value is not None:
            by_series.setdefault(name, []).append(value)
    if not by_series:
        return None
    means = np.array([np.mean(each) for each in by_series.values()])
    drawn = np.random.default_rng(SEED_OF_RESAMPLES).integers(len(means), size=(RESAMPLES, len(means)))
    low, high = np.quantile(means[drawn].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def means_of_sets(figures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean VUS-PR over data sets by configuration and list, and the sets that are in it.

    On the list smd is taken in tsb mode where it was run, as the tuning was; all else in strict mode.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    for each in sorted(figures, key=lambda each: each["mode"]):  # strict before tsb
        tuned = each["mode"] == "tsb" and each["dataset"] == "smd" and each["list"] == "on"
        if each["dataset"] in SIX and each["vus_pr"] and (each["mode"] == "strict" or tuned):
            found.setdefault((each["config"], each["list"]), {})[each["dataset"]] = each["vus_pr"]["mean"]
    return [
        {"config": config, "list": listed, "vus_pr": float(np.mean(list(sets.values()))), "sets": sorted(sets)}
        for (config, listed), sets in sorted(found.items())
    ]


def markdown(figures: Sequence[dict[str, Any]]) -> str:
    """The tables: ranking by data set, means of sets, seconds, alarms by nominal rate."""
    ranking = [
        [
            *_names(each),
            str(each["series"]),
            mean_and_spread(each["vus_pr"]),
            "-" if each["vus_pr_95"] is None else "[{:.3f}, {:.3f}]".format(*each["vus_pr_95"]),
            mean_and_spread(each["auc_pr"]),
            f"{each['unscored']:.1%}",
            _own_in_words(each),
        ]
        for each in figures
    ]
    means = [[m["list"], m["config"], f"{m['vus_pr']:.3f}", " ".join(m["sets"])] for m in means_of_sets(figures)]
    parts = [
        "## Ranking",
        table(["list", "mode", "set", "detector", "series", "VUS-PR", "95 %", "AUC-PR", "unscored", "own"], ranking),
        "## Mean of sets, VUS-PR",
        table(["list", "detector", "mean", "sets"], means),
        "## Processor seconds per 1,000 readings",
        table(["list", "mode", "set", "detector", "fit", "scoring"], [_seconds_row(each) for each in figures]),
    ]
    for rate in RATES:
        rows = [_alarm_row(each, each["alarms"][f"{rate:g}"]) for each in figures if each["alarms"][f"{rate:g}"]]
        head = ["list", "mode", "set", "detector", "judged", "<= 2x", "others", "all", "events", "recall", "chance"]
        parts += [f"## Alarms at {rate:g} per reading", table([*head, "delay", "90 %"], rows)]
    rows = [
        [
            *_names(each),
            number(each["episodes_per_10000"]["mean"], 1),
            number((each["delay_periods"] or {}).get("mean")),
        ]
        for each in figures
        if each["episodes_per_10000"]
    ]
    parts += ["## Incidents at 0.001 per reading"]
    parts += [table(["list", "mode", "set", "detector", "false per 10,000 readings", "delay in periods"], rows)]
    return "\n\n".join(parts) + "\n"


def _seconds_row(each: dict[str, Any]) -> list[str]:
    return [*_names(each), number(each["fit_seconds_per_1000"], 4), number(each["score_seconds_per_1000"], 4)]


def _alarm_row(each: dict[str, Any], alarms: dict[str, Any]) -> list[str]:
    names = ("within_twice", "pooled_ratio", "ratio", "events", "recall", "chance", "delay_median", "delay_90")
    digits = (2, 2, 2, 0, 2, 2, 0, 0)
    numbers = [number(alarms[name], places) for name, places in zip(names, digits, strict=True)]
    return [*_names(each), number(alarms["judged"], 0), *numbers]


def _own_in_words(each: dict[str, Any]) -> str:
    words = {"top_one": "top-1", "best_f1": "best F1", "nab_standard": "NAB", "f1_at_13.6_percent": "F1 at 13.6 %"}
    return ", ".join(f"{said} {mean_and_spread(each[key])}" for key, said in words.items() if each.get(key)) or "-"


def _names(each: dict[str, Any]) -> list[str]:
    return [each["list"], each["mode"], each["dataset"], each["config"]]


def mean_and_spread(value: dict[str, float] | None) -> str:
    """The mean over seeds, and in brackets their spread."""
    return "-" if value is None else f"{value['mean']:.3f} ({value['spread']:.3f})"


def number(value: float | None, places: int = 2) -> str:
    """A number as a table has it; a dash where there is none."""
    return "-" if value is None else f"{value:.{places}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
