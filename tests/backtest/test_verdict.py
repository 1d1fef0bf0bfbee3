"""Explanations in words, one for every outcome."""

import numpy as np
import pytest

from pipeline.backtest.explanation import explain
from pipeline.backtest.verdict import channel_rows, notes, rarity, score_rows, verdict, view_rows
from pipeline.formats.alerts import when
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import ChannelRule, FalseAlarms, Policy
from tests.fixtures import unmoved
from tests.streams import BEGIN, series, stream

STILL = Policy(FalseAlarms(probability=0.01), bar="static", channels={"temp": ChannelRule(unit="°C")})
TRACKING = Policy(FalseAlarms(probability=0.01))
AT = "pump at 2023-11-15 "  # row 300


def told(later, row=300, policy=STILL):
    return explain(unmoved(), policy, stream(later), row)


def calm(rows=400):
    return series("pump", np.zeros((rows, 2)), BEGIN)


def test_a_flagged_reading():
    explained = told(calm().with_values(300, 9.0).with_values(300, 3.0, 1))

    assert verdict(explained) == (
        f"{AT}23:15 was flagged, critical: its score of 3.57, rarer than 1 in 200 readings, is above its bar of 2.00; "
        "temp 90 %, flow 10 % of the deviation."
    )
    assert notes(explained)[-1] == f"The incident is {explained.events[0].id}."


def test_a_calm_reading():
    assert verdict(told(calm())) == (
        f"{AT}23:15 was not flagged: its score of 0.00, as common as any, is not above its bar of 2.00."
    )


def test_a_reading_of_an_incident_that_goes_on():
    odd = calm().with_values(slice(298, 302), np.array([9.0, -9.0, 9.0, -9.0]))
    calmer = calm().with_values(298, 30.0)
    moved = verdict(told(calmer, 300, TRACKING))

    assert verdict(told(odd)).startswith(f"{AT}23:15 is part of the incident open since 23:05: its score of")
    assert moved.startswith(f"{AT}23:15 was not flagged by itself: its score of 4.23")
    assert moved.endswith("the incident open since 23:05 goes on, 0 of 3 calm readings that would clear it.")


def test_the_reading_that_ends_an_incident():
    later = calm().with_values(200, 8.0)
    ends = next(row for row in range(202, 400) if told(later, row).events)

    assert notes(told(later, 201))[-1] == "With this reading the incident became critical."
    assert "was not flagged and ended the incident open since 14:55: its score of" in verdict(told(later, ends))


def test_an_alert_that_was_held_back():
    policy = Policy(STILL.false_alarms, bar="static", channels={"temp": ChannelRule(direction="above")})

    assert verdict(told(calm().with_values(300, -9.0), policy=policy)).endswith(
        "is above its bar of 2.00, but its direction is one that the settings do not want to hear of (direction)."
    )


def test_a_value_out_of_its_valid_range():
    policy = Policy(STILL.false_alarms, bar="static", channels={"flow": ChannelRule(valid_range=(-2.0, 0.5))})

    assert verdict(told(calm().with_values(300, 0.6, 1), policy=policy)) == (
        f"{AT}23:15 was flagged, critical: flow is outside its valid range, -2 to 0.5, and that raises by itself."
    )
    assert "was flagged, critical: flow is outside" in verdict(told(calm().with_values(3, 0.6, 1), 3, policy))


def test_readings_that_have_no_score():
    late, twice = calm().repeated(250, 299), calm().repeated(299, 299)
    gap, missing = calm().shifted(296, 50), calm().without(300)

    assert verdict(told(late)) == (
        f"{AT}19:05 was not scored: it is late, its series had already a reading of 23:10; it changed nothing."
    )
    assert verdict(told(twice)) == (
        f"{AT}23:10 was not scored: it is a duplicate, a reading of that time came before it; it changed nothing."
    )
    assert "no channel that is scored has a value (missing)" in verdict(told(missing))
    assert verdict(told(gap, 296)).endswith(
        "it came 4 h 15 min after the last one, too long a gap, and the series begins again; it is scored after 7 more."
    )
    assert "the series warms up after the gap before 03:05; it is scored after 3 more." in verdict(told(gap))
    assert verdict(told(calm(), 2)).endswith(
        "was not scored: the series has just begun and warms up; it is scored after 5 more."
    )
    assert verdict(told(calm(), 7)).endswith("warms up; it is scored from the next one on.")


