"""The section `kafka`: how brokers are reached, with passwords that are fetched when they are used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator

from pipeline.settings.problems import found, nearest
from pipeline.settings.section import Name, Section
from pipeline.settings.settings import KafkaSettings, OnLoss, Scalar, Secret


def _key(key: str) -> str:
    from pipeline.connectors.kafka_client import client_settings  # here: a configuration without Kafka loads no client

    known = client_settings()
    if key in known:
        return key
    if key in KafkaSection.model_fields:
        raise ValueError(f"unknown; did you mean kafka.{key}?")
    raise ValueError(f"unknown, or set by this program; {nearest(key, known)}")


def _value(value: object) -> Scalar | Secret:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((source, name),) = value.items()
        if source == "env" and isinstance(name, str):
            return Secret(env=name)
        if source == "file" and isinstance(name, str):
            return Secret(file=Path(name))
    raise ValueError(f"a value, {{env: NAME}} or {{file: PATH}} is needed, found {found(value)}")


Key = Annotated[str, AfterValidator(_key)]
Placed = Annotated[
    Scalar | Secret, PlainValidator(_value, json_schema_input_type=Scalar | dict[Literal["env", "file"], str])
]


class KafkaSection(Section):
    """How Kafka is reached."""

    bootstrap_servers: Name = Field(default="localhost:9092", description="host:port of one broker or more, by commas")
    group_id: Name = Field(default="plumbline", description="consumers of one group share the partitions")
    client: dict[Key, Placed] = Field(
        default_factory=dict,
        description="passed through to kafka-python: TLS, SASL, timeouts; a password as {env: NAME} or {file: PATH}",
    )

    transactional_id: Name | None = Field(
        default=None, description="of this process alone; one that stays lets a restart go on at once after a kill"
    )
    mutes: Name | None = Field(
        default=None, description="a compacted topic of further mutes, as JSON: followed while the service runs"
    )
    on_offset_loss: OnLoss = Field(
        default="rewarm", description="records deleted unread, or a topic made anew: go on with what is there, or stop"
    )

    def build(self, folder: Path) -> KafkaSettings:
        """The section with its files found from `folder`, and what must not be shown hidden."""
        client = {key: placed(key, value, folder) for key, value in self.client.items()}
        return KafkaSettings(
            self.bootstrap_servers, self.group_id, client, self.transactional_id, self.mutes, self.on_offset_loss
        )


def placed(key: str, value: Scalar | Secret, folder: Path) -> Scalar | Secret:
    """A value with its file found from `folder`, and hidden where its key says that it is a password."""
    if isinstance(value, Secret):
        return value if value.file is None else Secret(file=folder / value.file)
    if key.endswith("password") and value is not None:
        return Secret(text=str(value))
    return str(folder / value) if key.endswith("file") and isinstance(value, str) else value
