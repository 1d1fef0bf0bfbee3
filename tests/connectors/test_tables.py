from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.connectors.tables import Continuation, open_tables, read_histories
from pipeline.exceptions import DataError
from pipeline.formats.frames import FrameMapping, labels
from pipeline.records import Readings, Reason


def write(path, rows=5, first=0, **columns):
    """A Parquet file with an index clock and one channel, or the columns given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = columns or {"temp": np.arange(rows) * 0.5}
    pyarrow.parquet.write_table(pa.table({"timestamp": np.arange(first, first + rows), **columns}), path)
    return path


def text(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def all_readings(tables, **options):
    return [decoded.readings for _, _, decoded in tables.decoded(**options)]


def test_a_folder_is_read_in_order_and_its_series_are_named_by_their_paths(tmp_path):
    for name in ("b.parquet", "north/2.parquet", "a.parquet", ".hidden/x.parquet"):
        write(tmp_path / name)
    text(tmp_path / "c.d.csv", "timestamp,temp\n1,2\n")
    tables = open_tables([tmp_path])

    assert [file.name for file in tables.files] == ["a", "b", "c.d", "north/2"]
    assert tables.rows is None  # a CSV file does not say
    assert open_tables([tmp_path / "a.parquet", tmp_path / "north"]).rows == 10
    assert [file.name for file in open_tables([tmp_path / "north/2.parquet"]).files] == ["2"]


def test_batches_of_any_size_hold_the_same_rows_with_their_place_in_the_file(tmp_path, rng):
    path = write(tmp_path / "a.parquet", rows=1000, x=rng.normal(size=1000), y=rng.normal(size=1000))
    whole = all_readings(open_tables([path]))
    cut = all_readings(open_tables([path]), rows=7)

    assert [len(readings) for readings in cut][:2] == [7, 7]
    np.testing.assert_array_equal(np.concatenate([each.values for each in cut]), whole[0].values)
    assert np.concatenate([each.offset for each in cut]).tolist() == list(range(1000))


def test_csv_and_parquet_of_the_same_rows_give_the_same_readings(tmp_path):
    content = "timestamp,series,temp,label\n" + "".join(f"{i},p{i % 2},{i / 7!r},{i % 2}\n" for i in range(100))
    plain = text(tmp_path / "a.csv", content)
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(content.encode()))
    numbers = {"series": [f"p{i % 2}" for i in range(100)], "temp": [i / 7 for i in range(100)]}
    columns = write(tmp_path / "a.parquet", rows=100, **numbers, label=[i % 2 for i in range(100)])
    read = [all_readings(open_tables([path]))[0] for path in (plain, packed, columns)]

    assert read[0].names == read[1].names == read[2].names == ["p0", "p1"]
    for other in read[1:]:
        np.testing.assert_array_equal(other.values, read[0].values)
        np.testing.assert_array_equal(other.at, read[0].at)
        np.testing.assert_array_equal(other.series, read[0].series)


def test_a_csv_file_keeps_its_types_over_all_its_parts(tmp_path):
    """The first megabyte holds whole numbers and an empty column, the rest fractions and values."""
    rows = [f"{i},{i % 9},\n" for i in range(150_000)] + [f"{i},0.5,7\n" for i in range(150_000, 150_100)]
    path = text(tmp_path / "a.csv", "timestamp,temp,late\n" + "".join(rows))
    read = all_readings(open_tables([path]))

    assert sum(len(readings) for readings in read) == 150_100
    assert read[-1].values[-1].tolist() == [0.5, 7.0]
    assert read[0].missing[0].tolist() == [False, True]


def test_labels_are_handed_on_and_never_scored(tmp_path):
    path = write(tmp_path / "a.parquet", rows=3, temp=[1.0, 2.0, 3.0], label=pa.array([1, 0, None], pa.uint8()))
    tables = open_tables([path])
    _, batch, decoded = next(tables.decoded())

    assert tables.channels == ("temp",)
    assert labels(batch)[0].tolist() == [True, False, False]
    assert decoded.readings.values.shape == (3, 1)


def test_one_row_is_a_table(tmp_path):
    assert len(all_readings(open_tables([write(tmp_path / "a.parquet", rows=1)]))[0]) == 1
    assert len(all_readings(open_tables([text(tmp_path / "a.csv", "timestamp,temp\n1,2")]))[0]) == 1


def test_duplicate_and_backward_times_and_huge_values_are_passed_on(tmp_path):
    path = text(tmp_path / "a.csv", "timestamp,temp\n5,1\n5,2\n3,1e300\n")

    assert all_readings(open_tables([path]))[0].at.tolist() == [5, 5, 3]
    assert all_readings(open_tables([path]))[0].values[2, 0] == 1e300


def test_rows_with_infinities_or_without_a_time_are_rejected_and_nan_is_missing(tmp_path):
    path = text(tmp_path / "a.csv", "timestamp,temp\n2024-01-01,inf\nsoon,1\n,1\n2024-01-02,NaN\n2024-01-03,1e999\n")
    decoded = next(open_tables([text(path, "timestamp,temp\n2023-12-31,1\n" + path.read_text()[15:])]).decoded())[2]

    assert decoded.readings.missing.tolist() == [[False], [True]]
    assert [(each.row, each.reason) for each in decoded.rejected] == [
        (1, Reason.NOT_FINITE),
        (2, Reason.TIME),
        (3, Reason.TIME),
        (5, Reason.NOT_FINITE),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.parquet", "", "a.parquet: the file is empty"),
        ("a.csv", "timestamp,temp\n", "there are columns and no rows"),
        ("a.csv", "timestamp,temp", "a.csv: cannot be read"),
        ("a.csv", "time,temp\n1,2\n", "there is no column 'timestamp' among time, temp"),
        ("a.csv", "1,2\n3,4\n", "there is no column 'timestamp' among 1, 2"),
        ("a.csv", "timestamp,temp\n1,2\n2,warm\n", "line 3: column 'temp' holds 'warm', which is no number"),
        ("a.csv", "timestamp,temp\n1,2\n2,1,5\n", "a.csv: cannot be read: .*Expected 2 columns, got 3"),
        ("a.csv", "timestamp,temp\nsoon,2\n", "line 2: timestamp 'soon' is neither ISO 8601 nor a whole number"),
        ("a.csv", "timestamp,temp\n1.5,2\n", "'timestamp' holds fractions"),
        ("a.csv", "timestamp,temp,temp\n1,2,3\n", "column 'temp' occurs twice"),
        (
            "a.csv",
            "timestamp,temp,label\n1,2,bad\n",
            "line 2: column 'label' holds 'bad', which is no number: labels are 1 for an anomaly and 0 for none",
        ),
        ("a.parquet", "no columns at all", "a.parquet: cannot be read"),
        ("a.txt", "timestamp,temp\n1,2\n", "a.txt: this is no table .*.parquet, .csv.gz, .csv"),
        ("a.csv.gz", "timestamp,temp\n1,2\n", "a.csv.gz: cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_its_path_and_why(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message) as caught:
        open_tables([text(tmp_path / name, content)])

    assert str(caught.value).startswith(f"{tmp_path / name}: ")


def test_text_among_numbers_is_found_by_its_line_however_late_it_comes(tmp_path):
    rows = "".join(f"{i},{i / 3}\n" for i in range(100_000))
    tables = open_tables([text(tmp_path / "a.csv", f"timestamp,temp\n{rows}100000,warm\n")])

    with pytest.raises(DataError, match="line 100002: column 'temp' holds 'warm', which is no number: mend the file"):
        list(tables.decoded())


@pytest.mark.parametrize(
    ("mapping", "way_out"), [({}, "leave it out with --ignore label"), ({"label": "label"}, "name another column by")]
)
def test_text_among_labels_is_told_what_labels_are_however_late_it_comes(tmp_path, mapping, way_out):
    rows = "".join(f"{i},{i / 3},0\n" for i in range(100_000))
    content = f"timestamp,temp,label\n{rows}100000,1,anomaly\n"
    tables = open_tables([text(tmp_path / "a.csv", content)], FrameMapping(**mapping))

    with pytest.raises(DataError, match=f"line 100002: column 'label' holds 'anomaly'.* 1 for an anomaly.* {way_out}"):
        list(tables.decoded())


def test_a_csv_file_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("timestamp,series,temp\n1,Kühlung,2\n".encode("latin-1"))

    with pytest.raises(DataError, match=r"a.csv: cannot be read: .*UTF8"):
        list(open_tables([path]).decoded())


def test_a_parquet_file_cut_short_is_refused(tmp_path, rng):
    path = write(tmp_path / "a.parquet", rows=1000, temp=rng.normal(size=1000))
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(DataError, match=r"a.parquet: cannot be read"):
        open_tables([path])


def test_a_parquet_file_that_was_damaged_inside_is_refused_when_it_is_read(tmp_path, rng):
    path = write(tmp_path / "a.parquet", rows=1000, temp=rng.normal(size=1000))
    content = bytearray(path.read_bytes())
    content[4:60] = b"\xff" * 56  # the head of the first page; the footer is whole
    path.write_bytes(content)

    with pytest.raises(DataError, match=r"a.parquet: cannot be read"):
        list(open_tables([path]).decoded())


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    with pytest.raises(DataError, match="there are columns and no rows"):
        open_tables([write(tmp_path / "a.parquet", rows=0, temp=np.zeros(0))])


def test_a_stranger_in_a_folder_is_refused_and_not_skipped(tmp_path):
    write(tmp_path / "a.parquet")
    text(tmp_path / "LICENSE.txt", "free")

    with pytest.raises(
        DataError, match=r"LICENSE.txt: this is no table .*; name files, or a folder that holds nothing"
    ):
        open_tables([tmp_path])


def test_paths_that_hold_nothing_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match="nowhere: there is no such file or folder"):
        open_tables([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="empty: this folder holds no tables"):
        open_tables([tmp_path / "empty"])
    with pytest.raises(DataError, match="no data was given"):
        open_tables([])


def test_a_file_given_twice_is_refused(tmp_path):
    write(tmp_path / "a.parquet")

    with pytest.raises(DataError, match=r"a.parquet: given twice"):
        open_tables([tmp_path, tmp_path / "a.parquet"])


def test_files_with_other_channels_are_refused_with_the_difference(tmp_path):
    first = write(tmp_path / "a.parquet", x=range(5), y=range(5))
    second = write(tmp_path / "b.parquet", y=range(5), z=range(5), note=range(5))

    with pytest.raises(DataError, match=r"b.parquet: other channels than .*a.parquet: lacking x, besides z, note"):
        open_tables([first, second])
    assert open_tables([first, second], FrameMapping(channels=("y",))).channels == ("y",)
    with pytest.raises(DataError, match=r"b.parquet: the channels x are not there: asked for x, y, found y, z, note"):
        open_tables([first, second], FrameMapping(channels=("x", "y")))


def test_channels_are_read_by_name_whatever_their_order_in_a_file(tmp_path):
    first = write(tmp_path / "a.parquet", rows=2, x=[1.0, 2.0], y=[3.0, 4.0])
    second = write(tmp_path / "b.parquet", rows=2, y=[30.0, 40.0], x=[10.0, 20.0], extra=[0, 0])
    tables = open_tables([first, second], FrameMapping(ignore=("extra",)))

    assert tables.channels == ("x", "y")
    assert all_readings(tables)[1].values.tolist() == [[10.0, 30.0], [20.0, 40.0]]
    assert tables.columns == {"timestamp", "x", "y", "extra"}


def test_files_of_another_clock_are_refused(tmp_path):
    first = write(tmp_path / "a.parquet")
    second = text(tmp_path / "b.csv", "timestamp,temp\n2024-01-01,1\n")

    with pytest.raises(DataError, match=r"b.csv: its timestamps are no index as in .*a.parquet"):
        open_tables([first, second])


def test_an_index_that_restarts_in_the_next_file_goes_on_at_last_plus_one(tmp_path):
    write(tmp_path / "1/a.parquet", rows=3)
    write(tmp_path / "1/b.parquet", rows=2, first=100)
    write(tmp_path / "2/a.parquet", rows=3)
    write(tmp_path / "3/a.parquet", rows=2, first=50)  # goes on by itself
    tables = open_tables([tmp_path / "1", tmp_path / "2", tmp_path / "3"])
    shifted = [(file.name, decoded.readings.at.tolist()) for file, _, decoded in tables.decoded(rows=2)]
    at = {name: [moment for each, moments in shifted if each == name for moment in moments] for name in "ab"}

    assert at == {"a": [0, 1, 2, 3, 4, 5, 50, 51], "b": [100, 101]}


def test_a_test_file_goes_on_where_the_detectors_history_ended(tmp_path):
    path = write(tmp_path / "a.parquet", rows=3)

    assert all_readings(open_tables([path]), last={"a": 999})[0].at.tolist() == [1000, 1001, 1002]


def test_sample_numbers_that_repeat_or_step_back_within_a_file_stay_as_they_are():
    continuation = Continuation({"a": 9})
    one = continuation.file()
    at = np.array([5, 7, 7, 6, 8])
    zeros = np.zeros(5, dtype=np.int32)
    readings = Readings(["a"], zeros, at, np.zeros((5, 1)), np.zeros((5, 1), bool), zeros, at)
    first, second = one.shift(readings[:2]), one.shift(readings[2:])

    assert [*first.at, *second.at] == [10, 12, 12, 11, 13]
    assert continuation.file().shift(readings).at.tolist() == [14, 16, 16, 15, 17]


def test_times_are_never_shifted(tmp_path):
    for name in ("1/a.csv", "2/a.csv"):
        (tmp_path / name).parent.mkdir()
        text(tmp_path / name, "timestamp,temp\n2024-01-01,1\n")
    read = all_readings(open_tables([tmp_path / "1", tmp_path / "2"]))

    assert read[0].at.tolist() == read[1].at.tolist()


def test_histories_are_whole_series_in_the_order_of_their_files(tmp_path):
    write(tmp_path / "1/a.parquet", rows=3, temp=[1.0, np.inf, None])
    write(tmp_path / "2/a.parquet", rows=2, temp=[4.0, 5.0])
    write(tmp_path / "3.parquet", rows=3, series=["x", "y", "x"], temp=[6.0, 7.0, 8.0])
    histories = read_histories(open_tables([tmp_path / "1", tmp_path / "2", tmp_path / "3.parquet"]))

    assert (histories.clock, histories.channels) == ("index", ("temp",))
    assert [(each.name, each.at.tolist()) for each in histories.series] == [
        ("a", [0, 2, 3, 4]),
        ("x", [0, 2]),
        ("y", [1]),
    ]
    assert histories.series[0].missing[:, 0].tolist() == [False, True, False, False]
    assert histories.series[0].values[2:, 0].tolist() == [4.0, 5.0]
    assert histories.rejected == {Reason.NOT_FINITE: 1}
    assert histories.example == f"{tmp_path}/1/a.parquet, timestamp 1: temp is infinite"


def test_files_without_a_single_reading_are_refused_with_the_first_reason(tmp_path):
    path = write(tmp_path / "a.parquet", rows=2, temp=[np.inf, np.inf])

    with pytest.raises(DataError, match=r"a.parquet: no row is a reading; the first: .*timestamp 0: temp is infinite"):
        read_histories(open_tables([path]))


@pytest.mark.parametrize(
    ("folders", "clock", "channels", "series", "rows"),
    [
        (["nab/realKnownCause"], "time", 1, 7, 69_561),
        (["kpi"], "time", 1, 3, 52_704),
        (["asd/train", "asd/test"], "index", 19, 12, 154_171),
        (["msl/train"], "index", 55, 17, None),
    ],
)
def test_real_data_sets_are_read_whole(data_folder, folders, clock, channels, series, rows):
    tables = open_tables([data_folder / folder for folder in folders])
    histories = read_histories(tables)

    assert (histories.clock, len(histories.channels), len(histories.series)) == (clock, channels, series)
    assert sum(len(each.at) for each in histories.series) == (rows or tables.rows)
    assert not histories.rejected


def test_real_wells_keep_their_missing_readings_and_unknown_labels(data_folder):
    paths = sorted((data_folder / "3w").glob("*.parquet"))
    tables = open_tables(paths, FrameMapping(ignore=("class",)))
    known = np.concatenate([labels(batch)[1] for file in tables.files for batch in file.batches()])

    assert "class" not in tables.channels
    assert 0 < known.sum() < len(known)
    assert any(each.missing.all(axis=0).any() for each in read_histories(tables).series)  # wells without a sensor
