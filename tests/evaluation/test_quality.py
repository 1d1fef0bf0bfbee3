from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation import quality
from pipeline.evaluation.quality import assess

NULL = np.nan


def flags(text):
    """Rows as people draw them: `..##.` has two true ones."""
    return np.array([mark == "#" for mark in text], bool)


def test_rows_are_ranked_exactly():
    labels = flags(".#.#")
    scores = np.array([0.1, 0.4, 0.35, 0.8])

    assert quality.average_precision(labels, scores) == 1.0
    assert quality.roc_auc(labels, scores) == 1.0
    assert quality.average_precision(labels, -scores) == pytest.approx((1 / 3 + 2 / 4) / 2)
    assert quality.roc_auc(labels, np.array([0.5, 0.4, 0.35, 0.8])) == 0.75


def test_a_null_score_counts_as_the_lowest():
    labels = flags("##..")

    assert quality.roc_auc(labels, np.array([NULL, 3.0, 1.0, 2.0])) == 0.5
    assert quality.roc_auc(labels, np.array([NULL, 3.0, -1e300, np.inf])) == 0.25
    assert quality.average_precision(labels, np.array([NULL, 3.0, 1.0, 2.0])) == (1 + 2 / 4) / 2


def test_scores_that_differ_by_little_keep_their_order():
    labels = flags(".#.#")
    scores = 1e9 + np.array([0.0, 1e-6, 0.0, 2e-6])

    assert quality.roc_auc(labels, scores) == 1.0


@pytest.mark.parametrize("labels", ["....", "####", ""])
def test_labels_of_one_class_say_nothing_of_ranking(labels):
    assert quality.average_precision(flags(labels), np.arange(len(labels), dtype=float)) is None
    assert quality.roc_auc(flags(labels), np.arange(len(labels), dtype=float)) is None


def test_events_are_runs_of_anomalous_rows():
    starts, ends = quality.events(flags("#..##.###"))

    assert starts.tolist() == [0, 3, 6]
    assert ends.tolist() == [1, 5, 9]
    assert [len(rows) for rows in quality.events(flags(""))] == [0, 0]
    assert [rows.tolist() for rows in quality.events(flags("###"))] == [[0], [3]]


def test_an_event_does_not_reach_into_the_next_series():
    starts, ends = quality.events(flags(".####."), np.array([0, 0, 0, 1, 1, 1]))

    assert starts.tolist() == [1, 3]
    assert ends.tolist() == [3, 5]


def test_an_event_is_found_by_one_row_that_finds():
    labels = flags(".###...##..##.")
    finds = flags("#..##...#....#")

    assert quality.event_recall(labels, finds) == (2 / 3, 2, 3)
    assert quality.detection_delay(labels, finds) == 1.5  # 2 and 1 rows after the start
    assert quality.event_recall(flags("...."), flags("#..#")) == (None, 0, 0)
    assert quality.event_recall(labels, ~flags("#" * 14)) == (0.0, 0, 3)


def test_what_finds_before_an_event_is_no_delay():
    assert quality.detection_delay(flags("..##"), flags(".###")) == 0.0
    assert quality.detection_delay(flags("..##"), flags("#...")) is None
    assert quality.detection_delay(flags("...."), flags("#...")) is None


@pytest.mark.parametrize(
    ("exceeds", "alert", "finds"),
    [
        ("..........", "##########", ".........."),  # open from the first row on: raised before it
        ("#.........", "##########", "#........."),
        ("..#.......", "..######..", "..#......."),
        ("..#..#....", "..######..", "..#..#...."),  # it exceeds again
        ("..........", "..###.###.", "..#...#..."),  # a value out of its range raises without exceeding
        ("..#..#....", "..........", ".........."),  # held back: nobody hears of it
    ],
)
def test_a_row_finds_by_exceeding_or_raising_and_not_by_an_incident_that_stays_open(exceeds, alert, finds):
    assert quality.finding(flags(exceeds), flags(alert)).tolist() == flags(finds).tolist()


def test_an_incident_open_at_the_first_row_of_the_next_series_was_raised_before_it():
    series = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    finds = quality.finding(flags("........."), flags("..####.##"), series)

    assert finds.tolist() == flags("..#....#.").tolist()


def test_an_incident_that_was_open_before_an_event_does_not_find_it():
    def assessed(exceeds):
        labels, every = flags("...###...."), flags("##########")
        return assess(labels, every, np.arange(10.0), every, flags(exceeds), every)

    before, within = assessed("#........."), assessed("#...#.....")

    assert (before.events, before.found, before.event_recall, before.delay_rows) == (1, 0, 0.0, None)
    assert (within.events, within.found, within.event_recall, within.delay_rows) == (1, 1, 1.0, 1.0)


def test_false_alarms_are_counted_outside_events_only():
    assert quality.false_alarm_rate(flags("..##.."), flags("#.##..")) == 0.25
    assert quality.false_alarm_rate(flags("##"), flags("#.")) is None


def test_chance_finds_long_events():
    assert quality.chance_recall(flags("#...##"), 0.1) == pytest.approx((0.1 + 0.19) / 2)
    assert quality.chance_recall(flags("...."), 0.1) is None


def test_all_figures_of_a_run_together():
    found = assess(
        labels=flags("....##.#.."),
        known=flags("########.#"),
        scores=np.array([0.0, 1.0, 4.0, 1.0, 2.0, 5.0, 1.0, 1.0, 9.0, 0.5]),
        scored=flags(".#########"),
        exceeds=flags("..#..#..#."),
        alert=flags("..##.##.#."),
    )

    assert (found.rows, found.anomalous, found.events, found.found) == (9, 3, 2, 1)
    assert found.unscored == pytest.approx(1 / 9)
    assert found.event_recall == 0.5
    assert found.delay_rows == 1.0
    assert found.false_alarm_rate == 1 / 5  # rows 1, 2, 3, 6, 9
    assert found.chance_recall == pytest.approx((0.2 + 0.36) / 2)
    assert found.roc_auc == pytest.approx((6 + 5 + (2 + 3 / 2)) / 18)
    assert found.average_precision == pytest.approx((1 + 2 / 3 + 3 / 7) / 3)


def test_the_order_in_which_series_are_mixed_does_not_matter(rng):
    series = np.repeat(np.array([0, 1, 2], np.int32), 40)
    labels, known, scored, exceeds, alert = rng.random((5, 120)) < [[0.4], [0.9], [0.9], [0.1], [0.2]]
    scores = rng.normal(size=120)
    mixed = np.argsort(np.tile(np.arange(40), 3), kind="stable")  # row by row over the series
    columns = (labels, known, scores, scored, exceeds, alert, series)

    assert assess(*columns) == assess(*(column[mixed] for column in columns))


def test_no_rows_and_no_labels_mean_nothing():
    nothing = np.zeros(0, bool)
    unlabelled = assess(flags("##"), flags(".."), np.zeros(2), flags("##"), flags(".."), flags(".."))

    for found in (assess(nothing, nothing, np.zeros(0), nothing, nothing, nothing), unlabelled):
        assert (found.rows, found.anomalous, found.events, found.found) == (0, 0, 0, 0)
        assert found.average_precision is found.roc_auc is found.event_recall is found.chance_recall is None
        assert found.delay_rows is found.false_alarm_rate is found.unscored is None
