"""Dead letters: records that were no readings, as they are written, and as they are read back and published again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.records import Rejected
from pipeline.service.ports import Message, Partition, Record

LETTER_BYTES: Final = 900_000  # of key, value and headers: below a broker's usual limit of 1 MiB a message
PREFIX: Final = "plumbline-"  # of the headers that are ours
REPUBLISHED: Final = f"{PREFIX}republished"  # on a record that was a letter: topic/partition/offset of that


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter that was read back."""

    at: int  # milliseconds since 1970 UTC, when it was written
    place: tuple[str, int, int]  # topic, partition and offset of the letter
    reason: str
    detail: str
    source: Partition
    offset: int  # of the record in its source
    truncated: str  # what was cut off, empty where nothing was
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]  # of the record, without ours

    def again(self) -> Message:
        """The record as it was, for the topic it came from; a header says which letter it was."""
        mark = "/".join(map(str, self.place)).encode()
        return Message(self.source.topic, self.key, self.value, (*self.headers, (REPUBLISHED, mark)))


def letter_of(record: Record) -> Letter | None:
    """The letter that a record of a dead-letter topic is; None where it is none of ours."""
    ours = {name.removeprefix(PREFIX): text for name, text in record.headers if name.startswith(PREFIX)}
    said = {name: (text or b"").decode(errors="replace") for name, text in ours.items()}
    if not {"reason", "topic", "partition", "offset"} <= said.keys():
        return None
    if not (said["partition"].isdecimal() and said["offset"].isdecimal()):
        return None
    return Letter(
        at=record.timestamp,
        place=(record.topic, record.partition, record.offset),
        reason=said["reason"],
        detail=said.get("detail", ""),
        source=Partition(said["topic"], int(said["partition"])),
        offset=int(said["offset"]),
        truncated=said.get("truncated", ""),
        key=record.key,
        value=record.value,
        headers=tuple((name, text) for name, text in record.headers if not name.startswith(PREFIX)),
    )


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
    if cut:
        said["truncated"] = ", ".join(cut)
    ours = ((f"{PREFIX}{name}", text.encode(errors="replace")) for name, text in said.items())
    return Message(topic, key, value, (*headers, *ours))


def _size(headers: Sequence[tuple[str, bytes]]) -> int:
    return sum(len(name) + len(content or b"") for name, content in headers)  # a header's value may be null
