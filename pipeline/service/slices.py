"""Long work in slices: the loop polls between two of them, so that the group is kept and nobody waits for us.

Such work is an iterator of nothing: asking it on does the next slice, and it is done when it is exhausted.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from itertools import islice
from math import ceil
from typing import Final, TypeVar

from pipeline.exceptions import UnacknowledgedError
from pipeline.service.ports import Clock, Sink

Item = TypeVar("Item")
Result = TypeVar("Result")

SERIES = 2_000  # whose slots are taken or put back in one slice: some 50 ms
WAIT_SECONDS: Final = 0.25  # for acknowledgements


def sliced(items: Collection[Item], per_series: float = 1.0) -> Iterator[list[Item]]:
    """The items in order, as many at a time as belong to a slice of series; of some items there are fewer."""
    left, size = iter(items), max(1, int(SERIES * per_series))
    while some := list(islice(left, size)):
        yield some


def flushed(sink: Sink, seconds: float) -> Iterator[None]:
    """Wait until all that was sent is acknowledged; UnacknowledgedError when it is not after so many seconds."""
    for others in reversed(range(max(1, ceil(seconds / WAIT_SECONDS)))):
        try:
            sink.flush(min(seconds, WAIT_SECONDS))
        except UnacknowledgedError:
            if not others:
                raise
            yield
        else:
            return


def advanced(work: Generator[None, None, Result], clock: Clock, until: float) -> Result | None:
    """Go on with it, one slice at least, until this time on the monotonic clock; what it returned when it is done."""
    try:
        next(work)
        while clock.monotonic() < until:
            next(work)
    except StopIteration as end:
        result: Result = end.value
        return result
    return None
