"""A run goes on where it was, mixes nothing, and fails by name."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bench.quality.cases import entries
from tests.bench.quality.injected import KINDS
from tests.bench.quality.processes import POOLS
from tests.bench.quality.run import main
from tests.bench.quality.scoring import load, score_entry, settings_for


@pytest.fixture(autouse=True)
def environment_as_before(monkeypatch):
    """`main` sets how many threads its processes have."""
    for pool in POOLS:
        monkeypatch.setenv(pool, "1")


@pytest.fixture
def data(tmp_path):
    """Two series of skab."""
    for name in ("0", "1"):
        write(tmp_path / "data" / "skab" / "valve1" / f"{name}.parquet", 700)
    return tmp_path / "data"


def write(file, rows):
    rng = np.random.default_rng(0)
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {"timestamp": np.arange(rows), "a": rng.normal(size=rows), "label": (np.arange(rows) >= rows - 50) * 1}
    pq.write_table(pa.table(columns), file)


@pytest.fixture
def train_parts(tmp_path):
    """Two training parts of ucr that anomalies are put into."""
    rng, rows = np.random.default_rng(0), np.arange(1600)
    for name in ("119_UCR_Anomaly_ECG1_1600_1_2", "121_UCR_Anomaly_ECG3_1600_1_2"):
        file = tmp_path / "data" / "ucr" / "train" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"value": np.sin(rows / 5.0) + rng.normal(0, 0.1, 1600)}), file)
    return tmp_path / "data"


def options(data, *more):
    out = data.parent / "scores"
    return ["--data", str(data), "--out", str(out), "--datasets", "skab", "--jobs", "1", *more]


def scores(data):
    return {file.name: file.stat().st_mtime_ns for file in (data.parent / "scores").rglob("*.npz")}


def test_what_is_there_is_not_scored_again(data, capsys):
    main(options(data, "--detector", "random", "--series", "valve1/0"))
    before = scores(data)
    main(options(data, "--detector", "random"))
    after = scores(data)

    assert sorted(after) == ["valve1__0.npz", "valve1__1.npz"]
    assert after["valve1__0.npz"] == before["valve1__0.npz"]
    assert "1 of them there" in capsys.readouterr().out


def test_a_series_that_cannot_be_scored_fails_the_run_by_name_and_not_the_others(data):
    table = pq.read_table(data / "skab" / "valve1" / "0.parquet").drop_columns(["label"])
    pq.write_table(table, data / "skab" / "valve1" / "2.parquet")

    with pytest.raises(SystemExit, match="1 series have no scores: strict skab valve1/2"):
        main(options(data, "--detector", "random"))

    assert "valve1__0.npz" in scores(data)


def test_scores_of_other_settings_or_other_code_are_not_mixed(data, capsys):
    main(options(data, "--detector", "random"))
    with pytest.raises(SystemExit):
        main(options(data, "--detector", "random", "--set", "hidden=8"))
    assert "another changed, settings" in capsys.readouterr().err

    file = data.parent / "scores" / "random" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "code": "older"}))
    with pytest.raises(SystemExit):
        main(options(data, "--detector", "random"))
    assert "scores of another code" in capsys.readouterr().err


def test_anomalies_in_one_train_part_share_a_fit_and_score_as_each_by_itself(train_parts):
    tiny = ["hidden=8", "steps=40", "evaluate_every=20", "warm_up=24"]
    kinds = ("noise", "standstill")
    series = [f"{signal}/{kind}" for signal in ("ECG1", "ECG3") for kind in kinds]
    main(options(train_parts, "--datasets", "injected", "--series", *series, "--set", *tiny))
    found = {
        name: load(train_parts.parent / "scores/plumbline/strict/injected/seed0" / f"{name.replace('/', '__')}.npz")
        for name in series
    }
    seconds = [each.about["fit_seconds"] for each in found.values()]

    assert seconds[0] == seconds[1] != seconds[2] == seconds[3]
    for entry in entries(train_parts, "injected"):
        if entry.series in series:
            alone = score_entry(entry, "plumbline", settings_for(tiny))
            np.testing.assert_array_equal(found[entry.series].score, alone.score)
            np.testing.assert_array_equal(found[entry.series].labels, alone.labels)


def test_series_are_named_by_pattern_as_well(train_parts, capsys):
    chosen = options(train_parts, "--datasets", "injected", "--detector", "random", "--list", "off")
    main([*chosen, "--series", "ECG1/*", "*/noise"])

    assert sorted(scores(train_parts)) == sorted([*(f"ECG1__{kind}.npz" for kind in KINDS), "ECG3__noise.npz"])
    with pytest.raises(SystemExit):
        main([*chosen, "--series", "ECG1/*", "ECG2/*"])
    assert "--series ECG2/*: not among the 16 series of injected" in capsys.readouterr().err


def test_scores_of_anomalies_made_otherwise_are_not_mixed_and_the_other_data_sets_go_on(data, train_parts, capsys):
    made = options(data, "--detector", "random", "--datasets", "injected", "--series", "ECG1/noise")
    main(options(data, "--detector", "random", "--series", "valve1/0"))
    main(made)
    file = data.parent / "scores" / "random" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "anomalies": "older"}))
    with pytest.raises(SystemExit):
        main(made)
    main(options(data, "--detector", "random"))

    assert "scores of another anomalies" in capsys.readouterr().err
    assert sorted(scores(data)) == ["ECG1__noise.npz", "valve1__0.npz", "valve1__1.npz"]


def test_a_series_that_there_is_not_is_refused(data, capsys):
    with pytest.raises(SystemExit):
        main(options(data, "--series", "kettle"))

    assert "--series kettle: not among the 2 series of skab" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("rrcf") is not None, reason="this is the environment of the peers")
def test_a_peer_is_refused_with_the_name_of_its_environment(data, capsys):
    with pytest.raises(SystemExit):
        main(options(data, "--detector", "rrcf"))

    assert "rrcf needs rrcf, which is not here" in capsys.readouterr().err
    assert not (data.parent / "scores").exists()
