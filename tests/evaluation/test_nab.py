from __future__ import annotations

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
