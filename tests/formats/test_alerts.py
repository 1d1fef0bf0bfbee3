from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from pipeline.formats import times
from pipeline.formats.alert_document import AlertDocument, schema
from pipeline.formats.alerts import as_dict, encode, sentence
from pipeline.records import Alert, Deviation, Group, Member, Quiet


def at(text):
    return times.parse(f"2013-12-16T{text}", times.zone("UTC"))


TEMP = Deviation("temp", "°C", 71.23, 83.04, 80.13, 85.91, 0.92)
FLOW = Deviation("flow", "l/s", 3.2, 3.25, 3.1, 3.4, 0.08)
RAISED = Alert(
    id="0123456789abcdef",
    event="raised",
    at=at("13:55"),
    detector="pumps",
    digest="d" * 64,
    series="pump-7",
    severity="warning",
    start=at("13:55"),
    end=None,
    peak_at=at("13:55"),
    score=4.302,
    bar=3.5,
    target=5e-4,
    because="point",
    span=5,
    one_in=20_045,
    closing=None,
    channels=(TEMP, FLOW),
    partition=3,
    offset=40,
    clock="time",
)
CLEARED = replace(RAISED, event="cleared", at=at("15:10"), end=at("15:10"), peak_at=at("14:20"), closing="calm")


def test_the_sentence_says_what_was_read_what_was_expected_and_how_rare_that_is():
    assert sentence(RAISED) == (
        "pump-7: temp 71.2 °C at 2013-12-16 13:55, expected 83.0 (80.1-85.9); rarer than 1 in 20,000 readings; "
        "temp 92 %, flow 8 % of the deviation"
    )


def test_an_incident_that_goes_on_says_since_when_and_that_it_became_critical():
    updated = replace(RAISED, event="updated", severity="critical", at=at("14:05"))

    assert sentence(updated) == (
        "pump-7 now critical: temp 71.2 °C at 2013-12-16 14:05, expected 83.0 (80.1-85.9); "
        "rarer than 1 in 20,000 readings; temp 92 %, flow 8 % of the deviation; open since 13:55"
    )


def test_the_end_of_a_budget_is_told_with_the_incident_that_spent_it():
    assert sentence(replace(RAISED, event="budget_spent")) == (
        "pump-7: the budget of alerts is spent with this one: until its period ends, only a higher score raises; "
        + sentence(RAISED).removeprefix("pump-7: ")
    )
    assert json.loads(encode(replace(RAISED, event="budget_spent")))["event"] == "budget_spent"


def test_an_incident_of_yesterday_is_told_with_its_date():
    updated = replace(RAISED, event="updated", at=at("14:05") + 86_400_000_000)

    assert sentence(updated).endswith("; open since 2013-12-16 13:55")


def test_a_deviation_that_lasts_says_for_how_many_readings():
    assert "; rarer than 1 in 20,000 readings, by a deviation of some 64 readings; " in sentence(
        replace(RAISED, because="sustained", span=64)
    )


def test_a_value_out_of_its_valid_range_is_told_without_a_rarity():
    out = replace(RAISED, because="range", severity="critical", span=0, channels=(replace(TEMP, value=2300.0),))

    assert sentence(out) == (
        "pump-7 critical: a value is out of its valid range; "
        "temp 2300.0 °C at 2013-12-16 13:55, expected 83.0 (80.1-85.9)"
    )


def test_an_incident_that_cleared_says_how_long_it_lasted_and_its_peak():
    assert sentence(CLEARED) == (
        "pump-7: back to normal at 2013-12-16 15:10 after 1 h 15 min; "
        "peak rarer than 1 in 20,000 readings at 14:20; temp 92 %, flow 8 % of the deviation"
    )


def test_an_incident_that_a_gap_ended_does_not_say_that_all_is_normal():
    assert sentence(replace(CLEARED, closing="gap", channels=(TEMP,))) == (
        "pump-7: closed by a gap in the readings, which go on at 2013-12-16 15:10 after 1 h 15 min; "
        "peak rarer than 1 in 20,000 readings at 14:20"
    )


def test_a_series_of_one_channel_does_not_list_what_makes_up_the_deviation():
    assert sentence(replace(RAISED, channels=(replace(TEMP, contribution=1.0),))) == (
        "pump-7: temp 71.2 °C at 2013-12-16 13:55, expected 83.0 (80.1-85.9); rarer than 1 in 20,000 readings"
    )


def test_many_channels_are_counted_after_the_first_three():
    shares = [0.5, 0.2, 0.1, 0.1, 0.1]
    channels = tuple(replace(TEMP, channel=f"m{i}", unit="", contribution=share) for i, share in enumerate(shares))

    assert sentence(replace(RAISED, channels=channels)).endswith(
        "; m0 50 %, m1 20 %, m2 10 %, 2 others 20 % of the deviation"
    )


def test_sample_numbers_are_told_as_such():
    indexed = replace(CLEARED, clock="index", at=1_200, end=1_200, start=1_150, peak_at=1_160, channels=(TEMP,))

    assert sentence(indexed) == (
        "pump-7: back to normal at sample 1200 after 50 samples; peak rarer than 1 in 20,000 readings at sample 1160"
    )


