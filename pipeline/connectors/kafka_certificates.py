"""The files that TLS to Kafka needs, tried before anything is connected: of a bad one the client says little, late."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pipeline.exceptions import BrokerError

FILES: Final = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile")


def check_certificates(client: Mapping[str, object], now: float) -> None:
    """BrokerError, with what is wrong, where a named file cannot serve; `now` in seconds since 1970 UTC.

    Unreadable, no PEM, an authority that has expired, a key of another certificate, a missing password. That our own
    certificate has expired is left to the broker, which says so.
    """
    for key in FILES:
        if client.get(key) is not None:
            _check_readable(key, Path(str(client[key])))
    if client.get("ssl_cafile") is not None:
        _check_authority(Path(str(client["ssl_cafile"])), now)
    if client.get("ssl_certfile") is not None:
        _check_pair(client)


def _check_readable(key: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise BrokerError(f"kafka.client.{key}: {path} cannot be read: {error.strerror}; mend the path") from error


def _check_authority(path: Path, now: float) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise BrokerError(
            f"kafka.client.ssl_cafile: {path} holds no certificate in PEM ({error.reason}): "
            "it begins with -----BEGIN CERTIFICATE-----"
        ) from error
    ends = [str(one["notAfter"]) for one in context.get_ca_certs()]
    if ends and all(ssl.cert_time_to_seconds(end) < now for end in ends):
        raise BrokerError(
            f"kafka.client.ssl_cafile: {path} expired at {max(ends, key=ssl.cert_time_to_seconds)}: get the new one"
        )


def _check_pair(client: Mapping[str, object]) -> None:
    """Our certificate and its key; a missing password is an empty one, for OpenSSL would ask for it on the terminal."""
    certificate, key = client["ssl_certfile"], client.get("ssl_keyfile")
    named = f"kafka.client.ssl_certfile {certificate}" + (f" with ssl_keyfile {key}" if key is not None else "")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            str(certificate), None if key is None else str(key), str(client.get("ssl_password") or "")
        )
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise BrokerError(f"{named}: that key belongs to another certificate ({error.reason})") from error
        raise BrokerError(
            f"{named} cannot be used ({error.reason or error}): both must be PEM, the certificate first, and a key "
            "that is encrypted needs kafka.client.ssl_password"
        ) from error
