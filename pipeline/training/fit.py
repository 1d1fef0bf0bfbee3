"""fit: histories to a Detector. Scale, train, export, track, calibrate.

`fit` is for a frame in memory; `fitting` is the same as a generator of progress, for a program that shows it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from models.predictor import Predictor
from pipeline.detector.calendar import CALENDAR_INPUTS, calendar_inputs
from pipeline.detector.detector import Channel, Detector
from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import DataError
from pipeline.formats.frames import FrameDecoder, FrameMapping, label_values, table_of
from pipeline.records import Clock, Floats, Readings
from pipeline.training.calibrating import calibrated
from pipeline.training.chunks import Chunks, Rows, Segment, rows_on
from pipeline.training.doubts import doubts_of
from pipeline.training.export import export
from pipeline.training.forecasting import LONGEST_WINDOW, ForecastCourse
from pipeline.training.history import Grid, History, parts_of
from pipeline.training.labels import labelled
from pipeline.training.looking_back import look_back
from pipeline.training.loop import Plan, Progress, drawing_from, pick_device, train
from pipeline.training.preparing import NO_PERIOD, Fitted, fingerprint, labelled_in, prepared, roles_of
from pipeline.training.resume import Resume
from pipeline.training.size import check_size
from pipeline.training.trimming import trimming

Step = TypeVar("Step")
Learnt = TypeVar("Learnt")


@dataclass(frozen=True, slots=True)
class Calibrating:
    """How far the histories have been run through the tracker."""

    done: int  # readings
    of: int


@dataclass(frozen=True, slots=True)
class Trained:
    """What the training gave."""

    network: Predictor
    progress: Progress | None  # the last; None where a finished training was resumed


def fit(
    frame: Any,
    *,
    channels: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    settings: FitSettings | None = None,
    name: str = "series",
    label: str | None = None,
) -> Detector:
    """Learn what is normal from a frame of pandas or a table of pyarrow.

    The frame has a column `timestamp` (times, or whole numbers as a sample number), one column a channel, and, where it
    holds several series, `series`; rows of a series stand in the order of time. `label` names a column of known
    anomalies (1, else 0 or null), from which nothing is learnt; without it a column `label` is never read. DataError
    where a column is not numeric, a row is no reading, or the history is too short.
    """
    table = table_of(frame)
    mapping = FrameMapping(tuple(channels) if channels else None, tuple(ignore), label=label)
    layout = mapping.layout(table.schema)
    decoded = FrameDecoder(mapping, layout).decode(table, name)
    if decoded.rejected:
        first = decoded.rejected[0]
        raise DataError(f"row {first.row} of the frame is no reading: {first.detail}; mend or drop it")
    labels = None if label is None else label_values(table, label)[decoded.rows]
    histories = histories_of(decoded.readings, labels)
    return finished(fitting(histories, layout.channels, layout.clock, settings or FitSettings()))


def histories_of(readings: Readings, labels: Floats | None = None) -> list[History]:
    """N readings by series, in the order of their first ones; `labels` (N,) are those of labels.py."""
    if not len(readings):
        return []
    order = np.argsort(readings.series, kind="stable")
    borders = np.flatnonzero(np.diff(readings.series[order])) + 1
    histories = []
    for rows in sorted(np.split(order, borders), key=lambda rows: int(rows[0])):
        part = readings[rows]
        history = History(part.names[part.series[0]], part.at, part.values, part.missing)
        histories.append(history if labels is None else labelled(history, labels[rows]))
    return histories


def fitting(
    histories: Sequence[History],
    channels: Sequence[str],
    clock: Clock,
    settings: FitSettings,
    seconds: Callable[[], float] = time.perf_counter,
    resume: Resume | None = None,
) -> Generator[Progress | Calibrating, None, Detector]:
    """Learn what is normal; on the way, how training and calibration stand. Returns the Detector.

    `seconds` is only told in figures. DataError where a history cannot be used.
    """
    if settings.calendar and clock == "index":
        raise DataError("calendar inputs need times; these timestamps are sample numbers")
    check_size(len(channels), settings)
    ready = prepared(histories, channels)
    roles_of(ready, channels, settings)  # refuses settings that leave nothing to score, before anything is learnt

    def learn(series: Sequence[Fitted], resume: Resume | None) -> Generator[Progress, None, Trained]:
        return _training(series, len(channels), settings, seconds, resume)

    def bare(trained: Trained, series: Sequence[Fitted]) -> Detector:
        return _uncalibrated(trained, series, channels, clock, settings)

    begun, trimmed = seconds(), None
    if settings.trim:
        ready, trained, trimmed = yield from trimming(ready, settings.trim, learn, bare, resume)
    else:
        trained = yield from learn(ready, resume)
    detector = bare(trained, ready)
    figures = _figures(histories, ready, detector.channels, trained, seconds() - begun)
    figures["doubts"] = [doubt.figures() for doubt in doubts_of(ready, detector.channels, clock)]
    if trimmed is not None:
        figures["trim"] = trimmed.figures(ready, settings.trim)
    whole = [series for series in ready if series.calibrates]
    detector = replace(detector, figures=figures)
    if settings.profile == "full":
        back = look_back(whole, detector.scored, detector.period, settings.max_gap)
        detector = replace(detector, looking_back=back)
    calibrating = calibrated(detector, whole)
    done, total = 0, sum(len(series.history) for series in whole)
    while True:
        try:
            done += next(calibrating)
        except StopIteration as end:
            complete: Detector = end.value
            return complete
        yield Calibrating(done, total)


def finished(steps: Generator[Step, None, Learnt], told: Callable[[Step], object] = lambda _: None) -> Learnt:
    """What a generator of progress returns in the end; on the way each step is told to `told`."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            learnt: Learnt = end.value
            return learnt
        told(step)


