"""Lines that are on the disk, or not there at all."""

from pathlib import Path

import pytest

from pipeline.connectors import lines_file
from pipeline.connectors.lines_file import append
from pipeline.exceptions import UndeliveredError


def test_lines_stand_one_after_the_other(tmp_path):
    path = tmp_path / "alerts.jsonl"
    append(path, b"one\n")
    append(path, b"two\n")

    assert path.read_bytes() == b"one\ntwo\n"


def test_a_file_that_was_rotated_is_begun_anew(tmp_path):
    path = tmp_path / "alerts.jsonl"
    append(path, b"one\n")
    path.rename(tmp_path / "alerts.1")
    append(path, b"two\n")

    assert path.read_bytes() == b"two\n"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UndeliveredError, match=r"alerts\.jsonl cannot be written: No such file or directory"):
        append(tmp_path / "missing" / "alerts.jsonl", b"one\n")


def test_a_disk_that_is_full_leaves_nothing_of_the_line():
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    with pytest.raises(UndeliveredError, match="cannot be written: No space left on device"):
        append(Path("/dev/full"), b"one\n")


def test_a_line_that_could_not_be_synced_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "alerts.jsonl"
    append(path, b"one\n")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lines_file.os, "fsync", full)
    with pytest.raises(UndeliveredError):
        append(path, b"two\n")

    assert path.read_bytes() == b"one\n"
