"""Long work in slices: the loop polls between two of them, so that the group is kept and nobody waits for us.

Such work is an iterator of nothing: asking it on does the next slice, and it is done when it is exhausted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from math import ceil
from typing import Final, TypeVar

from pipeline.exceptions import UnacknowledgedError
from pipeline.service.ports import Clock, Sink

Item = TypeVar("Item")
Result = TypeVar("Result")

WAIT_SECONDS: Final = 0.25  # for acknowledgements


def sliced(items: Iterable[Item], at_once: int) -> Iterator[list[Item]]:
    """The items in order, so many at a time."""
    left = iter(items)
    while some := list(islice(left, at_once)):
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
    """Go on with it until this time on the monotonic clock, for one slice at least; what it returned when it is done.

    RuntimeError where it was done or dropped before.
    """
    try:
        next(work)
        while clock.monotonic() < until:
            next(work)
    except StopIteration as end:
        if end.value is None:
            raise RuntimeError("there is no more to be done") from end
        result: Result = end.value
        return result
    return None
