"""`plumbline evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from pipeline.cli.console import counted, note, progress, say, table
from pipeline.connectors.tables import Tables, open_tables, read_histories
from pipeline.evaluation.baselines import BASELINES
from pipeline.evaluation.quality import finding
from pipeline.evaluation.ranking import sliding_window_of
from pipeline.evaluation.verdict import OURS, Judged, judge, verdict
from pipeline.exceptions import DataError, SettingsError
from pipeline.formats.frames import LABEL, SERIES, FrameMapping
from pipeline.records import Flags, Floats, Outcome

SECONDS_PER_DAY = 86_400
INVALID = Outcome.INVALID.name.lower()  # as the scores have it
HEADINGS = {"vus_pr": "VUS-PR", "auc_pr": "AUC-PR", "best_f1": "best F1", "top_1": "top-1"}


def evaluate(
    *,
    test: list[Path],
    out: Path,
    report: list[Path] | None = None,
    bundle: Path | None = None,
    train: list[Path] | None = None,
    label: str = LABEL,
    ignore: list[str] | None = None,
) -> None:
    """Say how well known anomalies were found, beside simple detectors that learn from the same history.

    Takes what `plumbline backtest` wrote, or a bundle to backtest first, and the files that were scored, which have the
    labels. OUT gets evaluation.json and evaluation.md. A series without scores or of another length ends the run. A run
    of labelled rows is found by a reading in it that exceeds its bar or raises an incident; an incident that was open
    before finds nothing by staying open.

    Parameters
    ----------
    test
        Files and folders that were scored, with a column of labels.
    out
        The folder for the results.
    report
        Folders that backtests wrote.
    bundle
        Or a detector, to score the files with first.
    train
        Files and folders that were learnt from: simple detectors then stand in the same table.
    label
        The column of the labels: above 0, or true, is anomalous.
    ignore
        Not these columns.
    """
    if (report is None) == (bundle is None):
        raise SettingsError(
            "an evaluation needs either backtests, --report FOLDERS, or a detector, --bundle FOLDER; "
            f"found {'neither' if report is None else 'both'}"
        )
    try:
        mapping = FrameMapping(ignore=tuple(ignore or ()), label=label)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    tables = open_tables(test, mapping)  # first: labels that cannot be meant are told before anything is scored
    if bundle is not None:
        from pipeline.cli.backtest import backtest  # here: reports alone need no detector

        hidden = [label] if label != LABEL else []
        backtest(test=test, out=out / "backtest", bundle=bundle, ignore=[*(ignore or []), *hidden] or None, pictures=0)
        report = [out / "backtest"]
    scored = _scored_series(report or [])
    found = _test_series(tables, label, scored)
    learnt = None if train is None else _histories(train, label, ignore, next(iter(scored.values())).channels)
    _check_names(scored, found, learnt)
    series, each = [], []
    with progress("evaluating", len(found)) as bar:
        for done, (name, rows) in enumerate(found.items(), 1):
            series.append(_judged(name, scored[name], rows, learnt))
            each.append(judge(series[-1]))
            bar.to(done, name)
    judged = verdict(series, each)
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(json.dumps(judged, indent=2, allow_nan=False) + "\n")
    (out / "evaluation.md").write_text(_markdown(judged))
    _tell(judged, out)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a backtest said of one series, T rows in the order of its files."""

    score: Floats  # (T,) NaN where null
    exceeds: Flags  # (T,)
    alert: Flags  # (T,)
    finds: Flags  # (T,) the rows in alert that find the event that they are in
    channels: tuple[str, ...]  # that are scored, in the detector's order
    target: float
    rows_per_day: float | None


@dataclass(frozen=True, slots=True)
class Rows:
    """The same series in the files: labels and readings."""

    label: Flags  # (T,)
    known: Flags  # (T,)
    values: Floats  # (T, C) NaN where missing


