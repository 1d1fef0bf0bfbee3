import os
import shutil

import pytest

from pipeline.connectors.file_watch import FileWatch
from tests.service.telemetry_feed import HandClock


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "plumbline.yaml"
    path.write_text("a: 1\n")
    return path


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / "weights").write_bytes(b"1234")
    return folder


@pytest.fixture
def watch(config, bundle, clock):
    return FileWatch([config, bundle], clock, every_seconds=5.0)


def looks(watch, clock, count):
    """What so many looks say, five seconds apart."""
    told = []
    for _ in range(count):
        clock.seconds += 5.0
        told.append(watch.changed())
    return told


def test_what_does_not_change_is_not_told(watch, clock):
    assert looks(watch, clock, 3) == [False] * 3


def test_a_change_is_told_once_when_it_has_stood_still_for_a_look(watch, clock, config):
    config.write_text("a: 2\n")

    assert looks(watch, clock, 4) == [False, True, False, False]


def test_a_bundle_that_is_being_copied_is_not_told_before_it_is_whole(watch, clock, bundle):
    told = []
    for size in (10, 20, 30):
        (bundle / "weights").write_bytes(b"x" * size)
        told += looks(watch, clock, 1)

    assert told == [False] * 3
    assert looks(watch, clock, 2) == [True, False]


def test_it_looks_no_more_often_than_it_is_told_to(watch, clock, config):
    config.write_text("a: 2\n")
    for _ in range(9):
        clock.seconds += 0.5
        assert not watch.changed()
    assert looks(watch, clock, 2) == [False, True]


def test_a_file_that_was_only_touched_has_not_changed(watch, clock, config):
    os.utime(config, (1, 1))

    assert looks(watch, clock, 3) == [False] * 3


def test_the_same_size_at_the_same_time_is_seen_by_its_inode(watch, clock, config):
    about = config.stat()
    beside = config.with_name("new")
    beside.write_text("a: 3\n")
    os.utime(beside, ns=(about.st_atime_ns, about.st_mtime_ns))
    beside.replace(config)

    assert looks(watch, clock, 2) == [False, True]


def test_a_folder_that_goes_and_comes_back_as_it_was_has_not_changed(watch, clock, bundle, tmp_path):
    bundle.rename(tmp_path / "away")
    told = looks(watch, clock, 1)
    shutil.copytree(tmp_path / "away", bundle)

    assert told + looks(watch, clock, 3) == [False] * 4


def test_what_appears_where_nothing_was_is_a_change(clock, tmp_path):
    watch = FileWatch([tmp_path / "later"], clock, every_seconds=5.0)
    (tmp_path / "later").write_text("here")

    assert looks(watch, clock, 3) == [False, True, False]


def test_other_places_are_known_as_they_are(watch, clock, config, tmp_path):
    config.write_text("a: 2\n")
    watch.over([config])

    assert looks(watch, clock, 2) == [False, False]
