from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.columns import detector_settings, open_files
from pipeline.exceptions import DataError, SettingsError
from pipeline.settings import DetectorSettings


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("timestamp,temp,flow,room,label\n1,1,2,3,0\n2,1,2,3,0\n")
    return path


def test_channels_are_all_columns_but_those_of_time_series_and_label(data):
    assert open_files([data], DetectorSettings("a")).channels == ("temp", "flow", "room")


def test_the_channels_of_the_settings_are_read_and_those_of_the_command_line_come_before_them(data):
    settings = DetectorSettings("a", channels=("flow", "temp"))

    assert open_files([data], settings).channels == ("flow", "temp")
    assert open_files([data], settings, channels=["room"]).channels == ("room",)
    assert open_files([data], DetectorSettings("a"), ignore=["room"]).channels == ("temp", "flow")


def test_a_column_that_no_file_has_is_ignored_with_a_word(data, capsys):
    assert open_files([data], DetectorSettings("a"), ignore=["rom"]).channels == ("temp", "flow", "room")
    assert capsys.readouterr().err == "--ignore rom: no file has this column; did you mean room?\n"


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (["timestamp"], "channels has 'timestamp': that column is never a channel"),
        (["temp", "temp"], "channels has 'temp' twice"),
    ],
)
def test_channels_that_cannot_be_meant_are_refused(channels, message, data):
    with pytest.raises(SettingsError) as refused:
        open_files([data], DetectorSettings("a"), channels)

    assert str(refused.value) == message


def test_a_channel_that_is_not_there_is_refused(data):
    with pytest.raises(
        DataError, match="the channels pressure are not there: asked for pressure, found temp, flow, room"
    ):
        open_files([data], DetectorSettings("a"), ["pressure"])


def test_times_are_read_as_the_settings_say(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("timestamp,temp\n1700000000,1\n1700000060,2\n")

    assert open_files([path], DetectorSettings("a")).clock == "index"
    assert open_files([path], DetectorSettings("a", unit="s")).clock == "time"


def test_a_detector_is_that_of_the_configuration_or_all_defaults(tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text("detectors: {a: , b: {fit: {hidden: 8}}}")

    assert detector_settings(None, None) == DetectorSettings("detector")
    assert detector_settings(config, "b").fit.hidden == 8
    with pytest.raises(SettingsError, match=r"^--detector b chooses among those of a configuration: name the file$"):
        detector_settings(None, "b")


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path):
    latin = tmp_path / "a.yaml"
    latin.write_bytes("detectors: {ä: }".encode("latin-1"))

    with pytest.raises(SettingsError) as refused:
        detector_settings(latin, None)
    assert str(refused.value) == f"{latin}: byte 12 is not UTF-8: save the file as UTF-8"
    with pytest.raises(SettingsError) as refused:
        detector_settings(tmp_path, None)
    assert str(refused.value) == f"{tmp_path} cannot be read: Is a directory"
    with pytest.raises(SettingsError, match=r"^b.yaml cannot be read: No such file or directory$"):
        detector_settings(Path("b.yaml"), None)
