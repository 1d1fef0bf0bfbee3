from __future__ import annotations

import math
import struct
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.documents import NoReadingError
from pipeline.formats.line_protocol import LineDecoder, LineEncoder
from pipeline.formats.mapping import InputMapping, SeriesMapping, TimeMapping
from pipeline.records import Readings, Reason, Why

NOON = 1_387_214_700_000_000  # 2013-12-16T17:25:00Z


def mapping_of(series="tags.host", unit="ns", only=None):
    return InputMapping(
        "line_protocol",
        series=SeriesMapping(field=series),
        time=TimeMapping("timestamp", unit),
        under="fields",
        only=only or {},
    )


class Arrived(NamedTuple):
    """A record as the decoder sees it."""

    value: bytes | None
    key: bytes | None = None
    topic: str = "readings"
    partition: int = 3
    offset: int = 40


def decode(*values, channels=("temp", "flow"), mapping=None):
    decoder = LineDecoder(mapping or mapping_of(), channels)
    return decoder.decode([Arrived(value, offset=40 + row) for row, value in enumerate(values)])


def documents(text):
    return LineDecoder(mapping_of(), ["temp"]).parse(text.encode())


def document(text):
    (found,) = documents(text)
    if isinstance(found, NoReadingError):
        raise found
    return found


def test_a_line_is_a_reading_of_its_tags_and_fields():
    decoded = decode(b"pump,host=a,site=north temp=71.5,flow=3i 1387214700000000000\n")

    assert decoded.readings.names == ["a"]
    assert decoded.readings.at.tolist() == [NOON]
    assert decoded.readings.values.tolist() == [[71.5, 3.0]]


def test_a_record_of_several_lines_is_several_readings_of_one_offset():
    decoded = decode(
        b"# from a gateway\n\npump,host=a temp=1 1387214700000000000\r\npump,host=b flow=2 1387214700000001999",
        b"pump,host=a temp=3 1387214700000002000",
    )

    assert [decoded.readings.names[code] for code in decoded.readings.series] == ["a", "b", "a"]
    assert decoded.readings.at.tolist() == [NOON, NOON + 1, NOON + 2]
    assert decoded.readings.missing.tolist() == [[False, True], [True, False], [False, True]]
    assert decoded.readings.offset.tolist() == [40, 40, 41]
    assert decoded.rows.tolist() == [0, 0, 1]


def test_a_line_that_is_none_takes_nothing_from_those_beside_it():
    decoded = decode(b'pump,host=a temp=1 1\npump,host=b temp= 1\npump,host=c temp="1 2" 1\npump,host=d temp=4 1')

    assert decoded.readings.names == ["a", "d"]
    assert [(one.row, one.reason, one.detail) for one in decoded.rejected] == [
        (0, Reason.SYNTAX, "line 2, at ' 1': the value of a field is needed"),
        (0, Reason.TYPE, "temp is '1 2' instead of a number"),
    ]


