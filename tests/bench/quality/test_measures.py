"""The measures of the benchmark against plain loops and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.nab import nab_score
from tests.bench.quality.measures import Alarms, alarm_figures, alarms, far_from_labels, ranks, whole_file


def labelled(rows, *spans):
    labels = np.zeros(rows, np.uint8)
    for first, last in spans:
        labels[first:last] = 1
    return labels


def test_a_row_is_far_from_labels_as_a_plain_loop_says(rng):
    labels = (rng.random(400) < 0.01).astype(np.uint8)
    anomalous = np.flatnonzero(labels)
    plain = [min(abs(row - other) for other in anomalous) >= 7 for row in range(400)]

    np.testing.assert_array_equal(far_from_labels(labels, 7), plain)


def test_a_row_without_a_score_is_below_all_others():
    assert ranks(np.array([3.0, 0.0, -1.0]), np.array([True, False, True])).tolist() == [3.0, -2.0, -1.0]


def test_alarms_tell_false_ones_delays_and_lengths():
    labels = labelled(1000, (300, 310), (600, 605))
    exceeds = np.zeros(1000, bool)
    exceeds[[5, 250, 304, 305, 900]] = True

    found = alarms(labels, np.ones(1000, bool), exceeds, begin=10)

    assert found.delays == (4,)
    assert found.lengths == (10, 5)
    assert found.false == 1  # 5 is before `begin`, 250 too near
    assert found.normal == sum(min(abs(row - e) for e in np.flatnonzero(labels)) >= 100 for row in range(10, 1000))


def test_only_series_with_enough_normal_rows_are_judged_by_themselves():
    kept, broken, short = Alarms(20_000, 40, (), ()), Alarms(20_000, 41, (), ()), Alarms(500, 5, (3,), (10, 10))

    figures = alarm_figures([kept, broken, short], 1e-3)

    assert (figures.judged, figures.within_twice) == (2, 0.5)
    assert figures.pooled_ratio == pytest.approx(10.0)
    assert (figures.events, figures.recall, figures.delay_median) == (2, 0.5, 3.0)
    assert figures.chance == pytest.approx(1 - (1 - 86 / 40_500) ** 10)


def test_train_is_the_probation_of_a_whole_file_and_nothing_is_cut_twice():
    labels, score = labelled(850, (0, 50), (300, 400)), np.zeros(850)
    score[[0, 300]] = 1.0
    (handed,), whole = whole_file(labels, score[None], 150)
    found = nab_score([(handed, whole)])

    assert (found.score, found.windows) == (pytest.approx(100.0), 2)
