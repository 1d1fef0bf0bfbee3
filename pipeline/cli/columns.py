"""Which columns of files are read: the settings' and the command line's say together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.cli.configuration import load_settings
from pipeline.cli.console import note
from pipeline.connectors.tables import Tables, open_tables
from pipeline.exceptions import SettingsError
from pipeline.formats.frames import FrameMapping
from pipeline.settings import DetectorSettings
from pipeline.settings.problems import nearest


def detector_settings(config: Path | None, name: str | None) -> DetectorSettings:
    """The detector that the command is about: of the configuration, or all defaults without one."""
    if config is not None:
        return load_settings(config).detector(name)
    if name is not None:
        raise SettingsError(f"--detector {name} chooses among those of a configuration: name the file")
    return DetectorSettings("detector")


def open_files(
    paths: Sequence[Path],
    settings: DetectorSettings,
    channels: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    label: str | None = None,
) -> Tables:
    """The tables of files and folders, checked; `channels` come before those of the settings; `label` must be there.

    DataError where they cannot be used, SettingsError where the channels cannot be meant.
    """
    chosen = tuple(channels or settings.channels) or None
    try:
        mapping = FrameMapping(chosen, tuple(ignore or ()), settings.timezone, settings.unit, label)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    tables = open_tables(paths, mapping)
    for name in ignore or ():
        if name not in tables.columns:
            note(f"--ignore {name}: no file has this column; {nearest(name, tables.columns)}")
    return tables
