"""What a person sees while a command runs: results on standard output, progress on standard error.

Progress is a bar on a terminal; in a log it is a line now and then: the log stays short, and the job is seen to live.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """Something that is told how far a job has come."""

    def to(self, done: int, note: str = "") -> None:
        """So much is done of the total; the note is a few words, such as a loss."""


def say(text: str = "") -> None:
    """One line of result, on standard output; seen at once, though it may go through a pipe."""
    print(text, flush=True)


def note(text: str) -> None:
    """One line beside the result, on standard error."""
    print(text, file=sys.stderr, flush=True)


def counted(number: int, thing: str) -> str:
    """A number of things: 1 channel, 2 channels, 3 series."""
    plural = thing if number == 1 or thing.endswith("s") else f"{thing}s"
    return f"{number:,} {plural}"


def shown(path: Path) -> str:
    """A path as a person here would write it."""
    short = os.path.relpath(path)
    return str(path) if short.startswith("..") else short


def table(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Rows of texts in columns, the last one as long as it is; every row as many texts as the first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"{indent}{line.rstrip()}" for line in lines)


@contextmanager
def progress(
    what: str, total: int | None = None, *, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Progress]:
    """Shows how far `what` has come; without a total, how much is done. `file` is standard error if not given."""
    stream = file or sys.stderr
    if not stream.isatty():
        lines = _Lines(what, total, stream, clock)
        try:
            yield lines
        finally:
            lines.end()
        return
    from rich.console import Console  # not needed in a log
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with RichProgress(*columns, TextColumn("{task.fields[note]}"), console=Console(file=stream)) as bars:
        yield _Bar(bars, bars.add_task(what, total=total, note=""))


class _Bar:
    """A bar of rich."""

    def __init__(self, bars: RichProgress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def to(self, done: int, note: str = "") -> None:
        self._bars.update(self._task, completed=done, note=note)


class _Lines:
    """A line at most every ten seconds, and one at the end when there was none of it."""

    def __init__(self, what: str, total: int | None, stream: TextIO, clock: Callable[[], float]) -> None:
        self._what, self._total, self._stream, self._clock = what, total, stream, clock
        self._last = clock()
        self._unsaid = ""

    def to(self, done: int, note: str = "") -> None:
        of = f"{done:,}" if self._total is None else f"{done:,} of {self._total:,}"
        self._unsaid = f"{self._what}: {of}{', ' * bool(note)}{note}"
        if self._clock() - self._last >= SECONDS_BETWEEN_LINES:
            self.end()

    def end(self) -> None:
        if self._unsaid:
            print(self._unsaid, file=self._stream, flush=True)
        self._unsaid, self._last = "", self._clock()
