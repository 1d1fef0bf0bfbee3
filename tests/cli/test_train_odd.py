"""Histories with faults, labels and oddities through the command line: learnt and told, or refused in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.bundle import MANIFEST, load
from pipeline.cli.main import main
from tests.streams import wave

SMALL = "detectors: {pumps: {fit: {hidden: 4, steps: 20, evaluate_every: 10, batch: 4, warm_up: 16}}}"
ROWS = 600

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


def written(values, name="pump.csv", **columns):
    """A file of readings every five minutes."""
    times = pd.date_range("2024-01-01", periods=len(values), freq="5min")
    pd.DataFrame({"timestamp": times, "temp": values[:, 0], **columns}).to_csv(name, index=False)


def train(*words):
    return main(["train", "small.yaml", "--data", "pump.csv", "--out", "bundle", *words])


def strict(text):
    """JSON in which a NaN is a failure."""

    def refuse(constant):
        raise AssertionError(f"{constant} in a report")

    return json.loads(text, parse_constant=refuse)


def faulty():
    values = wave(ROWS)
    values[300:306] += 40
    return values


def test_labelled_readings_are_counted_and_no_channel(folder, capsys):
    written(faulty(), fault=[int(300 <= row < 306) for row in range(ROWS)])

    assert train("--label", "fault") == 0
    assert "6 readings are labelled as anomalies: nothing was learnt from them" in capsys.readouterr().err
    assert load(folder / "bundle").names == ("temp",)
    assert load(folder / "bundle").figures["labelled"] == 6


def test_trimmed_spans_are_named_with_their_times(folder, capsys):
    written(faulty())

    assert train("--trim", "0.05") == 0
    said = capsys.readouterr().err
    told = load(folder / "bundle").figures["trim"]
    assert f"trimmed {told['readings']} readings in 1 span: {told['readings'] / told['of']:.2%} of the fit part" in said
    assert "  pump: 2024-01-02T0" in said
    assert load(folder / "bundle").settings.trim == 0.05


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        (np.full((ROWS, 1), 20.0), None),
        (np.where(np.arange(ROWS)[:, None] == 100, 1e300, wave(ROWS)), "one reading makes up most of a channel's"),
        (wave(ROWS)[:500], "shorter than two days: whether the time of day matters cannot be told"),
        (20 + np.sin(np.arange(ROWS) / 80)[:, None], "a slow swing that came round less than twice"),
    ],
)
def test_odd_histories_are_learnt_and_told_and_no_report_holds_a_nan(values, doubt, folder, capsys):
    written(values)
    assert train() == 0
    said = capsys.readouterr().err
    code = main(["backtest", "small.yaml", "--bundle", "bundle", "--test", "pump.csv", "--out", "report", "--fresh"])

    assert code == 0
    assert ("doubtful history: pump: " in said) == (doubt is not None)
    assert doubt is None or doubt in said
    figures = strict((folder / "bundle" / MANIFEST).read_text())["figures"]
    assert [each["words"] for each in figures["doubts"]] == ([] if doubt is None else [figures["doubts"][0]["words"]])
    strict((folder / "report" / "report.json").read_text())


@pytest.mark.parametrize(
    ("values", "words", "said"),
    [
        (wave(60), [], "pump has 60 readings in order; at least 100 are needed to learn what is normal for temp"),
        (np.full((ROWS, 1), np.nan), [], "pump has 0 readings in order; at least 100 are needed"),
        (wave(ROWS), ["--label", "nope"], "pump.csv: there is no column 'nope' for labels among timestamp, temp, odd"),
        (wave(ROWS), ["--label", "odd"], "pump: reading 7 has the label 3: 1 is an anomaly, 0 is none"),
        (wave(ROWS), ["--label", "text"], "or true and false; write them so, or name another column by --label"),
        (wave(ROWS), ["--label", "timestamp"], "label is 'timestamp', which is something else already"),
        (wave(ROWS), ["--ignore", "text", "--trim", "0.5"], "trim is 0.5: a share of the fit part from 0 to 0.1"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_in_one_sentence(values, words, said, folder, capsys):
    extra = {"odd": np.where(np.arange(len(values)) == 7, 3, 0), "text": "x"} if words else {}
    written(values, **extra)
    ignored = ["--ignore", "text"] if words[:2] in (["--label", "nope"], ["--label", "odd"]) else []

    assert train(*words, *ignored) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (folder / "bundle").exists()


def wide(channels, rows=3):
    head = "timestamp," + ",".join(f"c{n}" for n in range(channels))
    return "\n".join([head, *(f"{row}," + ",".join(["1"] * channels) for row in range(rows))]) + "\n"


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        (30_000, "30,000 channels: one step of training would hold about 19 GiB of forecasts"),
        (1_000_000, "pump.csv: its first line is longer than 1 MiB: that is more columns than one detector can take"),
    ],
)
def test_more_channels_than_memory_are_refused_before_the_rows_are_read(channels, said, folder, capsys):
    (folder / "pump.csv").write_text(wide(channels))

    assert train() == 2
    assert said in capsys.readouterr().err
