"""`plumbline evaluate` on what `plumbline backtest` wrote."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.main import main
from pipeline.evaluation.baselines import BASELINES

CONFIG = "detectors: {pump: {fit: {hidden: 8, steps: 20, warm_up: 24, device: cpu}}}\n"


def readings(first, rows, faults=(), **columns):
    index = np.arange(first, first + rows)
    values = 20 + np.sin(index / 6) + np.random.default_rng(first).normal(0, 0.1, rows)
    for fault in faults:
        values[fault : fault + 10] += 15
    return pa.table({"timestamp": index, "temp": values, **columns})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle, a backtest with it, and the files of both."""
    at = tmp_path_factory.mktemp("evaluate")
    label = np.zeros(600, np.int8)
    label[200:210] = 1
    (at / "c.yaml").write_text(CONFIG)
    pq.write_table(readings(0, 600), at / "before.parquet")
    pq.write_table(readings(600, 600, [200], label=label, fault=label * 0), at / "after.parquet")
    pq.write_table(readings(600, 600, [200]), at / "unlabelled.parquet")
    (at / "short").mkdir()
    pq.write_table(readings(600, 500, [200], label=label[:500]), at / "short" / "after.parquet")
    assert main(["train", str(at / "c.yaml"), "--data", str(at / "before.parquet"), "--out", str(at / "bundle")]) == 0
    words = ["--bundle", str(at / "bundle"), "--test", str(at / "after.parquet"), "--ignore", "fault"]
    assert main(["backtest", *words, "--out", str(at / "report"), "--pictures", "0"]) == 0
    return at


@pytest.fixture
def run(folder, tmp_path, capsys):
    """Evaluate; the exit code, what was said, and what was written."""

    def evaluate(*words, report=None, test="after.parquet"):
        given = [] if report == "" else ["--report", str(folder / (report or "report"))]
        words = [str(folder / word[1:]) if word.startswith("@") else word for word in words]
        code = main(["evaluate", *given, "--test", str(folder / test), "--out", str(tmp_path / "out"), *words])
        written = tmp_path / "out" / "evaluation.json"
        return code, capsys.readouterr(), json.loads(written.read_text()) if written.exists() else None

    return evaluate


def test_ours_stands_in_one_table_with_all_simple_detectors(run, tmp_path):
    code, said, judged = run("--train", "@before.parquet")

    assert code == 0, said.err
    assert list(judged["detectors"]) == ["plumbline", *BASELINES]
    assert judged["detectors"]["plumbline"]["vus_pr"]["mean"] > judged["detectors"]["random"]["vus_pr"]["mean"]
    assert judged["series"][0]["at_bar"]["found"] == 1
    assert "ridge_ar" in said.out
    assert "| ridge_ar |" in (tmp_path / "out" / "evaluation.md").read_text()


def test_an_incident_that_was_open_from_the_first_row_finds_nothing_by_staying_open(run, folder, tmp_path):
    """The event is rows 200 to 209; the row before it is no reading, and ends no incident."""
    report, scores = tmp_path / "open", pq.read_table(folder / "report" / "scores.parquet")
    shutil.copytree(folder / "report", report)

    def judged(exceeding):
        rows = np.arange(600)
        score, alert = np.where(np.isin(rows, exceeding), 3.0, 0.5), rows != 199
        outcome = np.where(alert, "scored", "invalid")
        written = scores
        for name, column in {"score": score, "bar": np.full(600, 2.0), "alert": alert, "outcome": outcome}.items():
            written = written.set_column(written.schema.get_field_index(name), name, pa.array(column))
        pq.write_table(written, report / "scores.parquet")
        code, said, all_of_it = run(report=report)
        assert code == 0, said.err
        return all_of_it["series"][0]

    before, within = judged([3]), judged([3, 204])

    assert (before["alerts"]["found"], before["alerts"]["delay_median_rows"]) == (0, None)
    assert before["at_bar"]["found"] == 0
    assert (within["alerts"]["found"], within["alerts"]["delay_median_rows"]) == (1, 4.0)
    assert within["at_bar"]["found"] == 1


def test_a_bundle_is_backtested_first_and_says_the_same(run):
    _, _, by_report = run()
    code, said, by_bundle = run("--bundle", "@bundle", "--ignore", "fault", report="")

    assert code == 0, said.err
    assert by_bundle == by_report


def test_all_normal_labels_are_an_outcome_not_a_failure(run):
    code, said, judged = run("--label", "fault")

    assert code == 0
    assert "series after: all normal" in said.err
    assert judged["detectors"]["plumbline"]["vus_pr"] == {"mean": None, "series": 0}


@pytest.mark.parametrize(
    ("words", "choice", "message"),
    [
        (
            ["--label", "broken"],
            {},
            "there is no column 'broken' for labels among timestamp, temp, label, fault: name one by",
        ),
        ([], {"test": "unlabelled.parquet"}, "there is no column 'label' for labels"),
        ([], {"test": "before.parquet"}, "there is no column 'label' for labels"),
        ([], {"test": "short"}, "series after: 600 scores and 500 labels"),
        ([], {"report": "bundle"}, "no whole report of a backtest"),
        ([], {"report": ""}, "found neither"),
        (["--bundle", "@bundle"], {}, "found both"),
        (["--ignore", "label"], {}, "label is 'label', which is something else already"),
        (["--report", "@report"], {}, "series after is in an earlier report"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(run, words, choice, message):
    code, said, judged = run(*words, **choice)

    assert code == 2
    assert message in said.err
    assert judged is None


@pytest.mark.parametrize("column", ["label", "state"])
@pytest.mark.parametrize("given", [["--report", "@report"], ["--bundle", "@bundle"]])
def test_labels_in_words_are_told_what_labels_are_and_nothing_is_scored(run, folder, tmp_path, column, given):
    spoken = np.where(pq.read_table(folder / "after.parquet")["label"].to_numpy() > 0, "anomaly", "normal")
    pq.write_table(readings(600, 600, [200], **{column: spoken}), tmp_path / "after.parquet")
    code, said, judged = run(*given, "--label", column, report="", test=tmp_path / "after.parquet")

    assert code == 2
    assert f"column '{column}' is not numeric but string: labels are 1 for an anomaly and 0 for none, or " in said.err
    assert said.err.endswith("true and false; write them so, or name another column by --label\n")
    assert judged is None
    assert not (tmp_path / "out").exists()


def test_labels_that_are_true_and_false_say_the_same_as_numbers(run, folder, tmp_path):
    marked = pq.read_table(folder / "after.parquet")["label"].to_numpy() > 0
    pq.write_table(readings(600, 600, [200], state=marked), tmp_path / "after.parquet")
    by_numbers = run()[2]
    code, said, by_truth = run("--label", "state", test=tmp_path / "after.parquet")

    assert code == 0, said.err
    assert by_truth == by_numbers


def test_a_missing_series_fails_the_run_by_name(run, folder, tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("after", "other"):
        pq.write_table(pq.read_table(folder / "after.parquet"), tmp_path / "more" / f"{name}.parquet")
    code, said, _ = run(test=tmp_path / "more")

    assert code == 2
    assert "series other: not in the reports" in said.err
