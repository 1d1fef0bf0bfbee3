"""Figures of series become figures of data sets, seeds and the list apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.bench.quality.measures import Alarms
from tests.bench.quality.tables import Measured, figures_of, groups, interval, markdown, means_of_sets

CALM = (Alarms(20_000, 100, (3,), (10,)), Alarms(20_000, 10, (4,), (10,)), Alarms(20_000, 0, (), (10,)))
ONE = Measured(
    "plumbline", "strict", "ucr", "a", True, 0, 0.5, 0.4, 0.0, CALM, 2, True, None, 8, None, (2.0, 1.0), (1000, 4000)
)


def figures(*measured):
    return [figures_of(*group) for group in groups(measured).items()]


def test_a_figure_is_the_mean_over_seeds_of_means_over_series_with_its_spread():
    b = replace(ONE, series="b", vus_pr=0.7, top_one=False)
    (found,) = figures(ONE, b, replace(ONE, seed=1, vus_pr=0.3), replace(b, seed=1, vus_pr=0.9, top_one=True))

    assert (found["series"], found["seeds"]) == (2, [0, 1])
    assert found["vus_pr"] == pytest.approx({"mean": 0.6, "spread": 0.0})
    assert found["top_one"] == pytest.approx({"mean": 0.75, "spread": 0.5})


def test_a_series_without_a_figure_is_left_out_of_it():
    (found,) = figures(ONE, replace(ONE, series="b", vus_pr=None))

    assert found["vus_pr"]["mean"] == 0.5
    assert found["series"] == 2


def test_on_the_list_and_off_it_stand_apart():
    found = figures(ONE, replace(ONE, series="b", on_list=False, vus_pr=0.1))

    assert [(each["list"], each["vus_pr"]["mean"]) for each in found] == [("off", 0.1), ("on", 0.5)]


def test_alarms_and_delays_are_told_at_every_rate():
    (found,) = figures(ONE)

    assert found["alarms"]["0.001"]["within_twice"] == 1.0
    assert found["alarms"]["0.01"]["ratio"] == pytest.approx(0.5)
    assert found["delay_periods"]["mean"] == 0.5  # 4 rows of a period of 8
    assert found["episodes_per_10000"]["mean"] == pytest.approx(1.0)


def test_seconds_are_told_per_thousand_readings():
    (found,) = figures(ONE, replace(ONE, series="b", seconds=(4.0, 7.0), readings=(500, 0)))

    assert found["fit_seconds_per_1000"] == pytest.approx(1000 * 6 / 1500)
    assert found["score_seconds_per_1000"] == pytest.approx(2.0)
    assert "| on | strict | ucr | plumbline | 4.0000 | 2.0000 |" in markdown([found])


def test_a_fit_that_is_not_apart_has_no_seconds_of_its_own():
    (found,) = figures(replace(ONE, config="ridge_ar", seconds=(None, 1.0)))

    assert found["fit_seconds_per_1000"] is None
    assert "| on | strict | ucr | ridge_ar | - | 0.2500 |" in markdown([found])


def test_nab_takes_the_promise_that_is_best_for_all_files_together():
    label = np.isin(np.arange(1000), np.arange(400, 500))
    rows = [np.where(np.isin(np.arange(1000), found), 1.0, np.nan) for found in ([], [400], [300, 400], [200])]
    nab = replace(ONE, dataset="nab", top_one=None)
    (found,) = figures(
        replace(nab, rows=(np.stack([rows[0], rows[2], rows[1]]), label)),
        replace(nab, series="b", rows=(np.stack([rows[1], rows[1], rows[3]]), label)),
    )

    assert found["nab_standard"]["mean"] == pytest.approx(100 * (4 - 0.11) / 4)


def test_a_baseline_has_no_alarms():
    (found,) = figures(replace(ONE, config="random", alarms=(), episodes=None, period=None))

    assert set(found["alarms"].values()) == {None}
    assert found["episodes_per_10000"] is None
    assert "random" in markdown([found])


def test_the_mean_of_sets_takes_smd_as_it_was_tuned():
    smd = replace(ONE, dataset="smd", top_one=None, vus_pr=0.9)
    measured = [ONE, smd, replace(smd, mode="tsb", vus_pr=0.3), replace(smd, on_list=False, vus_pr=0.2)]
    found = {each["list"]: (each["vus_pr"], each["sets"]) for each in means_of_sets(figures(*measured))}

    assert found == {"on": (pytest.approx(0.4), ["smd", "ucr"]), "off": (pytest.approx(0.2), ["smd"])}


def test_anomalies_that_were_put_in_stand_by_themselves_and_in_no_mean_of_sets():
    found = figures(ONE, replace(ONE, dataset="injected", top_one=None, vus_pr=0.9))

    assert [(each["dataset"], each["vus_pr"]["mean"]) for each in found] == [("ucr", 0.5), ("injected", 0.9)]
    assert [(each["vus_pr"], each["sets"]) for each in means_of_sets(found)] == [(0.5, ["ucr"])]


def test_the_interval_draws_series_and_not_seeds(rng):
    values, series = rng.random(50), [f"s{number}" for number in range(50)]
    once = interval(list(values), series)

    assert interval([*values, *values], [*series, *series]) == pytest.approx(once)
    assert once[0] < np.mean(values) < once[1]