def _scored_series(reports: Sequence[Path]) -> dict[str, Scored]:
    """Every series of every report, once."""
    found: dict[str, Scored] = {}
    for folder in reports:
        said, scores = _read_report(folder)
        detector = said["detector"]
        channels = tuple(name for name, role in detector["channels"].items() if role != "context")
        daily = SECONDS_PER_DAY / detector["step"] if detector["step_unit"] == "seconds" else None
        score, bar = _floats(scores["score"]), _floats(scores["bar"])
        alert = scores["alert"].to_numpy(zero_copy_only=False)
        reading = scores["outcome"].to_numpy(zero_copy_only=False) != INVALID
        names = scores[SERIES].to_numpy(zero_copy_only=False).astype(str)
        for name in dict.fromkeys(names.tolist()):
            if name in found:
                raise DataError(f"{folder}: series {name} is in an earlier report as well: evaluate them one by one")
            mine = names == name
            exceeds = np.greater(score[mine], bar[mine])  # never where null: NaN is not greater
            finds, rows = np.zeros(len(exceeds), bool), reading[mine]  # other rows raise nothing
            finds[rows] = finding(exceeds[rows], alert[mine][rows])
            found[name] = Scored(score[mine], exceeds, alert[mine], finds, channels, said["target"], daily)
    if not found:
        raise DataError(f"{', '.join(map(str, reports))}: no row was scored; write it again by plumbline backtest")
    return found


def _read_report(folder: Path) -> tuple[dict[str, Any], pa.Table]:
    try:
        said = json.loads((folder / "report.json").read_text())
        scores = pyarrow.parquet.read_table(
            folder / "scores.parquet", columns=[SERIES, "score", "bar", "alert", "outcome"], partitioning=None
        )
        said["target"], said["detector"]["channels"]
    except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are among these
        raise DataError(
            f"{folder}: this is no whole report of a backtest: {error}; write it again by plumbline backtest"
        ) from error
    return said, scores


def _test_series(tables: Tables, label: str, scored: Mapping[str, Scored]) -> dict[str, Rows]:
    """Labels and readings of every series of the files."""
    channels = next(iter(scored.values())).channels
    parts: dict[str, list[tuple[Flags, Flags, Floats]]] = {}
    for file in tables.files:
        for batch in file.batches():
            present = batch.schema.names
            lacking = [name for name in channels if name not in present]
            if lacking:
                raise DataError(f"{file.path}: the channels {', '.join(lacking)} of the report are not there")
            marks = _floats(batch.column(label))
            values = np.stack([_floats(batch.column(name)) for name in channels], axis=1)
            whole = (marks > 0, ~np.isnan(marks), np.where(np.isfinite(values), values, np.nan))
            for name, rows in _by_name(batch, file.name):
                parts.setdefault(name, []).append((whole[0][rows], whole[1][rows], whole[2][rows]))
    return {name: Rows(*(np.concatenate(column) for column in zip(*p, strict=True))) for name, p in parts.items()}


def _by_name(batch: pa.RecordBatch, name: str) -> Iterator[tuple[str, Flags]]:
    if SERIES not in batch.schema.names:
        yield name, np.ones(batch.num_rows, bool)
        return
    names = batch.column(SERIES).cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
    for each in dict.fromkeys(names.tolist()):
        yield each, names == each


def _histories(
    train: Sequence[Path], label: str, ignore: Sequence[str] | None, channels: tuple[str, ...]
) -> dict[str, Floats]:
    mapping = FrameMapping(channels, tuple(name for name in (*(ignore or ()), label) if name not in channels))
    return {
        one.name: np.where(one.missing, np.nan, one.values)
        for one in read_histories(open_tables(train, mapping)).series
    }


