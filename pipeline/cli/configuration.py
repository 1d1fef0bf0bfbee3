"""A configuration file to settings, for the settings open no files; and what they ask to build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.exceptions import SettingsError
from pipeline.formats.mapping import InputMapping
from pipeline.monitor.assembly import Assembly
from pipeline.settings import Settings, parse_settings


def load_settings(path: Path) -> Settings:
    """The settings in a YAML file; SettingsError names everything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    return parse_settings(text, path)


def assembly_of(mapping: InputMapping | None, channels: Sequence[str]) -> Assembly | None:
    """Where readings wait for others, as the input asks; None where none does."""
    if mapping is None or (mapping.join is None and not mapping.lateness):
        return None
    return Assembly(len(channels), mapping.lateness, joins=mapping.join is not None)
