"""`plumbline backtest`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.backtest.backtest import Heard, Lane, Part, replay
from pipeline.backtest.report import Findings, report, what_if
from pipeline.backtest.trace import Tracing, of_scores
from pipeline.bundle import load
from pipeline.cli.columns import detector_settings, open_files
from pipeline.cli.console import counted, note, progress, say
from pipeline.cli.drawing import draw
from pipeline.connectors.parquet_sink import ParquetSink
from pipeline.connectors.tables import Tables
from pipeline.detector.detector import Detector
from pipeline.exceptions import DataError, SettingsError
from pipeline.formats import alerts as alert_format
from pipeline.formats.frames import TIMESTAMP
from pipeline.formats.scores import scores_batch, scores_schema
from pipeline.monitor.groups import chosen, in_time
from pipeline.monitor.labels import Labelling
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import Policy
from pipeline.records import Alert

ROWS_AT_ONCE = 8192  # of each file read side by side


def backtest(
    config: Path | None = None,
    /,
    *,
    test: list[Path],
    out: Path,
    train: list[Path] | None = None,
    bundle: Path | None = None,
    channels: list[str] | None = None,
    ignore: list[str] | None = None,
    detector: str | None = None,
    fresh: bool = False,
    pictures: int = 20,
    device: str | None = None,
    seed: int | None = None,
) -> None:
    """Score files as the service would have scored them live, and say what it would have cost.

    The same monitor as in the service reads the files in the order of their rows. OUT gets scores.parquet (a row for
    every row of the files), alerts.jsonl, report.json, and a picture of each series with an incident. A column label is
    never read for scoring; where there is one, the report says how well the alerts met it, beside simple detectors.

    Parameters
    ----------
    config
        A configuration; without one the defaults hold.
    test
        Files and folders to score.
    out
        The folder for the results.
    train
        Files and folders to learn from first; or give a bundle.
    bundle
        A detector that was learnt before.
    channels
        Only these columns.
    ignore
        Not these columns.
    detector
        Which of the configuration's detectors.
    fresh
        Begin cold: forget where the history ended.
    pictures
        At most so many; 0 for none.
    device
        auto, cpu or cuda, for learning.
    seed
        Of the learning.
    """
    settings = detector_settings(config, detector)
    if (train is None) == (bundle is None):
        raise SettingsError(
            "a backtest needs either something to learn from, --train FILES, or a detector, --bundle FOLDER; "
            f"found {'neither' if train is None else 'both'}"
        )
    if train is not None:
        learn_from = open_files(train, settings, channels, ignore)
        tables = open_files(test, settings, channels, ignore)
        check_same(tables, learn_from)
        tables = tables.ordered(learn_from.channels)  # a file may have its columns in another order
        from pipeline.cli.fitting import fitted  # here: a bundle is scored without torch

        fit = replace(settings.fit, device=device or settings.fit.device)
        learnt = fitted(learn_from, fit if seed is None else replace(fit, seed=seed))
    else:
        assert bundle is not None
        learn_from, learnt = None, load(bundle)
        check_asked(channels, learnt)
        tables = open_files(test, settings, learnt.names, ignore)
        note_unread(tables)
    run(learnt, settings.policy, settings.name, tables, out, fresh=fresh, pictures=pictures, learn_from=learn_from)


def run(
    learnt: Detector,
    policy: Policy,
    name: str,
    tables: Tables,
    out: Path,
    *,
    fresh: bool,
    pictures: int,
    learn_from: Tables | None,
) -> None:
    """Replay the tables and write what came out."""
    learnt = named_like(learnt, tables)
    if tables.clock != learnt.clock:
        raise DataError(
            f"{tables.files[0].path}: its timestamps are taken for {tables.clock}, the detector's are {learnt.clock}"
        )
    monitor = Monitor(learnt, policy, name=name, fresh=fresh, what_if=what_if(learnt, policy))
    out.mkdir(parents=True, exist_ok=True)
    last = {} if fresh else {series: at for series in learnt.series if (at := monitor.last(series)) is not None}
    lanes = [Lane(file.name, file.most_rows, batches) for file, batches in tables.lanes(last, ROWS_AT_ONCE)]
    side_by_side = tables.series is not None and len(set(tables.series)) == len(tables.series)
    results = Results(learnt, tables, out, pictures, learn_from)
    clock = Stopwatch()
    with progress("scoring", tables.rows) as bar, results:
        for part in clock.timed(replay(monitor, lanes, side_by_side)):
            results.take(part)
            bar.to(results.findings.rows, counted(results.findings.alerts["raised"], "incident"))
    written = results.write(monitor, clock.seconds)
    tell(written, out, results.drawn)
    note_ungrouped(policy, results.findings.series)


class Stopwatch:
    """The seconds spent inside an iterator."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, parts: Any) -> Any:
        """The same parts, the time it takes to make each one counted."""
        while True:
            begun = time.perf_counter()
            part = next(parts, None)
            self.seconds += time.perf_counter() - begun
            if part is None:
                return
            yield part


