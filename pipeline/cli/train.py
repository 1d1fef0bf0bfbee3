"""`plumbline train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.bundle import MANIFEST, save
from pipeline.cli.columns import detector_settings, open_files
from pipeline.cli.console import counted, note, say
from pipeline.cli.inspect import step_in_words
from pipeline.exceptions import SettingsError


def train(
    config: Path | None = None,
    /,
    *,
    data: list[Path],
    out: Path,
    channels: list[str] | None = None,
    ignore: list[str] | None = None,
    detector: str | None = None,
    device: str | None = None,
    seed: int | None = None,
    label: str | None = None,
    trim: float | None = None,
    extend: Path | None = None,
) -> None:
    """Learn from a history what normal looks like: a bundle.

    The history is Parquet or CSV with a column timestamp, one column a channel and, where a file holds several series,
    a column series; a column label is read only when it is asked for. An interrupted training goes on when the same
    command is given again.

    Parameters
    ----------
    config
        A configuration; without one the defaults hold.
    data
        Files and folders; all below a folder is read.
    out
        The folder that becomes the bundle.
    channels
        Only these columns.
    ignore
        Not these columns.
    detector
        Which of the configuration's detectors.
    device
        auto, cpu or cuda.
    seed
        Of the first weights and the order of the chunks.
    label
        The column of known anomalies (1; 0 or empty otherwise): nothing is learnt from them, nor calibrated.
    trim
        Drop the oddest spans of what is learnt from, at most this share of it, and learn anew; for a history with
        faults that nobody labelled.
    extend
        A bundle that gets the series of the history which it does not have: each its own calibration, under the network
        as it is. What belongs to the others stays as it was, and a service keeps their state. --out may be the same.
    """
    settings = detector_settings(config, detector)
    if out.exists() and not (out / MANIFEST).is_file():
        raise SettingsError(f"{out} exists and is no bundle: it has no {MANIFEST}; choose another folder for --out")
    if extend is not None:
        given = {"--device": device, "--seed": seed, "--trim": trim}
        for option in (name for name, value in given.items() if value is not None):
            raise SettingsError(f"{option} is of a training, and --extend leaves the network as it is: leave it out")
        from pipeline.cli.extending import extended  # here, for it brings torch

        longer = extended(extend, data, settings, channels, ignore, label, configured=config is not None)
        save(longer, out)
        extension = longer.figures["extensions"][-1]
        say(
            f"{out}: {counted(len(extension['series']), 'series')} more, {extension['own_calibrations']} with a "
            f"calibration of their own; {counted(len(longer.series), 'series')} in all, detector {longer.digest[:12]}"
        )
        return
    tables = open_files(data, settings, channels, ignore, label)
    try:
        fit = replace(
            settings.fit,
            device=settings.fit.device if device is None else device,
            seed=settings.fit.seed if seed is None else seed,
            trim=settings.fit.trim if trim is None else trim,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error
    from pipeline.cli.fitting import fitted  # here: torch takes seconds, which --help and a wrong option need not wait

    resume_file = out.with_name(f"{out.name}.resume")
    try:
        learnt = fitted(tables, fit, resume_file)
    except KeyboardInterrupt:
        if resume_file.exists():
            note(f"interrupted: the same command goes on from {resume_file}")
        raise
    save(learnt, out)
    figures = learnt.figures
    say(
        f"{out}: {counted(len(learnt.channels), 'channel')}, {len(learnt.series)} series, {step_in_words(learnt)}; "
        f"learnt from {figures['readings']:,} readings in {figures['training_seconds']:.0f} s"
    )
    say(f"  plumbline backtest --bundle {out} --test LATER-FILES --out report")