@pytest.mark.parametrize(
    ("lower", "upper", "value", "shown"),
    [
        (80.1, 85.9, 71.23, "71.2"),
        (0.0101, 0.0393, 0.0712, "0.071"),
        (100.0, 350.0, 1234.56, "1235"),
        (80.0, 90.5, 71.23, "71"),
        (3.0, 3.0, 71.23456, "71.23"),  # a band without width says nothing about digits
        (None, None, 0.000123456, "0.0001235"),
        (0.0, 5.0, 1e300, "1e+300"),
        (-5.0, 5.0, -0.2, "0"),
    ],
)
def test_numbers_have_as_many_digits_as_the_band_deserves(lower, upper, value, shown):
    channel = Deviation("temp", "", value, None, lower, upper, 1.0)

    assert sentence(replace(RAISED, channels=(channel,))).startswith(f"pump-7: temp {shown} at ")


def test_a_band_below_zero_is_written_without_a_row_of_dashes():
    channel = replace(TEMP, value=-9.0, expected=-3.0, lower=-5.0, upper=-1.0)

    assert "temp -9.0 °C at 2013-12-16 13:55, expected -3.0 (-5.0 to -1.0)" in sentence(
        replace(RAISED, channels=(channel,))
    )


def test_a_channel_without_a_value_or_a_forecast_says_so():
    missing = replace(RAISED, channels=(replace(TEMP, value=None),))
    unknown = replace(RAISED, channels=(replace(TEMP, expected=None, lower=None, upper=None),), one_in=1)

    assert sentence(missing).startswith("pump-7: temp missing at 2013-12-16 13:55, expected 83.0 (80.1-85.9);")
    assert sentence(unknown) == "pump-7: temp 71.23 °C at 2013-12-16 13:55"


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (0, "0 ms"),
        (250_000, "250 ms"),
        (45_000_000, "45 s"),
        (300_000_000, "5 min"),
        (3_600_000_000 * 30, "1 d 6 h"),
    ],
)
def test_lengths_of_time_are_told_in_two_units(length, shown):
    cleared = replace(CLEARED, start=CLEARED.at - length, peak_at=CLEARED.at)

    assert f" after {shown}; " in sentence(cleared)


def test_names_from_outside_cannot_break_the_line_or_command_the_terminal():
    hostile = replace(RAISED, series="pump\n7\x1b[2J", channels=(replace(TEMP, channel="te\rmp"),))

    assert sentence(hostile).isprintable()
    assert sentence(hostile).startswith("pump\ufffd7\ufffd[2J: te\ufffdmp 71.2 °C")


def test_json_has_every_field_in_full_and_is_the_same_for_the_same_alert():
    read = json.loads(encode(replace(CLEARED, peak_at=at("14:20:00.000001"))))

    assert read == as_dict(replace(CLEARED, peak_at=at("14:20:00.000001")))
    assert read["at"] == read["end"] == "2013-12-16T15:10:00Z"
    assert read["start"] == "2013-12-16T13:55:00Z"
    assert read["peak_at"] == "2013-12-16T14:20:00.000001Z"
    assert read["channels"][0] == {
        "channel": "temp",
        "value": 71.23,
        "expected": 83.04,
        "lower": 80.13,
        "upper": 85.91,
        "contribution": 0.92,
        "unit": "°C",
    }
    assert read["sentence"] == sentence(CLEARED).replace("14:20", "14:20:00.000")
    fields = {name for name in Alert.__dataclass_fields__ if name not in ("clock", "labels", "group", "quiet", "muted")}
    assert set(read) == fields | {"sentence"}
    assert encode(RAISED) == encode(replace(RAISED))
    assert b"\n" not in encode(replace(RAISED, series="a\nb"))


STUCK = replace(
    RAISED,
    kind="stuck",
    because="stuck",
    quiet=Quiet(121, 120),
    channels=(Deviation("temp", "°C", 71.25, None, None, None, 0.0),),
    peak_at=0,
    score=0.0,
    bar=0.0,
    target=0.0,
    span=0,
    one_in=0,
)


def test_json_of_what_no_score_has_to_do_with_has_none_of_a_scores_numbers():
    read = as_dict(STUCK)

    assert (read["kind"], read["because"], read["quiet"]) == ("stuck", "stuck", {"readings": 121, "limit": 120})
    assert {name for name, value in read.items() if value is None} == {
        *("end", "closing", "peak_at", "score", "bar", "target", "span", "one_in"),
    }
    assert read["channels"] == [
        {
            "channel": "temp",
            "value": 71.25,
            "expected": None,
            "lower": None,
            "upper": None,
            "contribution": None,
            "unit": "°C",
        }
    ]
    assert as_dict(RAISED)["kind"] == "anomaly"
    assert "quiet" not in as_dict(RAISED)


