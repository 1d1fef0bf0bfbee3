"""Labels read from the names of series."""

import pytest

from pipeline.monitor.labels import Labelling, LabelRule


@pytest.mark.parametrize(
    ("match", "series", "labels"),
    [
        ("{site}/{line}/*", "north/3/pump-7", {"site": "north", "line": "3"}),
        ("{site}/{line}/*", "north/3/a/b", {"site": "north", "line": "3"}),
        ("{site}/*", "north/3/pump-7", {"site": "north"}),
        ("{site}/*", "pump-7", {}),
        ("{site}/*", "/pump-7", {}),
        ("*/{pump}", "north/3/pump-7", {"pump": "pump-7"}),
        ("{pump}.{site}", "pump-7.north.old", {"pump": "pump-7", "site": "north.old"}),
        ("plant {site}: *", "plant a.b: x", {"site": "a.b"}),
        ("{site}-?", "north-7", {"site": "north"}),
        ("{site}-?", "north-77", {}),
        ("{site}[1]", "north[1]", {"site": "north"}),
        ("{site}/*", "nörd\n/x", {"site": "nörd\n"}),
    ],
)
def test_a_label_is_the_text_up_to_the_character_that_follows_it(match, series, labels):
    assert dict(Labelling([LabelRule(match)]).of(series)) == labels


def test_of_several_rules_the_first_that_fits_counts_and_fixed_labels_stand_beside():
    labelling = Labelling([LabelRule("old-*", (("site", "south"), ("age", "old"))), LabelRule("{site}-*")])

    assert labelling.of("old-7") == (("site", "south"), ("age", "old"))
    assert labelling.of("north-7") == (("site", "north"),)
    assert labelling.of("pump") == ()


@pytest.mark.parametrize(
    ("match", "fixed", "message"),
    [
        ("north/*", (), r"match is 'north/\*', and no label: put one in braces"),
        ("{site", (), "match is '{site': braces stand around a label"),
        ("site}/*", (), "braces stand around a label"),
        ("{site}{line}/*", (), "{line} follows {site} at once: a character is needed between them"),
        ("{site}*", (), r"\* follows {site} at once"),
        ("{site}/{site}", (), "the label site is given twice"),
        ("{site}/*", (("site", "north"),), "the label site is given twice"),
        ("{}/*", (), "'' is no name of a label: letters, digits and _ are needed"),
        ("{3rd}/*", (), "'3rd' is no name of a label"),
        ("a*", (("site name", "north"),), "'site name' is no name of a label"),
    ],
)
def test_a_rule_that_says_nothing_clear_is_refused(match, fixed, message):
    with pytest.raises(ValueError, match=message):
        LabelRule(match, fixed)
