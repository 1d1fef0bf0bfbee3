"""Dead letters: records that were no readings, with why and whence, written and read back; and the way back.

A letter is the record as it came, its key, value and headers, with headers of our own behind its own ones. What is sent
back is the record again, with one header that says so: it names the record and the letter, and so tells whoever reads
it, and whoever would send it back a second time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipeline.records import Rejected
from pipeline.service.ports import Message, Record

LETTER_BYTES: Final = 900_000  # of key, value and headers: below a broker's usual limit of 1 MiB a message
PREFIX: Final = "plumbline-"  # of the headers that are ours
REPUBLISHED: Final = f"{PREFIX}republished"  # on a record that was a letter: which record and which letter
FIRST, ALWAYS, SOMETIMES = "reason", ("reason", "detail", "topic", "partition", "offset"), "truncated"
NUMBERS, WHOLE = ("partition", "offset"), re.compile(r"[0-9]{1,19}")  # Python refuses to read a number of any length
OURS: Final = {f"{PREFIX}{name}": name for name in (*ALWAYS, SOMETIMES)}

Header = tuple[str, bytes]


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


Identity = tuple[Place, bytes]  # a record: where it stood, and a digest of key and value, for a topic may be made anew


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter that was read back."""

    place: Place  # of the letter
    at: int  # milliseconds since 1970 UTC, when it was written
    reason: str
    detail: str
    source: Place  # of the record that it holds
    truncated: str  # what of the record was cut off, and how large it was; empty where it is whole
    key: bytes | None  # of the record, as the next two
    value: bytes | None
    headers: tuple[Header, ...]  # without ours

    @property
    def identity(self) -> Identity:
        """Which record it holds: letters that a restart repeated hold the same."""
        return self.source, _digest(self.key, self.value)

    @property
    def republished(self) -> str | None:
        """From which record and letter its record had been sent back before; None where it had not."""
        return next((text(value) for name, value in self.headers if name == REPUBLISHED), None)

    def again(self) -> Message:
        """The record as it was, for the topic it came from; a header says which record and which letter it was.

        ValueError where the letter does not hold all of it.
        """
        if self.truncated:
            raise ValueError(f"the letter {self.place} holds only a part of its record: cut were {self.truncated}")
        own = (header for header in self.headers if header[0] != REPUBLISHED)
        mark = f"{self.source} by letter {self.place}".encode()
        return Message(self.source.topic, self.key, self.value, (*own, (REPUBLISHED, mark)))


def dead_letter(topic: str, record: Record, rejected: Rejected) -> Message:
    """A record that was no reading: its bytes and headers as they came, and beside them why and whence.

    What would make the message larger than a topic takes is cut off, and `plumbline-truncated` names what and how
    large it was.
    """
    said = {
        "reason": rejected.reason.value,
        "detail": rejected.detail,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
    }
    headers, key, value = list(record.headers), record.key, record.value
    cut = []
    if _size(headers) > LETTER_BYTES // 4:
        cut.append(f"headers of {_size(headers)} bytes")
        headers = []
    if key is not None and len(key) > LETTER_BYTES // 4:
        cut.append(f"key of {len(key)} bytes")
        key = key[: LETTER_BYTES // 4]
    room = LETTER_BYTES - _size(headers) - len(key or b"")
    if value is not None and len(value) > room:
        cut.append(f"value of {len(value)} bytes")
        value = value[:room]
    if key is None and value is None:  # which kafka-python does not send
        cut.append("key and value, which both were null")
        value = b""
    if cut:
        said["truncated"] = ", ".join(cut)
    ours = ((f"{PREFIX}{name}", words.encode(errors="replace")) for name, words in said.items())
    return Message(topic, key, value, (*headers, *ours))


def letter_of(record: Record) -> Letter | None:
    """The letter that a record of a dead-letter topic is; None where it is none of ours."""
    headers, said = [(name, value) for name, value in record.headers], {}
    while headers and FIRST not in said:  # ours are the last ones; those before them are the record's, whatever named
        name, value = headers.pop()
        if name not in OURS or OURS[name] in said:
            return None
        said[OURS[name]] = text(value)
    if not all(name in said and (name not in NUMBERS or WHOLE.fullmatch(said[name])) for name in ALWAYS):
        return None
    return Letter(
        place=Place(record.topic, record.partition, record.offset),
        at=record.timestamp,
        reason=said["reason"],
        detail=said["detail"],
        source=Place(said["topic"], int(said["partition"]), int(said["offset"])),
        truncated=said.get(SOMETIMES, ""),
        key=record.key,
        value=record.value,
        headers=tuple(headers),
    )


def sent_back(records: Iterable[Record]) -> set[Identity]:
    """Which records those of these were that had been letters."""
    found = set()
    for record in records:
        for name, value in record.headers:
            if name == REPUBLISHED and (
                place := re.match(r"(.+)\[([0-9]{1,19})\]@([0-9]{1,19}) by letter ", text(value))
            ):
                source = Place(place[1], int(place[2]), int(place[3]))
                found.add((source, _digest(record.key, record.value)))
    return found


def text(value: bytes | None) -> str:
    """Bytes that somebody sent, as far as they are text."""
    return (value or b"").decode(errors="replace")


def _digest(key: bytes | None, value: bytes | None) -> bytes:
    parts = (b"-" if part is None else b"%d:%b" % (len(part), part) for part in (key, value))
    return hashlib.sha256(b"".join(parts)).digest()


def _size(headers: Sequence[Header]) -> int:
    return sum(len(name) + len(content or b"") for name, content in headers)  # a header's value may be null
