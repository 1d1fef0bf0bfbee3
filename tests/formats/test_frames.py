from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exceptions import DataError
from pipeline.formats import times
from pipeline.formats.frames import FrameDecoder, FrameMapping, frame_of, label_values, labels, readings_of, table_of
from pipeline.records import Reason

NOON = 1_387_214_700_000_000  # 2013-12-16T17:25:00Z


def decode(table, mapping=None, series="pump-7", first_row=0):
    mapping = mapping or FrameMapping()
    return FrameDecoder(mapping, mapping.layout(table.schema)).decode(table, series, first_row)


def test_a_table_becomes_readings_in_the_order_of_its_rows():
    table = pa.table({"timestamp": [3, 1, 1], "temp": [71.5, None, np.nan], "label": [0, 1, None], "flow": [1, 2, 3]})
    decoded = decode(table, first_row=100)

    assert decoded.readings.names == ["pump-7"]
    assert decoded.readings.at.tolist() == [3, 1, 1]  # judged by the monitor, not here
    assert decoded.readings.missing.tolist() == [[False, False], [True, False], [True, False]]
    assert decoded.readings.values[0].tolist() == [71.5, 1.0]
    assert decoded.readings.offset.tolist() == [100, 101, 102]
    assert decoded.rows.tolist() == [0, 1, 2]
    assert decoded.rejected == ()


def test_labels_are_never_a_channel_and_may_be_unknown():
    table = pa.table({"timestamp": [1, 2, 3], "temp": [1.0, 2.0, 3.0], "label": pa.array([0, 1, None], pa.uint8())})
    layout = FrameMapping().layout(table.schema)
    positive, known = labels(table)

    assert layout.channels == ("temp",)
    assert layout.label
    assert positive.tolist() == [False, True, False]
    assert known.tolist() == [True, True, False]


