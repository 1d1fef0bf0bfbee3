"""Histories to a detector, while a person watches: for `train` and `backtest`. Needs torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cli.console import Progress as Bar
from pipeline.cli.console import counted, note, progress
from pipeline.connectors.tables import Histories, Tables, read_histories
from pipeline.detector.detector import Detector
from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import StateError
from pipeline.formats.times import iso
from pipeline.records import Clock
from pipeline.training.fit import fitting
from pipeline.training.history import History
from pipeline.training.labels import labelled
from pipeline.training.loop import Progress, one_thread
from pipeline.training.preparing import fingerprint
from pipeline.training.resume import Resume, decode, encode
from pipeline.training.size import check_size


def fitted(tables: Tables, settings: FitSettings, resume_file: Path | None = None) -> Detector:
    """Learn from all rows of the tables; progress and what was left out go to standard error.

    With a `resume_file` an interrupted training goes on from it when it is asked for again; it is removed at the end.
    """
    check_size(len(tables.channels), settings)
    histories = histories_in(tables)
    training = digest_of(histories, tables.channels, settings)
    resume = None if resume_file is None else _read(resume_file, training)
    detector = watched(histories, tables.channels, tables.clock, settings, resume, keeper(resume_file, training))
    if resume_file is not None:
        resume_file.unlink(missing_ok=True)
    _say_left_out(detector)
    return detector


def histories_in(tables: Tables) -> list[History]:
    """All rows of the tables by series; what was found and what was left out goes to standard error."""
    found = read_histories(tables)
    histories = [History(each.name, each.at, each.values, each.missing) for each in found.series]
    if tables.mapping.label is not None:
        labels = [np.zeros(0) if each.labels is None else each.labels for each in found.series]
        histories = [labelled(history, mine) for history, mine in zip(histories, labels, strict=True)]
    _say_found(found)
    return histories


def watched(
    histories: Sequence[History],
    channels: Sequence[str],
    clock: Clock,
    settings: FitSettings,
    resume: Resume | None = None,
    keep: Callable[[Resume], None] = lambda _: None,
) -> Detector:
    """Learn from histories, with a bar for the training and one for the calibration; `keep` gets every resume state."""
    one_thread()
    steps = fitting(histories, channels, clock, settings, resume=resume)
    with ExitStack() as bars:
        bar: Bar = bars.enter_context(progress("training", settings.steps))
        calibrating, done = False, 0
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                detector: Detector = end.value
                return detector
            if isinstance(step, Progress):
                keep(step.resume)
                if step.step <= done:  # what was odd is trimmed
                    bars.close()
                    bar = bars.enter_context(progress("training anew", settings.steps))
                done = step.step
                bar.to(step.step, _in_words(step))
                continue
            if not calibrating:
                bars.close()
                bar, calibrating = bars.enter_context(progress("calibrating", step.of)), True
            bar.to(step.done)


def _in_words(step: Progress) -> str:
    stopped = ", no more gain" if step.last and step.step < step.of else ""
    return f"loss {step.loss:.4f}, validation {step.validation:.4f}, {step.items_per_second:,.0f} readings/s{stopped}"


def _say_found(found: Histories) -> None:
    rows = sum(len(series.at) for series in found.series)
    channels = counted(len(found.channels), "channel")
    taken = "times" if found.clock == "time" else "sample numbers"
    note(f"{counted(rows, 'reading')} of {channels} in {len(found.series)} series; timestamps taken for {taken}")
    if found.rejected:
        counts = ", ".join(f"{count} {reason}" for reason, count in found.rejected.items())
        refused = counted(sum(found.rejected.values()), "row")
        note(f"{refused} left out, for they are no readings ({counts}); the first: {found.example}")


def _say_left_out(detector: Detector) -> None:
    figures = detector.figures
    if figures["left_out"]:
        note(f"{figures['left_out']:,} readings were late, double or without a value: left out")
    if figures["labelled"]:
        note(f"{figures['labelled']:,} readings are labelled as anomalies: nothing was learnt from them")
    if "trim" in figures:
        _say_trimmed(figures["trim"], detector.clock)
    if figures["short_series"]:
        note(f"too short to be calibrated, and only lent to the network: {first_of(figures['short_series'])}")
    if figures["unused_series"]:
        note(f"not learnt from, with fewer than two readings in order: {first_of(figures['unused_series'])}")
    for doubt in figures["doubts"]:
        note(f"doubtful history: {doubt['words']}")


def _say_trimmed(trim: Mapping[str, Any], clock: Clock) -> None:
    """Which spans were dropped, and how much of the fit part they are."""
    share = f"{trim['readings'] / trim['of']:.2%} of the fit part, at most {trim['at_most']:.2%} was allowed"
    note(f"trimmed {counted(trim['readings'], 'reading')} in {counted(trim['spans'], 'span')}: {share}")
    for span in trim["first_spans"]:
        first, last = ((iso(at) if clock == "time" else f"sample {at}") for at in (span["from"], span["to"]))
        note(f"  {span['series']}: {first} to {last}, {counted(span['readings'], 'reading')}")
    if trim["spans"] > len(trim["first_spans"]):
        note(f"  and {trim['spans'] - len(trim['first_spans'])} more")
    if trim["odd_spans_left_in"]:
        note(f"  {counted(trim['odd_spans_left_in'], 'odd span')} did not fit into that share and stayed")


def first_of(names: Sequence[str]) -> str:
    """Names for a message: all of a few, the first of many."""
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def digest_of(histories: list[History], channels: tuple[str, ...], settings: FitSettings) -> str:
    """What tells this training from any other."""
    words = [fingerprint(histories), channels, {**asdict(settings), "roles": dict(settings.roles)}]
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def _read(file: Path, training: str) -> Resume | None:
    try:
        resume = decode(file.read_bytes(), training)
    except FileNotFoundError:
        return None
    except StateError as error:
        raise StateError(f"{file}: {error}") from error
    note(f"going on from step {resume.step}, where {file} left it")
    return resume


def keeper(file: Path | None, training: str) -> Callable[[Resume], None]:
    """What writes the resume file, whole or not at all; nothing without a file."""
    if file is None:
        return lambda _: None

    def keep(resume: Resume) -> None:
        beside = file.with_name(f"{file.name}.new")
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(encode(resume, training))
        beside.replace(file)

    return keep
