"""From the settings to the registry of schemas that decoders ask, where one of them does."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from pipeline.cli.broker import revealed
from pipeline.connectors.schema_registry import Access, SchemaRegistry
from pipeline.exceptions import SettingsError
from pipeline.settings import RegistrySettings, Settings


def registry_of(settings: Settings, environment: Mapping[str, str]) -> SchemaRegistry | None:
    """The registry, its password fetched; None where no input is of Avro. Nothing is connected."""
    wanted = [one.name for one in settings.detectors.values() if one.input is not None and one.input.format == "avro"]
    if settings.registry is None or not wanted:
        return None
    if importlib.util.find_spec("fastavro") is None:
        raise SettingsError(
            f"{settings.path}: detectors.{wanted[0]}.input.format is avro, and fastavro is not installed: "
            "pip install 'plumbline[avro]'"
        )
    return SchemaRegistry(_access(settings.registry, environment))


def _access(registry: RegistrySettings, environment: Mapping[str, str]) -> Access:
    secret = registry.password
    password = None if secret is None else revealed("schema_registry.password", secret, environment)
    ca, certificate, key = (
        None if name is None else str(name) for name in (registry.ca_file, registry.certificate_file, registry.key_file)
    )
    return Access(registry.url, registry.username, password, ca, certificate, key, registry.timeout_seconds)
