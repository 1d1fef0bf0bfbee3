"""Which series are listed, for how long, and with what."""

import numpy as np
import pytest

from pipeline.records import Outcome
from pipeline.service.watched import KEEP_SECONDS, SeriesShown, WatchedSeries
from tests.service.telemetry_feed import HandClock, readings_of, scores_of

NAMES = [f"pump-{number}" for number in range(6)]


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def watched(clock):
    return WatchedSeries(2, SeriesShown(max=2), clock)


def test_the_highest_scoring_series_are_listed(watched):
    watched.observed(readings_of(NAMES, [0, 1, 2, 3]), scores_of([0.5, 2.5, 0.1, 1.5]))

    listed = watched.listed()
    assert set(listed.names) == {"pump-1", "pump-3"}
    assert listed.unlisted == 2


def test_the_last_reading_of_a_batch_is_kept(watched):
    watched.observed(readings_of(NAMES, [0, 1, 0, 1, 0]), scores_of([1.0, 2.0, 3.0, 0.5, 0.25]))

    listed = watched.listed()
    rows = dict(zip(listed.names, range(2), strict=True))
    assert listed.values[rows["pump-0"]].tolist() == [4.0, 4.0]
    assert listed.values[rows["pump-1"]].tolist() == [3.0, 3.0]
    assert listed.score[rows["pump-0"]] == 0.25
    assert (listed.expected == 10).all()
    assert (listed.lower == 9).all()
    assert (listed.upper == 11).all()


def test_a_listed_series_stays_for_fifteen_minutes_against_higher_scores(watched, clock):
    watched.observed(readings_of(NAMES, [0, 1]), scores_of([0.1, 0.2]))
    clock.seconds += KEEP_SECONDS - 1
    watched.observed(readings_of(NAMES, [0, 1, 2, 3]), scores_of([0.1, 0.2, 2.0, 2.5]))
    assert set(watched.listed().names) == {"pump-0", "pump-1"}
    clock.seconds += 1
    watched.observed(readings_of(NAMES, [0, 1, 2]), scores_of([0.1, 0.2, 0.15]))

    assert set(watched.listed().names) == {"pump-1", "pump-2"}


def test_a_series_in_an_incident_takes_the_place_of_the_calmest_at_once(watched):
    watched.observed(readings_of(NAMES, [0, 1]), scores_of([0.1, 0.2]))
    watched.observed(readings_of(NAMES, [2]), scores_of([4.0], alert=[True]))

    assert set(watched.listed().names) == {"pump-1", "pump-2"}


def test_incidents_never_push_each_other_out(watched, clock):
    watched.observed(readings_of(NAMES, [0, 1]), scores_of([4.0, 4.0], alert=[True, True]))
    for _ in range(4):
        clock.seconds += KEEP_SECONDS / 3
        both = readings_of(NAMES, [0, 1, 2])
        watched.observed(both, scores_of([3.0, 3.0, 9.0], alert=[True, True, True]))

    assert set(watched.listed().names) == {"pump-0", "pump-1"}
    assert watched.listed().unlisted == 1


def test_an_incident_keeps_its_place_for_fifteen_minutes_after_it_ended(watched, clock):
    watched.observed(readings_of(NAMES, [0, 1]), scores_of([4.0, 5.0], alert=[True, True]))
    clock.seconds += 600
    watched.observed(readings_of(NAMES, [0, 1]), scores_of([4.0, 5.0], alert=[True, True]))
    clock.seconds += 899
    watched.observed(readings_of(NAMES, [0, 1, 2]), scores_of([0.0, 0.0, 2.0]))

    assert set(watched.listed().names) == {"pump-0", "pump-1"}


def test_a_silent_series_leaves_the_list(watched, clock):
    watched.observed(readings_of(NAMES, [0, 1]), scores_of([1.0, 1.0]))
    clock.seconds += 600
    watched.observed(readings_of(NAMES, [1]), scores_of([1.0]))
    clock.seconds += 301

    assert watched.listed().names == ("pump-1",)


def test_an_hourly_sensor_is_not_silent_between_its_readings(clock):
    hourly = WatchedSeries(2, SeriesShown(max=2), clock, step_seconds=3600)
    hourly.observed(readings_of(NAMES, [0]), scores_of([1.0]))
    clock.seconds += 3600

    assert hourly.listed().names == ("pump-0",)


