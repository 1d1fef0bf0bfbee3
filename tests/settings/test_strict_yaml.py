from __future__ import annotations

import pytest

from pipeline.exceptions import SettingsError
from pipeline.settings.strict_yaml import parse

HOSTILE = "tag:yaml.org,2002:python/object:os.system"
UNREADABLE = "unacceptable character #x0000: special characters are not allowed"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1e-4", 1e-4),
        ("-2.5E3", -2500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("010", 10),
        ("-3", -3),
        ("on", "on"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-03-01", "2026-03-01"),
        ("0x1F", "0x1F"),
        (".inf", ".inf"),
        ("true", True),
        ("~", None),
        ("", None),
        ('"1e-4"', "1e-4"),
        ("5 %", "5 %"),
        ("127.0.0.1:9464", "127.0.0.1:9464"),
    ],
)
def test_a_value_is_what_a_person_takes_it_for(text, meant):
    assert parse(f"key: {text}", "a.yaml") == {"key": meant}
    assert type(parse(f"key: {text}", "a.yaml")["key"]) is type(meant)


def test_a_key_is_text_whatever_it_looks_like():
    assert parse("{1: a, true: b, 1e-4: c, ~: d}", "a.yaml") == {"1": "a", "true": "b", "1e-4": "c", "~": "d"}


def test_parts_can_be_shared_and_overridden():
    text = "base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\nthird: {<<: *base}"

    assert parse(text, "a.yaml") == {"base": {"a": 1, "b": 2}, "other": {"a": 1, "b": 3}, "third": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "a.yaml: line 3, column 1: a stands twice, first on line 1"),
        ("a: {b: 1, b: 1}", "a.yaml: line 1, column 11: b stands twice, first on line 1"),
        ("a: [1, 2", "a.yaml: line 1, column 9: expected ',' or ']', but got '<stream end>'"),
        ("a:\n\t- b", "a.yaml: line 2, column 1: found character '\\t' that cannot start any token"),
        ("a: b: c", "a.yaml: line 1, column 5: mapping values are not allowed here"),
        ("? [1, 2]\n: 3", "a.yaml: line 1, column 3: a key must be a word"),
        ("a: !!int x", "a.yaml: line 1, column 4: x is no number"),
        (
            "a: !!python/object:os.system x",
            f"a.yaml: line 1, column 4: could not determine a constructor for the tag '{HOSTILE}'",
        ),
        (
            "a: \x00",
            f'a.yaml: {UNREADABLE} in "<unicode string>", position 3',
        ),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(text, message):
    with pytest.raises(SettingsError) as refused:
        parse(text, "a.yaml")

    assert str(refused.value) == message
