"""Robust trimming: the oddest spans of the fit part are dropped, and the rest is learnt anew.

A network that learnt from faults forecasts them, and a scaling that counted them is too wide. So a first fit says which
spans of its own fit part it cannot explain; the second one does without them. A span is odd only where its error is far
beyond what is common there: a clean history loses nothing and is not learnt twice. Calibration parts are not looked at.
T readings, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pipeline.detector.detector import Detector
from pipeline.exceptions import StateError
from pipeline.records import Flags, Floats, Outcome, runs
from pipeline.training.calibrating import begun, tracked_batches
from pipeline.training.loop import Progress
from pipeline.training.preparing import Fitted
from pipeline.training.resume import Resume

SPAN = 5  # readings that an error is the mean of, before it and after it
FAR, NEAR = 4.0, 2.0  # robust deviations of the log error: a span holds one beyond FAR, and ends where none is NEAR
CLOSE = 10  # readings between two odd spans that are one
LEAST_DEVIATION = 0.35  # of the log error: half of what a mean of five squared normal residuals has
FLOOR = 1e-6  # of a channel's median squared residual, in scaled units; calibrating.py has the same of the mean
SPANS_TOLD = 20  # in the figures
PART = "trimmed"  # of a resume file: what the first fit found


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What the first fit found odd in each series, and how many more spans were odd but beyond the share."""

    rows: tuple[Flags, ...]  # (T,) each
    left: int

    def figures(self, fitted: Sequence[Fitted], share: float) -> dict[str, Any]:
        """Which spans, and how much; times are in the detector's clock."""
        spans = [
            {
                "series": series.history.name,
                "from": int(series.history.at[first]),
                "to": int(series.history.at[last - 1]),
                "readings": last - first,
            }
            for series, rows in zip(fitted, self.rows, strict=True)
            for first, last in runs(rows).tolist()
        ]
        return {
            "at_most": share,
            "readings": int(sum(rows.sum() for rows in self.rows)),
            "of": sum(len(series.fit_part) for series in fitted),
            "spans": len(spans),
            "first_spans": spans[:SPANS_TOLD],
            "odd_spans_left_in": self.left,
        }


Learning = Callable[[Sequence[Fitted], Resume | None], Generator[Progress, None, Any]]


def trimming(
    fitted: Sequence[Fitted],
    share: float,
    learn: Learning,
    bare: Callable[[Any, Sequence[Fitted]], Detector],
    resume: Resume | None,
) -> Generator[Progress, None, tuple[list[Fitted], Any, Trimmed]]:
    """Learn, drop the odd spans, and learn anew where there were any; the series as they were learnt from in the end.

    `learn` trains on series; `bare` makes of its result a detector without calibration. A training that is resumed in
    its second fit does not repeat the first.
    """
    found = None if resume is None else _found(resume, fitted)
    if found is None:
        trained = yield from learn(fitted, resume)
        found, resume = odd_spans(bare(trained, fitted), fitted, share), None
        if not any(rows.any() for rows in found.rows):
            return list(fitted), trained, found
    kept = [series.without(rows) if rows.any() else series for series, rows in zip(fitted, found.rows, strict=True)]
    learning = learn(kept, resume)
    told = {f"{PART}.{number}": torch.from_numpy(rows) for number, rows in enumerate(found.rows)}
    told[f"{PART}.left"] = torch.tensor(found.left)
    while True:
        try:
            progress = next(learning)
        except StopIteration as end:
            return kept, end.value, found
        tensors = {**progress.resume.tensors, **told}
        yield replace(progress, resume=replace(progress.resume, tensors=tensors))


def _found(resume: Resume, fitted: Sequence[Fitted]) -> Trimmed | None:
    """What the first fit found, where `resume` was taken in the second; StateError where it does not fit."""
    told = resume.part(PART)
    if not told:
        return None
    rows = tuple(told[key].numpy().astype(bool) for key in map(str, range(len(told) - 1)))
    if [len(each) for each in rows] != [len(series.history) for series in fitted]:
        raise StateError("the resume file is of other histories: remove it, and training starts anew")
    return Trimmed(rows, int(told["left"]))


def odd_spans(detector: Detector, fitted: Sequence[Fitted], share: float) -> Trimmed:
    """The spans of each fit part that are far from what is common there, the oddest first, up to `share` of the part.

    A span that does not fit into the share any more stays: what lasts that long is a way of running, and no fault.
    """
    rows, left = [], 0
    for series, error in zip(fitted, _errors(detector, fitted), strict=True):
        odd = oddness(error)
        room = int(share * len(error))
        dropped = np.zeros(len(series.history), bool)
        far = joined([(a, b) for a, b in runs(odd > NEAR).tolist() if odd[a:b].max() > FAR])
        for first, last in sorted(far, key=lambda span: -np.nanmax(odd[slice(*span)])):
            if last - first <= room:
                dropped[first:last] = True
                room -= last - first
            else:
                left += 1
        rows.append(dropped)
    return Trimmed(tuple(rows), left)


def joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those close together as one: a level that jumps and comes back is odd at both its edges."""
    whole: list[tuple[int, int]] = []
    for first, last in spans:
        if whole and first - whole[-1][1] <= CLOSE:
            whole[-1] = (whole[-1][0], last)
        else:
            whole.append((first, last))
    return whole


def oddness(error: Floats) -> Floats:
    """How many robust deviations the log of each error is above the median, NaN where there is no error; both (T,)."""
    if np.isnan(error).all():
        return error
    level = np.log(error + FLOOR)
    middle = np.nanmedian(level)
    deviation = 1.4826 * np.nanmedian(np.abs(level - middle))  # that of a normal distribution
    odd: Floats = (level - middle) / max(float(deviation), LEAST_DEVIATION)
    return odd


def _errors(detector: Detector, fitted: Sequence[Fitted]) -> list[Floats]:
    """The error of each reading of each fit part, by the very tracker that will run; NaN where it was not scored.

    The mean over scored channels of squared residuals, each in units of its median, averaged over the span around it.
    """
    parts = [replace(series, history=series.fit_part, trimmed=None) for series in fitted]
    slots = begun(detector, parts)
    batches = list(tracked_batches(detector, slots, parts))
    slot_of = np.concatenate([batch.slots for batch in batches])
    squares = np.concatenate([batch.residual**2 for batch in batches])  # (N, C)
    there = np.concatenate([batch.tracked.there for batch in batches])
    scored = np.concatenate([batch.tracked.outcome == Outcome.SCORED for batch in batches])
    errors = []
    for part in parts:
        mine = slot_of == slots.table[part.history.name]
        errors.append(_around(_in_medians(squares[mine], there[mine] & scored[mine][:, None])))
    return errors


def _in_medians(squares: Floats, there: Flags) -> Floats:
    """The mean over channels of squares (T, C), each in units of its channel's median; NaN where none is there."""
    hidden = np.where(there, squares, np.nan)
    units = np.array([np.nanmedian(column) if (~np.isnan(column)).any() else 1.0 for column in hidden.T])
    count = there.sum(axis=1)
    total = np.where(there, squares / np.maximum(units, FLOOR), 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _around(error: Floats) -> Floats:
    """The mean of each error (T,) and its neighbours that are there; NaN stays."""
    there = ~np.isnan(error)
    window = np.ones(SPAN)
    total = np.convolve(np.where(there, error, 0.0), window)[SPAN // 2 :][: len(error)]
    count = np.convolve(there.astype(float), window)[SPAN // 2 :][: len(error)]
    return np.where(there, total / np.maximum(count, 1), np.nan)
