from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.ranking import THRESHOLDS, auc_pr, sliding_window_of, vus_pr


def plain_vus_pr(score, label, window):
    """TSB-AD's definition as loops over windows and thresholds; nothing is nested or summed beforehand."""
    runs = [row for row in range(len(label)) if label[row] and (row == 0 or not label[row - 1])]
    runs = [(s, next((e for e in range(s, len(label)) if not label[e]), len(label)) - 1) for s in runs]
    falling = np.sort(score)[::-1]
    total = 0.0
    for width in range(window + 1):
        half, mass = width // 2, label.astype(float)
        for start, end in runs:
            for d in range(1, half + 1):
                for row in (start - d, end + d):
                    if 0 <= row < len(label):
                        mass[row] += np.sqrt(1 - d / width)
        mass = np.minimum(mass, 1)
        merged = [[max(runs[0][0] - half, 0), runs[0][1] + half]]
        for start, end in runs[1:]:
            if merged[-1][1] < start - half:
                merged.append([start - half, end + half])
            else:
                merged[-1][1] = end + half
        before = 0.0
        for k in np.linspace(0, len(score) - 1, THRESHOLDS).astype(int):
            passed = score >= falling[k]
            hit = sum(passed[a : b + 1].any() for a, b in merged) / len(merged)
            found = mass[passed].sum()
            extended = label.sum() + mass[passed & ~label].sum()
            recall = min(found / ((label.sum() + extended) / 2), 1) * hit
            total += (recall - before) * found / passed.sum()
            before = recall
    return total / (window + 1)


@pytest.mark.parametrize("window", [0, 1, 2, 7, 20])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.6])
def test_vus_pr_equals_the_plain_loops(window, share):
    random = np.random.default_rng([window, int(share * 100)])
    for rows in (30, 260, 500):
        label = random.random(rows) < share
        label[[3, 4, 5, 9, -1]] = True
        label[0] = rows == 260
        label[1] = False
        score = np.round(random.normal(size=rows) + label, 1 if rows == 500 else 6)

        assert vus_pr(score, label, window) == pytest.approx(plain_vus_pr(score, label, window), abs=1e-12)


def test_a_null_score_ranks_below_every_other():
    random = np.random.default_rng(1)
    score, label = random.normal(size=300), random.random(300) < 0.1
    lowest, null = score.copy(), score.copy()
    lowest[50:90], null[50:90] = -1e9, np.nan

    assert vus_pr(null, label, 10) == vus_pr(lowest, label, 10)
    assert auc_pr(null, label) == auc_pr(lowest, label)


def test_a_score_that_names_the_rows_is_perfect_by_rows():
    label = np.zeros(1000, bool)
    label[400:450] = True

    assert auc_pr(label.astype(float), label) == 1.0
    assert vus_pr(label.astype(float), label, 0) == pytest.approx(1.0)


@pytest.mark.parametrize("anomalous", [False, True])
def test_labels_of_one_class_have_no_volume(anomalous):
    assert vus_pr(np.arange(9.0), np.full(9, anomalous), 4) is None
    assert auc_pr(np.arange(9.0), np.full(9, anomalous)) is None


def test_another_number_of_labels_is_refused():
    with pytest.raises(ValueError, match="9 scores, 8 labels"):
        vus_pr(np.arange(9.0), np.ones(8, bool), 4)


def test_the_window_is_the_period_or_125():
    rows = np.arange(3000)
    noise = np.random.default_rng(0).normal(size=3000)

    assert sliding_window_of(np.sin(2 * np.pi * rows / 50) + 0.1 * noise) == 50
    assert sliding_window_of(rows.astype(float)) == 125
    assert sliding_window_of(np.zeros(100)) == 125
    assert sliding_window_of(np.where(rows == 7, np.nan, noise)) == 125