def test_of_many_stuck_channels_a_few_are_named():
    others = tuple(replace(STUCK.channels[0], channel=f"c{number}") for number in range(6))
    said = sentence(replace(STUCK, channels=(*STUCK.channels, *others)))

    assert "; one value in 121 readings, more than 120; c0, c1, c2 and 3 more too; since " in said
    assert sentence(replace(STUCK, channels=(replace(STUCK.channels[0], value=None),))).startswith(
        "pump-7: temp is stuck at 2013-12-16 13:55; one"
    )


def test_json_of_an_index_clock_has_sample_numbers():
    indexed = as_dict(replace(RAISED, clock="index", at=7, start=5, peak_at=6))

    assert (indexed["at"], indexed["start"], indexed["peak_at"], indexed["end"]) == (7, 5, 6, None)


NORTH = Group(
    labels=(("site", "north"),),
    joined=5,
    open=4,
    members=(
        Member("north/fan", "f" * 16, "critical", at("13:57"), None, 5.5, at("13:58")),
        Member("pump-7", "a" * 16, "warning", at("13:55"), at("14:01"), 4.302, at("13:55")),
        Member("north/mill", "b" * 16, "warning", at("13:59"), None, 4.0, at("13:59")),
        Member("north/saw", "c" * 16, "warning", at("13:59"), None, 3.9, at("13:59")),
    ),
)
LABELS = (("site", "north"), ("line", "3"))
JOINED = replace(RAISED, event="updated", severity="critical", at=at("14:05"), labels=LABELS, group=NORTH)


def test_an_event_of_a_group_names_the_group_and_its_highest_members():
    assert sentence(JOINED) == (
        "site north, pump-7 critical: temp 71.2 °C at 2013-12-16 14:05, expected 83.0 (80.1-85.9); "
        "rarer than 1 in 20,000 readings; temp 92 %, flow 8 % of the deviation; open since 13:55; "
        "5 series: north/fan, pump-7, north/mill and 2 more"
    )


def test_the_first_event_of_a_group_tells_of_its_one_series():
    alone = replace(NORTH, joined=1, open=1, members=NORTH.members[1:2])

    assert sentence(replace(RAISED, group=alone)) == f"site north, {sentence(RAISED)}"


def test_a_group_that_cleared_says_how_long_it_lasted_and_whose_the_peak_was():
    assert sentence(replace(CLEARED, group=NORTH)) == (
        "site north, pump-7: the last of 5 series back to normal at 2013-12-16 15:10 after 1 h 15 min; "
        "peak of north/fan at 13:58; 5 series: north/fan, pump-7, north/mill and 2 more"
    )


def test_json_tells_labels_group_and_members_with_the_peak_first():
    told = json.loads(encode(JOINED))

    assert told["labels"] == {"site": "north", "line": "3"}
    assert told["group"] == {"id": told["id"], "labels": {"site": "north"}, "joined": 5, "open": 4}
    assert told["members"][0] == {
        "series": "north/fan",
        "id": "f" * 16,
        "severity": "critical",
        "start": "2013-12-16T13:57:00Z",
        "end": None,
        "score": 5.5,
        "peak_at": "2013-12-16T13:58:00Z",
    }
    assert told["members"][1]["end"] == "2013-12-16T14:01:00Z"


def test_an_alert_without_labels_has_none_of_these_keys():
    assert not {"labels", "group", "members"} & as_dict(RAISED).keys()
    assert as_dict(replace(RAISED, labels=LABELS)).keys() - as_dict(RAISED).keys() == {"labels"}


SILENT = replace(
    STUCK,
    kind="silent",
    because="silent",
    channels=(),
    start=at("11:55"),
    at=at("13:40"),
    quiet=Quiet(readings=21, limit=20),
)
SPEAKS = replace(SILENT, event="cleared", at=at("15:10"), end=at("15:10"), closing="spoke")


def test_a_silent_series_is_told_since_when_and_when_it_speaks_again():
    assert sentence(SILENT) == (
        "pump-7: silent at 2013-12-16 13:40; no reading for 21 steps, more than 20, while others go on; "
        "the last one was at 11:55"
    )
    assert sentence(SPEAKS) == "pump-7: speaks again at 2013-12-16 15:10 after 3 h 15 min"


def test_json_says_why_it_is_muted_and_only_then():
    assert as_dict(replace(RAISED, muted="new bearings"))["muted"] == "new bearings"
    assert "muted" not in as_dict(RAISED)


@pytest.mark.parametrize(
    "told", [RAISED, CLEARED, STUCK, SILENT, SPEAKS, JOINED, replace(RAISED, muted="x"), replace(RAISED, clock="index")]
)
def test_every_alert_is_a_document_of_the_schema(told):
    """Read strictly, with no field too many."""
    written = encode(told)
    document = msgspec.json.decode(written, type=AlertDocument)

    assert document.id == told.id
    assert json.loads(msgspec.json.encode(document)).items() <= json.loads(written).items()


def test_the_schema_names_every_field_and_what_it_may_be():
    (document,) = (each for name, each in schema()["$defs"].items() if name == "AlertDocument")

    assert set(as_dict(JOINED)) <= set(document["properties"])
    assert {"id", "event", "kind", "at", "series", "sentence"} <= set(document["required"])
    assert document["additionalProperties"] is False
