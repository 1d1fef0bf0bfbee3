"""Tables are made of all scores or of none."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bench.quality.cases import entries
from tests.bench.quality.figures import main, rows_of
from tests.bench.quality.scoring import file_of, load, score_entry, settings_for, write


@pytest.fixture
def folders(tmp_path):
    """Two series of skab, and the scores of a baseline for both."""
    rng = np.random.default_rng(0)
    for name in ("0", "1"):
        columns = {"timestamp": np.arange(700), "a": rng.normal(size=700), "label": (np.arange(700) >= 600) * 1}
        file = tmp_path / "data" / "skab" / "valve1" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
    folder = tmp_path / "scores" / "ridge_ar"
    for entry in entries(tmp_path / "data", "skab"):
        write(file_of(folder, entry, 0), score_entry(entry, "ridge_ar", settings_for([])))
    (folder / "config.json").write_text(json.dumps({"channels": "value"}))
    return tmp_path / "data", tmp_path / "scores"


def options(folders, *more):
    return ["--data", str(folders[0]), "--scores", str(folders[1]), "--jobs", "1", *more]


def test_the_tables_hold_every_series(folders, capsys):
    main(options(folders))
    found = json.loads((folders[1] / "quality.json").read_text())

    assert found["missing"] == []
    assert [(each["dataset"], each["series"]) for each in found["figures"]] == [("skab", 2)]
    assert 0 < found["figures"][0]["vus_pr"]["mean"] < 1
    assert (folders[1] / "quality.md").read_text() + "\n" == capsys.readouterr().out


@pytest.mark.parametrize("how", ["gone", "torn"])
def test_a_series_without_scores_is_named_and_there_is_no_table(folders, how):
    file = next((folders[1] / "ridge_ar").rglob("valve1__1.npz"))
    file.unlink() if how == "gone" else file.write_bytes(b"torn")

    with pytest.raises(SystemExit, match=r"valve1__1\.npz"):
        main(options(folders))

    assert not (folders[1] / "quality.json").exists()


def test_a_first_look_says_that_it_is_no_result(folders):
    next((folders[1] / "ridge_ar").rglob("valve1__1.npz")).unlink()
    main(options(folders, "--allow-missing"))

    assert "1 of 2 series are missing: no result.** ridge_ar 1." in (folders[1] / "quality.md").read_text()


def test_the_one_table_stands_alone_in_a_file_of_its_own(folders, capsys):
    main(options(folders, "--show"))

    assert (folders[1] / "show.md").read_text() + "\n" == capsys.readouterr().out
    assert "ridge AR, the gate" in (folders[1] / "show.md").read_text()
    assert not (folders[1] / "quality.md").exists()


def test_another_configuration_stands_beside_ours_on_the_same_series(folders):
    (folders[1] / "ridge_ar").rename(folders[1] / "plumbline")
    shutil.copytree(folders[1] / "plumbline", folders[1] / "fast")
    main(options(folders))

    assert (
        "| on | strict | skab | fast | 2 |" in (folders[1] / "quality.md").read_text().split("## Beside plumbline")[1]
    )


def test_nab_is_handed_what_exceeds_at_each_promise_and_of_a_detector_without_a_bar_its_score(folders):
    entry = replace(entries(folders[0], "skab")[0], dataset="nab")
    scored = load(file_of(folders[1] / "ridge_ar", replace(entry, dataset="skab"), 0))
    swept = np.arange(300) == np.array([[250], [260]])
    ours, label = rows_of(entry, replace(scored, swept=swept), scored.score)
    theirs, _ = rows_of(entry, scored, scored.score)

    assert ours.shape == (2, len(label)) == (2, 700)
    assert np.argwhere(~np.isnan(ours)).tolist() == [[0, 650], [1, 660]]
    np.testing.assert_array_equal(theirs[0, 400:], scored.score)


def test_a_configuration_that_was_never_run_is_refused(folders):
    with pytest.raises(SystemExit):
        main(options(folders, "--configs", "never"))
