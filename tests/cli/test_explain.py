"""`plumbline explain` from files to words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.bundle import save
from pipeline.cli.main import main
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream

CONFIG = "detectors: {pump: {policy: {bar: static, false_alarms: {probability: 0.01}}}}\n"


def table(rows=400, fault=300, first=0, clock="time", **columns):
    """Calm readings; temp leaps to 9 in one of them."""
    temp = np.zeros(rows)
    if fault is not None:
        temp[fault] = 9.0
    stamps = pa.array(BEGIN + STEP * (first + np.arange(rows)), pa.timestamp("us"))
    stamps = stamps if clock == "time" else pa.array(first + np.arange(rows))
    return pa.table({"timestamp": stamps, "temp": temp, "flow": np.zeros(rows), **columns})


@pytest.fixture
def run(tmp_path, capsys):
    """Explain a reading of files; the exit code, and what was said."""
    save(unmoved(), tmp_path / "bundle")
    (tmp_path / "c.yaml").write_text(CONFIG)

    def explain(*words, tests=None):
        names = []
        for name, each in (tests or {"pump": table()}).items():
            names.append(str(tmp_path / f"{name}.parquet"))
            pq.write_table(each, names[-1])
        code = main(
            ["explain", str(tmp_path / "c.yaml"), "--bundle", str(tmp_path / "bundle"), "--test", *names, *words]
        )
        return code, capsys.readouterr()

    return explain


def test_without_a_reading_it_is_the_one_that_raised_the_incident_with_the_highest_score(run):
    code, said = run()
    later, peak = run("--at", "2023-11-15 23:20")

    assert (code, later) == (0, 0), said.err
    assert said.out.startswith("pump at 2023-11-15 23:15 was flagged, critical: its score of 3.39")
    assert "The incident has its peak, a score of 4.30, at 2023-11-15 23:20." in said.out
    assert peak.out.startswith("pump at 2023-11-15 23:20 is part of the incident open since 23:15: its score of 4.30")
    assert "No other reading of the incident has scored higher." in peak.out
    for word in ("temp", "flow", "prediction", "this reading", "its bar", "where its bar started", "x is"):
        assert word in said.out


def test_of_several_incidents_it_is_the_one_with_the_highest_score(run):
    temp = table()["temp"].to_numpy().copy()
    temp[100] = 5.0
    both = {"mixer": table(200, fault=None), "pump": table().set_column(1, "temp", pa.array(temp))}
    code, said = run(tests=both)

    assert code == 0, said.err
    assert said.out.startswith("pump at 2023-11-15 23:15 was flagged")


def test_where_the_highest_score_is_in_no_incident_it_is_that_reading(run, tmp_path):
    policy = "{bar: static, false_alarms: {probability: 0.0001}}"
    (tmp_path / "c.yaml").write_text(
        f"detectors: {{pump: {{channels: {{temp: {{ignore_below: 100}}, flow: {{}}}}, policy: {policy}}}}}"
    )
    code, said = run()

    assert code == 0, said.err
    assert said.out.startswith("pump at 2023-11-15 23:20 was not flagged: its score of 4.30")
    assert "(ignore_below)" in said.out
    assert "peak" not in said.out


def test_an_incident_that_was_open_before_the_files_is_explained_at_its_highest_reading(run, tmp_path):
    monitor = Monitor(unmoved(), Policy(FalseAlarms(probability=0.01), bar="static"))
    fault = series("pump", np.tile([[4.0, 0.0], [-4.0, 0.0]], (20, 1)), BEGIN - 40 * STEP)
    monitor.observe(stream(fault))
    save(replace(unmoved(), slots=monitor.snapshot()), tmp_path / "bundle")
    temp = np.zeros(60)
    temp[:30] = np.tile([9.0, -9.0], 15)
    code, said = run(tests={"pump": table(60, fault=None).set_column(1, "temp", pa.array(temp))})

    assert code == 0, said.err
    assert "is part of the incident open since 2023-11-14 19:35" in said.out
    assert "No other reading of the incident has scored higher." in said.out


@pytest.mark.parametrize("words", [["--row", "300"], ["--at", "2023-11-15T23:15"], ["--at", "300"]])
def test_a_row_and_its_time_are_the_same_reading(run, words):
    code, said = run(*words)

    assert code == 0, said.err
    assert said.out.startswith(
        "pump at 2023-11-15 23:15 was flagged, critical: its score of 3.39, rarer than 1 in 200 readings"
    )


def test_an_alert_of_a_backtest_is_explained_by_its_id(run, tmp_path, capsys):
    run()
    files = ["--bundle", str(tmp_path / "bundle"), "--test", str(tmp_path / "pump.parquet")]
    main(["backtest", str(tmp_path / "c.yaml"), *files, "--out", str(tmp_path / "report"), "--pictures", "0"])
    capsys.readouterr()
    raised = json.loads((tmp_path / "report" / "alerts.jsonl").read_text().splitlines()[0])
    whole, first_letters = run("--alert", raised["id"]), run("--alert", raised["id"][:6])

    assert whole[1].out == first_letters[1].out
    assert whole[1].out.startswith("pump at 2023-11-15 23:15 was flagged, critical: its score of 3.39")
    assert f"The incident is {raised['id']}." in whole[1].out
    assert f"its score of {raised['score']:.2f}" in whole[1].out
    assert "The incident has its peak, a score of 4.30, at 2023-11-15 23:20." in whole[1].out


def test_the_picture_is_written(run, tmp_path):
    code, said = run("--row", "300", "--out", str(tmp_path / "new" / "why.png"))

    assert code == 0, said.err
    assert (tmp_path / "new" / "why.png").stat().st_size > 10_000
    assert "why.png" in said.err


def test_rows_are_counted_over_all_files(run):
    code, said = run("--row", "400", tests={"a": table(fault=None), "b": table(fault=None)})

    assert code == 0, said.err
    assert said.out.startswith("b at 2023-11-14 22:15 was not scored: the series has just begun and warms up")


def test_the_series_is_named_where_several_have_the_time(run):
    both = {"a": table(fault=None), "b": table()}
    code, said = run("--at", "2023-11-15T23:15", tests=both)
    named, told = run("--at", "2023-11-15T23:15", "--series", "a", tests=both)

    assert code == 2
    assert "2 series have a reading of that time: choose one by --series: a, b" in said.err
    assert named == 0
    assert told.out.startswith("a at 2023-11-15 23:15 was not flagged")


def test_the_series_of_a_column_is_replayed_alone(run):
    rows = pa.concat_tables([table(series=["a"] * 400), table(fault=None, series=["b"] * 400)])
    code, said = run("--row", "700", tests={"all": rows})

    assert code == 0, said.err
    assert said.out.startswith("b at 2023-11-15 23:15 was not flagged")


def test_a_time_that_two_readings_have_is_chosen_by_row(run):
    twice = pa.concat_tables([table().slice(0, 301), table().slice(300)])
    code, said = run("--at", "2023-11-15T23:15", tests={"pump": twice})
    second, told = run("--row", "301", tests={"pump": twice})

    assert code == 2
    assert "pump has 2 readings of that time: choose one by --row 300 or --row 301" in said.err
    assert second == 0
    assert "it is a duplicate" in told.out


def test_a_late_reading_is_told_to_be_late(run):
    rows = pa.concat_tables([table().slice(0, 300), table().slice(250, 1), table().slice(300)])
    code, said = run("--row", "300", tests={"pump": rows})

    assert code == 0, said.err
    assert "was not scored: it is late, its series had already a reading of 23:10" in said.out
    assert "this reading" not in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "2023-11-15T23:16"], "no reading at 2023-11-15 23:16; the nearest are at 2023-11-15 23:15 and"),
        (["--at", "2023-11-15T23:16", "--series", "pump"], "no reading of pump at 2023-11-15 23:16"),
        (["--at", "noon"], "--at noon is neither a time such as"),
        (["--row", "400"], "row 400 is not there: the files have 400 rows, the first is row 0"),
        (["--row", "-1"], "row -1 is not there"),
        (["--row", "1", "--at", "2023-11-15"], "--at and --row each choose a reading: give one of them"),
        (["--series", "pumps"], "--series pumps: the files have no such series; did you mean pump?"),
        (["--row", "1", "--series", "mixer"], "--series mixer: the files have no such series; known here: pump"),
        (["--alert", "zzz"], "--alert zzz: no incident of this id is raised in these files; there are "),
        (["--row", "1", "--out", "why.gif"], "--out why.gif: a picture is .png, .pdf, .svg; .gif is none of them"),
        (["--row", "1", "--detector", "mixer"], "mixer"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_2(run, words, said):
    code, told = run(*words)

    assert code == 2
    assert said in told.err
    assert told.out == ""


def test_a_row_that_is_no_reading_says_why(run):
    broken = table()
    temp = broken["temp"].to_numpy().copy()
    temp[7] = np.inf
    code, said = run("--row", "7", tests={"pump": broken.set_column(1, "temp", pa.array(temp))})

    assert code == 2
    assert "row 7 is no reading (not_finite" in said.err


def test_files_without_a_scored_reading_have_no_highest_score(run):
    code, said = run(tests={"pump": table(6, fault=None)})

    assert code == 2
    assert "none of the 6 readings was scored" in said.err


def test_files_without_an_incident_have_no_alert(run):
    code, said = run("--alert", "abc", tests={"pump": table(fault=None)})

    assert code == 2
    assert "no incident is raised in these files under this policy" in said.err


def test_a_file_of_another_clock_is_refused(run):
    code, said = run("--row", "3", tests={"pump": table(clock="index")})

    assert code == 2
    assert "its timestamps are taken for index, the detector's are time" in said.err


def test_a_sample_number_is_not_taken_for_a_row(tmp_path, capsys):
    save(unmoved(clock="index", step=1), tmp_path / "bundle")
    pq.write_table(table(first=1000, clock="index"), tmp_path / "pump.parquet")
    files = ["--bundle", str(tmp_path / "bundle"), "--test", str(tmp_path / "pump.parquet")]
    sample, row = (main(["explain", *files, *words]) for words in (["--at", "1300"], ["--row", "300"]))
    first, second = capsys.readouterr().out.split("pump at ")[1:]
    refused = main(["explain", *files, "--at", "300.5"])

    assert (sample, row, refused) == (0, 0, 2)
    assert first == second
    assert first.startswith("sample 1300 was flagged")
    assert "a whole number is needed" in capsys.readouterr().err
