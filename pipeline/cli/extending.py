"""A bundle with series more, while a person watches: for `train --extend`. Needs torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.bundle import load
from pipeline.cli.backtest import check_asked, note_unread
from pipeline.cli.columns import open_files
from pipeline.cli.console import counted, note, progress
from pipeline.cli.fits import misfits
from pipeline.cli.fitting import first_of, histories_in
from pipeline.detector.detector import Detector
from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import DataError, SettingsError
from pipeline.settings import DetectorSettings
from pipeline.training.extending import extending, figures_of, new_series

OF_NO_MATTER = ("seed", "device")  # of a training, which an extension is not


def extended(
    bundle: Path,
    data: Sequence[Path],
    settings: DetectorSettings,
    channels: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    label: str | None = None,
    *,
    configured: bool,
) -> Detector:
    """The detector of a bundle with the series of the data that it does not have; what was left out goes to stderr.

    SettingsError where the settings, if they were `configured`, or the channels are not the bundle's; DataError where
    a history does not fit it.
    """
    detector = load(bundle)
    if configured:
        check_fit(settings.fit, detector, bundle)
        for misfit in misfits(replace(settings, input=None), detector):
            raise SettingsError(f"detectors.{settings.name}: {misfit.aspect}: {misfit.words}")
    check_asked(channels, detector)
    tables = open_files(data, settings, detector.names, ignore, label)
    note_unread(tables)
    if tables.clock != detector.clock:
        raise DataError(
            f"{tables.files[0].path}: its timestamps are taken for {tables.clock}, the bundle's are {detector.clock}"
        )
    histories = histories_in(tables)
    new = new_series(detector, histories)
    steps, done = extending(detector, new), 0
    with progress("calibrating", sum(len(series.history) for series in new)) as bar:
        while True:
            try:
                done += next(steps)
            except StopIteration as end:
                longer: Detector = end.value
                break
            bar.to(done)
    longer = replace(longer, figures=figures_of(detector, histories, longer))
    _say(longer.figures["extensions"][-1], len(histories), detector)
    return longer


def check_fit(fit: FitSettings, detector: Detector, bundle: Path) -> None:
    """SettingsError where something is set otherwise than the bundle was learnt with."""
    asked, learnt = ({**asdict(each), "roles": dict(each.roles)} for each in (fit, detector.settings))
    other = [name for name in asked if name not in OF_NO_MATTER and asked[name] != learnt[name]]
    if other:
        named = ", ".join(f"{name} {asked[name]} (the bundle: {learnt[name]})" for name in other)
        raise SettingsError(
            f"{bundle} was learnt with other settings than fit has now: {named}; set them as they were, or train anew"
        )


def _say(extension: Mapping[str, Any], given: int, detector: Detector) -> None:
    added, short = extension["series"], extension["short_series"]
    known = given - len(added) - len(short)
    if known:
        note(f"{known:,} series of the history are in the bundle already, and stay as they are")
    if short:
        note(f"too short to be calibrated, and left out: {first_of(short)}")
    pooled = len(added) - extension["own_calibrations"]
    if pooled:
        note(f"{counted(pooled, 'series')} with fewer than 1,000 errors to calibrate by: held against what is pooled")
    if detector.settings.trim:
        note("nothing is trimmed of the new series: that takes a training")
