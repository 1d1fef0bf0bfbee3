"""Scores on disk to tables: in Markdown and in JSON.

.venv/bin/python -m tests.bench.quality.figures --scores SCORES [--configs plumbline fast] [--list off] [--show]

Nothing is fitted or scored here, so that a figure can be recomputed. Every series that the data folder holds of a data
set must be there for every seed; what is missing is named, and the command fails without a table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import joblib
import numpy as np

from pipeline.cli.console import progress
from pipeline.evaluation.events import best_f1, found_at_the_top
from pipeline.evaluation.quality import average_precision
from pipeline.evaluation.ranking import sliding_window_of, vus_pr
from pipeline.records import Flags, Floats
from tests.bench.quality.cases import STRICT, TSB, Entry, data_folder, entries, read
from tests.bench.quality.measures import Labels, alarms, episodes, ranks, whole_file
from tests.bench.quality.pairs import beside_ours, pairs
from tests.bench.quality.processes import one_thread_each
from tests.bench.quality.scoring import Scored, file_of, load
from tests.bench.quality.show import show
from tests.bench.quality.tables import Measured, figures_of, groups, markdown, means_of_sets


def measured(config: str, entry: Entry, scored: Scored) -> Measured:
    """All figures of one series."""
    labels, score = scored.labels, ranks(scored.score, scored.scored)
    two_classes = bool(labels.any() and not labels.all())
    begin = scored.about["train_rows"] if entry.mode == "tsb" else 0
    window = sliding_window_of(read(entry).test.values[:, 0]) if two_classes else 0
    return Measured(
        config=config,
        mode=entry.mode,
        dataset=entry.dataset,
        series=entry.series,
        on_list=entry.on_list,
        seed=scored.about["seed"],
        vus_pr=vus_pr(score, labels.astype(bool), window),
        auc_pr=average_precision(labels.astype(bool), score),
        unscored=float(1 - scored.scored.mean()),
        alarms=tuple(alarms(labels, scored.scored, exceeds, begin) for exceeds in scored.exceeds),
        episodes=episodes(labels, scored.alert) if len(scored.alert) else None,
        top_one=found_at_the_top(score, labels.astype(bool)) if entry.dataset == "ucr" else None,
        best_f1=best_f1(score, labels.astype(bool)) if entry.dataset == "smd" else None,
        period=scored.about["period"],
        rows=rows_of(entry, scored, score),
        seconds=(scored.about["fit_seconds"], scored.about["score_seconds"]),
        readings=(scored.about["train_rows"], len(labels)),
    )


def rows_of(entry: Entry, scored: Scored, score: Floats) -> tuple[Floats, Flags | Labels] | None:
    """Scores (T,) and labels (T,) of a series whose data set is judged with one threshold for all files.

    For NAB whole files; scores are (P, T): 1 where the bar at a promise is exceeded, else NaN; of a detector without
    a bar its score, (1, T).
    """
    if entry.dataset == "nab":
        handed = np.where(scored.swept, 1.0, np.nan) if len(scored.swept) else scored.score[None]
        return whole_file(scored.labels, handed, scored.about["train_rows"])
    return (score, scored.labels) if entry.dataset == "skab" else None


def measured_file(config: str, entry: Entry, file: Path) -> Measured | str:
    """The figures of one file, or the file's name where it cannot be read."""
    scored = load(file)
    return str(file) if scored is None else measured(config, entry, scored)


def wanted(data: Path, scores: Path, config: str, listed: str, seeds: list[int] | None) -> Iterator[tuple[Entry, Path]]:
    """Every file that must be there: all series of the data sets and seeds of which there are any."""
    folder = scores / config
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: no scores; run tests.bench.quality.run with --config {config} first")
    channels = json.loads((folder / "config.json").read_text("utf-8"))["channels"]
    for mode, datasets in (("strict", STRICT), ("tsb", TSB)):
        for dataset in datasets:
            there = sorted(int(path.name.removeprefix("seed")) for path in (folder / mode / dataset).glob("seed*"))
            if not there:
                continue
            for entry in entries(data, dataset, mode, channels):
                if listed == "all" or entry.on_list == (listed == "on"):
                    yield from ((entry, file_of(folder, entry, seed)) for seed in seeds or there)


def options() -> argparse.ArgumentParser:
    """What this command takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the data sets; else PLUMBLINE_DATA, else ../shared/data")
    parser.add_argument("--scores", type=Path, required=True, help="what was --out of the run")
    parser.add_argument("--configs", nargs="+", help="all that are there, if not given")
    parser.add_argument("--list", choices=("on", "off", "all"), default="all", help="of the tuning list")
    parser.add_argument("--seeds", type=int, nargs="+", help="all that are there, if not given")
    parser.add_argument("--allow-missing", action="store_true", help="for a first look: tables of what is there")
    parser.add_argument("--show", action="store_true", help="the one table to show, and no others")
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count())
    parser.add_argument(
        "--out", type=Path, help="folder of quality.md and quality.json; that of the scores if not given"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every file, and write both tables."""
    parser = options()
    asked = parser.parse_args(arguments)
    one_thread_each()
    try:
        data = data_folder(asked.data)
        configs = asked.configs or sorted(path.parent.name for path in asked.scores.glob("*/config.json"))
        files = [
            (config, *each)
            for config in configs
            for each in wanted(data, asked.scores, config, asked.list, asked.seeds)
        ]
    except FileNotFoundError as error:
        parser.error(str(error))
    missing = [str(file) for _, _, file in files if not file.is_file()]
    if missing and not asked.allow_missing:
        sys.exit(f"{len(missing)} of {len(files)} series have no scores:\n" + "\n".join(missing))
    jobs = [joblib.delayed(measured_file)(*each) for each in files if each[2].is_file()]
    found: list[Measured | str] = []
    with progress("measuring", len(jobs)) as bar:
        for each in joblib.Parallel(n_jobs=asked.jobs, return_as="generator", batch_size=1)(jobs):
            found.append(each)
            bar.to(len(found))
    unreadable = [each for each in found if isinstance(each, str)]
    if unreadable or not found:
        sys.exit(f"{len(unreadable)} files of {len(found)} cannot be read:\n" + "\n".join(unreadable))
    found_all = [each for each in found if isinstance(each, Measured)]
    figures = [figures_of(*each) for each in groups(found_all).items()]
    compared = pairs(found_all)
    out = asked.out or asked.scores
    out.mkdir(parents=True, exist_ok=True)
    text = show(figures) if asked.show else markdown(figures) + "\n" + beside_ours(compared)
    if missing:
        text = (
            f"**{len(missing)} of {len(files)} series are missing: no result.** {_by_config(missing, files)}\n\n{text}"
        )
    (out / ("show.md" if asked.show else "quality.md")).write_text(text, "utf-8")
    whole = {"missing": missing, "means": means_of_sets(figures), "figures": figures, "pairs": compared}
    (out / "quality.json").write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
    print(text)


def _by_config(missing: Sequence[str], files: Sequence[tuple[str, Entry, Path]]) -> str:
    """How many of whose, in words."""
    lacking = Counter(config for config, _, file in files if str(file) in set(missing))
    return ", ".join(f"{config} {number}" for config, number in sorted(lacking.items())) + "."


if __name__ == "__main__":
    main()
