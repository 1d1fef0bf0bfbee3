"""A slot as versioned bytes, and back.

The layout: four bytes that say what it is, the version, the digest of the detector, a CRC of the rest, then the slot's
columns as `table.Columns.pack` writes them. The version moves whenever a column is added, moved or changes its type.
A series that is a member of a group has its membership behind its columns, and the next version.
"""

from __future__ import annotations

import struct
import zlib

from pipeline.exceptions import StateError
from pipeline.monitor.membership import MEMBERSHIP_BYTES

MAGIC = b"PLSL"
VERSION = 4
VERSION_OF_MEMBERS = 5
HEADER = struct.Struct("<4sH32sI")


def encode(packed: bytes, digest: str, membership: bytes = b"") -> bytes:
    """The bytes of a slot that belongs to the detector with this digest (hex)."""
    version, packed = VERSION_OF_MEMBERS if membership else VERSION, packed + membership
    return HEADER.pack(MAGIC, version, bytes.fromhex(digest), zlib.crc32(packed)) + packed


def decode(snapshot: bytes, digest: str, size: int) -> bytes:
    """The packed columns, and behind them the membership of a member.

    StateError where these are no `size` bytes of a slot of this detector and a version that is known.
    """
    if len(snapshot) < HEADER.size:
        raise StateError(f"a slot of {len(snapshot)} bytes is truncated: its header alone has {HEADER.size}")
    magic, version, found, check = HEADER.unpack_from(snapshot)
    packed = snapshot[HEADER.size :]
    if magic != MAGIC:
        raise StateError(f"these bytes are no slot: they begin with {magic!r}, not {MAGIC!r}")
    if version not in (VERSION, VERSION_OF_MEMBERS):
        raise StateError(
            f"this slot has layout {version}, this program reads {VERSION} and {VERSION_OF_MEMBERS}: "
            "let the series warm up again"
        )
    if found.hex() != digest:
        raise StateError(
            f"this slot belongs to detector {found.hex()[:12]}, not to {digest[:12]}: let the series warm up again"
        )
    size += MEMBERSHIP_BYTES if version == VERSION_OF_MEMBERS else 0
    if len(packed) != size or zlib.crc32(packed) != check:
        raise StateError(f"this slot is damaged: {len(packed)} bytes where {size} were written, or other ones")
    return packed
