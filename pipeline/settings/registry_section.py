"""The section `schema_registry`: where the schemas of Avro records are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.settings.kafka_section import Placed, placed
from pipeline.settings.problems import found
from pipeline.settings.section import Name, Section
from pipeline.settings.settings import RegistrySettings, Secret


class RegistrySection(Section):
    """The registry that knows the schemas of records whose format is avro."""

    url: Name = Field(description="http:// or https://, as in http://localhost:8081")
    username: Name | None = None
    password: Placed | None = Field(default=None, description="as {env: NAME} or {file: PATH}")
    ca_file: Name | None = Field(default=None, description="the authority of its certificate; empty: the machine's")
    certificate_file: Name | None = Field(default=None, description="ours, where it asks for one")
    key_file: Name | None = Field(default=None, description="empty: it stands in certificate_file")
    timeout_seconds: Annotated[float, Field(gt=0, le=10)] = Field(default=2.0, description="for one answer")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.url.startswith(("http://", "https://")) or "@" in self.url:
            raise ValueError(
                f"url is {found(self.url)}: http:// or https:// and a host is needed, name and password stand beside it"
            )
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together: one of them is missing")
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("key_file is given and certificate_file is not: the key belongs to one")
        return self

    def build(self, folder: Path) -> RegistrySettings:
        """The section with its files found from `folder`."""
        ca, certificate, key = (
            None if name is None else folder / name for name in (self.ca_file, self.certificate_file, self.key_file)
        )
        password = None if self.password is None else placed("password", self.password, folder)
        assert password is None or isinstance(password, Secret)  # which `placed` makes of every password
        return RegistrySettings(self.url, self.username, password, ca, certificate, key, self.timeout_seconds)
