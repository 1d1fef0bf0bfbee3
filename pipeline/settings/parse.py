"""From text to `Settings`: every problem at once, each with its path and what to write instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.exceptions import SettingsError
from pipeline.monitor.mutes import Mute
from pipeline.settings import strict_yaml
from pipeline.settings.detector_section import ToldMuteSection
from pipeline.settings.model import Configuration
from pipeline.settings.problems import found, problems
from pipeline.settings.settings import Settings


def parse_settings(text: str, path: Path) -> Settings:
    """The settings in a text; `path` is where it stands, or would. SettingsError names everything that is wrong."""
    raw = strict_yaml.parse(text, str(path))
    if not isinstance(raw, dict):
        raise SettingsError(f"{path}: a mapping with the key detectors is needed, found {found(raw)}")
    try:
        return Configuration.model_validate(raw).build(path)
    except ValidationError as error:
        lines = problems(error, Configuration)
    if len(lines) == 1:
        raise SettingsError(f"{path}: {lines[0]}")
    raise SettingsError("\n  ".join([f"{path} has {len(lines)} problems", *lines]))


def parse_mute(value: bytes) -> tuple[str | None, Mute]:
    """A mute as JSON, and the detector that it is for, None: all; SettingsError names everything that is wrong."""
    try:
        section = ToldMuteSection.model_validate_json(value)
    except ValidationError as error:
        raise SettingsError("; ".join(problems(error, ToldMuteSection))) from error
    return section.detector, section.build()


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of a configuration, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Configuration.model_json_schema()}
