"""Saved state on disk: a file for each partition of each detector, written beside and renamed, checked when read.

The layout of a file: a line that says what it is and its version, a line with the SHA-256 of the rest, then the state
as MessagePack. The folder is locked while it is open: two services in one would take turns at losing readings.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self
from urllib.parse import quote

import msgspec

from pipeline.exceptions import StateError
from pipeline.service.ports import Partition, SavedState, TopicLog

MAGIC: Final = b"plumbline state"
VERSION: Final = 1
SUFFIX: Final = ".state"
LOCK: Final = "lock"
PIECE_BYTES: Final = 16 << 20  # hashed, or written and synced, in one slice


class StateFile(NamedTuple):
    """What one file holds, and whose it is."""

    detector: str
    partition: Partition
    state: SavedState


class _Content(msgspec.Struct, frozen=True):
    """A file's state as it is written."""

    detector: str
    topic: str
    partition: int
    offset: int
    digest: str
    slots: dict[str, bytes]
    log: tuple[str, int] | None = None  # id and partitions of the topic; not kept by earlier programs


class StateFolder:
    """A folder of state files; a context manager that holds the folder's lock."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Make the folder if need be and lock it; StateError when another process holds it."""
        path = self._root / LOCK
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StateError(_refused(path, "written", error)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise StateError(
                f"{self._root} is in use by another service: stop that one, or give each its own state.folder"
            ) from error
        self._lock = lock

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self, detector: str, partition: Partition) -> SavedState | None:
        """The state of a partition, None where there is none; StateError where the file cannot be used."""
        path = self._path(detector, partition)
        if not path.exists():
            return None
        held = read_state(path)
        if (held.detector, held.partition) != (detector, partition):
            raise StateError(
                f"{path} holds the state of {held.detector} on {held.partition.topic}[{held.partition.number}]: "
                "it was copied here; delete it, and the series warm up again"
            )
        return held.state

    def save(self, detector: str, partition: Partition, state: SavedState) -> None:
        """Replace the state of a partition, all or nothing, so that a power cut leaves the old one or the new one."""
        for _ in self.saving(detector, partition, state):
            pass

    def saving(
        self, detector: str, partition: Partition, state: SavedState, *, piece_bytes: int = PIECE_BYTES
    ) -> Iterator[None]:
        """The same in slices of so many bytes; the new one is there when it is exhausted."""
        if self._lock is None:
            raise ValueError("this folder is not open: nothing may be saved without its lock")
        path = self._path(detector, partition)
        content = _Content(detector, *partition, state.offset, state.digest, dict(state.slots), state.log)
        body = memoryview(msgspec.msgpack.encode(content))
        pieces = [body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes)]
        check = hashlib.sha256()
        for piece in pieces:
            check.update(piece)
            yield
        head = b"%s %d\n%s\n" % (MAGIC, VERSION, check.hexdigest().encode())
        beside = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                for piece in (memoryview(head), *pieces):
                    file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                    yield
            beside.replace(path)
            _settle(path.parent)
        except OSError as error:
            raise StateError(_refused(path, "written", error)) from error
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete all saved state; what else lies in the folder stays."""
        if self._lock is None:
            raise ValueError("this folder is not open: nothing may be deleted without its lock")
        for path in state_files(self._root):
            try:
                path.unlink()
            except OSError as error:
                raise StateError(_refused(path, "deleted", error)) from error

    def _path(self, detector: str, partition: Partition) -> Path:
        return self._root / _safe(detector) / _safe(partition.topic) / f"{partition.number}{SUFFIX}"


def state_files(root: Path) -> Iterator[Path]:
    """The state files below a folder, in order."""
    yield from sorted(root.glob(f"*/*/*{SUFFIX}"))


def read_state(path: Path) -> StateFile:
    """One state file, checked; StateError where it cannot be read or trusted."""
    try:
        first, check, body = path.read_bytes().split(b"\n", 2)
    except OSError as error:
        raise StateError(_refused(path, "read", error)) from error
    except ValueError as error:
        raise StateError(f"{path} is truncated: delete it, and the series warm up again") from error
    magic, _, version = first.rpartition(b" ")
    if magic != MAGIC:
        raise StateError(f"{path} is no state file of this program: take it out of the folder")
    if version != b"%d" % VERSION:
        raise StateError(
            f"{path} has format {version.decode(errors='replace')}, this program reads {VERSION}: "
            "delete it, and the series warm up again"
        )
    if hashlib.sha256(body).hexdigest().encode() != check:
        raise StateError(f"{path} is truncated or damaged: delete it, and the series warm up again")
    try:
        content = msgspec.msgpack.decode(body, type=_Content)
    except msgspec.MsgspecError as error:
        raise StateError(f"{path} is no state of this program ({error}): delete it") from error
    partition = Partition(content.topic, content.partition)
    log = None if content.log is None else TopicLog(*content.log)
    return StateFile(content.detector, partition, SavedState(content.offset, content.digest, content.slots, log))


def _safe(name: str) -> str:
    """A name as one part of a path, never `.` or `..`; different names stay different."""
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


def _settle(folder: Path) -> None:
    """Put the folder's entries on the disk: a rename is not there before."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(path: Path, done: str, error: OSError) -> str:
    return f"{path} cannot be {done}: {error.strerror or error}; mend the disk, or set state.folder to another place"
