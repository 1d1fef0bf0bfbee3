"""New series for a detector that was learnt already: their calibration and slots, with its network as it is.

Nothing is learnt but what fit learns of a single series: scaling, step, period, what errors are normal, how long values
stood still. What is pooled, and all that belongs to the series of before, stays as it was, byte for byte.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.detector.detector import Detector, Extended
from pipeline.exceptions import DataError
from pipeline.monitor.slots import Slots
from pipeline.training.calibrating import OWN_ERRORS, Kept, begun, calibrating_in, opinions_run, tracked_batches
from pipeline.training.history import History
from pipeline.training.preparing import Fitted, fingerprint, labelled_in, prepared
from pipeline.training.standing import longest_runs

ALIKE = 0.1  # of a step: as far from one of the detector's as steps of a regular series are from each other


def new_series(detector: Detector, histories: Sequence[History]) -> list[Fitted]:
    """The histories of series that the detector does not have, made ready; those too short to be calibrated left out.

    DataError where there is none, one is too short or out of order, or its step is none of the detector's.
    """
    new = [history for history in histories if history.name not in detector.slots]
    if not new:
        raise DataError(
            f"all {len(histories)} series of the history are in the bundle already: there is nothing to extend it by"
        )
    ready = [series for series in prepared(new, detector.names) if series.calibrates]
    slots = Slots(detector)
    slots.put(slots.read(detector.slots, detector))
    steps = np.unique(slots.tracks.step[slots.table.in_use()])
    for series in ready:
        if series.regular and not (np.abs(steps - series.step) <= ALIKE * steps).any():
            raise DataError(
                f"{series.history.name}: its step is {_step(series.step, detector)}, those of the bundle's series are "
                f"{', '.join(_step(int(step), detector) for step in steps[:5])}: its network knows no other; fit a "
                "detector of its own, or bring the history to that step"
            )
    return ready


def extending(detector: Detector, new: Sequence[Fitted]) -> Generator[int, None, Detector]:
    """The detector with these series as well; on the way, how many readings have been run through the tracker.

    A series with 1,000 errors in its calibration part gets a calibration of its own, another is held against what is
    pooled. DataError where the calibration parts hold too few scored readings.
    """
    slots = begun(detector, new)
    batches = []
    for batch in tracked_batches(detector, slots, new):
        batches.append(batch)
        yield len(batch.slots)
    kept, learnt = calibrating_in(batches), Kept.of(batches, [batch.learnt for batch in batches])
    own = np.flatnonzero(np.bincount(kept.slots, minlength=len(new)) >= OWN_ERRORS)
    groups = [np.arange(len(kept.slots)), *kept.rows_of(own)]
    of_fit = [np.arange(len(learnt.slots)), *learnt.rows_of(own)]
    pooled, regions = detector.calibrations[0], detector.regions
    scales = np.stack([pooled.channel_scale, *(learnt.channel_scale(rows, detector.scored) for rows in of_fit[1:])])
    regionals = np.ones((len(groups), regions + 1))
    if regions:
        regionals = np.stack([pooled.regional, *(learnt.regional(rows, regions) for rows in of_fit[1:])])
    slots.marks.calibration[own] = np.arange(1, len(groups))
    parts = list(zip(groups, of_fit, strict=True))
    high, fused = opinions_run(detector, slots, batches, (scales, regionals), parts, pooled=pooled.high)
    added = tuple(
        kept.calibration(rows, scale, regional, level, fused[rows])
        for rows, scale, regional, level in list(zip(groups, scales, regionals, high, strict=True))[1:]
    )
    slots.marks.calibration[own] += len(detector.calibrations) - 1
    longest_runs(new, slots, detector.scored)
    return _complete(detector, slots, replace(detector, calibrations=detector.calibrations + added))


def _complete(detector: Detector, slots: Slots, longer: Detector) -> Detector:
    """With the slots of all series, those of before as they were; where nothing decides otherwise, it is the same."""
    if longer.digest != detector.digest:
        was = Extended(detector.digest, len(detector.calibrations), len(detector.slots))
        longer = replace(longer, extends=(*detector.extends, was))
    before = Slots(detector)
    before.put(before.read(detector.slots, detector))
    old = before.take(detector.series, longer.digest)
    return replace(longer, slots={**old, **slots.take(slots.table.names(), longer.digest)})


def figures_of(detector: Detector, histories: Sequence[History], extended: Detector) -> dict[str, Any]:
    """The detector's figures, and what a person wants to know of the extension."""
    names = extended.series[len(detector.series) :]
    new = [history for history in histories if history.name not in detector.slots]
    extension = {
        "of": detector.digest,
        "data": fingerprint(new),
        "series": list(names),
        "own_calibrations": len(extended.calibrations) - len(detector.calibrations),
        "short_series": [history.name for history in new if history.name not in names],
        "readings": sum(len(history) for history in new if history.name in names),
        "labelled": sum(labelled_in(history) for history in new),
    }
    return {**detector.figures, "extensions": [*detector.figures.get("extensions", ()), extension]}


def _step(step: int, detector: Detector) -> str:
    return f"{step / 1e6:g} s" if detector.clock == "time" else f"{step} samples"
