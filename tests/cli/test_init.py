from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli.configuration import load_settings
from pipeline.cli.main import main
from pipeline.cli.proposal import plain
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.formats.mapping import JoinMapping, SeriesMapping
from pipeline.monitor.policy import FalseAlarms
from pipeline.service.ports import Message
from pipeline.settings.strict_yaml import parse

NO_NUMBER = (
    "b.csv: line 2: column 'y' holds 'z', which is no number: mend the file, leave the column out with --ignore y, or, "
    "if it names the series, rename it to series"
)


@pytest.fixture
def initiated(tmp_path, monkeypatch, capsys):
    """The settings, the text and the words of `plumbline init`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)

    def init(*options):
        assert main(["init", *options]) == 0
        return load_settings(Path("plumbline.yaml")), Path("plumbline.yaml").read_text(), capsys.readouterr().out

    return init


def write(name, header, rows):
    Path(name).write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def minutes(rows):
    return [
        (f"2026-03-01T{row // 60:02}:{row % 60:02}:00Z", 20 + row % 7, "" if row % 4 else 1.5, 1) for row in range(rows)
    ]


def test_a_file_becomes_a_configuration_that_names_its_channels_and_its_step(initiated):
    write("pump 7.csv", "timestamp,temp,flow rate,on", minutes(100))
    settings, text, said = initiated("--data", "pump 7.csv")
    detector = settings.detector()

    assert detector.name == "pump-7"
    assert detector.channels == ("temp", "flow rate", "on")
    assert detector.policy.false_alarms == FalseAlarms(rate=1)
    assert detector.input.time.unit == "iso8601"
    lines = [line.strip() for line in text.splitlines()]
    assert "temp: {}  # 20 to 26" in lines
    assert '"flow rate": {}  # always 1.5, 75.0% missing; two values at most: context, not scored' in lines
    assert (
        "false_alarms: {rate: 1, per: series-week}  # a reading every 1 min: one in 10,080 may exceed the bar" in lines
    )
    assert said.splitlines() == [
        "plumbline.yaml: 3 channels, 1 series, looked at 100 readings",
        "  plumbline train plumbline.yaml --data 'pump 7.csv' --out bundles/pump-7",
        "  plumbline publish plumbline.yaml --data LATER-FILES --speed max",
        "  plumbline serve plumbline.yaml",
    ]


def test_sample_numbers_have_no_weeks(initiated):
    write("a.csv", "timestamp,x,room", [(row, row, 1) for row in range(50)])
    settings, _, _ = initiated("--data", "a.csv", "--ignore", "room")

    assert settings.detector().channels == ("x",)
    assert settings.detector().policy.false_alarms == FalseAlarms(probability=1e-4)
    assert settings.detector().input.time.unit == "index"


def test_readings_at_no_fixed_step_have_no_weeks(initiated):
    moments = [f"2026-03-01T{row * row % 24:02}:{row:02}:00Z" for row in range(50)]
    write("a.csv", "timestamp,x", sorted((moment, 1) for moment in moments))
    settings, text, _ = initiated("--data", "a.csv")

    assert settings.detector().policy.false_alarms == FalseAlarms(probability=1e-4)
    assert "# readings at no fixed step: one reading in 10,000 may exceed the bar" in text


@pytest.mark.parametrize("name", ["temp", "a.b", "1", "true", "null", "Ä ß", 'say "hi"', "a: b", "# c", "-", "x-y"])
def test_a_name_reads_back_as_it_was(name):
    assert parse(f"{plain(name)}: 1", "a.yaml") == {name: 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "init looks at files or at a topic: give --data FILE or --topic NAME, one of the two"),
        (
            ["--data", "a.csv", "--topic", "b"],
            "init looks at files or at a topic: give --data FILE or --topic NAME, one of the two",
        ),
        (
            ["--data", "a.csv", "--out", "a.csv"],
            "a.csv is there already: name another file by --out, or remove it",
        ),
        (["--data", "b.csv"], NO_NUMBER),
    ],
)
def test_what_cannot_be_proposed_is_refused(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("a.csv", "timestamp,x", [(1, 2)])
    write("b.csv", "timestamp,x,y", [(1, 2, "z")])

    assert main(["init", *options]) == 2
    assert capsys.readouterr().err == f"plumbline: {message}\n"


def test_a_topic_becomes_a_configuration_with_the_guesses_beside_it(kafka, fresh_name, initiated):
    create_topic(Cluster(kafka), fresh_name)
    sink = KafkaSink(Cluster(kafka))
    for row in range(30):
        reading = {"ts": f"2026-03-01T14:{row:02}:00Z", "pump": f"p{row % 2}", "data": {"t": 71 + row}}
        sink.send(Message(fresh_name, None, json.dumps(reading).encode()))
    sink.send(Message(fresh_name, None, b"not JSON"))
    sink.flush(10)
    sink.close(1)
    settings, text, _ = initiated("--topic", fresh_name, "--bootstrap-servers", kafka)
    detector = settings.detector()

    assert (detector.topic, detector.input.series.field, detector.input.time.field) == (fresh_name, "pump", "ts")
    assert (detector.channels, detector.input.channels) == (("data_t",), {"data_t": "data.t"})
    assert settings.kafka.bootstrap_servers == kafka
    assert "# pump names the series: 2 in 30 records" in text
    assert "# 30 of 31 records are readings by this" in text


def test_a_topic_of_single_sensors_becomes_a_configuration_that_joins_them(kafka, fresh_name, initiated):
    create_topic(Cluster(kafka), fresh_name)
    sink = KafkaSink(Cluster(kafka))
    for row in range(80):
        at = f"2026-03-01T14:{row // 4:02}:00Z"
        reading = {"ts": at, "pump": f"p{row // 2 % 2}", "sensor": ("t.in", "flow")[row % 2], "value": 71 + row}
        sink.send(Message(fresh_name, None, json.dumps(reading).encode()))
    sink.flush(10)
    sink.close(1)
    settings, text, said = initiated("--topic", fresh_name, "--bootstrap-servers", kafka)
    detector = settings.detector()

    assert detector.channels == ("flow", "t_in")
    assert detector.input.join == JoinMapping(SeriesMapping(field="pump"), "value")
    assert detector.input.series == SeriesMapping(field="sensor")
    assert detector.input.lateness_seconds == 5.0
    assert 't_in: {field: "t.in"}  # 71 to 149' in text
    assert "40 readings" in said


def test_an_empty_topic_gives_nothing_to_guess_from(kafka, fresh_name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    create_topic(Cluster(kafka), fresh_name)

    assert main(["init", "--topic", fresh_name, "--bootstrap-servers", kafka]) == 2
    assert capsys.readouterr().err == (
        f"plumbline: topic {fresh_name} is empty: init guesses from records that are there\n"
    )
