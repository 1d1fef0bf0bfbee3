"""The section `notify`: who is told of alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pipeline.settings.kafka_section import Placed, placed
from pipeline.settings.problems import found
from pipeline.settings.section import Address, Name, Section
from pipeline.settings.settings import AlertmanagerSettings, NotifySettings, Scalar, Secret, WebhookSettings


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"an address is needed, such as https://example.org/alerts, found {found(text)}")
    return text


Url = Annotated[Name, AfterValidator(_url)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class AlertmanagerSection(Section):
    """Alertmanager, by its API v2."""

    url: Url = Field(description="of the server, such as http://localhost:9093")
    every_seconds: Seconds = Field(
        default=AlertmanagerSettings("").every_seconds,
        description="from one post of what is open to the next; it is taken for over after four of them without one",
    )
    timeout_seconds: Seconds = Field(default=AlertmanagerSettings("").timeout_seconds, description="of one request")
    ca_file: Name | None = Field(default=None, description="authorities to be trusted instead of the system's")


class WebhookSection(Section):
    """A request for each event, its body the alert; tried again until it is taken."""

    url: Url
    secret: Placed | None = Field(
        default=None, description="signs each request as Standard Webhooks has it: {env: NAME} or {file: PATH}"
    )
    timeout_seconds: Seconds = Field(default=WebhookSettings("").timeout_seconds, description="of one request")
    ca_file: Name | None = Field(default=None, description="authorities to be trusted instead of the system's")


class NotifySection(Section):
    """Who is told of alerts by `plumbline notify`, which reads the alerts topic."""

    alertmanager: AlertmanagerSection | None = None
    webhook: WebhookSection | None = None
    json_lines: Name | None = Field(default=None, description="a file that each alert is appended to")
    listen: Address | None = Field(
        default=("127.0.0.1", 9465), description="host:port of /metrics, /-/healthy and /-/ready; null: nowhere"
    )

    def build(self, folder: Path) -> NotifySettings:
        """The section with its files found from `folder`."""
        manager, hook = self.alertmanager, self.webhook
        return NotifySettings(
            alertmanager=None
            if manager is None
            else AlertmanagerSettings(
                manager.url, manager.every_seconds, manager.timeout_seconds, _placed(manager.ca_file, folder)
            ),
            webhook=None
            if hook is None
            else WebhookSettings(
                hook.url, _hidden(hook.secret, folder), hook.timeout_seconds, _placed(hook.ca_file, folder)
            ),
            json_lines=_placed(self.json_lines, folder),
            listen=self.listen,
        )


def _placed(path: str | None, folder: Path) -> Path | None:
    return None if path is None else folder / path


def _hidden(secret: Scalar | Secret | None, folder: Path) -> Secret | None:
    hidden = None if secret is None else placed("password", secret, folder)
    assert hidden is None or isinstance(hidden, Secret)  # which `placed` makes of every password
    return hidden