def _uncalibrated(
    trained: Trained, ready: Sequence[Fitted], channels: Sequence[str], clock: Clock, settings: FitSettings
) -> Detector:
    """What was learnt, before it is known what errors are normal."""
    whole = [series for series in ready if series.calibrates]
    steps, periods = [series.step for series in whole], [s.period for s in whole if s.period != NO_PERIOD]
    return Detector(
        channels=roles_of(ready, channels, settings),
        clock=clock,
        step=int(np.median(steps)),
        regular=sum(series.regular for series in whole) * 2 > len(whole),
        period=int(np.median(periods)) if periods else NO_PERIOD,
        settings=settings,
        engine=export(trained.network),
    )


def _training(
    ready: Sequence[Fitted], channels: int, settings: FitSettings, seconds: Callable[[], float], resume: Resume | None
) -> Generator[Progress, None, Trained]:
    """Train a new network on the train parts, stopped by the validation parts."""
    device = pick_device(settings.device)
    generator = torch.Generator().manual_seed(settings.seed)
    context = CALENDAR_INPUTS if settings.calendar else 0
    with drawing_from(generator, torch.device("cpu")):
        network = Predictor(channels, context, settings.hidden, settings.layers, settings.dropout, settings.horizon).to(
            device
        )
    rows, learnt, validated = _rows(ready, settings, device)
    chunks = Chunks(rows, learnt, settings.batch, settings.chunk, settings.carry, generator)
    course = ForecastCourse(network, rows, chunks, validated)
    plan = Plan(settings.steps, settings.learning_rate, settings.evaluate_every, settings.patience)
    progress = None
    for progress in train(network, course, plan, generator, seconds, resume):
        yield progress
    return Trained(network, progress)


def _rows(
    ready: Sequence[Fitted], settings: FitSettings, device: torch.device
) -> tuple[Rows, list[Segment], list[Segment]]:
    """All series one after the other on the device, and the segments to learn from and to validate on."""
    learnt: list[Segment] = []
    validated: list[Segment] = []
    grids, offset = [series.grid(settings.max_gap) for series in ready], 0
    for series, grid in zip(ready, grids, strict=True):
        parts = parts_of(len(series.history))
        learnt += _segments(grid, 0, parts.train_end, offset)
        validated += _segments(grid, parts.validation_begin, parts.fit_end, offset)
        offset += len(grid.z)
    at = np.concatenate([grid.at for grid in grids])
    context = calendar_inputs(at) if settings.calendar else np.zeros((len(at), 0), np.float32)
    z = np.concatenate([grid.z for grid in grids]).astype(np.float32)
    present = np.concatenate([grid.present for grid in grids])
    longest = max(settings.chunk, LONGEST_WINDOW)
    if not any(s.last - s.first > 1 for s in learnt) or not any(s.last - s.first > 1 for s in validated):
        raise DataError("no stretch of the history without a long gap has two readings in order to learn from")
    return rows_on(device, z, present, context, settings.horizon, longest), learnt, validated


def _segments(grid: Grid, first: int, last: int, offset: int) -> list[Segment]:
    """The stretches without a long gap among the readings first to last, as rows of all series together."""
    if last <= first:
        return []
    begin, end = int(grid.position[first]), int(grid.position[last - 1]) + 1
    inner = grid.begins[(grid.begins > begin) & (grid.begins < end)].tolist()
    edges = [begin, *inner, end]
    stretch = int(grid.begins[grid.begins <= begin][-1])  # where the first stretch began, before these readings
    warm = [begin - stretch] + [0] * len(inner)
    return [Segment(a + offset, b + offset, before) for a, b, before in zip(edges[:-1], edges[1:], warm, strict=True)]


def _figures(
    histories: Sequence[History], ready: Sequence[Fitted], roles: Sequence[Channel], trained: Trained, seconds: float
) -> dict[str, Any]:
    """What a person wants to know of a fit; none of it decides a score."""
    used = {series.history.name for series in ready}
    figures: dict[str, Any] = {
        "data": fingerprint(histories),
        "readings": sum(len(series.history) for series in ready),
        "series": len(ready),
        "short_series": [series.history.name for series in ready if not series.calibrates],
        "unused_series": [history.name for history in histories if history.name not in used],
        "left_out": sum(series.left_out for series in ready),
        "labelled": sum(labelled_in(history) for history in histories),
        "irregular_series": sum(not series.regular for series in ready),
        "periods": dict(Counter(series.period for series in ready).most_common(5)),
        "roles": dict(Counter(channel.role for channel in roles)),
        "training_seconds": round(seconds, 2),
    }
    if trained.progress is not None:
        last = trained.progress
        figures |= {
            "steps": last.step,
            "best_step": last.best_step,
            "loss": last.loss,
            "validation_loss": last.best,
            "training_readings_per_second": round(last.items_per_second),
        }
    return figures