def test_series_of_a_revoked_partition_leave_at_once(watched):
    watched.observed(readings_of(NAMES, [0], partition=0), scores_of([1.0]))
    watched.observed(readings_of(NAMES, [1, 2], partition=1), scores_of([1.0, 0.5]))
    watched.only({0})

    assert watched.listed().names == ("pump-0",)
    assert watched.listed().unlisted == 0

    watched.only(set())

    assert watched.listed().names == ()


def test_revoking_before_any_reading_is_harmless(watched):
    watched.only({0, 1})

    assert watched.listed().names == ()


def test_only_matching_series_are_listed_and_counted(clock):
    matching = WatchedSeries(2, SeriesShown(max=1, match="pump-[12]"), clock)
    matching.observed(readings_of(NAMES, [0, 1, 2, 3]), scores_of([9.0, 1.0, 2.0, 9.0]))

    assert matching.listed().names == ("pump-2",)
    assert matching.listed().unlisted == 1


def test_none_are_listed_where_none_are_wanted(clock):
    none = WatchedSeries(2, SeriesShown(max=0), clock)
    none.observed(readings_of(NAMES, [0, 1]), scores_of([1.0, 1.0]))

    assert none.listed().names == ()
    assert none.listed().unlisted == 2


def test_fewer_series_are_listed_where_channels_are_many(clock):
    wide = WatchedSeries(150, SeriesShown(max=20), clock)
    wide.observed(readings_of(NAMES, [0, 1, 2], channels=150), scores_of([1.0, 2.0, 3.0], channels=150))

    assert set(wide.listed().names) == {"pump-1", "pump-2"}
    assert wide.listed().unlisted == 1


def test_a_name_too_long_for_a_label_is_not_listed(watched):
    watched.observed(readings_of(["x" * 201, "pump"], [0, 1]), scores_of([9.0, 1.0]))

    assert watched.listed().names == ("pump",)


def test_half_a_surrogate_pair_in_a_name_is_spelt_out(watched):
    watched.observed(readings_of(["pump\ud800"], [0]), scores_of([1.0]))

    assert watched.listed().names == ("pump\\ud800",)


def test_a_warming_reading_shows_its_value_and_no_forecast(watched):
    watched.observed(readings_of(NAMES, [0]), scores_of([1.0]))
    watched.observed(readings_of(NAMES, [0]), scores_of([0.0], outcome=[Outcome.WARMING]))

    assert watched.listed().scored.tolist() == [False]


def test_a_late_reading_does_not_replace_the_last_one(watched):
    watched.observed(readings_of(NAMES, [1, 0]), scores_of([1.0, 1.0]))
    watched.observed(readings_of(NAMES, [0]), scores_of([0.0], outcome=[Outcome.LATE]))

    listed = watched.listed()
    assert listed.values[listed.names.index("pump-0")].tolist() == [1.0, 1.0]
    assert listed.scored.all()


def test_series_that_appear_later_find_their_place(watched):
    names = ["a"]
    watched.observed(readings_of(names, [0]), scores_of([1.0]))
    names.append("b")
    watched.observed(readings_of(names, [1]), scores_of([1.0]))

    assert set(watched.listed().names) == {"a", "b"}


def test_any_cutting_of_a_batch_keeps_the_same_last_readings(clock, rng):
    codes = rng.integers(0, 6, 50)
    scores = np.round(rng.exponential(size=50), 3)
    whole, cut = (WatchedSeries(2, SeriesShown(max=6), clock) for _ in range(2))
    readings, judged = readings_of(NAMES, codes), scores_of(scores)
    whole.observed(readings, judged)
    for start in range(0, 50, 7):
        rows = slice(start, start + 7)
        cut.observed(readings[rows], scores_of(scores[rows]))

    one, other = whole.listed(), cut.listed()
    assert dict(zip(one.names, one.values[:, 0], strict=True)) == dict(
        zip(other.names, other.values[:, 0], strict=True)
    )


def test_a_negative_number_of_series_is_refused():
    with pytest.raises(ValueError, match=r"telemetry\.series\.max is -1"):
        SeriesShown(max=-1)
