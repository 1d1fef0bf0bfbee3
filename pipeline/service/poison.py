"""Whether what arrives is data at all: when most of it is no reading, for long, the deployment is at fault.

A bad sensor, a burst, the first records after a start are data, and go to the dead letters while the rest is scored. A
wrong mapping, or a sender that changed its format, would fill the dead letters until somebody looks.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.exceptions import PoisonedError
from pipeline.records import Rejected
from pipeline.service.ports import Clock, Record
from pipeline.service.telemetry import Telemetry

STRETCHES: Final = 5  # in a row, in each of which the share is above the limit: 1,000 records and a minute at least
STRETCH_RECORDS: Final = 200
STRETCH_SECONDS: Final = 12.0


@dataclass(slots=True)
class Stretch:
    """Records that came after each other."""

    began: float  # seconds, on the monotonic clock
    records: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # of those that were no readings


class Poison:
    """The share of records of one detector that were no readings, held against a limit."""

    def __init__(self, detector: str, limit: float, kept_in: str | None, clock: Clock, telemetry: Telemetry) -> None:
        """`limit` is a share, 0 to 1; 1: never too many. `kept_in` is the topic of dead letters, if there is one."""
        self._detector = detector
        self._limit = limit
        self._kept_in = kept_in
        self._clock = clock
        self._telemetry = telemetry
        self._now: Stretch | None = None  # the stretch under way; None before the first record of one
        self._before: deque[Stretch] = deque(maxlen=STRETCHES)
        self._examples: dict[str, str] = {}  # the last one of each reason

    def take(self, readings: int, rejected: Sequence[tuple[Record, Rejected]]) -> None:
        """So many readings came and these that are none, all of them put out; PoisonedError when it is to end."""
        if not (readings or rejected):
            return
        now = self._clock.monotonic()
        stretch = self._now = self._now or Stretch(now)
        stretch.records += readings + len(rejected)
        for record, why in rejected:
            stretch.reasons[why.reason.value] += 1
            self._examples[why.reason.value] = f"{record.topic}[{record.partition}]@{record.offset}: {why.detail}"
        lately = [*self._before, stretch]
        bad, records = sum(one.reasons.total() for one in lately), sum(one.records for one in lately)
        self._telemetry.invalid_share(self._detector, bad / records)
        if stretch.records < STRETCH_RECORDS or now - stretch.began < STRETCH_SECONDS:
            return
        self._before.append(stretch)
        self._now = None
        if len(self._before) == STRETCHES and all(self._is_bad(one) for one in self._before):
            raise PoisonedError(self._words())

    def _is_bad(self, stretch: Stretch) -> bool:
        return stretch.reasons.total() > self._limit * stretch.records

    def _words(self) -> str:
        reasons = sum((one.reasons for one in self._before), Counter[str]())
        bad, records = reasons.total(), sum(one.records for one in self._before)
        ((reason, count),) = reasons.most_common(1)
        kept = (
            f"these records are kept in {self._kept_in}, and `plumbline dead-letters publish` sends them back"
            if self._kept_in is not None
            else "these records stand in their topic alone, for none was written to outputs.dead_letters"
        )
        return (
            f"detector {self._detector}: {bad:,} of the last {records:,} records were no readings "
            f"({_percent(bad / records)}, outputs.dead_letter_limit is {_percent(self._limit)}), {count:,} of them by "
            f"reason {reason}, such as {self._examples[reason]}. Mend the detector's input, or what writes the topic, "
            f"and start again; {kept}. With dead_letter_limit: 1 it goes on in any case"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
