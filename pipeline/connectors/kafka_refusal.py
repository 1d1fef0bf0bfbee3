"""Why Kafka did not let us in, in one message: of the client's error, and of what it told its log alone."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from kafka.errors import KafkaTimeoutError

HUNG_UP: Final = "socket disconnected"
MUTE: Final = (HUNG_UP, "Request timed out", "Invalid frame length")  # the last is TLS answering
CERTIFICATE: Final = "it asks for a certificate of ours: kafka.client.ssl_certfile and ssl_keyfile"
HINTS: Final = {  # to what TLS and logins say; the first that fits
    "UNEXPECTED_EOF": "that listener seems not to speak TLS",
    "WRONG_VERSION_NUMBER": "that listener seems not to speak TLS",
    "BAD_CERTIFICATE": CERTIFICATE,
    "CERTIFICATE_REQUIRED": CERTIFICATE,
    "ostname mismatch": "its certificate is for another host than bootstrap_servers names",
    "certificate has expired": "its certificate has expired: the broker needs a new one",
    "CERTIFICATE_EXPIRED": "our certificate has expired: kafka.client.ssl_certfile needs a new one",
    "CERTIFICATE_UNKNOWN": "it does not trust our certificate: is kafka.client.ssl_certfile valid, of its authority?",
    "UNKNOWN_CA": "it does not know the authority that signed our certificate: kafka.client.ssl_certfile",
    "CERTIFICATE_VERIFY_FAILED": "kafka.client.ssl_cafile must hold the authority that signed its certificate",
    "UnsupportedSaslMechanism": "that listener offers another kafka.client.sasl_mechanism",
    "SaslAuthenticationFailed": "user or password (kafka.client.sasl_plain_username, sasl_plain_password) are not "
    "known there",
}


class Reasons(logging.Handler):
    """Keeps why attempts to connect failed, which the client tells its log alone."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        attempt = re.match(r"Bootstrap (?:connection|attempt) to \S+ failed: (.*) \(backoff", message)
        if attempt:
            self.seen.append(attempt[1])
        elif message.startswith("DNS lookup failed"):
            self.seen.append(message)


@contextmanager
def reasons_kept() -> Iterator[Reasons]:
    """What the client tells its log while the block runs."""
    reasons, log = Reasons(), logging.getLogger("kafka.net")
    log.addHandler(reasons)
    try:
        yield reasons
    finally:
        log.removeHandler(reasons)


def best(seen: Sequence[str]) -> str | None:
    """The reason that tells most: a refused password, else the first that says anything; None when none does."""
    told = [reason for reason in seen if not any(words in reason for words in MUTE)]
    return next((reason for reason in told if "Authentication" in reason), told[0] if told else None)


def refusal(where: str, client: Mapping[str, object], error: Exception, seen: Sequence[str], seconds: float) -> str:
    """Why there is no connection to `where`, as far as it can be known; `seconds` is how long it was tried."""
    if not isinstance(error, KafkaTimeoutError):
        said = in_words(error)
        return f"{where} did not let us in: {said}{hint(said)}"
    reason = best(seen)
    if reason is not None:
        return f"{where} did not let us in within {seconds:g} s: {reason}{hint(reason)}"
    if "sasl_mechanism" in client and any(HUNG_UP in one for one in seen):
        user = client.get("sasl_plain_username", "nobody")
        return (
            f"{where} hung up while we logged in as {user}, for {seconds:g} s: authentication failed; user or password "
            "(kafka.client.sasl_plain_username, sasl_plain_password) are not known there, or that listener expects "
            "another sasl_mechanism or none"
        )
    return (
        f"{where} did not answer within {seconds:g} s, or hung up without a reason; check host and port, "
        "and whether that listener expects TLS or SASL (kafka.client.security_protocol, sasl_mechanism)"
    )


def hint(said: str) -> str:
    """What to do about it, where it is known."""
    return next((f"; {words}" for sign, words in HINTS.items() if sign in said), "")


def in_words(error: BaseException) -> str:
    """What the client says of an error; for an answer of the broker without words, what its code means."""
    said = "; ".join(str(part) for part in error.args if part is not None) or getattr(error, "description", None)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
