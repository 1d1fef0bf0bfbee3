"""From the settings to the Kafka cluster that a command talks to."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.connectors.kafka_client import Cluster
from pipeline.exceptions import SettingsError
from pipeline.settings import KafkaSettings, Secret, Settings

SERVERS_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"


def kafka_of(settings: Settings, command: str) -> KafkaSettings:
    """The section kafka, which this command needs."""
    if settings.kafka is None:
        raise SettingsError(
            f"{settings.path} has no section kafka, which plumbline {command} needs: "
            "add kafka: {bootstrap_servers: localhost:9092}"
        )
    return settings.kafka


def cluster_of(settings: Settings, command: str, environment: Mapping[str, str]) -> Cluster:
    """The cluster to connect to, its passwords fetched; KAFKA_BOOTSTRAP_SERVERS names other brokers."""
    kafka = kafka_of(settings, command)
    client = {
        key: revealed(f"kafka.client.{key}", value, environment) if isinstance(value, Secret) else value
        for key, value in kafka.client.items()
    }
    try:
        return Cluster(environment.get(SERVERS_VARIABLE) or kafka.bootstrap_servers, client)
    except ValueError as error:
        raise SettingsError(f"{settings.path}: kafka.{error}") from error


def revealed(key: str, secret: Secret, environment: Mapping[str, str]) -> str:
    """A password, fetched; SettingsError where it is not there. `key` is where it stands, for the message."""
    if secret.text is not None:
        return secret.text
    if secret.env is not None:
        if not environment.get(secret.env):
            raise SettingsError(f"{key}: the environment variable {secret.env} is empty or not set")
        return environment[secret.env]
    try:
        lines = secret.file.read_text(encoding="utf-8").splitlines() if secret.file is not None else []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{key}: {secret.file} cannot be read: {error}") from error
    if not lines or not lines[0]:
        raise SettingsError(f"{key}: the first line of {secret.file} is empty: the password stands there")
    return lines[0]
