"""An alert as it stands in its topic, and what is made of it for those who are told."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from pipeline.service.ports import Partition

NAMES: Final = {"anomaly": "PlumblineAnomaly", "stuck": "PlumblineStuck", "silent": "PlumblineSilent"}
PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in '%"')  # as CloudEvents has it


@dataclass(frozen=True, slots=True)
class Notice:
    """One event of an incident, and where in the topic it stands."""

    partition: Partition
    offset: int
    body: bytes  # as it stands there
    alert: Mapping[str, Any]
    event_id: str  # of this event: the same for every copy of it
    headers: tuple[tuple[str, str], ...] = ()  # of CloudEvents


def notice_of(
    partition: Partition, offset: int, value: bytes | None, headers: tuple[tuple[str, bytes], ...]
) -> Notice | None:
    """What a record of the alerts topic says; None where it is no alert."""
    try:
        alert = msgspec.json.decode(value or b"", type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    if not all(isinstance(alert.get(key), str) for key in ("id", "event", "kind", "series", "severity", "sentence")):
        return None
    of_event = {
        key: text.decode("utf-8", "replace") for key, text in headers if key.startswith("ce_") and text is not None
    }
    event_id = of_event.get("ce_id") or f"{alert['id']}-{alert['event']}-{alert.get('at')}"
    return Notice(partition, offset, value or b"", alert, event_id, tuple(sorted(of_event.items())))


def labels_of(alert: Mapping[str, Any]) -> dict[str, str]:
    """What an alert is for Alertmanager: the same while its severity is, and when it is resolved."""
    labels = {
        "alertname": NAMES.get(alert["kind"], "PlumblineAlert"),
        "severity": alert["severity"],
        "detector": str(alert.get("detector", "")),
    }
    group = alert.get("group")
    if isinstance(group, Mapping):
        return {**_words(group.get("labels")), **labels}
    return {**_words(alert.get("labels")), **labels, "series": alert["series"]}


def _words(labels: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in labels.items()} if isinstance(labels, Mapping) else {}


def for_alertmanager(alert: Mapping[str, Any], labels: Mapping[str, str], ends_at: float) -> dict[str, Any]:
    """The alert of API v2 that is active until `ends_at`, seconds since 1970: resolved where that is past."""
    told: dict[str, Any] = {
        "labels": dict(labels),
        "annotations": {"summary": alert["sentence"], "incident": alert["id"], "digest": str(alert.get("digest", ""))},
        "endsAt": rfc3339(ends_at),
    }
    if isinstance(alert.get("start"), str):  # a sample number is no time
        told["startsAt"] = alert["start"]
    return told


def rfc3339(seconds: float) -> str:
    """A time as Alertmanager and CloudEvents have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def webhook_headers(notice: Notice, secret: str | None, now: float) -> dict[str, str]:
    """Headers of a webhook: CloudEvents 1.0 in binary mode; with a secret, a signature of Standard Webhooks."""
    headers = {"content-type": "application/json"}
    headers |= {key.replace("_", "-"): quote(text, safe=PRINTABLE) for key, text in notice.headers}
    headers |= {"webhook-id": notice.event_id, "webhook-timestamp": str(int(now))}
    if secret is not None:
        headers["webhook-signature"] = signature(secret, notice.event_id, int(now), notice.body)
    return headers


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of id, timestamp and body, as Standard Webhooks has it.

    A secret that begins with `whsec_` is Base64 behind that, any other is taken as it is.
    """
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    signed = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"
