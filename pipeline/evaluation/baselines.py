"""Simple detectors that ours is held against, from random numbers to ridge autoregression, the gate: BASELINES.

All are fitted on the train part alone and are strictly causal: the score of a row uses that row and earlier ones. T
rows by C channels, one series, rows in order of time; NaN is a missing reading. It is carried forward (before a
channel's first reading its mean in train stands) and left out of the error; a channel that is never there in train is
left out altogether. Give them the channels that are scored. Higher is rarer; a row without enough rows before it scores
0, which is lower than any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.ensemble import IsolationForest

from pipeline.detector.scaling import learn_scaling, scale
from pipeline.records import Flags, Floats

FOREST_WINDOW = 16  # rows that a tree sees of a series of one channel; of many channels it sees one row
PENALTY_PER_ROW = 1e-3  # of the ridge
FEWEST_ROWS_PER_LAG = 8  # in train
MEDIAN_ROWS = 21  # of the moving median, the row itself the last of them
VARIANCE_KEPT = 0.9  # by the principal components
SEED = 0  # where the caller has none of its own


def random_scores(train: Floats, test: Floats, seed: int = SEED) -> Floats:
    """Uniform random numbers, which show what a figure gives for nothing: train (R, C) and test (T, C) to (T,)."""
    _prepared(train, test)
    return np.random.default_rng(seed).random(len(test))


def absolute_z(train: Floats, test: Floats) -> Floats:
    """Mean distance from the mean of train, in its deviations, over the channels that are there: to (T,)."""
    _, unknown = _prepared(train, test)
    return _smoothed(np.abs(unknown), _there(train, test), span=1)


def first_difference(train: Floats, test: Floats) -> Floats:
    """Mean step from the reading before, in deviations of train, over the channels that are there: to (T,)."""
    _, unknown = _prepared(train, test)
    there = _there(train, test)
    there[:1] = False  # nothing before it
    return _smoothed(np.abs(np.diff(unknown, axis=0, prepend=unknown[:1])), there, span=1)


def moving_median(train: Floats, test: Floats) -> Floats:
    """Mean distance from the median of the last 21 rows, in deviations of train, over the channels there: to (T,)."""
    _, unknown = _prepared(train, test)
    median = pd.DataFrame(unknown).rolling(MEDIAN_ROWS, min_periods=1).median().to_numpy()
    return _smoothed(np.abs(unknown - median), _there(train, test), span=1)


def window_pca(train: Floats, test: Floats) -> Floats:
    """Squared rest of a window outside the components that hold 90 % of train's variance: (R, C), (T, C) to (T,).

    Windows are the forest's: the last 16 rows of one channel (an eighth of train at most), many row by row.
    """
    known, unknown = _prepared(train, test)
    window = _longest(FOREST_WINDOW, len(train)) if known.shape[1] == 1 else 1
    learnt = _windows(known, window)
    mean = learnt.mean(axis=0)
    variances, axes = np.linalg.eigh((learnt - mean).T @ (learnt - mean))
    held = np.cumsum(variances[::-1]) / max(float(variances.sum()), 1e-300)
    components = min(1 + int(np.searchsorted(held, VARIANCE_KEPT)), len(held) - 1)  # something must be left over
    rest = axes[:, ::-1][:, components:]
    scores = np.zeros(len(test))
    if len(test) >= window:
        scores[window - 1 :] = (((_windows(unknown, window) - mean) @ rest) ** 2).sum(axis=1)
    return scores


def isolation_forest(train: Floats, test: Floats, seed: int = SEED) -> Floats:
    """Anomaly score of Liu, Ting and Zhou 2008, 0 to 1: train (R, C) and test (T, C) to (T,).

    One channel is seen through windows of the last 16 rows (an eighth of train at most), many row by row.
    """
    known, unknown = _prepared(train, test)
    window = _longest(FOREST_WINDOW, len(train)) if known.shape[1] == 1 else 1
    forest = IsolationForest(random_state=seed).fit(_windows(known, window))
    scores = np.zeros(len(test))
    if len(test) >= window:
        scores[window - 1 :] = -forest.score_samples(_windows(unknown, window))
    return scores


def ridge_ar(train: Floats, test: Floats, lags: int = 32, span: int = 20) -> Floats:
    """Smoothed error of a one-step linear forecast: train (R, C) and test (T, C) to (T,), in deviations of train.

    Each channel is forecast from its own last `lags` readings (an eighth of train at most); the mean of the absolute
    errors of the channels that are there is smoothed by an EWMA of `span` rows, which stands still where none is.
    Scaled readings are clipped to +-10, as ours are.
    """
    known, unknown = _prepared(train, test)
    lags = _longest(lags, len(train))
    there_train, there_test = _there(train, train), _there(train, test)
    there_test[:lags] = False  # no forecast yet
    errors = np.empty(unknown.shape)
    for channel in range(known.shape[1]):
        weights = _ridge(known[:, channel], there_train[:, channel], lags)
        errors[:, channel] = np.abs(unknown[:, channel] - _forecast(unknown[:, channel], weights))
    return _smoothed(errors, there_test, span)


BASELINES: Mapping[str, Callable[[Floats, Floats], Floats]] = MappingProxyType(
    {
        "random": random_scores,
        "absolute_z": absolute_z,
        "first_difference": first_difference,
        "moving_median": moving_median,
        "ridge_ar": ridge_ar,  # the gate
        "window_pca": window_pca,
        "isolation_forest": isolation_forest,
    }
)


def _there(train: Floats, test: Floats) -> Flags:
    """Which readings of test are there, (T, C), of the channels that train knows."""
    there: Flags = np.isfinite(test[:, np.isfinite(train).any(axis=0)])
    return there


def _prepared(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Both parts in deviations from the mean of train, complete, without the channels that train does not know."""
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1]:
        raise ValueError(f"train is {train.shape} and test {test.shape}: both are rows by the same channels")
    learnt = np.isfinite(train).any(axis=0)
    if not learnt.any():
        raise ValueError(f"train has {len(train)} rows without a single reading: there is nothing to learn from")
    train, test = train[:, learnt], test[:, learnt]
    mean, spread = learn_scaling(train, ~np.isfinite(train))
    return _carried(scale(train, mean, spread)), _carried(scale(test, mean, spread))


