"""What a series is in a group, as bytes that stand behind its slot."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

from pipeline.monitor.incidents import incident_id
from pipeline.records import Member

_LAYOUT = struct.Struct("<8sqiqqqd??")  # group, its start, partition; own start, end, peak_at, score, critical, open


@dataclass(frozen=True, slots=True)
class Membership:
    """A member, and which group's incident it belongs to."""

    group: str  # id
    start: int  # of the group
    partition: int
    member: Member

    def pack(self) -> bytes:
        """All but the series, which the slot is of."""
        member = self.member
        return _LAYOUT.pack(
            bytes.fromhex(self.group),
            self.start,
            self.partition,
            member.start,
            0 if member.end is None else member.end,
            member.peak_at,
            member.score,
            member.severity == "critical",
            member.end is None,
        )

    @classmethod
    def unpack(cls, series: str, digest: str, packed: bytes) -> Self:
        """What `pack` wrote of a series, under the detector with this digest."""
        group, since, partition, start, end, peak_at, score, critical, is_open = _LAYOUT.unpack(packed)
        member = Member(
            series,
            incident_id(digest, series, start),
            "critical" if critical else "warning",
            start,
            None if is_open else end,
            score,
            peak_at,
        )
        return cls(group.hex(), since, partition, member)
