"""The section `kafka`: how brokers are reached, with passwords that are fetched when they are used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PlainValidator

from pipeline.settings.problems import found
from pipeline.settings.section import Name, Section, section
from pipeline.settings.settings import KafkaSettings, Scalar, Secret

# What consumer, producer and admin client of kafka-python all take, as text, numbers or truth values.
CLIENT_KEYS = (
    "bootstrap_timeout_ms",
    "client_dns_lookup",
    "client_id",
    "connections_max_idle_ms",
    "metadata_max_age_ms",
    "proxy_url",
    "receive_buffer_bytes",
    "receive_message_max_bytes",
    "reconnect_backoff_max_ms",
    "reconnect_backoff_ms",
    "request_timeout_ms",
    "retry_backoff_ms",
    "sasl_kerberos_domain_name",
    "sasl_kerberos_name",
    "sasl_kerberos_service_name",
    "sasl_mechanism",
    "sasl_plain_password",
    "sasl_plain_username",
    "security_protocol",
    "send_buffer_bytes",
    "socks5_proxy",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_crlfile",
    "ssl_keyfile",
    "ssl_password",
)
FILES = ("ssl_cafile", "ssl_certfile", "ssl_crlfile", "ssl_keyfile")
PASSWORDS = ("sasl_plain_password", "ssl_password")


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


Value = Annotated[
    Scalar | Secret, PlainValidator(_value, json_schema_input_type=Scalar | dict[Literal["env", "file"], str])
]


if TYPE_CHECKING:
    ClientSection = Section
else:
    ClientSection = section("ClientSection", Section, dict.fromkeys(CLIENT_KEYS, (Value, None)))


class KafkaSection(Section):
    """How Kafka is reached."""

    bootstrap_servers: Name = Field(default="localhost:9092", description="host:port of one broker or more, by commas")
    group_id: Name = Field(default="plumbline", description="consumers of one group share the partitions")
    client: ClientSection = Field(
        default_factory=ClientSection,
        description="passed through to kafka-python: TLS, SASL, timeouts; a password as {env: NAME} or {file: PATH}",
    )

    def build(self, folder: Path) -> KafkaSettings:
        """The section with its files found from `folder`, and what must not be shown hidden."""
        given = {key: getattr(self.client, key) for key in CLIENT_KEYS if key in self.client.model_fields_set}
        client = {key: _placed(key, value, folder) for key, value in given.items()}
        return KafkaSettings(self.bootstrap_servers, self.group_id, client)


def _placed(key: str, value: Scalar | Secret, folder: Path) -> Scalar | Secret:
    if isinstance(value, Secret):
        return value if value.file is None else Secret(file=folder / value.file)
    if key in PASSWORDS and value is not None:
        return Secret(text=str(value))
    return str(folder / str(value)) if key in FILES and value is not None else value