def _longest(window: int, rows: int) -> int:
    """The window, or as much of it as so many rows of train can teach."""
    return max(1, min(window, rows // FEWEST_ROWS_PER_LAG))


def _carried(z: Floats) -> Floats:
    """Missing readings replaced by the last one that was there, at first by the mean: 0 in deviations."""
    complete: Floats = pd.DataFrame(z).ffill().fillna(0.0).to_numpy()
    return complete


def _windows(z: Floats, rows: int) -> Floats:
    """Every `rows` rows in a row side by side, (T, C) to (T - rows + 1, rows x C)."""
    return sliding_window_view(z, rows, axis=0).reshape(len(z) - rows + 1, rows * z.shape[1])


def _ridge(z: Floats, there: Flags, lags: int) -> Floats:
    """Weights of the last `lags` readings, oldest first, for the next; rows whose reading is missing do not count."""
    past = sliding_window_view(z, lags)[:-1][there[lags:]]  # (rows, lags)
    target = z[lags:][there[lags:]]
    gram = past.T @ past + (PENALTY_PER_ROW * max(len(target), 1)) * np.eye(lags)
    return np.linalg.solve(gram, past.T @ target).astype(np.float64)


def _forecast(z: Floats, weights: Floats) -> Floats:
    """What the readings before each one say of it, (T,); 0 where they are too few."""
    forecast = np.zeros(len(z))
    if len(z) > len(weights):
        forecast[len(weights) :] = np.correlate(z[:-1], weights, mode="valid")
    return forecast


def _smoothed(errors: Floats, there: Flags, span: int) -> Floats:
    """EWMA over rows of the mean over the channels that are there, (T, C) to (T,)."""
    count = there.sum(axis=1)
    total = np.where(there, errors, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(errors), np.nan), where=count > 0)
    smoothed = pd.Series(mean).ewm(span=span, adjust=False, ignore_na=True).mean()
    level: Floats = smoothed.fillna(0.0).to_numpy()  # only before the first error: later the last one is carried on
    return level
