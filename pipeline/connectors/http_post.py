"""A request to somebody's HTTP server, and what its answer means for whoever has something to deliver."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from pipeline.exceptions import RefusedError, SettingsError, UndeliveredError

NEVER: Final = {400, 409, 410, 413, 415, 422}  # this content will not be taken, whenever it comes
LONGEST_ASKED: Final = 300.0  # seconds that an answer may ask us to wait
SHOWN: Final = 200  # bytes of an answer in a message


class _NoRedirect(HTTPRedirectHandler):
    """An alert goes where the settings say, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class HttpPost:
    """Posts, each within a time limit; satisfies `notify.channels.Post`."""

    def __init__(self, timeout_seconds: float, ca_file: Path | None = None) -> None:
        """`ca_file` holds the authorities to be trusted instead of the system's; SettingsError when there are none."""
        self._timeout = timeout_seconds
        try:
            context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"ca_file: {ca_file} cannot be read: {error}") from error
        self._opener = build_opener(_NoRedirect(), HTTPSHandler(context=context))

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Return when it was taken. UndeliveredError: try again; RefusedError: never."""
        request = Request(url, data=body, headers=dict(headers), method="POST")
        where = f"{urlsplit(url).scheme}://{urlsplit(url).netloc.rpartition('@')[2]}{urlsplit(url).path}"
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                answer.read(SHOWN)
        except HTTPError as error:
            said = _said(error)
            if error.code in NEVER:
                raise RefusedError(f"{where} answered {error.code}{said}") from error
            raise UndeliveredError(f"{where} answered {error.code}{said}", after=_asked(error)) from error
        except (URLError, TimeoutError, OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise UndeliveredError(f"{where} did not answer: {reason or type(error).__name__}") from error


def _said(error: HTTPError) -> str:
    try:
        text = error.read(SHOWN).decode("utf-8", "replace").strip()
    except (OSError, HTTPException):
        return ""
    return f": {''.join(letter if letter.isprintable() else ' ' for letter in text)}" if text else ""


def _asked(error: HTTPError) -> float:
    """For how long an answer asks us to wait; 0 where it does not say it in seconds."""
    text = error.headers.get("retry-after", "")
    return min(float(text), LONGEST_ASKED) if text.isascii() and text.isdigit() else 0.0
