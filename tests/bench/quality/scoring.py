"""One series fitted and scored, and its scores on disk: what `run` does for each series, and what `figures` reads."""

from __future__ import annotations

import json
import os
import time
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from pipeline.detector.detector import Detector
from pipeline.detector.fit_settings import FitSettings
from pipeline.evaluation.baselines import BASELINES, isolation_forest, random_scores
from pipeline.monitor.decision import Decision, no_bars
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Flags, Scores
from pipeline.training.fit import finished, fitting
from pipeline.training.loop import one_thread
from tests.bench.quality.cases import Case, Entry, read, readings_of
from tests.bench.quality.peers import PEERS, peer_scores

RATES = (1e-2, 1e-3, 1e-4)  # nominal, per reading
PROMISES = tuple(10.0**-decades for decades in np.arange(1.5, 4.01, 0.125))  # nominal rates that are swept for NAB
PROMISE = 1e-3  # of the monitor's own policy; the others are asked what if
OURS = "plumbline"
DRAWING = {"random": random_scores, "isolation_forest": isolation_forest}  # the baselines that a seed changes
COLUMNS = ("score", "fused", "outcome", "alert", "exceeds", "swept", "labels")


@dataclass(frozen=True, slots=True)
class Scored:
    """What was found of one series: T rows of its test part, K nominal rates."""

    score: npt.NDArray[np.float64]  # (T,) decades of rarity, or another's score; 0 where not scored
    fused: npt.NDArray[np.float64]  # (T,) x; empty of others
    outcome: npt.NDArray[np.uint8]  # (T,) Outcome; others score all
    alert: Flags  # (T,) an incident is open, under the promise of 1e-3; empty of others
    exceeds: Flags  # (K, T) at each rate of RATES; empty of others
    swept: Flags  # (P, T) the same at each of PROMISES; empty of others
    labels: npt.NDArray[np.uint8]  # (T,)
    about: dict[str, Any]  # names, processor seconds of fit and of scoring, period

    @property
    def scored(self) -> Flags:
        """Which rows have a score, (T,)."""
        scored: Flags = self.outcome == 0
        return scored


@dataclass(frozen=True, slots=True)
class Learnt:
    """A detector fitted in memory; it never changes, so that all cases with one train part can share it."""

    detector: Detector
    seconds: float  # of the processor


def score_entry(entry: Entry, detector: str, settings: FitSettings, fitted: Learnt | None = None) -> Scored:
    """Fit, where it is not done yet, and score one series by ours, by a baseline or by a peer."""
    case = read(entry)
    return ours(case, settings, fitted) if detector == OURS else other(case, detector, settings.seed)


def ours(case: Case, settings: FitSettings, fitted: Learnt | None = None) -> Scored:
    """Let a monitor observe the test part as a backtest does, with what was fitted to the train part."""
    fitted = fitted or learnt(case, settings)
    detector = fitted.detector
    begun = time.process_time()
    asides = [Policy(FalseAlarms(probability=rate)) for rate in RATES if rate != PROMISE]
    monitor = Monitor(detector, Policy(FalseAlarms(probability=PROMISE)), fresh=case.fresh, what_if=asides)
    scores, _ = monitor.observe(readings_of(case.test))
    seconds = time.process_time() - begun
    exceeds = [scores.exceeds if rate == PROMISE else exceeding(detector, scores, rate) for rate in RATES]
    _check_same(case, monitor, exceeds)
    return Scored(
        scores.score,
        scores.fused,
        scores.outcome,
        scores.alert,
        np.stack(exceeds),
        np.stack([exceeding(detector, scores, rate) for rate in PROMISES]),
        case.labels,
        about(case, OURS, settings.seed)
        | {
            "fit_seconds": fitted.seconds,
            "score_seconds": seconds,
            "period": detector.period,
            "steps": detector.figures.get("steps"),
            "validation_loss": detector.figures.get("validation_loss"),
        },
    )


def learnt(case: Case, settings: FitSettings) -> Learnt:
    """The detector of a case's train part."""
    one_thread()
    begun = time.process_time()
    detector = finished(fitting([case.train], case.names, "index", settings))
    return Learnt(detector, time.process_time() - begun)


