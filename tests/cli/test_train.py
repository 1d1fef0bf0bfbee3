from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle import load
from pipeline.cli.main import main

SMALL = "detectors: {pumps: {channels: {temp: , flow: }, fit: {hidden: 4, steps: 20, evaluate_every: 10, batch: 4}}}"

NO_NUMBER = (
    "which is no number: mend the file, leave the column out with --ignore note, or, if it names the series, "
    "rename it to series"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A history of two pumps beside a configuration of a small network."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for pump in ("a", "b"):
        path = tmp_path / "history" / f"{pump}.csv"
        path.parent.mkdir(exist_ok=True)
        lines = [f"{row},{rng.normal():.4f},{rng.normal():.4f},x,0" for row in range(300)]
        path.write_text("\n".join(["timestamp,temp,flow,note,label", *lines]) + "\n")
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path


@pytest.mark.slow
def test_files_become_a_bundle_and_the_words_say_what_was_learnt(folder, capsys):
    code = main(["train", "small.yaml", "--data", "history", "--out", "bundles/pumps", "--seed", "3"])
    said = capsys.readouterr()
    detector = load(folder / "bundles" / "pumps")

    assert code == 0
    assert detector.series == ("a", "b")
    assert detector.names == ("temp", "flow")
    assert detector.settings.seed == 3
    assert re.sub(r"in \d+ s", "in 1 s", said.out).splitlines() == [
        "bundles/pumps: 2 channels, 2 series, samples counted one by one; learnt from 600 readings in 1 s",
        "  plumbline backtest --bundle bundles/pumps --test LATER-FILES --out report",
    ]
    assert said.err.splitlines()[0] == "600 readings of 2 channels in 2 series; timestamps taken for sample numbers"
    assert sorted(path.name for path in (folder / "bundles").iterdir()) == ["pumps"]


@pytest.mark.slow
def test_an_interrupted_training_ends_as_if_it_had_never_stopped(folder, capsys):
    words = ["train", "small.yaml", "--data", "history", "--out"]
    main([*words, "whole"])
    interrupt_after_the_first_evaluation(folder, [*words, "pieces"])
    capsys.readouterr()
    code = main([*words, "pieces"])

    assert code == 0
    assert "going on from step 10, where pieces.resume left it" in capsys.readouterr().err
    assert load(folder / "pieces").digest == load(folder / "whole").digest
    assert not (folder / "pieces.resume").exists()


def interrupt_after_the_first_evaluation(folder, words):
    """Leave behind the resume file that an interruption leaves."""
    from pipeline.cli.columns import detector_settings, open_files
    from pipeline.cli.fitting import digest_of, keeper
    from pipeline.connectors.tables import read_histories
    from pipeline.training.fit import fitting
    from pipeline.training.history import History

    settings = detector_settings(Path("small.yaml"), None)
    found = read_histories(open_files([Path("history")], settings))
    histories = [History(each.name, each.at, each.values, each.missing) for each in found.series]
    steps = fitting(histories, found.channels, found.clock, settings.fit)
    keeper(folder / f"{words[-1]}.resume", digest_of(histories, found.channels, settings.fit))(next(steps).resume)


@pytest.mark.slow
def test_the_resume_file_of_another_training_is_refused(folder, capsys):
    words = ["train", "small.yaml", "--data", "history", "--out", "pumps"]
    interrupt_after_the_first_evaluation(folder, words)

    assert main([*words, "--seed", "9"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "plumbline: pumps.resume: this resume file was left by a training on other data or settings: go on with those, "
        "or remove the file and training starts anew"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--data", "history", "--out", "history"],
            "history exists and is no bundle: it has no manifest.json; choose another folder for --out",
        ),
        (
            ["--data", "history", "--out", "b"],
            f"history/a.csv: line 2: column 'note' holds 'x', {NO_NUMBER}",
        ),
        (
            ["--data", "history", "--out", "b", "--detector", "a"],
            "--detector a chooses among those of a configuration: name the file",
        ),
        (
            ["small.yaml", "--data", "small.yaml", "--out", "b"],
            "small.yaml: this is no table (.parquet, .csv.gz, .csv); name files, or a folder that holds nothing else",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_before_anything_starts(words, message, folder, capsys):
    assert main(["train", *words]) == 2
    assert capsys.readouterr() == ("", f"plumbline: {message}\n")