def test_lines_of_other_measurements_are_ignored():
    decoded = decode(b"cpu,host=a temp=1 1\npump,host=a temp=2 1\n", mapping=mapping_of(only={"name": ("pump",)}))

    assert decoded.readings.values[:, 0].tolist() == [2.0]
    assert [(one.row, one.why) for one in decoded.ignored] == [(0, Why.UNSELECTED)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m f=1", {"name": "m", "tags": {}, "fields": {"f": 1.0}}),
        ("m   f=1   -5  ", {"name": "m", "tags": {}, "fields": {"f": 1.0}, "timestamp": -5}),
        (
            r"my\ m\,s,t\=1=a\ b\,c\=d f\ 1=1",
            {"name": "my m,s", "tags": {"t=1": "a b,c=d"}, "fields": {"f 1": 1.0}},
        ),
        (r"m,p=C:\dir f=1", {"name": "m", "tags": {"p": r"C:\dir"}, "fields": {"f": 1.0}}),
        ('m,t="x f=1', {"name": "m", "tags": {"t": '"x'}, "fields": {"f": 1.0}}),
        (r'm f="say \"a, b=c\" C:\\ \n"', {"name": "m", "tags": {}, "fields": {"f": r'say "a, b=c" C:\ \n'}}),
        ('m f="two\nlines",g=1 2', {"name": "m", "tags": {}, "fields": {"f": "two\nlines", "g": 1.0}, "timestamp": 2}),
        ("m=1,t=ü f=1", {"name": "m=1", "tags": {"t": "ü"}, "fields": {"f": 1.0}}),
    ],
)
def test_escapes_and_quotes_are_read_as_the_protocol_has_them(text, expected):
    assert document(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-1.5e+3", -1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-7i", -7),
        ("9223372036854775807i", 2**63 - 1),
        ("18446744073709551615u", 2**64 - 1),
        *[(word, True) for word in ("t", "T", "true", "True", "TRUE")],
        *[(word, False) for word in ("f", "F", "false", "False", "FALSE")],
        ('"1"', "1"),
    ],
)
def test_every_type_of_a_field_is_read(text, value):
    found = document(f"m f={text}")["fields"]["f"]

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    [
        *["m", "m ", "m,t f=1", "m,t= f=1", "m,=x f=1", ",t=x f=1", "m f", "m f=", "m =1", "m f=1,", "m f=1, 2", "m  "],
        *["m f=1 x", "m f=1 1.5", "m f=1 1 2", "m f=1 12345678901234567890", 'm f="x', 'm f="x"y', "m f=1x", "m f=0x1"],
        *["m f=-1u", "m f=9223372036854775808i", "m f=1_0", "m f=1i5", "m f=tRUE", "m f=1,f=2", "m,t=a,t=b f=1"],
        *["m\tf=1", "m f=" + "1" * 5000 + "i", "m,t=a\nb f=1"],
    ],
)
def test_what_is_no_line_is_refused(text):
    found = documents(text)

    assert any(isinstance(each, NoReadingError) and each.reason == Reason.SYNTAX for each in found)
    assert all(len(str(each)) < 200 for each in found if isinstance(each, NoReadingError))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.SYNTAX),
        (b"", Reason.SYNTAX),
        (b"# nothing\n\n", Reason.SYNTAX),
        ("pump,host=ü temp=1 1".encode("latin-1"), Reason.ENCODING),
        (b"pump,host=a temp=1", Reason.FIELD),  # without a time, which is never the time of arrival
        (b"pump temp=1 1", Reason.FIELD),
        (b"pump,host=a other=1 1", Reason.FIELD),
        (b"pump,host=a temp=t 1", Reason.TYPE),
        (b"pump,host=a temp=NaN 1", Reason.NOT_FINITE),
        (b"pump,host=a temp=-inf 1", Reason.NOT_FINITE),
        (b"pump,host=a temp=1e999 1", Reason.NOT_FINITE),
        (b"pump,host=a temp=1 9999999999999999999", Reason.TIME),
        (b"pump,host=a temp=1" + b" " * 1_048_576, Reason.OVERSIZE),
    ],
)
def test_what_is_no_reading_is_rejected_with_its_reason(value, reason):
    decoded = decode(value, mapping=mapping_of(unit="us"))

    assert len(decoded.readings) == 0
    assert [one.reason for one in decoded.rejected] == [reason]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_precision_is_the_one_that_is_said(unit):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    decoded = decode(b"m,host=a temp=1 %d" % (1_387_214_700 * per_second), mapping=mapping_of(unit=unit))

    assert decoded.readings.at.tolist() == [NOON]