def exceeding(detector: Detector, scores: Scores, rate: float) -> Flags:
    """Which readings of one series exceed the bar at another rate, (T,): the monitor's own bar, on its scores.

    A monitor counts under the policies of `what_if` but does not tell rows.
    """
    bars = no_bars()
    bars.grow(1)
    none, target = np.zeros(len(scores), np.int64), np.full(len(scores), rate)
    decision = Decision(detector, Policy(FalseAlarms(probability=rate)), bars)
    return decision.exceeding(scores.fused, scores.scored, target, none, none)[0]


def _check_same(case: Case, monitor: Monitor, exceeds: list[Flags]) -> None:
    """RuntimeError where the bar at another rate is not the one that the monitor followed."""
    aside = [rows for rate, rows in zip(RATES, exceeds, strict=True) if rate != PROMISE]
    found, counted = [int(rows.sum()) for rows in aside], [tally.exceeded for tally in monitor.tallies_aside()]
    if found != counted:
        raise RuntimeError(f"{case.series}: {found} rows exceed at the other rates, the monitor counted {counted}")


def other(case: Case, name: str, seed: int) -> Scored:
    """Scores of a baseline or a peer; rows that it cannot score yet have its lowest."""
    train = np.where(case.train.missing, np.nan, case.train.values)
    test = np.where(case.test.missing, np.nan, case.test.values)
    if name in PEERS:
        score, fitting_seconds, seconds = peer_scores(PEERS[name][0], train, test, seed)
        spent = {"fit_seconds": fitting_seconds, "score_seconds": seconds}
    else:
        begun = time.process_time()
        score = DRAWING[name](train, test, seed) if name in DRAWING else BASELINES[name](train, test)
        spent = {"fit_seconds": None, "score_seconds": time.process_time() - begun}  # both in one call
    nothing = np.zeros(0, bool)
    return Scored(
        score,
        np.zeros(0),
        np.zeros(len(score), np.uint8),
        nothing,
        nothing,
        nothing,
        case.labels,
        about(case, name, seed) | spent | {"period": None},
    )


def about(case: Case, detector: str, seed: int) -> dict[str, Any]:
    """What tells these scores from others."""
    return {
        "detector": detector,
        "seed": seed,
        "mode": case.mode,
        "dataset": case.dataset,
        "series": case.series,
        "on_list": case.on_list,
        "train_rows": len(case.train),
        "channels": len(case.names),
    }


def file_of(folder: Path, entry: Entry, seed: int) -> Path:
    """Where the scores of a series are, below the folder of a configuration."""
    name = entry.series.replace("/", "__")
    return folder / entry.mode / entry.dataset / f"seed{seed}" / f"{name}.npz"


def write(file: Path, scored: Scored) -> None:
    """The scores of a series on disk, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.{os.getpid()}.new")
    columns = {name: getattr(scored, name) for name in COLUMNS}
    with beside.open("wb") as out:
        np.savez_compressed(out, about=np.array(json.dumps(scored.about)), **columns)
    beside.replace(file)


def load(file: Path) -> Scored | None:
    """The scores of a series; None where there is no readable file."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
            columns = {name: found[name] for name in found.files}
            return Scored(**columns | {"about": json.loads(str(columns["about"]))})
    except (FileNotFoundError, BadZipFile, zlib.error, EOFError, KeyError, ValueError, TypeError):
        return None  # torn or of another form: scored again


def settings_for(changes: list[str], seed: int = 0) -> FitSettings:
    """The frozen configuration with some fields changed, each as `key=value`; ValueError where there is no such key."""
    defaults = FitSettings()
    kinds = {name: type(value) for name, value in asdict(defaults).items()}
    values: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or key not in kinds or kinds[key] not in (int, float, str, bool) or key == "seed":
            names = ", ".join(sorted(name for name in kinds if name not in ("seed", "roles")))
            raise ValueError(f"--set {change}: key=value is needed, with a key of {names}")
        values[key] = text.lower() in ("1", "true", "yes") if kinds[key] is bool else kinds[key](text)
    return replace(defaults, **({"device": "cpu"} | values), seed=seed)