@pytest.mark.parametrize(
    "timestamps",
    [
        pa.array([NOON], pa.timestamp("us")),
        pa.array([NOON], pa.timestamp("us", "Asia/Tokyo")),  # a zone is how it is shown, not what it is
        pa.array([NOON * 1000 + 999], pa.timestamp("ns")),
        pa.array([NOON // 1000], pa.timestamp("ms")),
        pa.array([NOON // 1_000_000], pa.timestamp("s", "UTC")),
        pa.array(["2013-12-16T17:25:00Z"]),
        pa.array(["2013-12-16 17:25"]),
        pa.array(["2013-12-16T18:25:00+01:00"]).dictionary_encode(),
    ],
)
def test_moments_of_every_type_are_the_same_microseconds(timestamps):
    table = pa.table({"timestamp": timestamps, "temp": [1.0]})

    assert FrameMapping().layout(table.schema).clock == "time"
    assert decode(table).readings.at.tolist() == [NOON]


def test_dates_are_their_midnights():
    table = pa.table({"timestamp": [datetime.date(2013, 12, 16)], "temp": [1.0]})

    assert decode(table).readings.at.tolist() == [NOON - NOON % 86_400_000_000]


@pytest.mark.parametrize("text", ["2024-03-31T02:30:00", "2024-10-27T02:30:00", "2024-07-01T00:00:00"])
def test_moments_without_a_zone_are_read_in_the_one_given_be_they_text_or_not(text):
    mapping = FrameMapping(timezone="Europe/Berlin")
    typed = pa.array([text]).cast(pa.timestamp("us"))
    expected = times.parse(text, times.zone("Europe/Berlin"))

    assert decode(pa.table({"timestamp": [text], "t": [1]}), mapping).readings.at.tolist() == [expected]
    assert decode(pa.table({"timestamp": typed, "t": [1]}), mapping).readings.at.tolist() == [expected]


@pytest.mark.parametrize(
    ("timestamps", "unit", "clock", "at"),
    [
        (pa.array([17], pa.int64()), None, "index", 17),
        (pa.array([17], pa.uint8()), None, "index", 17),
        (pa.array([17], pa.int64()), "index", "index", 17),
        (pa.array([NOON // 1_000_000]), "s", "time", NOON),
        (pa.array([NOON]), "us", "time", NOON),
        (pa.array([NOON / 1_000_000 + 0.25]), "s", "time", NOON + 250_000),
    ],
)
def test_whole_numbers_are_sample_numbers_unless_their_unit_is_given(timestamps, unit, clock, at):
    table = pa.table({"timestamp": timestamps, "temp": [1.0]})
    mapping = FrameMapping(unit=unit)

    assert mapping.layout(table.schema).clock == clock
    assert decode(table, mapping).readings.at.tolist() == [at]


def test_rows_that_are_no_readings_are_rejected_one_by_one_with_their_reason():
    table = pa.table(
        {
            "timestamp": ["2013-12-16", None, "soon", "2013-12-17", "2013-12-18", "2013-12-19"],
            "series": ["a", "a", "b", None, "b", "a"],
            "temp": [1.0, 2.0, 3.0, 4.0, -np.inf, np.inf],
            "flow": [1.0, 2.0, 3.0, 4.0, 5.0, np.inf],
        }
    )
    decoded = decode(table)

    assert decoded.rows.tolist() == [0]
    assert [(each.row, each.reason, each.detail) for each in decoded.rejected] == [
        (1, Reason.TIME, "timestamp is None"),
        (2, Reason.TIME, "timestamp is 'soon'"),
        (3, Reason.FIELD, "series is null or empty"),
        (4, Reason.NOT_FINITE, "temp is infinite"),
        (5, Reason.NOT_FINITE, "temp is infinite"),
    ]


@pytest.mark.parametrize(
    "beyond",
    [
        pa.array([2**62], pa.int64()).cast(pa.timestamp("s")),
        pa.array([2**62], pa.int64()).cast(pa.timestamp("us")),
        pa.array([-(2**62)], pa.int64()).cast(pa.timestamp("ms")),
        pa.array([2**63 - 1], pa.int64()),
        pa.array([2**64 - 1], pa.uint64()),
    ],
)
def test_a_moment_out_of_range_is_rejected_and_never_wrapped_around(beyond):
    decoded = decode(pa.table({"timestamp": beyond, "temp": [1.0]}))

    assert [each.reason for each in decoded.rejected] == [Reason.TIME]


def test_text_that_is_not_utf_8_is_rejected_where_it_stands():
    table = pa.table({"timestamp": ["2013-12-16"] * 3, "series": _text([b"a", b"K\xfc", b""]), "temp": [1.0, 2.0, 3.0]})
    times_of_all = pa.table({"timestamp": _text([b"2013-12-16", b"\xff"]).dictionary_encode(), "temp": [1.0, 2.0]})

    assert [(each.row, each.reason, each.detail) for each in decode(table).rejected] == [
        (1, Reason.ENCODING, "series is b'K\\xfc', which is not UTF-8"),
        (2, Reason.FIELD, "series is null or empty"),
    ]
    assert [(each.row, each.reason) for each in decode(times_of_all).rejected] == [(1, Reason.ENCODING)]


def test_huge_values_pass_and_single_floats_are_widened_exactly():
    table = pa.table({"timestamp": [1], "huge": [1e300], "single": pa.array([0.1], pa.float32()), "whole": [2**53]})

    assert decode(table).readings.values.tolist() == [[1e300, float(np.float32(0.1)), 2.0**53]]


def test_truth_values_decimals_and_empty_columns_are_numbers():
    table = pa.table(
        {
            "timestamp": [1, 2],
            "on": [True, None],
            "exact": [decimal.Decimal("1.25"), None],
            "half": pa.array([1.5, 2.5], pa.float16()),
            "empty": pa.nulls(2),
        }
    )
    decoded = decode(table)

    assert decoded.readings.values[0, :3].tolist() == [1.0, 1.25, 1.5]
    assert decoded.readings.missing.tolist() == [[False, False, False, True], [True, True, False, True]]


def test_series_of_a_column_share_one_growing_list():
    mapping = FrameMapping()
    first = pa.table({"timestamp": [1, 1], "series": ["b", "a"], "t": [1, 2]})
    second = pa.table({"timestamp": [2, 2], "series": pa.array([9, None], pa.int64()), "t": [1, 2]})
    decoder = FrameDecoder(mapping, mapping.layout(first.schema))
    one, two = decoder.decode(first, "unused").readings, decoder.decode(second, "unused").readings

    assert one.names is two.names
    assert one.names == ["b", "a", "9"]
    assert (one.series.tolist(), two.series.tolist()) == ([0, 1], [2])


def test_channels_are_those_asked_for_in_that_order():
    table = pa.table({"timestamp": [1], "a": [1], "note": ["x"], "b": [2], "c": [3]})
    layout = FrameMapping(channels=("c", "a")).layout(table.schema)

    assert layout.channels == ("c", "a")
    assert layout.unread == ("note", "b")
    assert decode(table, FrameMapping(channels=("c", "a"))).readings.values.tolist() == [[3.0, 1.0]]
    assert FrameMapping(ignore=("note", "b", "elsewhere")).layout(table.schema).channels == ("a", "c")


@pytest.mark.parametrize(
    ("columns", "mapping", "message"),
    [
        ({"time": [1], "a": [1]}, {}, "no column 'timestamp' among time, a"),
        ({"timestamp": [1], "label": [1]}, {}, "no channel among the columns timestamp, label"),
        ({"timestamp": [1], "a": ["x"]}, {}, "not numeric but string: .* --ignore a, .* rename it to series"),
        ({"timestamp": [1], "a": [[1]]}, {}, "column 'a' is not numeric but list"),
        (
            {"timestamp": [1], "a": [1], "label": ["normal"]},
            {},
            "column 'label' is not numeric .* true and false; write them so, or leave it out with --ignore label",
        ),
        (
            {"timestamp": [1], "a": [1], "state": ["normal"]},
            {"label": "state"},
            "column 'state' is not numeric .* true and false; write them so, or name another column by --label",
        ),
        ({"timestamp": [1], "a": [1]}, {"channels": ("a", "b")}, "channels b are not there: asked for a, b, found a"),
        ({"timestamp": [1.5], "a": [1]}, {}, "holds fractions .double.: say in which unit"),
        ({"timestamp": ["x"], "a": [1]}, {"unit": "s"}, "'timestamp' is string, which cannot be read as s"),
        ({"timestamp": [1], "a": [1]}, {"unit": "iso8601"}, "'timestamp' is int64, which cannot be read as iso8601"),
        ({"timestamp": [True], "a": [1]}, {}, "'timestamp' is bool, which cannot be read as times"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_by_name(columns, mapping, message):
    with pytest.raises(DataError, match=message):
        FrameMapping(**mapping).layout(pa.table(columns).schema)


def test_a_column_that_occurs_twice_is_refused():
    schema = pa.schema([("timestamp", pa.int64()), ("a", pa.int64()), ("a", pa.int64())])

    with pytest.raises(DataError, match="column 'a' occurs twice"):
        FrameMapping().layout(schema)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": ("label",)}, "that column is never a channel"),
        ({"channels": ("a", "a")}, "channels has 'a' twice"),
        ({"channels": ()}, "channels is empty"),
        ({"unit": "minutes"}, "unit is 'minutes'"),
        ({"timezone": "Nowhere"}, "timezone is 'Nowhere'"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        FrameMapping(**wrong)


def test_a_frame_of_pandas_is_read_with_its_times_as_a_column_or_as_its_index():
    frame = pd.DataFrame(
        {"timestamp": pd.date_range("2013-12-16 17:25", periods=3, freq="5min"), "temp": [71.5, None, 72.5]}
    )
    readings = readings_of(frame, ["temp"], series="pump-7")
    indexed = readings_of(frame.set_index("timestamp"), ["temp"], series="pump-7")

    assert readings.names == ["pump-7"]
    assert readings.at.tolist() == [NOON, NOON + 300_000_000, NOON + 600_000_000]
    assert readings.missing.tolist() == [[False], [True], [False]]
    assert indexed.at.tolist() == readings.at.tolist()


def test_what_is_left_of_a_frame_of_pandas_has_no_channel_from_its_index():
    frame = pd.DataFrame({"timestamp": [1, 2, 3], "temp": [1.0, 2.0, 3.0]})
    left = frame[frame.temp > 1]

    assert readings_of(left).values.tolist() == [[2.0], [3.0]]


def test_a_frame_with_a_row_that_is_no_reading_is_refused_at_the_first():
    frame = pd.DataFrame({"timestamp": [1, 2, 3], "temp": [1.0, np.inf, -np.inf]})

    with pytest.raises(DataError, match="row 1 is no reading: temp is infinite"):
        readings_of(frame)


@pytest.mark.parametrize("thing", [7, None, [1, 2], np.zeros((2, 2)), pd.DataFrame({"mixed": [1, "a"]})])
def test_what_is_no_frame_with_typed_columns_is_refused(thing):
    with pytest.raises(DataError, match=f"this {type(thing).__name__} is no frame with typed columns"):
        table_of(thing)


@pytest.mark.parametrize("clock", ["time", "index"])
def test_readings_written_as_a_frame_read_back_equal(clock, rng):
    values = rng.normal(size=(5, 2))
    values[1, 0] = values[4, 1] = np.nan
    at = np.arange(5) * 1_000_001 + (NOON if clock == "time" else 0)
    table = pa.table({"timestamp": at, "series": list("abbac"), "x": values[:, 0], "y": values[:, 1]})
    before = decode(table, FrameMapping(unit="us" if clock == "time" else None)).readings
    after = decode(frame_of(before, ["x", "y"], clock)).readings

    assert after.names == before.names
    assert after.at.tolist() == before.at.tolist()
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_array_equal(after.series, before.series)


def test_a_column_asked_for_as_labels_is_no_channel_and_must_be_there():
    table = pa.table({"timestamp": [1, 2], "temp": [1.0, 2.0], "fault": [0, None], "label": [1, 1]})
    layout = FrameMapping(label="fault").layout(table.schema)

    assert layout.channels == ("temp",)
    assert layout.columns == ["timestamp", "temp", "fault"]
    assert label_values(table, "fault").tolist() == pytest.approx([0, np.nan], nan_ok=True)
    with pytest.raises(DataError, match="there is no column 'odd' for labels among timestamp, temp, fault, label"):
        FrameMapping(label="odd").layout(table.schema)
    with pytest.raises(ValueError, match="label is 'temp', which is something else already"):
        FrameMapping(channels=("temp",), label="temp")


EDGES = [0, 1, -1, NOON, 2**31, 2**53, 2**63 - 1, -(2**63), times.EARLIEST, times.LATEST, times.LATEST + 1]
WHOLE = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from(EDGES))
MOMENTS = st.one_of(
    *[
        st.lists(st.one_of(st.none(), WHOLE), min_size=3, max_size=3).map(
            lambda numbers, kind=kind: pa.array(numbers, pa.int64()).cast(kind)
        )
        for kind in (
            pa.int64(),
            *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "Asia/Tokyo")),
            pa.date64(),
        )
    ],
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=3, max_size=3).map(
        lambda numbers: pa.array(numbers, pa.int32()).cast(pa.date32())
    ),
    st.lists(st.integers(0, 2**64 - 1), min_size=3, max_size=3).map(lambda numbers: pa.array(numbers, pa.uint64())),
    st.lists(st.one_of(st.none(), st.floats()), min_size=3, max_size=3).map(lambda all: pa.array(all, pa.float64())),
    st.lists(st.one_of(st.none(), st.text(max_size=9), st.datetimes().map(str)), min_size=3, max_size=3).map(
        lambda texts: pa.array(texts, pa.string())
    ),
    st.lists(st.binary(max_size=9), min_size=3, max_size=3).map(lambda texts: _text(texts)),
)
NAMES = st.one_of(
    st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=3, max_size=3).map(
        lambda all: pa.array(all, pa.string())
    ),
    st.lists(st.one_of(st.none(), WHOLE), min_size=3, max_size=3).map(lambda all: pa.array(all, pa.int64())),
    st.lists(st.binary(max_size=5), min_size=3, max_size=3).map(lambda texts: _text(texts)),
)
VALUES = st.one_of(
    *[
        st.lists(st.one_of(st.none(), st.floats(width=width)), min_size=3, max_size=3).map(
            lambda numbers, kind=kind: pa.array(numbers, kind)
        )
        for width, kind in ((64, pa.float64()), (32, pa.float32()))
    ],
    st.lists(st.one_of(st.none(), WHOLE), min_size=3, max_size=3).map(lambda all: pa.array(all, pa.int64())),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=3, max_size=3).map(lambda all: pa.array(all, pa.bool_())),
    st.lists(st.decimals(-(10**30), 10**30, places=6), min_size=3, max_size=3).map(
        lambda numbers: pa.array(numbers, pa.decimal128(38, 6))
    ),
    st.lists(st.decimals(-(10**60), 10**60, places=6), min_size=3, max_size=3).map(
        lambda numbers: pa.array(numbers, pa.decimal256(76, 6))
    ),
)


def _text(texts):
    """Bytes as a column of text that nobody has checked, as a file may hold it."""
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(texts)))


@given(MOMENTS, st.one_of(st.none(), NAMES), VALUES, st.sampled_from([None, *times.UNITS]))
def test_every_row_of_any_table_is_a_reading_or_rejected_once(timestamps, names, values, unit):
    table = pa.table({"timestamp": timestamps, "temp": values} | ({} if names is None else {"series": names}))
    mapping = FrameMapping(unit=unit, timezone="Europe/Berlin")
    try:
        layout = mapping.layout(table.schema)
    except DataError:
        return
    decoded = FrameDecoder(mapping, layout).decode(table, "pump-7")

    assert sorted([*decoded.rows.tolist(), *(rejected.row for rejected in decoded.rejected)]) == [0, 1, 2]
    assert all(rejected.detail for rejected in decoded.rejected)
    assert np.isfinite(decoded.readings.values[~decoded.readings.missing]).all()
    assert all(times.within(at, layout.clock) == at for at in decoded.readings.at.tolist())
    assert all(decoded.readings.names[code] for code in decoded.readings.series.tolist())


@given(
    st.lists(
        st.tuples(
            st.integers(times.EARLIEST, times.LATEST),
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["time", "index"]),
)
def test_any_readings_written_as_a_frame_read_back_equal(rows, clock):
    at, names, values = zip(*rows, strict=True)
    table = pa.table({"timestamp": pa.array(at, pa.int64()), "series": names, "x": pa.array(values, pa.float64())})
    before = decode(table, FrameMapping(unit="us" if clock == "time" else None)).readings
    after = decode(frame_of(before, ["x"], clock)).readings

    assert [after.names[code] for code in after.series.tolist()] == list(names)
    assert after.at.tolist() == list(at)
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_array_equal(after.missing, before.missing)
