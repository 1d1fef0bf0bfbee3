import errno
import os
from dataclasses import replace

import pytest

from pipeline.connectors.state_folder import StateFolder, read_state, state_files
from pipeline.exceptions import StateError
from pipeline.service.ports import Partition, SavedState

PARTITION = Partition("readings", 3)
STATE = SavedState(1234, "d" * 64, {"pump-7": b"\x00\xff" * 50, "Halle 2/Ofen": b"", "größe": b"1"})


@pytest.fixture
def folder(tmp_path):
    with StateFolder(tmp_path / "state") as opened:
        yield opened


def only_file(tmp_path):
    (path,) = state_files(tmp_path / "state")
    return path


def test_what_was_saved_is_loaded(folder):
    folder.save("pumps", PARTITION, STATE)

    assert folder.load("pumps", PARTITION) == STATE
    assert folder.load("pumps", Partition("readings", 4)) is None
    assert folder.load("fans", PARTITION) is None


def test_a_later_state_replaces_an_earlier_one(folder):
    folder.save("pumps", PARTITION, STATE)
    later = SavedState(2000, "d" * 64, {})
    folder.save("pumps", PARTITION, later)

    assert folder.load("pumps", PARTITION) == later


def test_a_state_outlives_its_process(folder, tmp_path):
    folder.save("pumps", PARTITION, STATE)
    folder.close()
    with StateFolder(tmp_path / "state") as another:
        assert another.load("pumps", PARTITION) == STATE


@pytest.mark.parametrize("name", ["..", ".", "a/b", "ü", "a%2Fb", "../../etc"])
def test_no_name_leads_out_of_the_folder_or_to_anothers_state(folder, tmp_path, name):
    folder.save(name, PARTITION, STATE)
    folder.save("plain", PARTITION, SavedState(1, "e" * 64, {}))

    assert folder.load(name, PARTITION) == STATE
    assert len(list(state_files(tmp_path / "state"))) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_two_services_cannot_share_a_folder(folder, tmp_path):
    with pytest.raises(StateError, match="in use by another service"):
        StateFolder(tmp_path / "state").open()


def test_a_folder_can_be_opened_again_when_its_service_has_ended(folder, tmp_path):
    folder.close()
    with StateFolder(tmp_path / "state"):
        pass


def test_nothing_is_saved_without_the_lock(tmp_path):
    with pytest.raises(ValueError, match="not open"):
        StateFolder(tmp_path / "state").save("pumps", PARTITION, STATE)


@pytest.mark.parametrize("keep", [0, 5, 20, 60, 100, -1])
def test_a_truncated_state_is_refused_with_the_way_out(folder, tmp_path, keep):
    folder.save("pumps", PARTITION, STATE)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(StateError, match=r"delete it, and the series warm up again|take it out of the folder"):
        folder.load("pumps", PARTITION)


def test_a_single_changed_byte_is_noticed(folder, tmp_path):
    folder.save("pumps", PARTITION, STATE)
    path = only_file(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[-10] ^= 1
    path.write_bytes(damaged)

    with pytest.raises(StateError, match="truncated or damaged: delete it"):
        folder.load("pumps", PARTITION)


def test_a_save_that_is_dropped_in_the_middle_leaves_the_state_of_before_and_no_other_file(folder, tmp_path):
    folder.save("pumps", PARTITION, STATE)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    later = replace(STATE, offset=2000)
    slices = len(list(folder.saving("pumps", PARTITION, later, piece_bytes=50)))
    folder.save("pumps", PARTITION, STATE)
    for turns in range(1, slices):
        under_way = folder.saving("pumps", PARTITION, later, piece_bytes=50)
        for _ in range(turns):
            next(under_way)
        under_way.close()

        assert folder.load("pumps", PARTITION) == STATE
        assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert slices > 8


def test_a_state_of_a_later_version_is_refused(folder, tmp_path):
    folder.save("pumps", PARTITION, STATE)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"plumbline state 1\n", b"plumbline state 9\n"))

    with pytest.raises(StateError, match="has format 9, this program reads 1"):
        folder.load("pumps", PARTITION)


def test_a_state_copied_to_another_partition_is_refused(folder, tmp_path):
    folder.save("pumps", PARTITION, STATE)
    path = only_file(tmp_path)
    (path.parent / "4.state").write_bytes(path.read_bytes())

    with pytest.raises(StateError, match=r"holds the state of pumps on readings\[3\]"):
        folder.load("pumps", Partition("readings", 4))


def test_a_failed_save_leaves_the_state_as_it_was_and_no_rubbish(folder, tmp_path, monkeypatch):
    folder.save("pumps", PARTITION, STATE)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # the operating system, not a part of ours
    with pytest.raises(StateError, match="cannot be written: No space left on device; mend the disk"):
        folder.save("pumps", PARTITION, SavedState(5, "d" * 64, {}))

    assert folder.load("pumps", PARTITION) == STATE
    assert [path.name for path in only_file(tmp_path).parent.iterdir()] == ["3.state"]


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "state").write_text("a file")

    with pytest.raises(StateError, match="cannot be written"):
        StateFolder(tmp_path / "state").open()


def test_clearing_takes_states_and_nothing_else(folder, tmp_path):
    folder.save("pumps", PARTITION, STATE)
    note = tmp_path / "state" / "note.txt"
    note.write_text("mine")
    folder.clear()

    assert folder.load("pumps", PARTITION) is None
    assert note.exists()


def test_a_state_can_be_read_while_a_service_holds_the_folder(folder, tmp_path):
    folder.save("pumps", PARTITION, STATE)
    held = read_state(only_file(tmp_path))

    assert (held.detector, held.partition, held.state) == ("pumps", PARTITION, STATE)
