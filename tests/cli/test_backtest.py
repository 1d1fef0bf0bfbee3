"""`plumbline backtest` from files to files."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main

CONFIG = "detectors: {pump: {fit: {hidden: 8, steps: 20, warm_up: 24, device: cpu}}}\n"


def table(first, rows, fault=None, clock="time", **columns):
    index = np.arange(first, first + rows)
    values = 20 + np.sin(index / 6) + np.random.default_rng(first).normal(0, 0.1, rows)
    if fault is not None:
        values[fault : fault + 10] += 15
    stamps = pa.array(index * 300_000_000, pa.timestamp("ms")) if clock == "time" else pa.array(index)
    stamps = pa.array(index * 300_000, pa.timestamp("ms")) if clock == "time" else stamps
    return pa.table({"timestamp": stamps, "temp": values, **columns})


@pytest.fixture
def run(tmp_path, capsys):
    """Backtest files; the exit code, what was said, and the folder of the results."""
    (tmp_path / "c.yaml").write_text(CONFIG)

    def backtest(train, *tests, options=()):
        pq.write_table(train, tmp_path / "train.parquet")
        names = [str(tmp_path / f"test-{number}.parquet") for number in range(len(tests))]
        for name, test in zip(names, tests, strict=True):
            pq.write_table(test, name)
        words = ["backtest", str(tmp_path / "c.yaml"), "--train", str(tmp_path / "train.parquet"), "--test", *names]
        code = main([*words, "--out", str(tmp_path / "out"), *options])
        return code, capsys.readouterr(), tmp_path / "out"

    return backtest


def test_every_row_has_its_line_in_order_with_the_timestamps_of_the_input(run):
    label = np.zeros(300, np.uint8)
    label[200:210] = 1
    test = table(600, 300, fault=200, label=label)
    values = test["temp"].to_numpy().copy()
    values[30], values[31] = np.inf, np.nan
    test = test.set_column(1, "temp", pa.array(values))
    code, said, out = run(table(0, 600), test)
    scores, report = pq.read_table(out / "scores.parquet"), json.loads((out / "report.json").read_text())
    outcome = scores["outcome"].to_pylist()

    assert code == 0, said.err
    assert scores["timestamp"].equals(test["timestamp"])
    assert scores["series"].unique().to_pylist() == ["test-0"]
    assert (outcome[30], outcome[31], outcome.count("scored")) == ("invalid", "missing", 298)
    assert [scores[c][30].as_py() for c in ("score", "bar", "temp.expected", "temp.lower")] == [None] * 4
    assert any(scores["alert"].to_pylist()[200:210])
    assert report["outcomes"]["invalid"] == 1
    assert sum(report["outcomes"].values()) == report["rows"] == 300
    assert report["labels"]["found"] == 1
    assert set(report["labels"]["average_precision_by_detector"]) == {"plumbline", "isolation_forest", "ridge_ar"}
    assert len(report["rarest"]) == 10
    assert json.loads((out / "alerts.jsonl").read_text().splitlines()[0])["event"] == "raised"
    assert (out / "test-0.png").stat().st_size > 10_000


def test_an_index_that_restarts_goes_on_where_the_history_ended(run):
    code, said, out = run(table(0, 600, clock="index"), table(0, 100, clock="index"))
    scores = pq.read_table(out / "scores.parquet")

    assert code == 0, said.err
    assert set(scores["outcome"].to_pylist()) == {"scored"}
    assert scores["timestamp"].to_pylist() == list(range(100))


def test_files_side_by_side_say_what_each_alone_says(run):
    history, one, other = table(0, 600), table(600, 150, fault=50), table(600, 90)
    both = pq.read_table(run(history, one, other)[2] / "scores.parquet")
    alone = pq.read_table(run(history, one)[2] / "scores.parquet")

    assert both["series"].to_pylist() == ["test-0"] * 150 + ["test-1"] * 90
    assert alone["series"].to_pylist() == ["test-0"] * 150


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (table(600, 50).rename_columns(["timestamp", "flow"]), "other channels than"),
        (table(600, 50, clock="index"), "its timestamps are"),
        (table(600, 50, note=["hot"] * 50), "column 'note' is not numeric"),
        (table(600, 0), "no rows"),
    ],
)
def test_files_that_cannot_be_meant_are_refused_with_2(run, test, said):
    code, told, _ = run(table(0, 600), test)

    assert code == 2
    assert said in told.err


@pytest.mark.parametrize(("match", "grouped"), [("{site}-*", True), ("{site}/*", False)])
def test_labels_that_fit_no_series_are_told(match, grouped, run, tmp_path):
    rules = f"detectors: {{pump: {{labels: [{{match: '{match}'}}], policy: {{group_by: site}}, fit: "
    (tmp_path / "c.yaml").write_text(CONFIG.replace("detectors: {pump: {fit: ", rules))
    code, said, _ = run(table(0, 600), table(600, 300, fault=200))

    assert code == 0, said.err
    told = "nothing was grouped: no rule of labels gives a series site; the first series is 'test-0'"
    assert (told in said.err) is not grouped


@pytest.mark.parametrize(("first", "moved"), [(0, True), (600, False)])
def test_sample_numbers_that_begin_again_are_told(first, moved, run, tmp_path):
    (tmp_path / "train").mkdir()
    test = table(600, 300, clock="index").set_column(0, "timestamp", pa.array(np.arange(first, first + 300)))
    code, said, _ = run(
        table(0, 600, clock="index", series=["pump"] * 600), test.append_column("series", [["pump"] * 300])
    )

    assert code == 0, said.err
    assert ("its sample numbers begin again, so they go on after its history, 600 higher" in said.err) is moved
