"""Others are compared with ours on the series of both, and on no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.quality.pairs import beside_ours, pairs
from tests.bench.quality.tables import Measured

OURS = Measured(
    "plumbline", "strict", "nab", "a", True, 0, 0.5, 0.4, 0.0, (), None, None, None, 8, None, (1, 1), (1, 1)
)
FAST = replace(OURS, config="fast", vus_pr=0.3)


def test_the_difference_is_over_the_series_of_both_of_each_the_mean_over_seeds():
    both = [OURS, replace(OURS, seed=1, vus_pr=0.7), FAST, replace(OURS, series="b", vus_pr=0.2)]
    both += [replace(FAST, series="b", vus_pr=0.3), replace(OURS, series="c", vus_pr=0.9), replace(FAST, series="d")]
    (found,) = pairs(both)

    assert (found["config"], found["series"]) == ("fast", 2)
    assert (found["vus_pr"], found["ours"]) == (pytest.approx(0.3), pytest.approx(0.4))
    assert found["difference"] == pytest.approx(-0.1)
    assert found["difference_95"] == pytest.approx((-0.3, 0.1))


def test_lists_and_modes_are_not_mixed_and_nothing_common_is_no_row():
    assert pairs([OURS, replace(FAST, on_list=False), replace(FAST, mode="tsb"), replace(FAST, vus_pr=None)]) == []


def test_the_table_signs_the_loss():
    assert "| on | strict | nab | fast | 1 | 0.300 | 0.500 | -0.200 | [-0.200, -0.200] |" in beside_ours(
        pairs([OURS, FAST])
    )
