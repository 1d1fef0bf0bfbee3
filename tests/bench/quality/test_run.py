"""A run goes on where it was, mixes nothing, and fails by name."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bench.quality.processes import POOLS
from tests.bench.quality.run import main


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
