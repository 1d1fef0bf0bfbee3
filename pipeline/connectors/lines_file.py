"""Lines at the end of a file, on the disk before anybody is told so."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.exceptions import UndeliveredError


def append(path: Path, line: bytes) -> None:
    """Append a line and sync it; UndeliveredError where that is not possible, and nothing of it stays.

    The file is opened each time, so one that was moved away by a rotation is begun anew.
    """
    try:
        with path.open("ab") as file:
            before = file.tell()
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(path, before)
                raise
    except OSError as error:
        raise UndeliveredError(f"{path} cannot be written: {error.strerror or error}") from error
