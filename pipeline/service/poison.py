"""When most of what comes is no reading, the service is set up wrongly, and ends before it fills the dead letters."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from pipeline.exceptions import PoisonedError
from pipeline.records import Rejected

LOOKED_AT = 1_000  # records, at least; the share is of the last ones that are so many


class Poison:
    """The share of records that were no readings, of one topic, among the last thousand and a batch."""

    def __init__(self, topic: str, limit: float) -> None:
        """`limit` is a share, 0 to 1; 1: never too many."""
        self._topic = topic
        self._limit = limit
        self._batches: deque[tuple[int, Counter[str]]] = deque()
        self._records = 0
        self._rejected: Counter[str] = Counter()
        self._example = ""

    def take(self, records: int, rejected: Sequence[Rejected]) -> None:
        """So many records came, of which these were no readings; PoisonedError when they are too many by now."""
        reasons = Counter(one.reason.value for one in rejected)
        if rejected:
            self._example = rejected[-1].detail
        self._batches.append((records, reasons))
        self._records += records
        self._rejected += reasons
        while self._records - self._batches[0][0] >= LOOKED_AT:
            before, gone = self._batches.popleft()
            self._records -= before
            self._rejected -= gone
        share = self._rejected.total() / max(self._records, 1)
        if self._records >= LOOKED_AT and share > self._limit:
            most, count = self._rejected.most_common(1)[0]
            raise PoisonedError(
                f"{self._topic}: {share:.0%} of the last {self._records:,} records are no readings, more than "
                f"outputs.dead_letter_limit allows ({self._limit:.0%}); most often {most} ({count:,}): "
                f"{self._example}. Mend the detector's input, or what writes the topic; then bring them back by "
                "`plumbline dead-letters publish`"
            )
