"""What is kept of a scored series is what the monitor said, and is read back whole or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detector.fit_settings import FitSettings
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.training.history import History
from tests.bench.quality.cases import Case, readings_of
from tests.bench.quality.scoring import (
    BASELINES,
    COLUMNS,
    PROMISES,
    RATES,
    exceeding,
    learnt,
    load,
    other,
    ours,
    settings_for,
    write,
)

SETTINGS = FitSettings(hidden=8, steps=40, evaluate_every=20, warm_up=24, device="cpu")


@pytest.fixture(scope="module")
def small():
    """A noisy wave of two channels, 600 rows of train and 900 of test with a fault in it."""
    rng, rows = np.random.default_rng(0), np.arange(1500)
    values = np.sin(rows[:, None] / (5.0, 7.0)) + rng.normal(0, 0.1, (1500, 2))
    values[1100:1120] += 3.0
    labels = np.zeros(900, np.uint8)
    labels[500:520] = 1
    parts = [
        History("a/b", rows[part], values[part], np.isnan(values[part])) for part in (slice(0, 600), slice(600, 1500))
    ]
    return Case("nab", "a/b", "strict", True, ("x", "y"), *parts, labels, fresh=False)


@pytest.fixture(scope="module")
def scored(small):
    return ours(small, SETTINGS)


def test_exceedances_at_every_rate_are_those_of_a_monitor_with_that_promise(small, scored):
    detector = learnt(small, SETTINGS).detector
    for index, rate in enumerate(RATES):
        scores, _ = Monitor(detector, Policy(FalseAlarms(probability=rate))).observe(readings_of(small.test))

        np.testing.assert_array_equal(scored.exceeds[index], scores.exceeds)
        np.testing.assert_array_equal(exceeding(detector, scores, rate), scores.exceeds)
        np.testing.assert_array_equal(scored.score, scores.score)


def test_the_head_of_a_test_part_that_is_judged_cold_is_unscored(small):
    cold = replace(small, test=replace(small.test, at=small.test.at - 600), fresh=True)

    assert not ours(cold, SETTINGS).scored[: SETTINGS.warm_up - 1].any()


def test_scores_come_back_as_they_were_written(scored, tmp_path):
    write(tmp_path / "deep" / "a.npz", scored)
    back = load(tmp_path / "deep" / "a.npz")

    assert back.about == scored.about
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(back, name), getattr(scored, name))
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a.npz"]


def test_a_torn_file_or_none_is_scored_again(scored, tmp_path):
    file = tmp_path / "a.npz"
    write(file, scored)
    file.write_bytes(file.read_bytes()[:-100])

    assert load(file) is None
    assert load(tmp_path / "b.npz") is None


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_scores_every_row(small, name):
    found = other(small, name, 0)

    assert found.scored.all()
    assert len(found.score) == 900
    assert found.exceeds.size == found.swept.size == 0
    assert found.about["fit_seconds"] is None


def test_only_baselines_that_draw_follow_the_seed(small):
    moved = [name for name in BASELINES if (other(small, name, 0).score != other(small, name, 1).score).any()]

    assert moved == ["random", "isolation_forest"]


def test_the_sweep_is_over_promises_each_with_the_monitors_own_bar(small, scored):
    detector = learnt(small, SETTINGS).detector
    for index, rate in enumerate(PROMISES):
        scores, _ = Monitor(detector, Policy(FalseAlarms(probability=rate))).observe(readings_of(small.test))

        np.testing.assert_array_equal(scored.swept[index], scores.exceeds)
    assert scored.swept[0].sum() > scored.swept[-1].sum() > 0


def test_settings_are_changed_by_key_and_value():
    changed = settings_for(["hidden=8", "learning_rate=0.1", "calendar=true"], seed=3)

    assert changed == FitSettings(hidden=8, learning_rate=0.1, calendar=True, device="cpu", seed=3)


@pytest.mark.parametrize("change", ["hiden=8", "hidden", "seed=1", "roles=x", "hidden=0"])
def test_settings_that_there_are_not_are_refused(change):
    with pytest.raises(ValueError, match=change.partition("=")[0]):
        settings_for([change])
