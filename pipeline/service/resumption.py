"""Where a partition goes on: what its saved state, the group's offset and the log say together.

Records at or above the offset B of the saved state are observed again, in silence below the group's offset C, for
their outputs are stored.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.exceptions import LogChangedError
from pipeline.service.ports import SavedState, TopicLog

Start = Literal["earliest", "latest"]
OnLoss = Literal["rewarm", "fail", "latest"]
Restored = Literal[
    "state", "first_start", "state_missing", "other_digest", "beyond_retention", "corrupt", "repartitioned", "truncated"
]


class Bounds(NamedTuple):
    """What a log holds."""

    first: int  # offset
    end: int  # the next offset to be written


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a partition goes on."""

    offset: int
    quiet: int  # below this offset nothing is put out
    reason: Restored
    lost: int = 0  # records that were deleted before we read them


@dataclass(frozen=True, slots=True)
class ResumeRules:
    """Where a partition begins of which the group knows nothing, or too much, and how it warms up without its state."""

    start: Start = "earliest"
    backfill: int = 0  # records before the end that are observed in silence where `latest` begins there
    replay: int = 20_000  # records before the committed offset that are observed again to warm up; 0: none
    on_loss: OnLoss = "rewarm"  # where records were deleted unread, or the topic was made anew
    repartitioned: bool = False  # the operator knows that series have gone to other partitions, and lets them warm up

    def __post_init__(self) -> None:
        for name in ("backfill", "replay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: a number of records, 0 or more, is needed")

    def beginning(self, bounds: Bounds, reason: Restored) -> Resumption:
        """Where a partition begins of which nothing is known."""
        if self.start == "earliest":
            return Resumption(bounds.first, bounds.first, reason)
        return Resumption(max(bounds.first, bounds.end - self.backfill), bounds.end, reason)


def resumption(
    saved: SavedState | None,
    committed: int | None,
    bounds: Bounds,
    digests: Collection[str],
    rules: ResumeRules,
    *,
    log: TopicLog | None = None,
    corrupt: bool = False,
) -> Resumption:
    """Where a partition goes on, given its saved state, the group's offset and what the log holds.

    `digests` are those of the detectors whose state fits.
    With a state that fits: at its offset, in silence up to the committed one. Without: a number of records before
    the committed offset, in silence. Where nothing is known, or the log is another one: at its beginning, or at its
    end and a number of records before it in silence.
    LogChangedError where the rules leave it to the operator.
    """
    first, end = bounds
    before = None if saved is None else saved.log
    anew = before is not None and log is not None and before.id != log.id
    if anew or (committed is not None and committed > end):  # no offset means what it did
        begin = rules.beginning(bounds, "beyond_retention")
        return after_loss("the topic was made anew, or its leader has less than was read", begin, end, rules)
    if saved is not None and before is not None and log is not None and before.partitions != log.partitions:
        if not rules.repartitioned:
            raise repartitioned(before, log)
        through = committed if committed is not None else saved.offset
        return Resumption(max(first, through - rules.replay), max(first, through), "repartitioned")
    offsets = (committed, None if saved is None else saved.offset)
    done = max((offset for offset in offsets if offset is not None and offset <= end), default=None)
    if done is None:
        first_start = saved is None and not corrupt
        return rules.beginning(bounds, "first_start" if first_start else _why(saved, digests, corrupt))
    if done < first:
        gone = Resumption(first, first, "beyond_retention", lost=first - done)
        return after_loss(f"{first - done} records were deleted before they were read", gone, end, rules)
    if saved is not None and first <= saved.offset <= end and saved.digest in digests:
        return Resumption(saved.offset, done, "state")
    if done == 0 and saved is None and not corrupt:  # the group has the partition and has read nothing of it
        return Resumption(0, 0, "first_start")
    return Resumption(max(first, done - rules.replay), done, _why(saved, digests, corrupt))


def repartitioned(before: TopicLog, now: TopicLog) -> LogChangedError:
    """What is said where a topic has got partitions."""
    return LogChangedError(
        f"belongs to a topic that had {before.partitions} partitions and has {now.partitions}: a series may have gone "
        "to another one, where its state is not. Start once with --rewarm: all series then warm up from the records "
        "before"
    )


def after_loss(what: str, begin: Resumption, end: int, rules: ResumeRules) -> Resumption:
    """How to go on after a loss; LogChangedError where that is for the operator to say."""
    if rules.on_loss == "fail":
        raise LogChangedError(
            f": {what}, and on_offset_loss is fail: set kafka.on_offset_loss to rewarm (go on with what is there) "
            "or latest (with what comes)"
        )
    return begin if rules.on_loss == "rewarm" else Resumption(end, end, begin.reason, begin.lost)


def _why(saved: SavedState | None, digests: Collection[str], corrupt: bool) -> Restored:
    """Why a state was not used."""
    if saved is None:
        return "corrupt" if corrupt else "state_missing"
    return "beyond_retention" if saved.digest in digests else "other_digest"