def test_a_hostile_line_costs_no_more_than_its_length():
    for text in ("m," + "\\," * 300_000, 'm f="' + '\\"' * 300_000, "m" + ",a=b" * 200_000, "\n#" * 300_000 + "\nm"):
        assert all(isinstance(each, NoReadingError) for each in documents(text))


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), min_size=1, max_size=8).filter(
    lambda word: not word.endswith("\\") and not word.startswith(("#", "\t", "\r"))
)
numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@given(
    st.lists(st.tuples(words, st.integers(0, 2**33), st.tuples(numbers, numbers)), max_size=6),
    words,
    st.tuples(words, words).filter(lambda pair: pair[0] != pair[1]),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_what_is_encoded_decodes_to_the_same_readings(rows, measurement, channels, unit):
    mapping = mapping_of(unit=unit, only={"name": (measurement,)})
    rows = [row for row in rows if row[2] != (None, None)]  # a line has at least one field
    known = list(dict.fromkeys(name for name, _, _ in rows))
    values = np.array([each for _, _, each in rows], dtype=float).reshape(len(rows), 2)
    at = np.array([seconds * 1_000_000 for _, seconds, _ in rows], dtype=np.int64)
    codes = np.array([known.index(name) for name, _, _ in rows], dtype=np.int32)
    none = np.zeros(len(rows), np.int32)
    records = LineEncoder(mapping, channels).encode(
        Readings(known, codes, at, values, np.isnan(values), none, none.astype(np.int64))
    )
    together = [b"\n".join(value for _, value in records)] if records else []
    decoded = decode(*together, channels=channels, mapping=mapping)

    assert decoded.rejected == decoded.ignored == ()
    assert [decoded.readings.names[code] for code in decoded.readings.series] == [name for name, _, _ in rows]
    assert decoded.readings.at.tolist() == at.tolist()
    assert [struct.pack("d", x) for x in decoded.readings.values.ravel() if not math.isnan(x)] == [
        struct.pack("d", x) for x in values.ravel() if not math.isnan(x)
    ]


@pytest.mark.parametrize(
    ("mapping", "series", "message"),
    [
        (mapping_of(), "a", "a line begins with a measurement, and none is said: only: {name: MEASUREMENT}"),
        (mapping_of(unit="s", only={"name": ("m",)}), "a", r"is no whole number, .* take a finer time.unit"),
        (mapping_of(only={"name": ("#m",)}), "a", "'#m' cannot begin a line"),
        (mapping_of(only={"name": ("m",)}), "a\n", r"'a\\n' cannot stand in a line"),
        (mapping_of(only={"name": ("m",)}), "a\\", "ends with a backslash"),
    ],
)
def test_what_cannot_stand_in_a_line_is_not_written(mapping, series, message):
    one = np.zeros(1, np.int32)
    readings = Readings([series], one, np.array([NOON + 1]), np.ones((1, 1)), np.zeros((1, 1), bool), one, one)

    with pytest.raises(ValueError, match=message):
        LineEncoder(mapping, ["temp"]).encode(readings)


pieces = st.one_of(
    st.sampled_from(
        ["pump", ",host=a", ",", "=", " ", "temp=1", "temp=1i", ' temp="', '"', "\\", "\n", "#", " 17", "e", "\r", "1"]
    ),
    st.text(max_size=3),
)


@given(
    st.lists(
        st.one_of(
            st.none(), st.binary(max_size=40), st.lists(pieces, max_size=12).map(lambda all: "".join(all).encode())
        ),
        max_size=5,
    )
)
def test_arbitrary_bytes_never_raise_and_every_record_has_an_outcome(values):
    decoded = decode(*values)

    others = [one.row for one in (*decoded.rejected, *decoded.ignored)]
    assert {*decoded.rows.tolist(), *others} == set(range(len(values)))
    assert np.isfinite(decoded.readings.values[~decoded.readings.missing]).all()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 99), st.booleans()), min_size=1, max_size=8))
def test_lines_in_one_record_are_what_they_are_in_records_of_their_own(lines):
    written = [b"m,host=%s temp=%s 1" % (host.encode(), b"%d" % n if fine else b"x") for host, n, fine in lines]
    together, apart = decode(b"\n".join(written)), decode(*written)

    assert together.readings.values[:, 0].tolist() == apart.readings.values[:, 0].tolist()
    assert together.readings.series.tolist() == apart.readings.series.tolist()
    assert [one.reason for one in together.rejected] == [one.reason for one in apart.rejected]
