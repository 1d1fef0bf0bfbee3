"""Scores of every series to disk, from which `figures` makes tables.

.venv/bin/python -m tests.bench.quality.run --out SCORES [--datasets ucr nab] [--list off] [--mode tsb] [--seeds 0 1 2]
    [--detector ridge_ar] [--config fast --set profile=fast] [--series 'ECG*/noise']

Each series is fitted and scored in a process of one thread; those of `injected` that have one train part are fitted
once. A series whose scores are there is skipped, so an interrupted run goes on where it was; scores of another code or
other settings under one name are refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

import joblib
from threadpoolctl import threadpool_limits

from pipeline.cli.console import progress
from pipeline.detector.fit_settings import FitSettings
from tests.bench.quality.cases import STRICT, TSB, Entry, data_folder, entries, read
from tests.bench.quality.peers import PEERS, check_installed
from tests.bench.quality.processes import one_thread_each
from tests.bench.quality.scoring import BASELINES, OURS, Learnt, file_of, learnt, load, score_entry, settings_for, write
from tests.bench.quality.tables import SIX

ROOT = Path(__file__).parents[3]
DECIDES_A_SCORE = ("models", "pipeline/detector", "pipeline/monitor", "pipeline/training", "pipeline/records.py")
DECIDES_A_BASELINE = ("pipeline/evaluation/baselines.py", "tests/bench/quality/scoring.py")
DECIDES_A_PEER = ("tests/bench/quality/peers.py",)
MAKES_ANOMALIES = ("tests/bench/quality/injected.py",)


def options() -> argparse.ArgumentParser:
    """What this command takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the data sets; else PLUMBLINE_DATA, else ../shared/data")
    parser.add_argument("--out", type=Path, required=True, help="folder of the scores")
    parser.add_argument("--mode", choices=("strict", "tsb"), default="strict")
    parser.add_argument("--datasets", nargs="+", choices=STRICT, help="all six, or in tsb mode all three, if not given")
    parser.add_argument("--list", choices=("on", "off", "all"), default="all", help="of the tuning list")
    parser.add_argument("--series", nargs="+", help="these alone, by name or by pattern, as 'ECG1/*'")
    parser.add_argument("--channels", choices=("value", "all"), default="value", help="of smap and msl")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count())
    parser.add_argument("--detector", choices=(OURS, *BASELINES, *PEERS), default=OURS)
    parser.add_argument("--config", help="name of the scores; else the detector's")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="fields of FitSettings to change")
    parser.add_argument("--shortest-first", action="store_true", help="else the longest: the pool ends together")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Score what is missing; exit with 1 and the names where a series failed."""
    parser = options()
    asked = parser.parse_args(arguments)
    one_thread_each()
    try:
        if asked.detector in PEERS:
            check_installed(asked.detector)
        data, found = chosen(asked)
        folder = asked.out / (asked.config or asked.detector)
        settings_for(asked.set)
        keep_config(folder, asked)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    work = [(entry, seed) for seed in asked.seeds for entry in found]
    left = [(entry, seed) for entry, seed in work if load(file_of(folder, entry, seed)) is None]
    print(f"{len(work)} series and seeds under {folder}, {len(work) - len(left)} of them there; data of {data}")
    jobs = (
        joblib.delayed(score_those)(folder, those, asked.detector, settings_for(asked.set, seed))
        for those, seed in of_one_train_part(left)
    )
    failed: list[tuple[str, str]] = []
    with progress("scoring", len(left)) as bar:
        done = joblib.Parallel(n_jobs=asked.jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs")
        told = (each for those in done(jobs) for each in those)
        for count, (name, seconds, error) in enumerate(told, 1):
            if error:
                failed.append((name, error))
            bar.to(count, f"{name} {seconds:.0f} s{' FAILED' if error else ''}")
    for name, error in failed:
        print(f"\n{name}:\n{error}", file=sys.stderr)
    missing = [f"{e.mode} {e.dataset} {e.series}" for e, seed in left if load(file_of(folder, e, seed)) is None]
    if failed or missing:
        sys.exit(f"{len(missing)} series have no scores: {', '.join(missing)}")


def chosen(asked: argparse.Namespace) -> tuple[Path, list[Entry]]:
    """The series that were asked for, in the order of work; ValueError where there is none, or one is unknown."""
    data = data_folder(asked.data)
    names = asked.datasets or (SIX if asked.mode == "strict" else TSB)
    found = [entry for name in names for entry in entries(data, name, asked.mode, asked.channels)]
    found = [entry for entry in found if asked.list == "all" or entry.on_list == (asked.list == "on")]
    if asked.series:
        named = [entry for entry in found if any(fnmatchcase(entry.series, each) for each in asked.series)]
        unknown = [each for each in asked.series if not any(fnmatchcase(entry.series, each) for entry in named)]
        if unknown:
            raise ValueError(f"--series {' '.join(unknown)}: not among the {len(found)} series of {' '.join(names)}")
        found = named
    if not found:
        raise ValueError(f"no series of {' '.join(names)} is {asked.list} the tuning list")
    return data, sorted(found, key=lambda entry: entry.rows, reverse=not asked.shortest_first)


def keep_config(folder: Path, asked: argparse.Namespace) -> None:
    """Write what the scores in this folder are made with, or ValueError where those there were made otherwise.

    What makes anomalies is told from the first run of `injected` on.
    """
    decides = DECIDES_A_SCORE if asked.detector == OURS else DECIDES_A_BASELINE
    config = {
        "detector": asked.detector,
        "changed": sorted(asked.set),
        "settings": described(settings_for(asked.set)),
        "channels": asked.channels,
        "code": code_digest(DECIDES_A_PEER if asked.detector in PEERS else decides),
    }
    if "injected" in (asked.datasets or ()):
        config["anomalies"] = code_digest(MAKES_ANOMALIES)
    file = folder / "config.json"
    if file.exists():
        there = json.loads(file.read_text("utf-8"))
        if "anomalies" in config:
            there.setdefault("anomalies", config["anomalies"])
        differing = [key for key in config if there.get(key) != config[key]]
        if differing:
            raise ValueError(
                f"{folder} holds scores of another {', '.join(differing)}: give these another name with --config, "
                "or remove that folder"
            )
        config = there
    folder.mkdir(parents=True, exist_ok=True)
    beside = file.with_name("config.json.new")
    beside.write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    beside.replace(file)


def described(settings: FitSettings) -> dict[str, Any]:
    """Settings as JSON has them, without the seed."""
    said = json.loads(json.dumps({**asdict(settings), "roles": dict(settings.roles)}))
    del said["seed"]
    return dict(said)


def code_digest(places: tuple[str, ...]) -> str:
    """A digest of the sources that decide a score."""
    digest = hashlib.sha256()
    for place in places:
        path = ROOT / place
        for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(source.relative_to(ROOT).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def of_one_train_part(work: Iterable[tuple[Entry, int]]) -> list[tuple[list[Entry], int]]:
    """Series and seeds by what is learnt from, in their order: those that stand together share one fit."""
    grouped = groupby(work, lambda each: (each[0].dataset, each[0].train_path, each[0].train_rows, each[1]))
    return [([entry for entry, _ in members], key[-1]) for key, members in grouped]


def score_those(
    folder: Path, those: Sequence[Entry], detector: str, settings: FitSettings
) -> list[tuple[str, float, str]]:
    """Score series with one train part and write them; of each its name, the seconds it took, and what went wrong."""
    fitted: Learnt | None = None
    told = []
    for entry in those:
        name, begun, error = (
            f"{entry.mode} {entry.dataset} {entry.series} seed {settings.seed}",
            time.process_time(),
            "",
        )
        try:
            with threadpool_limits(1):
                if detector == OURS and fitted is None:
                    fitted = learnt(read(entry), settings)
                scored = score_entry(entry, detector, settings, fitted)
            write(file_of(folder, entry, settings.seed), scored)
        except Exception:  # noqa: BLE001 - the other series go on; this one is named at the end, and the run fails
            error = traceback.format_exc()
        told.append((name, time.process_time() - begun, error))
    return told


if __name__ == "__main__":
    main()
