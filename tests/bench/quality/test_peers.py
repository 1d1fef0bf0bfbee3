"""What is ours in running the peers; they themselves are in an environment of their own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.quality.peers import at_last_row, peer_scores, shingles


def test_a_shingle_is_the_last_rows_side_by_side_channel_after_channel(rng):
    values = rng.random((10, 2))
    plain = [[values[row + step, channel] for channel in range(2) for step in range(4)] for row in range(7)]

    np.testing.assert_array_equal(shingles(values), plain)


def test_a_windows_score_stands_at_its_last_row():
    assert at_last_row(np.array([3.0, 1.0, 2.0]), 5).tolist() == [1.0, 1.0, 3.0, 1.0, 2.0]


def test_a_peer_learns_from_train_alone_and_a_missing_reading_is_carried_forward(capsys):
    seen = []

    def last_of_train(train, seed):
        print("epoch 1")  # as they do
        seen.append((train[:, 0].tolist(), seed))
        return lambda test: test[:, 0] - train[-1, 0]

    score, *seconds = peer_scores(last_of_train, np.array([[np.nan], [2.0]]), np.array([[3.0], [np.nan], [5.0]]), 7)

    assert seen == [([0.0, 2.0], 7)]
    assert score.tolist() == [1.0, 1.0, 3.0]
    assert min(seconds) >= 0
    assert capsys.readouterr().out == ""


def test_a_peer_that_leaves_rows_out_is_refused():
    def short(train, seed):
        return lambda test: test[1:, 0]

    with pytest.raises(RuntimeError, match="short has 2 scores for 3 rows"):
        peer_scores(short, np.zeros((5, 1)), np.zeros((3, 1)), 0)