def test_a_gap_that_closed_an_incident_is_told():
    later = calm().with_values(298, 30.0).shifted(300, 50)

    assert notes(told(later)) == ["The gap before it closed the incident open since 2023-11-15 23:05."]


def test_an_incident_that_a_missing_reading_leaves_open_is_told():
    assert notes(told(calm().with_values(298, 30.0).without(300)))[0] == (
        "The incident open since 2023-11-15 23:05 goes on."
    )


def peak_of(later):
    """Time and score of the highest reading, as they are told."""
    readings = stream(later)
    scores = Monitor(unmoved(), STILL).observe(readings)[0].score
    return f"a score of {scores.max():.2f}, at {when(int(readings.at[scores.argmax()]), 'time')}."


def test_the_peak_of_an_incident_that_goes_on_is_named_at_every_reading_of_it():
    later = calm().with_values(slice(364, 400), np.tile([9.0, -9.0], 18)).with_values(376, 60.0)
    highest = int(Monitor(unmoved(), STILL).observe(stream(later))[0].score.argmax())
    raises, worst, last = (notes(told(later, row)) for row in (364, highest, 399))
    peak = f"The incident has its peak so far, {peak_of(later)}"

    assert raises[-2:-1] == last[-1:] == [peak]
    assert worst[-1] == "No other reading of the incident has scored higher so far."


def test_a_peak_is_looked_for_as_long_as_the_incident_is_open_and_no_longer():
    far = calm().with_values(slice(200, 290), np.tile([9.0, -9.0], 45)).with_values(280, 60.0)
    ended = calm().with_values(200, 8.0)

    assert f"The incident has its peak, {peak_of(far)}" in notes(told(far, 200))
    assert f"The incident has its peak, {peak_of(ended)}" in notes(told(ended.with_values(300, 60.0), 200))
    assert told(ended, 300).peak is None


def test_steps_without_a_reading_are_told():
    assert notes(told(calm().shifted(300, 1)))[0].startswith("The step right before it had no reading")
    assert notes(told(calm().shifted(300, 3)))[0].startswith("The 3 steps right before it had no reading")


def test_the_bar_and_what_would_have_been_needed_are_told():
    still, moved = told(calm()), told(calm().with_values(200, 9.0), 210, TRACKING)
    fused, needed = np.exp([still.x, still.bar_x]) - 0.2
    gap = still.bar_x - still.x

    assert notes(still) == [
        "The bar stands where it started; 0 of 292 readings scored before it exceeded (1 in 100 is promised).",
        f"x is {gap:.3f} below the bar: F is {fused:.3f}, more than {needed:.3f} would have exceeded.",
    ]
    assert notes(moved)[0] == (
        f"The bar has moved by {moved.bar_x - moved.bar_start:+.3f} in x since it started: "
        "1 of 202 readings scored before it exceeded (1 in 100 is promised)."
    )


def test_the_tables_have_every_channel_every_smoothed_error_and_the_bar():
    explained = told(calm().with_values(300, 0.25).without(300, 1))
    heads, temp, flow = channel_rows(explained)

    assert temp[:6] == ("temp", "0.2 °C", "0.0 (-1.0 to 1.0)", "+0.2 °C", "0.2", "100 %")
    assert temp[6].startswith("below -")
    assert flow == ("flow", "missing", "0.0 (-1.0 to 1.0)", "", "", "0 %", "")
    assert len(heads) == len(temp)
    assert [row[:2] for row in view_rows(explained)[1:]] == [
        ("prediction", "5 readings"),
        ("prediction", "20 readings"),
    ]
    assert [row[0] for row in score_rows(explained)[1:]] == ["this reading", "its bar", "where its bar started"]
    assert score_rows(explained)[2][2:] == ("2.00", "1 in 100 readings")


def test_rarity_is_never_finer_than_the_calibration_can_tell():
    calibration = unmoved().calibrations[0]

    assert rarity(0.0, calibration) == "as common as any"
    assert rarity(1.0, calibration) == "1 in 10 readings"
    assert rarity(9.0, calibration) == "rarer than 1 in 200 readings"


@pytest.mark.parametrize("name", ["a\nb", "[red]x"])
def test_a_name_that_cannot_be_written_is_replaced_letter_by_letter(name):
    later = stream(series(name, np.zeros((400, 2)), BEGIN))

    assert verdict(explain(unmoved(), STILL, later, 300)).startswith(name.replace("\n", "\N{REPLACEMENT CHARACTER}"))
