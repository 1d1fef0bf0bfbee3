from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.baselines import BASELINES, isolation_forest, ridge_ar, window_pca


def forest(train, test):
    return isolation_forest(train, test, seed=0)


def waves(rng, rows, channels):
    """Noisy oscillations of different speed and size."""
    steps = np.arange(rows)[:, None]
    size = 10.0 ** np.arange(channels)
    return size * (np.sin(steps / (3 + np.arange(channels))) + rng.normal(0, 0.1, (rows, channels)))


@pytest.fixture
def history(rng):
    return waves(rng, 400, 3)


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_score_does_not_change_by_what_comes_later(baseline, channels, history, rng):
    train, test = history[:300, :channels], history[300:, :channels]
    test[rng.random(test.shape) < 0.2] = np.nan
    whole = baseline(train, test)

    assert whole.shape == (100,)
    for rows in (1, 15, 16, 17, 32, 33, 60, 99):
        np.testing.assert_allclose(baseline(train, test[:rows]), whole[:rows], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("baseline", [BASELINES[name] for name in BASELINES if name not in ("random", "window_pca")])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jump_scores_above_everything_before_it(baseline, channels, history):
    train, test = history[:300, :channels], history[300:, :channels].copy()
    test[60] += 8 * history[:300, :channels].std(axis=0)
    scores = baseline(train, test)

    assert scores[60] > scores[:60].max()


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_test_rows_teach_nothing(baseline, history):
    train, test = history[:300], history[300:]
    wild = test.copy()
    wild[50:] = 1e6

    np.testing.assert_allclose(baseline(train, wild)[:50], baseline(train, test)[:50], rtol=1e-9)


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_scores_stay_finite_on_whatever_a_sensor_says(baseline, history):
    train, test = history[:300].copy(), history[300:].copy()
    train[:, 1] = 7.0  # constant, and then it moves
    train[:5, 2] = np.nan
    test[10], test[20, 0], test[30, 1], test[40] = np.nan, 1e300, -1e300, np.nan
    test[:3, 2] = np.nan

    assert np.isfinite(baseline(train, test)).all()
    assert np.isfinite(baseline(train, np.full((5, 3), np.nan))).all()
    assert baseline(train, test[:0]).shape == (0,)


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_a_channel_that_train_never_had_is_left_out(baseline, history):
    train, test = history[:300].copy(), history[300:]
    train[:, 1] = np.nan

    np.testing.assert_array_equal(baseline(train, test), baseline(train[:, [0, 2]], test[:, [0, 2]]))


@pytest.mark.parametrize("baseline", BASELINES.values(), ids=BASELINES)
def test_parts_that_cannot_be_used_are_refused(baseline, history):
    with pytest.raises(ValueError, match="without a single reading"):
        baseline(np.full((50, 3), np.nan), history)
    with pytest.raises(ValueError, match="the same channels"):
        baseline(history, history[:, :2])


def test_ridge_ar_agrees_with_a_plain_loop(rng):
    train, test = waves(rng, 120, 2), waves(rng, 40, 2)
    train[[20, 50], [0, 1]] = np.nan
    test[5, 0] = np.nan
    test[9] = np.nan
    found = ridge_ar(train, test, lags=4, span=7)

    np.testing.assert_allclose(found, plain_ridge_ar(train, test, lags=4, span=7), rtol=1e-9)


def plain_ridge_ar(train, test, lags, span):
    """The same arithmetic, one row and one channel at a time."""
    mean, spread = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    weights = []
    for c in range(train.shape[1]):
        z, rows, targets = carried((train[:, c] - mean[c]) / spread[c]), [], []
        for t in range(lags, len(z)):
            if not np.isnan(train[t, c]):
                rows.append(z[t - lags : t])
                targets.append(z[t])
        past = np.array(rows)
        gram = past.T @ past + 1e-3 * len(rows) * np.eye(lags)
        weights.append(np.linalg.inv(gram) @ past.T @ np.array(targets))
    filled = [carried((test[:, c] - mean[c]) / spread[c]) for c in range(test.shape[1])]
    level, levels = None, []
    for t in range(len(test)):
        errors = []
        for c, z in enumerate(filled):
            past = z[max(t - lags, 0) : t]
            if t >= lags and not np.isnan(test[t, c]):
                errors.append(abs(z[t] - sum(w * p for w, p in zip(weights[c], past, strict=True))))
        if errors:
            error = sum(errors) / len(errors)
            level = error if level is None else level + 2 / (span + 1) * (error - level)
        levels.append(0.0 if level is None else level)
    return levels


def carried(z):
    last, filled = 0.0, []
    for value in z:
        last = last if np.isnan(value) else value
        filled.append(last)
    return np.array(filled)


def test_ridge_ar_uses_fewer_lags_where_train_is_short(history):
    train, test = history[:80], history[300:]

    np.testing.assert_array_equal(ridge_ar(train, test), ridge_ar(train, test, lags=10))


def test_ridge_ar_stands_still_while_nothing_is_there(history):
    train, test = history[:300], history[300:].copy()
    test[50:55] = np.nan
    scores = ridge_ar(train, test)

    assert set(scores[50:55]) == {scores[49]}
    assert scores[55] != scores[49]


def test_a_constant_channel_adds_nothing_until_it_moves(history):
    train, test = history[:300].copy(), history[300:].copy()
    train[:, 1] = test[:, 1] = 7.0
    calm = ridge_ar(train, test)
    test[50, 1] = 9.0
    moved = ridge_ar(train, test)

    np.testing.assert_allclose(calm, ridge_ar(train[:, [0, 2]], test[:, [0, 2]]) * 2 / 3)
    np.testing.assert_array_equal(moved[:50], calm[:50])
    assert moved[50] == pytest.approx(calm[50] + 2 / 21 * 2.0 / 3)  # deviation of a constant: 1


@pytest.mark.parametrize(("baseline", "channels", "first"), [(forest, 1, 15), (forest, 3, 0), (ridge_ar, 3, 32)])
def test_a_row_without_enough_rows_before_it_scores_lowest(baseline, channels, first, history):
    train, test = history[:300, :channels], history[300:, :channels]
    scores = baseline(train, test)

    assert (scores[:first] == 0).all()
    assert (scores[first:] > 0).all()
    assert (baseline(train, test[:first]) == 0).all()


def test_the_forest_is_repeatable_and_its_seed_matters(history):
    train, test = history[:300], history[300:]

    np.testing.assert_array_equal(forest(train, test), forest(train, test))
    assert (isolation_forest(train, test, seed=1) != forest(train, test)).any()


def test_components_see_what_breaks_a_correlation(rng):
    together = np.sin(np.arange(400)[:, None] / 4) * [1.0, 2.0, 3.0] + rng.normal(0, 0.05, (400, 3))
    together[360, 1] = -together[360, 1] + 2.0

    assert window_pca(together[:300], together[300:]).argmax() == 60
    assert window_pca(together[:300, :1], np.append(together[300:360, :1], [[5.0]], axis=0)).argmax() == 60


@pytest.mark.parametrize(("name", "score"), [("absolute_z", 3.0), ("first_difference", 4.0), ("moving_median", 3.0)])
def test_the_simplest_score_what_their_names_say(name, score):
    train = np.tile([[-1.0], [1.0]], (50, 1))  # mean 0, deviation 1
    test = np.append(np.tile([[-1.0], [1.0], [0.0]], (10, 1)), [[-1.0], [3.0]], axis=0)

    assert BASELINES[name](train, test)[-1] == pytest.approx(score)
