"""The estimator scores as the monitor does, keeps scikit-learn's contracts where they apply, and says where not."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from pipeline.bundle import load, save
from pipeline.detector.fit_settings import FitSettings
from pipeline.estimator import LSTMAnomalyDetector
from pipeline.formats.frames import readings_of
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Outcome
from pipeline.training import fit
from tests.streams import wave

SETTINGS = FitSettings(hidden=8, steps=20, evaluate_every=10, warm_up=24, device="cpu")
TINY = FitSettings(hidden=4, steps=4, evaluate_every=2, batch=2, warm_up=8, profile="fast", device="cpu")
PROMISE = 0.01

TOO_FEW = "the check brings fewer than the hundred rows that a calibration needs; `Repeating` passes it"
BRINGS_TOO_FEW = (
    *("check_fit_score_takes_y", "check_estimators_overwrite_params", "check_dont_overwrite_parameters"),
    *("check_estimators_fit_returns_self", "check_readonly_memmap_input", "check_n_features_in_after_fitting"),
    *("check_estimators_dtypes", "check_dtype_object", "check_pipeline_consistency", "check_estimators_pickle"),
    *("check_f_contiguous_array_estimator", "check_classifier_data_not_an_array", "check_dict_unchanged"),
    *("check_fit_idempotent", "check_fit2d_predict1d"),
)
NOT_FOR_SERIES = {
    "check_methods_sample_order_invariance": "the order of rows is the order of time: another order is another series",
    "check_methods_subset_invariance": "a row is scored by the rows before it: without them it is another reading",
}
MOVING_BAR = {"check_outliers_train": "a tracking bar moves from row to row: decision_function is no translation"}


class Repeating(LSTMAnomalyDetector):
    """Repeats what it is given until there are a hundred rows: for the checks that bring fewer."""

    def fit(self, X, y=None):
        rows = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2)
        return super().fit(np.tile(rows, (-(-100 // len(rows)), 1)))


def expected_failures(estimator):
    """The checks that do not apply, each with its reason."""
    short = {} if isinstance(estimator, Repeating) else dict.fromkeys(BRINGS_TOO_FEW, TOO_FEW)
    return short | NOT_FOR_SERIES | (MOVING_BAR if estimator.bar == "tracking" else {})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Estimator's parameters changed:UserWarning")
@parametrize_with_checks(
    [
        LSTMAnomalyDetector(false_alarms=0.02, settings=TINY),
        LSTMAnomalyDetector(false_alarms=0.02, bar="static", settings=TINY),
        Repeating(false_alarms=0.02, bar="static", settings=TINY),
    ],
    expected_failed_checks=expected_failures,
    xfail_strict=True,
)
def test_the_contracts_of_scikit_learn_hold_where_they_apply(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def history():
    return wave(600)


@pytest.fixture(scope="module")
def later():
    """Calm readings with a fault, a gap and single readings missing, as they came after the history."""
    values = wave(300, first=600)
    values[150:156] += 20
    values[200:203] = np.nan
    values[220:240] = np.nan
    return values


@pytest.fixture(scope="module")
def learnt(history):
    return LSTMAnomalyDetector(false_alarms=PROMISE, settings=SETTINGS).fit(history)


def observed(detector, values, first, *, fresh):
    """What a monitor says of readings from sample number `first` on."""
    frame = pd.DataFrame({"timestamp": first + np.arange(len(values)), "channel_0": values[:, 0]})
    monitor = Monitor(detector, Policy(FalseAlarms(probability=PROMISE)), fresh=fresh)
    return monitor.observe(readings_of(frame, detector.names))[0]


def test_it_learns_what_fit_learns_from_the_same_history_as_a_frame(learnt, history):
    frame = pd.DataFrame({"timestamp": np.arange(len(history)), "channel_0": history[:, 0]})

    assert fit(frame, settings=SETTINGS).digest == learnt.detector_.digest


@pytest.mark.parametrize("continues", [False, True])
def test_scores_and_outliers_are_the_monitors(continues, learnt, later):
    estimator = learnt.set_params(continues=continues)
    scores = observed(learnt.detector_, later, 600 if continues else 0, fresh=not continues)

    assert np.array_equal(-estimator.score_samples(later), scores.score)
    assert np.array_equal(estimator.predict(later) == -1, scores.exceeds)
    margin = (scores.bar - scores.score)[scores.scored]
    assert np.allclose(estimator.decision_function(later)[scores.scored], margin)
    assert scores.exceeds[150]


def test_rows_that_are_not_scored_are_inliers_with_the_most_normal_score(learnt, later):
    estimator = learnt.set_params(continues=False)
    outcome = observed(learnt.detector_, later, 0, fresh=True).outcome
    silent = outcome != Outcome.SCORED

    assert {Outcome.WARMING, Outcome.MISSING} == set(outcome[silent])
    assert (estimator.score_samples(later)[silent] == 0).all()
    assert (estimator.predict(later)[silent] == 1).all()
    assert np.allclose(estimator.decision_function(later)[silent], -learnt.offset_)


@pytest.mark.parametrize("continues", [False, True])
def test_asking_changes_nothing_and_a_row_is_scored_by_rows_before_it_alone(continues, learnt, later):
    estimator = learnt.set_params(continues=continues)
    first = estimator.score_samples(later)
    estimator.predict(wave(50, seed=4))

    assert np.array_equal(estimator.score_samples(later), first)
    assert np.array_equal(estimator.score_samples(later[:120]), first[:120])


def test_what_follows_the_history_needs_no_warming(learnt, later):
    warming = SETTINGS.warm_up

    assert (learnt.set_params(continues=False).score_samples(later)[:warming] == 0).all()
    assert (learnt.set_params(continues=True).score_samples(later)[:warming] < 0).any()


def test_more_false_alarms_that_are_allowed_lower_the_bar(learnt, later):
    strict = clone(learnt).set_params(false_alarms=0.001, bar="static").fit(wave(600))
    lax = clone(strict).set_params(false_alarms=0.05).fit(wave(600))

    assert strict.offset_ < lax.offset_ < 0
    assert (strict.predict(later) == -1).sum() <= (lax.predict(later) == -1).sum()
    assert np.allclose(lax.decision_function(later), lax.score_samples(later) - lax.offset_)


def test_what_it_learnt_is_a_bundle_that_can_be_served(learnt, later, tmp_path):
    save(learnt.detector_, tmp_path / "bundle")
    scores = observed(load(tmp_path / "bundle"), later, 0, fresh=True)

    assert np.array_equal(-learnt.set_params(continues=False).score_samples(later), scores.score)


def test_columns_of_a_frame_name_the_channels(history):
    frame = pd.DataFrame({"temp": history[:, 0], "flow": history[::-1, 0]})

    assert LSTMAnomalyDetector(settings=TINY).fit(frame).detector_.names == ("temp", "flow")


@pytest.mark.parametrize(
    ("changes", "rows", "said"),
    [
        ({}, wave(99), "X has n_samples=99 and n_features=1: at least 100 rows are needed to learn what is normal"),
        ({}, np.full((200, 1), np.nan), "series has 0 readings in order; at least 100 are needed"),
        ({}, pd.DataFrame({"label": wave(200)[:, 0]}), "X has a column 'label', which is never a channel: drop"),
        ({"false_alarms": 0.5}, wave(200), "probability is 0.5: a share of readings above 0 and below 0.5 is needed"),
        ({"bar": "low"}, wave(200), "bar is 'low': tracking or static is needed"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(changes, rows, said):
    with pytest.raises(ValueError, match=r"needed|never") as refused:
        LSTMAnomalyDetector(**changes, settings=TINY).fit(rows)

    assert said in str(refused.value)


def test_an_unpickled_estimator_scores_alike_and_without_torch(learnt, later, tmp_path):
    estimator = learnt.set_params(continues=True)
    (tmp_path / "estimator").write_bytes(pickle.dumps(estimator))
    np.save(tmp_path / "later.npy", later)
    words = (
        "import pickle, sys, numpy as np; estimator = pickle.load(open('estimator', 'rb'));"
        "np.save('scores.npy', estimator.score_samples(np.load('later.npy'))); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", words], cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert np.array_equal(np.load(tmp_path / "scores.npy"), estimator.score_samples(later))
