"""Settings: a YAML file, checked once and strictly, as the parts' own dataclasses."""

from pipeline.settings.parse import parse_mute, parse_settings, settings_schema
from pipeline.settings.settings import (
    DetectorSettings,
    KafkaSettings,
    OutputSettings,
    RegistrySettings,
    Secret,
    Settings,
    StateSettings,
    TelemetrySettings,
)

__all__ = [
    "DetectorSettings",
    "KafkaSettings",
    "OutputSettings",
    "RegistrySettings",
    "Secret",
    "Settings",
    "StateSettings",
    "TelemetrySettings",
    "parse_mute",
    "parse_settings",
    "settings_schema",
]
