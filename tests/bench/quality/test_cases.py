"""The series are cut as the protocol says: on files written here, and counted on the data sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bench.quality.cases import entries, read, readings_of, unmatched

KNOWN = {"ucr": (197, 15), "nab": (46, 46), "smd": (15, 8), "skab": (22, 22), "smap": (33, 14), "msl": (17, 5)}


def write(file, rows, first=0, channels=("value",), labels=(), **more):
    """A file as the data sets have them: channel k holds the row number plus k."""
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = {"timestamp": np.arange(first, first + rows)}
    columns |= {name: np.arange(rows) + number for number, name in enumerate(channels)} | more
    if labels:
        columns["label"] = np.isin(np.arange(rows), labels).astype(np.uint8)
    pq.write_table(pa.table(columns), file)


def test_nab_learns_from_its_first_15_percent_and_at_most_750_rows(tmp_path):
    write(tmp_path / "nab" / "a" / "short.parquet", 1000, labels=[400])
    write(tmp_path / "nab" / "b" / "long.parquet", 9000, labels=[400, 8000])
    long, short = sorted(map(read, entries(tmp_path, "nab")), key=lambda case: -len(case.train))

    assert (len(short.train), len(short.test), short.series) == (150, 850, "a/short")
    assert (len(long.train), len(long.test), long.series) == (750, 8250, "b/long")
    assert np.flatnonzero(long.labels).tolist() == [7250]
    assert long.test.at[0] == long.train.at[-1] + 1


def test_skab_learns_from_400_rows_and_leaves_out_what_tells_the_answer(tmp_path):
    write(tmp_path / "skab" / "valve1" / "0.parquet", 500, channels=("a", "b"), labels=[450], changepoint=np.zeros(500))
    write(tmp_path / "skab" / "anomaly-free" / "anomaly-free.parquet", 500)
    (case,) = map(read, entries(tmp_path, "skab"))

    assert (case.series, case.names, len(case.train), len(case.test)) == ("valve1/0", ("a", "b"), 400, 100)


def test_a_test_part_goes_on_where_its_train_part_ends(tmp_path):
    write(tmp_path / "ucr" / "train" / "004_x.parquet", 300)
    write(tmp_path / "ucr" / "test" / "004_x.parquet", 500, first=300, labels=[100])
    (case,) = map(read, entries(tmp_path, "ucr"))

    assert case.on_list
    assert not case.fresh
    assert (case.train.at[-1], case.test.at[0], case.test.at[-1]) == (299, 300, 799)
    assert len(readings_of(case.test)) == len(case.labels) == 500


def test_telemetry_stands_alone_or_with_its_commands(tmp_path):
    for part in ("train", "test"):
        write(tmp_path / "msl" / part / "T-4.parquet", 300, channels=("value", "cmd_1"), labels=[9])

    assert read(entries(tmp_path, "msl")[0]).names == ("value",)
    assert read(entries(tmp_path, "msl", channels="all")[0]).names == ("value", "cmd_1")


def test_the_benchmark_s_mode_learns_from_the_head_of_the_test_file_and_judges_all_of_it_cold(tmp_path):
    write(tmp_path / "smd" / "test" / "machine-1-2.parquet", 4000, channels=("a", "b"), labels=[1050])
    write(tmp_path / "smd" / "test" / "machine-9-9.parquet", 4000, channels=("a", "b"), labels=[1060])
    write(tmp_path / "smd" / "test" / "machine-9-8.parquet", 4000, channels=("a", "b"), labels=[3000])
    (tmp_path / "tsb-ad").mkdir()
    names = "file_name\n057_SMD_id_1_Facility_tr_950_1st_1050.csv\n058_SMD_id_2_Facility_tr_999_1st_3000.csv\n"
    (tmp_path / "tsb-ad" / "TSB-AD-M.csv").write_text(names)
    (entry,) = entries(tmp_path, "smd", "tsb")
    case = read(entry)

    assert (entry.series, entry.official, case.fresh) == ("machine-1-2", ("057",), True)
    assert (len(case.train), len(case.test), case.test.at[0]) == (950, 4000, 0)
    np.testing.assert_array_equal(case.train.values, case.test.values[:950])
    assert unmatched(tmp_path, "smd") == ["machine-9-8", "machine-9-9"]


def test_a_data_set_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="smd"):
        entries(tmp_path, "smd")
    with pytest.raises(ValueError, match="kettle"):
        entries(tmp_path, "kettle")


@pytest.mark.parametrize(("dataset", "counts"), KNOWN.items())
def test_the_data_sets_hold_the_series_that_they_are_known_to_hold(data_folder, dataset, counts):
    if not (data_folder / dataset).is_dir():
        pytest.skip(f"PLUMBLINE_DATA has no {dataset}")
    found = entries(data_folder, dataset)

    assert (len(found), sum(entry.on_list for entry in found)) == counts


def test_the_benchmark_s_prefixes_are_those_that_its_names_tell(data_folder):
    if not (data_folder / "tsb-ad").is_dir():
        pytest.skip("PLUMBLINE_DATA has no tsb-ad")
    found = {entry.series.removeprefix("machine-"): entry for entry in entries(data_folder, "smd", "tsb")}

    assert {name: (*entry.official, entry.train_rows) for name, entry in found.items()} == {
        "1-2": ("057", 4529),
        "1-5": ("073", 5926),
        "2-1": ("063", 5923),
        "2-2": ("069", 5925),
        "2-3": ("059", 757),
        "2-7": ("075", 564),
        "2-8": ("076", 5925),
        "3-10": ("078", 500),
    }
