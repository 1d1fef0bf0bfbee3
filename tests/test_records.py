"""Runs of flags, as everything that speaks of stretches of rows has them."""

import numpy as np

from pipeline.records import runs


def test_runs_begin_and_end_where_flags_change():
    assert runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)).tolist() == [[0, 2], [3, 4], [6, 7]]
    assert runs(np.zeros(4, bool)).tolist() == []
    assert runs(np.zeros(0, bool)).shape == (0, 2)
