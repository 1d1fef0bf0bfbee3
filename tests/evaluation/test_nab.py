from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.evaluation.nab import nab_score

LABEL = np.zeros(1000, bool)
LABEL[400:500] = True


def at(*rows):
    return np.isin(np.arange(1000), rows).astype(float)


def sigmoid(y):
    return 2 / (1 + np.exp(5 * y)) - 1


def test_the_first_row_of_the_window_alone_is_perfect_and_silence_is_zero():
    assert nab_score([(at(400), LABEL)]).score == pytest.approx(100)
    assert nab_score([(np.full(1000, np.nan), LABEL)]).score == 0
    assert nab_score([(np.full(1000, np.nan), LABEL)]).threshold is None


def test_a_later_row_is_worth_what_the_sigmoid_says():
    worth = sigmoid(-0.5) / sigmoid(-1.0)

    assert nab_score([(at(450), LABEL)]).score == pytest.approx(100 * (worth + 1) / 2)
    assert nab_score([(at(450, 470), LABEL)]).score == pytest.approx(100 * (worth + 1) / 2)


def test_false_alarms_cost_and_in_probation_cost_nothing():
    assert nab_score([(at(400, 200), LABEL)]).score == pytest.approx(100 * (2 - 0.11) / 2)
    assert nab_score([(at(400, 149), LABEL)]).score == pytest.approx(100)
    assert nab_score([(at(400, 509), LABEL)]).score == pytest.approx(100 * (2 + 0.11 * sigmoid(10 / 99)) / 2)


def test_one_threshold_serves_all_files():
    both = nab_score([(at(400), LABEL), (at(300) * 2 + at(400) * 0.5, LABEL)])

    assert both.windows == 2
    assert both.score == pytest.approx(100 * (4 - 0.11) / 4)
    assert both.threshold == 0.5


def test_without_a_window_there_is_no_score():
    assert nab_score([(at(3), np.zeros(1000, bool))]).score is None


def test_a_window_that_ends_in_probation_is_not_there():
    label = LABEL.copy()
    label[100:150] = True
    found = nab_score([(at(400), label)])

    assert (found.score, found.windows) == (pytest.approx(100), 1)


def test_rows_in_a_row_pay_each_for_itself():
    assert nab_score([(at(400, *range(200, 203)), LABEL)]).score == pytest.approx(100 * (2 - 0.33) / 2)


def plain_sigmoid(position):
    """`scaledSigmoid` of NAB's sweeper."""
    return -1.0 if position >= 3 else 2 / (1 + math.exp(5 * position)) - 1


def plain_score(files, threshold):
    """The raw score of all files at one threshold, row by row as NAB's sweeper has it, and the number of windows."""
    total, windows = 0.0, 0
    for score, label in files:
        rows = len(label)
        probation = min(math.floor(0.15 * rows), 750)
        best, spent = {}, 0.0
        window, past, width = None, None, None
        for row in range(rows):
            if label[row] and (row == 0 or not label[row - 1]):
                window = row
                last = row
                while last + 1 < rows and label[last + 1]:
                    last += 1
            detected = not math.isnan(score[row]) and score[row] >= threshold
            if window is not None:
                worth = plain_sigmoid(-(last - row + 1) / (last - window + 1)) / plain_sigmoid(-1.0)
                if row >= probation:
                    best[window] = max(best.get(window, -1.0), worth) if detected else best.get(window, -1.0)
            elif detected and row >= probation:
                spent += 0.11 * (-1.0 if past is None else plain_sigmoid((row - past) / (width - 1)))
            if window is not None and row == last:
                past, width, window = row, last - window + 1, None
        total += sum(best.values()) + spent
        windows += len(best)
    return total, windows


def test_the_score_is_that_of_a_plain_sweep_over_all_files(rng):
    files = []
    for rows in (200, 700, 6000):
        label = np.zeros(rows, bool)
        for start in rng.integers(0, rows - 40, 4):
            label[start : start + rng.integers(2, 40)] = True
        score = np.round(rng.normal(size=rows) + 1.5 * label, 1)
        score[rng.random(rows) < 0.1] = np.nan
        files.append((score, label))
    thresholds = np.unique(np.concatenate([score[~np.isnan(score)] for score, _ in files]))
    sweep = [plain_score(files, threshold) for threshold in thresholds]
    raw, windows = max(sweep)
    found = nab_score(files)

    assert found.windows == windows
    assert raw > -windows
    assert found.score == pytest.approx(100 * (raw + windows) / (2 * windows))
    assert found.threshold == thresholds[sweep.index((raw, windows))]