class Results:
    """What a backtest writes, gathered lane by lane."""

    def __init__(self, learnt: Detector, tables: Tables, out: Path, pictures: int, learn_from: Tables | None) -> None:
        from pipeline.cli.comparing import Comparison

        self.findings = Findings()
        self.drawn: list[Path] = []
        self.alerts: list[Alert] = []
        self._learnt = learnt
        self._tables = tables
        self._out = out
        self._pictures = pictures
        self._tracing = Tracing()
        self._heard = Heard()
        self._lane = 0
        self._moved = False
        self._comparison = Comparison(learnt, learn_from)
        self._sink: ParquetSink | None = None  # until the type of the timestamps is known
        self._schema = scores_schema(learnt.names, pa.int64())

    def take(self, part: Part) -> None:
        """One more part; parts come lane by lane."""
        if part.lane != self._lane:
            self.end_lane()
            self._lane = part.lane
        file, kind = self._tables.files[part.lane], part.batch.schema.field(TIMESTAMP).type
        if self._sink is None:
            self._schema = scores_schema(self._learnt.names, kind)
            self._sink = ParquetSink(self._out / "scores.parquet", self._schema)
        elif kind != self._schema.field(TIMESTAMP).type:
            raise DataError(
                f"{file.path}: timestamps of type {kind}, those before are {self._schema.field(TIMESTAMP).type}"
            )
        self.findings.take(part, self._learnt.names, self._learnt.clock)
        self._note_moved(file.name, part)
        batch = scores_batch(self._schema, self._learnt.names, file.name, part.batch, part.decoded, part.scores)
        self._sink.append(batch)
        self.alerts += part.alerts
        self._heard.take(part)
        self._tracing.parts.append(part)

    def _note_moved(self, file: str, part: Part) -> None:
        """Say once where sample numbers were moved, for all but the scores tells the moved ones."""
        if self._learnt.clock != "index" or self._moved or not len(part.decoded.rows):
            return
        stamp = part.batch[TIMESTAMP][int(part.decoded.rows[0])].as_py()
        moved = int(part.decoded.readings.at[0]) - int(stamp)
        if moved:
            self._moved = True
            note(
                f"{file}: its sample numbers begin again, so they go on after its history, {moved:,} higher: "
                "alerts, report, pictures and explain have these, scores.parquet those of the file"
            )

    def __enter__(self) -> Results:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """The file of scores appears when all is written, and not at all where something failed."""
        if kind is None:
            self.end_lane()
        if self._sink is not None:
            self._sink.close() if kind is None else self._sink.discard()

    def end_lane(self) -> None:
        """Draw and judge the series of the lane that is complete."""
        for trace in self._tracing.traces():
            self._comparison.take(trace)
            if trace.incidents and len(self.drawn) < self._pictures:
                path = self._out / f"{trace.series.replace('/', '-')}.png"
                draw(trace, self._learnt, path)
                self.drawn.append(path)
        self._tracing = Tracing()

    def write(self, monitor: Monitor, seconds: float) -> dict[str, Any]:
        """Alerts in the order of time, and the report."""
        told = monitor.group(in_time([*self.alerts, *self._heard.silences(monitor)]))
        if monitor.policy.grouping is not None:
            self.findings.alerts = Counter(alert.event for alert in of_scores(told) if alert.muted is None)
        muted = (alert for alert in told if alert.muted is not None and alert.event == "raised")
        self.findings.muted = Counter(alert.muted or "" for alert in muted)
        lines = [alert_format.encode(alert) + b"\n" for alert in told]
        (self._out / "alerts.jsonl").write_bytes(b"".join(lines))
        written = report(monitor, self.findings, seconds, self._comparison.judged())
        (self._out / "report.json").write_text(json.dumps(written, indent=2, allow_nan=False) + "\n")
        return written


