"""`plumbline train --extend`: a bundle with series more."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.bundle import load
from pipeline.cli.main import main

SMALL = "detectors: {pumps: {channels: {temp: , flow: }, fit: {hidden: 4, steps: 20, evaluate_every: 10, batch: 4}}}"


def write(path, rows, seed, columns=("temp", "flow"), minutes=1):
    """A history of minutes, from the first of March on."""
    rng = np.random.default_rng(seed)
    begin = np.datetime64("2026-03-01T00:00")
    lines = [f"{begin + minutes * row}:00Z," + ",".join(f"{rng.normal():.4f}" for _ in columns) for row in range(rows)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([f"timestamp,{','.join(columns)}", *lines]) + "\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a bundle of two pumps, and their history with that of a third and a short one."""
    folder = tmp_path_factory.mktemp("extend")
    (folder / "small.yaml").write_text(SMALL)
    (folder / "other.yaml").write_text(SMALL.replace("hidden: 4", "hidden: 8"))
    for seed, pump in enumerate("ab"):
        write(folder / "history" / f"{pump}.csv", 300, seed)
    words = ["--data", str(folder / "history"), "--out", str(folder / "pumps"), "--seed", "3"]
    assert main(["train", str(folder / "small.yaml"), *words]) == 0
    write(folder / "history" / "c.csv", 5100, 2)
    write(folder / "history" / "d.csv", 50, 3)
    return folder


@pytest.fixture
def folder(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def extend(*words):
    return main(["train", *map(str, words), "--extend", "pumps", "--out", "more"])


@pytest.mark.slow
def test_new_series_are_added_and_the_words_say_what_they_got(folder, capsys):
    code = extend("small.yaml", "--data", "history")
    said = capsys.readouterr()
    before, longer = load(folder / "pumps"), load(folder / "more")

    assert code == 0
    assert said.out == (
        f"more: 1 series more, 1 with a calibration of their own; 3 series in all, detector {longer.digest[:12]}\n"
    )
    assert "2 series of the history are in the bundle already, and stay as they are" in said.err
    assert "too short to be calibrated, and left out: d" in said.err
    assert "calibrating: 5,100 of 5,100" in said.err
    assert longer.series == ("a", "b", "c")
    assert [each.digest for each in longer.extends] == [before.digest]
    assert (longer.figures["extensions"][0]["of"], longer.figures["steps"]) == (before.digest, before.figures["steps"])
    main(["inspect", "more", "--json"])
    assert json.loads(capsys.readouterr().out)["extends"] == [before.digest]
    assert not list(folder.glob("*.resume"))


@pytest.mark.slow
def test_without_a_configuration_the_bundle_says_all_and_it_can_take_its_own_place(folder, capsys):
    digest = load(folder / "pumps").digest
    code = main(["train", "--data", "history/c.csv", "--extend", "pumps", "--out", "again"])
    again = main(["train", "--data", "history", "--extend", "again", "--out", "again"])
    err = capsys.readouterr().err.splitlines()[-1]

    assert (code, again) == (0, 2)
    assert [each.digest for each in load(folder / "again").extends] == [digest]
    assert err.startswith("plumbline: d has 50 readings in order; at least 100 are needed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["other.yaml", "--data", "history"], "other settings than fit has now: hidden 8 (the bundle: 4); set them as"),
        (["small.yaml", "--data", "history", "--seed", "4"], "--seed is of a training, and --extend leaves the"),
        (["--data", "history", "--trim", "0.05"], "--trim is of a training, and --extend leaves the network as it is"),
        (["--data", "history", "--channels", "temp"], "the detector of the bundle reads temp flow, all of them"),
        (["--data", "history/a.csv"], "all 1 series of the history are in the bundle already"),
        (["--data", "odd/lacking.csv"], "flow"),
        (["--data", "odd/slow.csv"], "slow: its step is 600 s, those of the bundle's series are 60 s"),
        (["--data", "odd/counted.csv"], "its timestamps are taken for index, the bundle's are time"),
    ],
)
def test_what_does_not_fit_the_bundle_is_refused_with_the_difference(folder, capsys, words, said):
    write(folder / "odd" / "lacking.csv", 200, 0, ("temp",))
    write(folder / "odd" / "slow.csv", 200, 0, minutes=10)
    counted = "\n".join(f"{row},1.5,{row % 7}" for row in range(200))
    (folder / "odd" / "counted.csv").write_text(f"timestamp,temp,flow\n{counted}\n")
    code = extend(*words)

    assert code == 2
    assert said in capsys.readouterr().err
