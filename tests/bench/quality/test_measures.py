"""The measures of the benchmark against plain loops and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.quality.measures import (
    Alarms,
    alarm_figures,
    alarms,
    best_f1,
    far_from_labels,
    nab_score,
    nab_weights,
    ranks,
    top_one,
)


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


def test_best_f1_is_that_of_a_plain_sweep(rng):
    labels, score = (rng.random(300) < 0.2).astype(np.uint8), np.round(rng.random(300), 1)
    for share in (1.0, 0.136, 0.05):
        plain = [0.0]
        for threshold in np.unique(score):
            above = score >= threshold
            if (above & (labels == 0)).sum() <= share * (labels == 0).sum():
                plain.append(2 * (above & (labels == 1)).sum() / (above.sum() + labels.sum()))

        assert best_f1(labels, score, share) == pytest.approx(max(plain))


def test_the_highest_score_may_be_a_hundred_rows_off():
    labels = labelled(1000, (500, 510))
    for row, found in ((400, True), (399, False), (609, True), (610, False)):
        score = np.zeros(1000)
        score[row] = 1.0

        assert top_one(labels, score) is found


def test_nab_scores_nothing_0_and_the_first_row_of_every_window_100():
    files = [labelled(1000, (100, 200), (600, 650)), labelled(500, (300, 400)), labelled(400)]
    perfect = [np.zeros(len(labels)) for labels in files]
    perfect[0][[100, 600]], perfect[1][300] = 1.0, 1.0

    assert nab_score(list(zip(files, perfect, strict=True))) == pytest.approx(100.0)
    assert nab_score([(labels, np.zeros(len(labels))) for labels in files]) == pytest.approx(0.0)


def test_nab_weights_are_those_of_its_paper():
    labels = labelled(1000, (100, 200))
    worth, window = nab_weights(labels)
    sigmoid = [2 / (1 + np.exp(5 * y)) - 1 for y in (-1.0, -0.01, 1 / 99, 2.0)]

    assert worth[[0, 99, 999]].tolist() == [-0.11] * 3  # before any window, and far after it
    expected = [1.0, sigmoid[1] / sigmoid[0], 0.11 * sigmoid[2], 0.11 * sigmoid[3]]
    np.testing.assert_allclose(worth[[100, 199, 200, 397]], expected)
    assert (window == np.where(labels == 1, 0, -1)).all()


def test_nab_score_is_that_of_a_plain_sweep(rng):
    files = [labelled(300, (50, 80), (200, 240)), labelled(200, (90, 120))]
    scores = [np.round(rng.random(len(labels)), 2) + 0.3 * labels for labels in files]
    best = 0.0
    for threshold in np.unique(np.concatenate(scores)):
        total = 0.0
        for labels, score in zip(files, scores, strict=True):
            worth, window = nab_weights(labels)
            hit = score >= threshold
            total += worth[hit & (window < 0)].sum()
            for number in range(window.max() + 1):
                inside = worth[hit & (window == number)]
                total += inside.max() if len(inside) else -1.0
        best = max(best, 100 * (total + 3) / 6)

    assert nab_score(list(zip(files, scores, strict=True))) == pytest.approx(best)
