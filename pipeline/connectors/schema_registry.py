"""A registry of schemas over HTTP, as Confluent's, Karapace and Apicurio speak it: GET /schemas/ids/{number}.

What it says of a number never changes, so it is asked once. That it knows no such number may change: it is asked again
after a while. All other answers, and none, are no word about the schema: RegistryError, and the caller tries again.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.exceptions import RegistryError, SettingsError
from pipeline.formats.schemas import Schema

NO_SUCH_SCHEMA: Final = 40403  # the registry's own code; a 404 without it comes from somebody else
UNKNOWN_FOR: Final = 30.0  # seconds until a number that was unknown is asked for again
MOST_UNKNOWN: Final = 10_000  # numbers
LARGEST_ANSWER: Final = 4 * 1024 * 1024  # bytes
CHUNK: Final = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Access:
    """Where a registry is, and what it wants to see."""

    url: str  # http:// or https://, to which /schemas/... is added
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None  # the authority that signed its certificate; None: those of the machine
    certificate_file: str | None = None  # ours, for mutual TLS
    key_file: str | None = None  # None: it is in the certificate's file
    timeout_seconds: float = 2.0  # for one answer


class SchemaRegistry:
    """Satisfies `formats.avro.Schemas`."""

    def __init__(self, access: Access, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing is connected. SettingsError where a file of TLS cannot be read."""
        self.url = access.url.rstrip("/")
        self._timeout = access.timeout_seconds
        self._monotonic = monotonic
        self._opener = _opener(access)
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if access.username is not None:
            login = f"{access.username}:{access.password or ''}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        self._known: dict[int, Schema] = {}
        self._unknown: dict[int, float] = {}  # until when, on the monotonic clock

    def schema(self, number: int) -> Schema:
        """What is registered under a number, asked once; RegistryError where there is no answer to that."""
        if number in self._known:
            return self._known[number]
        if self._unknown.get(number, -1.0) <= self._monotonic():
            found = self._asked(number)
            if found is not None:
                self._known[number] = found
                self._unknown.pop(number, None)
                return found
            if len(self._unknown) >= MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown[number] = self._monotonic() + UNKNOWN_FOR
        return Schema(None, f"the registry knows no schema {number}")

    def reach(self) -> None:
        """RegistryError unless it answers as a registry does."""
        self._asked(0)

    def _asked(self, number: int) -> Schema | None:
        """The registry's own answer; None where it says that there is no such schema."""
        status, body = self._get(f"{self.url}/schemas/ids/{number}")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if status == 404 and isinstance(document, dict) and document.get("error_code") == NO_SUCH_SCHEMA:
            return None
        if status == 200 and isinstance(document, dict) and isinstance(document.get("schema"), str):
            return _schema(number, document)
        raise RegistryError(f"{self.url} {_answered(status)}")

    def _get(self, url: str) -> tuple[int, bytes]:
        """Status and body of an answer, whatever it is; RegistryError where none comes in time."""
        until = self._monotonic() + self._timeout
        try:
            with self._opener.open(urllib.request.Request(url, headers=self._headers), timeout=self._timeout) as answer:
                return answer.status, self._read(answer, until)
        except TimeoutError as error:
            raise RegistryError(f"{self.url} did not answer within {self._timeout:g} s") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RegistryError(f"{self.url} cannot be reached: {_reason(error, self._timeout)}") from error

    def _read(self, answer: Any, until: float) -> bytes:
        """The body, which has to be there by then: a server may send a byte now and then for ever."""
        body = b""
        while chunk := answer.read1(CHUNK):
            body += chunk
            if len(body) > LARGEST_ANSWER:
                raise RegistryError(f"{self.url} answers with more than {LARGEST_ANSWER} bytes, which is no schema")
            if self._monotonic() > until:
                raise TimeoutError
        return body


def _opener(access: Access) -> urllib.request.OpenerDirector:
    """HTTP and TLS and nothing else: no proxy of the environment, no files, no redirect that takes a password along."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
        if access.certificate_file is not None:
            context.load_cert_chain(access.certificate_file, access.key_file)
    except (OSError, ssl.SSLError) as error:
        files = [name for name in (access.ca_file, access.certificate_file, access.key_file) if name is not None]
        raise SettingsError(f"schema_registry: {', '.join(files)} cannot be read as certificates: {error}") from error
    opener.add_handler(urllib.request.HTTPSHandler(context=context))
    return opener


def _schema(number: int, document: dict[str, Any]) -> Schema:
    kind = document.get("schemaType", "AVRO")
    if kind != "AVRO":
        return Schema(None, f"schema {number} is of {kind}, not of Avro")
    if document.get("references"):
        return Schema(None, f"schema {number} refers to other schemas of the registry, which is not read")
    return Schema(document["schema"])


def _answered(status: int) -> str:
    """What a status means for whoever has to mend it."""
    if status in (401, 403):
        return f"lets us not in (status {status}): mend schema_registry.username and password"
    if 300 <= status < 400:
        return f"is elsewhere (status {status}): mend schema_registry.url, redirects are not followed"
    if status in (200, 404):
        return f"answers, and not as a registry of schemas (status {status}): mend schema_registry.url"
    return f"answers with status {status}: it has to be mended there"


def _reason(error: Exception, timeout: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted ({cause.verify_message}): mend schema_registry.ca_file or url"
    if isinstance(cause, TimeoutError):
        return f"no answer within {timeout:g} s"
    return str(cause) or type(cause).__name__