def named_like(learnt: Detector, tables: Tables) -> Detector:
    """One series in the bundle and one in the files are the same, whatever their names."""
    names = set(tables.series or ())
    if len(learnt.series) == 1 and len(names) == 1:
        return replace(learnt, slots={names.pop(): next(iter(learnt.slots.values()))})
    return learnt


def check_same(tables: Tables, learn_from: Tables) -> None:
    """DataError where the files to score have other channels than those to learn from."""
    ours, theirs = set(tables.channels), set(learn_from.channels)
    if ours != theirs:
        raise DataError(
            f"{tables.files[0].path}: other channels than {learn_from.files[0].path}: lacking "
            f"{', '.join(sorted(theirs - ours)) or 'none'}, besides {', '.join(sorted(ours - theirs)) or 'none'}; "
            "one detector has one list of channels: name it by --channels, or leave columns out by --ignore"
        )


def check_asked(channels: Sequence[str] | None, learnt: Detector) -> None:
    """SettingsError where other channels are asked for than the bundle has; their order does not matter."""
    if channels is not None and set(channels) != set(learnt.names):
        raise SettingsError(
            f"--channels {' '.join(channels)}: the detector of the bundle reads {' '.join(learnt.names)}, all of them; "
            "leave --channels out"
        )


def note_unread(tables: Tables) -> None:
    """Say which columns the detector does not know."""
    unread = sorted({name for file in tables.files for name in file.layout.unread})
    if unread:
        note(f"not read, for the detector does not know them: {', '.join(unread)}")


def note_ungrouped(policy: Policy, series: Collection[str]) -> None:
    """Say so where incidents were to be grouped, and no series has the labels that they are grouped by."""
    if policy.grouping is None or not series:
        return
    labelling, by = Labelling(policy.labels), policy.grouping.by
    if all(chosen(labelling.of(name), by) is None for name in series):
        asked = " and ".join(by)
        note(f"nothing was grouped: no rule of labels gives a series {asked}; the first series is {min(series)!r}")


def tell(written: dict[str, Any], out: Path, drawn: Sequence[Path]) -> None:
    """What a person wants to know first."""
    at_target = written["at_target"]
    say(
        f"{written['rows']:,} rows of {counted(written['series'], 'series')}: "
        + ", ".join(f"{count:,} {outcome}" for outcome, count in written["outcomes"].items() if count)
    )
    for rates in [written["at_target"], *written["at_other_targets"]]:
        per, unit = (rates.get("incidents_per_series_week"), "series-week")
        if per is None:
            per, unit = rates.get("incidents_per_10000_readings"), "10,000 readings"
        kept = "none scored" if rates["exceedance"] is None else f"{rates['exceedance']:.2g}"
        rate = "" if per is None else f", {per:.2g} per {unit}"
        say(
            f"  target {rates['target']:.2g}: exceedance {kept}, {counted(rates['incidents'], 'incident')}"
            + (f" of {rates['members']:,} in single series" if "members" in rates else "")
            + rate
            + ("  <- this policy" if rates is at_target else "")
        )
    quiet = ", ".join(f"{each['raised']:,} {kind}" for kind, each in written["quiet"].items() if each["raised"])
    if quiet:
        say(f"  apart from these, for no score has to do with them: {quiet}")
    muted = ", ".join(f"{count:,} ({reason})" for reason, count in written["muted"].items())
    if muted:
        say(f"  muted, and marked so in alerts.jsonl: {muted}")
    if written["target_is_finer_than_calibration"]:
        size = written["detector"]["calibration_sizes"]["largest"]
        say(f"  the target is finer than {size:,} calibration readings can tell: the bar begins at their largest")
    say(
        f"{written['readings_per_second'] or 0:,.0f} rows/s; {out}/report.json, scores.parquet, alerts.jsonl"
        + (f", {counted(len(drawn), 'picture')}" if drawn else "")
    )
