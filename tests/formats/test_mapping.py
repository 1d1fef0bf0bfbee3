from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.mapping import InputMapping, JoinMapping, Part, SeriesMapping, TimeMapping, pattern_of


def test_a_series_is_named_by_the_key_or_else_the_topic_unless_the_mapping_says_more():
    assert SeriesMapping().parts() == (Part("key_or_topic"),)
    assert SeriesMapping(topic=True).parts() == (Part("topic"),)
    assert SeriesMapping(field="machine.pump").parts() == (Part("field", path=("machine", "pump")),)


def test_a_template_is_taken_apart_into_text_and_fields():
    assert SeriesMapping(template="{site}/{machine.pump}@{key}").parts() == (
        Part("field", path=("site",)),
        Part("text", "/"),
        Part("field", path=("machine", "pump")),
        Part("text", "@"),
        Part("key"),
    )


def test_a_name_is_matched_against_its_template():
    pattern = pattern_of(SeriesMapping(template="{site}/{pump}").parts())

    assert pattern.fullmatch("north/7").groups() == ("north", "7")
    assert pattern.fullmatch("north") is None


def joined(by=None, value="value", channels=None):
    """Records of single sensors."""
    join = JoinMapping(by or SeriesMapping(field="machine"), value)
    return InputMapping(shape="long", series=SeriesMapping(field="sensor"), join=join, channels=channels or {})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: SeriesMapping(field="pump", key=True), "more than one source"),
        (lambda: SeriesMapping(template="pump"), "at least one field in braces"),
        (lambda: SeriesMapping(template="{pump"), "expected '}'"),
        (lambda: SeriesMapping(template="{pump:3}"), "stands alone in its braces"),
        (lambda: SeriesMapping(field="a..b"), "field is 'a..b'"),
        (lambda: TimeMapping(unit="minutes"), "time unit is 'minutes': one of iso8601, s, ms"),
        (lambda: TimeMapping(timezone="Nowhere"), "timezone is 'Nowhere'"),
        (lambda: InputMapping(format="xml"), "format is 'xml'"),
        (lambda: InputMapping(shape="tall"), "shape is 'tall'"),
        (lambda: InputMapping(max_bytes=0), "max_bytes is 0"),
        (lambda: InputMapping(channels={"a": "x", "b": "x"}), "fields 'x' and 'x' collide"),
        (lambda: InputMapping(channels={"a": "x", "b": "x.y"}), "fields 'x' and 'x.y' collide"),
        (lambda: InputMapping(channels={"a": "timestamp"}), "fields 'timestamp' and 'timestamp' collide"),
        (lambda: InputMapping(channels={"a": "x"}).paths(["b"]), "'a', which the detector does not have: b"),
        (
            lambda: InputMapping(shape="long").paths(["a", "b"]),
            "shape is long, which has one channel without join; here are 2",
        ),
        (lambda: InputMapping(join=JoinMapping()), "join is given, and shape is wide: long is needed"),
        (lambda: joined(value="timestamp"), "fields 'timestamp' and 'timestamp' collide"),
        (lambda: joined(by=SeriesMapping(field="value")), "fields 'value' and 'value' collide"),
        (lambda: joined(channels={"a": "x", "b": "x"}), "two channels are of sensor 'x'"),
        (lambda: joined(channels={"a": "b"}).paths(["a", "b"]), "two channels are of sensor 'b'"),
        (lambda: joined(value="a..b"), "field is 'a..b'"),
        (lambda: InputMapping(lateness_seconds=-1), "lateness_seconds is -1: 0 to 86400 is needed"),
        (lambda: InputMapping(lateness_seconds=1e9), "lateness_seconds is 1e\\+09: 0 to 86400"),
        (
            lambda: InputMapping(lateness_seconds=5, time=TimeMapping(unit="index")),
            "lateness_seconds is 5, and times are sample numbers",
        ),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_channel_that_is_not_mapped_is_its_own_field_dots_and_all():
    paths = InputMapping(channels={"temp": "sensors.t"}).paths(["temp", "flow.1"])

    assert paths == [("sensors", "t"), ("flow.1",)]


pieces = st.lists(
    st.one_of(st.text(max_size=3), st.sampled_from(["{site}", "{a.b}", "{key}", "{topic}", "{", "}", "{{", "{}"])),
    max_size=5,
)


@given(pieces.map("".join))
def test_any_template_is_parts_or_refused(template):
    try:
        parts = SeriesMapping(template=template).parts()
    except ValueError:
        return

    assert any(part.kind != "text" for part in parts)
    assert all(part.text if part.kind == "text" else part.path or part.kind != "field" for part in parts)


words = st.text("ab/{.}%", min_size=1, max_size=4)


@given(st.lists(words, min_size=1, max_size=4), st.sampled_from(["|", " of ", "(.+)"]))
def test_a_name_made_of_parts_is_taken_apart_into_the_same_parts(values, between):
    parts = SeriesMapping(template=between.join(f"{{f{number}}}" for number in range(len(values)))).parts()

    assert pattern_of(parts).fullmatch(between.join(values)).groups() == tuple(values)


@given(
    st.dictionaries(words, words, max_size=3),
    st.one_of(st.none(), words),
    words,
    st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3, unique=True),
)
def test_any_mapping_gives_each_channel_a_field_of_its_own_or_is_refused(channels, series, time, names):
    try:
        mapping = InputMapping(series=SeriesMapping(field=series), time=TimeMapping(time), channels=channels)
        paths = mapping.paths(names)
    except ValueError:
        return

    assert len({tuple(path) for path in paths}) == len(names)
    assert tuple(time.split(".")) not in paths