def _check_names(scored: Mapping[str, Scored], found: Mapping[str, Rows], learnt: Mapping[str, Floats] | None) -> None:
    """DataError that names every series which is missing somewhere or has another length."""
    for have, lack, where in ((found, scored, "the reports"), (scored, found, "the test files")):
        absent = [name for name in have if name not in lack]
        if absent:
            raise DataError(f"series {', '.join(absent)}: not in {where}; a missing series is never left out of a mean")
    for name, rows in found.items():
        if len(rows.label) != len(scored[name].score):
            raise DataError(
                f"series {name}: {len(scored[name].score):,} scores and {len(rows.label):,} labels; "
                "give the files that the backtest scored"
            )
    if not any(rows.known.any() for rows in found.values()):
        raise DataError("no row of the test files has a label: there is nothing to judge by")
    channels = {one.channels for one in scored.values()}
    if len(channels) > 1:
        raise DataError("the reports are of detectors with other channels: evaluate them one by one")
    if learnt is not None and len(learnt) > 1:
        absent = [name for name in found if name not in learnt]
        if absent:
            raise DataError(
                f"series {', '.join(absent)}: not in the files to learn from; leave --train out, or add them"
            )


def _judged(name: str, scored: Scored, rows: Rows, learnt: Mapping[str, Floats] | None) -> Judged:
    scores = {OURS: scored.score}
    if learnt is not None:
        history = next(iter(learnt.values())) if len(learnt) == 1 else learnt[name]
        for detector, baseline in BASELINES.items():
            try:
                scores[detector] = baseline(history, rows.values)
            except ValueError as error:
                raise DataError(f"series {name}: {detector} failed: {error}") from error
    known, first = rows.known, rows.values[:, 0]
    carried = first[np.maximum.accumulate(np.where(np.isfinite(first), np.arange(len(first)), 0))]
    return Judged(
        name=name,
        label=rows.label[known],
        scores={detector: score[known] for detector, score in scores.items()},
        exceeds=scored.exceeds[known],
        alert=scored.alert[known],
        finds=scored.finds[known],
        window=sliding_window_of(np.nan_to_num(carried)),
        rows_per_day=scored.rows_per_day,
        target=scored.target,
    )


def _floats(column: pa.Array | pa.ChunkedArray) -> Floats:
    """A column as numbers, NaN where null."""
    numbers: Floats = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    return numbers


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _ranking_rows(judged: Mapping[str, Any]) -> list[list[str]]:
    rows = [["detector", *HEADINGS.values(), "NAB", "series"]]
    for name, figures in judged["detectors"].items():
        cells = [_figure(figures[figure]["mean"]) for figure in HEADINGS]
        rows.append([name, *cells, _figure(figures["nab"]["score"]), str(figures["vus_pr"]["series"])])
    return rows


def _bar_rows(judged: Mapping[str, Any]) -> list[list[str]]:
    rows = [["mean over series", "at the bar", "alerts"]]
    for figure, at_bar in judged["at_bar"].items():
        rows.append([figure.replace("_", " "), _figure(at_bar["mean"]), _figure(judged["alerts"][figure]["mean"])])
    return [*rows, ["achieved over nominal rate", _figure(judged["achieved_over_nominal"]["mean"]), "-"]]


def _markdown(judged: Mapping[str, Any]) -> str:
    """Both tables and a line a series."""
    ours = [["series", "outcome", "rows", "anomalous", "VUS-PR", "recall", "by chance"]]
    for one in judged["series"]:
        at_bar = one["at_bar"]
        figures = (one["ranking"][OURS]["vus_pr"], at_bar["recall"], at_bar["chance_recall"])
        ours.append([one["name"], one["outcome"], str(one["rows"]), str(one["anomalous"]), *map(_figure, figures)])
    parts = ["# Evaluation", f"NAB: threshold {judged['nab_threshold']}. Best F1: {judged['best_f1_threshold']}."]
    for rows in (_ranking_rows(judged), _bar_rows(judged), ours):
        head, *body = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
        parts.append("\n".join([head, "|" + "---|" * len(rows[0]), *body]))
    return "\n\n".join(parts) + "\n"


def _tell(judged: Mapping[str, Any], out: Path) -> None:
    say(table(_ranking_rows(judged)))
    say()
    say(table(_bar_rows(judged)))
    for one in judged["series"]:
        if one["outcome"] != "judged":
            note(f"series {one['name']}: {one['outcome'].replace('_', ' ')}")
    say(f"{counted(len(judged['series']), 'series')}; {out}/evaluation.json, evaluation.md")
