"""Partitions whose records cannot be read for now, because what knows their schemas is away.

They are set back to the first such record and paused, and tried again after a pause that grows. Meanwhile polling goes
on, so the group is kept, other partitions are read, and nothing is held in memory: the records wait in their topic.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from pipeline.exceptions import OwnershipLostError, RegistryError
from pipeline.service.partitions import Partitions
from pipeline.service.ports import Clock, Partition, Record, Source
from pipeline.service.telemetry import Telemetry

log = logging.getLogger("plumbline.service")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds


class Waiting:
    """Which partitions wait, and until when."""

    def __init__(self, partitions: Partitions, telemetry: Telemetry, clock: Clock) -> None:
        self._partitions = partitions
        self._telemetry = telemetry
        self._clock = clock
        self._new: list[Partition] = []  # not set back yet
        self._until: dict[Partition, float] = {}  # on the monotonic clock
        self._pauses: dict[Partition, float] = {}  # the last one of those that were not read since

    def put_off(self, records: Mapping[Partition, Sequence[Record]], why: RegistryError) -> None:
        """These records were polled and cannot be read."""
        for partition, some in records.items():
            pause = self._pauses[partition] = min(2 * self._pauses.get(partition, FIRST_PAUSE / 2), LONGEST_PAUSE)
            self._until[partition] = self._clock.monotonic() + pause
            self._new.append(partition)
            self._telemetry.put_off(len(some))
            facts = {"partition": f"{partition.topic}[{partition.number}]", "offset": some[0].offset}
            log.warning("records wait", extra={"facts": {**facts, "for_seconds": pause, "reason": str(why)}})

    def read(self, partitions: Iterable[Partition]) -> None:
        """Records of these could be read."""
        for partition in partitions:
            self._until.pop(partition, None)  # where it was resumed meanwhile, for another reason
            if self._pauses.pop(partition, None) is not None:
                facts = {"partition": f"{partition.topic}[{partition.number}]"}
                log.info("records are read again", extra={"facts": facts})

    def waits(self, partition: Partition) -> bool:
        """Whether its records are not read for now."""
        return partition in self._until

    def settle(self, source: Source, *, hold: bool) -> None:
        """Set back and pause those that are new, and go on with those that have waited; none of these under `hold`."""
        new, self._new = self._new, []
        for partition in new:
            if self._partitions.reads(partition):
                with suppress(OwnershipLostError):  # given to others meanwhile: the next poll says so
                    source.pause([partition])
                    source.seek(partition, self._partitions.held[partition].next)
        now = self._clock.monotonic()
        over = [one for one, until in self._until.items() if until <= now or not self._partitions.reads(one)]
        for partition in over:
            del self._until[partition]
        if not hold:
            source.resume([one for one in over if self._partitions.reads(one)])
        self._telemetry.wait(len(self._until))
