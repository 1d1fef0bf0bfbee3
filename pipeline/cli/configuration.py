"""A configuration file to settings: the program opens files here and not in the settings."""

from __future__ import annotations

from pathlib import Path

from pipeline.exceptions import SettingsError
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
