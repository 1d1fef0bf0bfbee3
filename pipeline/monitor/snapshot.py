"""A slot as versioned bytes, and back.

The layout: four bytes that say what it is, the version, the digest of the detector, a CRC of the rest, then the slot's
columns as `table.Columns.pack` writes them. Behind them stand, as MessagePack, the membership of a series that is a
member of a group, what waits of it and what is withheld. The version moves whenever a column is added, moved or
changes its type.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from pipeline.exceptions import StateError

MAGIC = b"PLSL"
VERSION = 6
HEADER = struct.Struct("<4sH32sI")


class Slot(NamedTuple):
    """What is remembered of a series; all but the columns are empty where there is no such thing."""

    columns: bytes
    membership: bytes = b""
    waiting: bytes = b""
    withheld: bytes = b""


def encode(slot: Slot, digest: str) -> bytes:
    """The bytes of a slot that belongs to the detector with this digest (hex)."""
    packed = slot.columns + msgspec.msgpack.encode((slot.membership, slot.waiting, slot.withheld))
    return HEADER.pack(MAGIC, VERSION, bytes.fromhex(digest), zlib.crc32(packed)) + packed


def digest_of(snapshot: bytes) -> str | None:
    """The digest of the detector that a slot says it belongs to; None where it is too short to say so."""
    if len(snapshot) < HEADER.size:
        return None
    found: bytes = HEADER.unpack_from(snapshot)[2]
    return found.hex()


def decode(snapshot: bytes, digest: str, size: int, kin: Collection[str] = ()) -> Slot:
    """The slot that `encode` was given, with `size` bytes of columns.

    StateError where these are no bytes of a slot of this detector, or of its `kin`, and of the version that is known.
    """
    if len(snapshot) < HEADER.size:
        raise StateError(f"a slot of {len(snapshot)} bytes is truncated: its header alone has {HEADER.size}")
    magic, version, found, check = HEADER.unpack_from(snapshot)
    packed = snapshot[HEADER.size :]
    if magic != MAGIC:
        raise StateError(f"these bytes are no slot: they begin with {magic!r}, not {MAGIC!r}")
    if version != VERSION:
        raise StateError(f"this slot has layout {version}, this program reads {VERSION}: let the series warm up again")
    if found.hex() not in (digest, *kin):
        raise StateError(
            f"this slot belongs to detector {found.hex()[:12]}, not to {digest[:12]}: let the series warm up again"
        )
    damaged = f"this slot is damaged: {len(packed)} bytes, of which {size} are columns, or other ones than were written"
    if len(packed) < size or zlib.crc32(packed) != check:
        raise StateError(damaged)
    try:
        return Slot(packed[:size], *msgspec.msgpack.decode(packed[size:], type=tuple[bytes, bytes, bytes]))
    except msgspec.MsgspecError as error:
        raise StateError(damaged) from error
