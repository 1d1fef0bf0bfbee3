"""The one table holds each figure in its column, and nothing where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.bench.quality.show import show
from tests.bench.quality.tables import Measured, figures_of, groups

OURS = Measured(
    "plumbline", "strict", "smd", "a", True, 0, 0.5, 0.4, 0.0, (), None, None, None, 8, None, (1, 1), (1, 1)
)
SKAB = replace(OURS, dataset="skab", rows=(np.arange(4.0), np.array([0, 0, 1, 1], np.uint8)))
GATE = replace(OURS, config="ridge_ar", vus_pr=0.2)


def table(*measured):
    return show([figures_of(*group) for group in groups(measured).items()])


def test_every_figure_stands_in_its_column():
    text = table(
        *(replace(OURS, seed=seed, vus_pr=value) for seed, value in ((0, 0.5), (1, 0.7))),
        replace(OURS, mode="tsb", vus_pr=0.4),
        GATE,
        replace(GATE, mode="tsb", vus_pr=0.3),
        replace(OURS, config="window_pca", vus_pr=0.1),
    )

    assert "| smd | 1 | 2 | 0.600 (0.200) | 0.400 | 0.325 | 0.370 CNN | 0.200; TSB mode 0.300 | 0.100 |" in text


def test_the_list_and_the_rest_are_tables_of_their_own():
    on, off = table(OURS, replace(OURS, on_list=False, vus_pr=0.1)).split("## Off the tuning list")

    assert "| smd | 1 | 1 | 0.500 |" in on
    assert "| smd | 1 | 1 | 0.100 |" in off


def test_a_set_that_nobody_published_and_a_mode_that_was_not_run_have_a_dash():
    assert "| skab | 1 | 1 | 0.500 | - | - | - | - | - |" in table(SKAB)


def test_a_gate_that_ran_in_tsb_mode_alone_says_so():
    assert "| 0.370 CNN | TSB mode 0.200 | - |" in table(replace(OURS, mode="tsb"), replace(GATE, mode="tsb"))


def test_a_mean_says_over_how_many_sets():
    text = table(OURS, replace(SKAB, vus_pr=0.7), GATE)

    assert "| mean |  |  | 0.600 (2 of 6 sets) | - | - | - | 0.200 (1 of 6 sets) | - |" in text
