"""Whether some files have got another content, asked as often as one likes and looked at every few seconds.

By time and size first, then by digest: a file that was only touched has not changed. A change is told once it has
stood still from one look to the next, so that a bundle is not taken up while it is being copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from pipeline.service.ports import Clock

EVERY_SECONDS: Final = 5.0
Looks = tuple[tuple[str, int, int, int], ...]  # of each file that is there: path, inode, time and size


class FileWatch:
    """Watches files, and all that lies directly in folders."""

    def __init__(self, places: Collection[Path], clock: Clock, every_seconds: float = EVERY_SECONDS) -> None:
        """What is there now is known; a place need not exist."""
        self._clock = clock
        self._every_seconds = every_seconds
        self.over(places)

    def over(self, places: Collection[Path]) -> None:
        """Watch these from now on; what is there now is known."""
        self._places = places
        self._seen = self._settled = _looks(places)
        self._known = _digest(places)
        self._next = self._clock.monotonic() + self._every_seconds

    def changed(self) -> bool:
        """Whether there is a new content; it is known afterwards."""
        now = self._clock.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every_seconds
        before, self._seen = self._seen, _looks(self._places)
        if self._seen == self._settled or self._seen != before:
            return False
        self._settled, before_digest = self._seen, self._known
        self._known = _digest(self._places)
        return self._known != before_digest


def _files(places: Collection[Path]) -> Iterator[Path]:
    for place in sorted(set(places)):
        yield from sorted(place.iterdir()) if place.is_dir() else [place]


def _looks(places: Collection[Path]) -> Looks:
    looks = []
    try:
        for file in _files(places):
            if file.is_file():
                about = file.stat()
                looks.append((str(file), about.st_ino, about.st_mtime_ns, about.st_size))
    except OSError:  # a folder that is being replaced: the next look sees what came of it
        return ()
    return tuple(looks)


def _digest(places: Collection[Path]) -> str:
    """Of the names and contents of all files; one that cannot be read counts as absent."""
    whole = hashlib.sha256()
    try:
        for file in _files(places):
            if file.is_file():
                whole.update(f"{file}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    except OSError:
        return ""
    return whole.hexdigest()
