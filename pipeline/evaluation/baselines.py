"""Simple detectors that ours is held against: an isolation forest, and ridge autoregression, the gate.

Both are fitted on the train part alone and are strictly causal: the score of a row uses that row and earlier ones. T
rows by C channels, one series, rows in order of time; NaN is a missing reading. It is carried forward (before a
channel's first reading its mean in train stands) and left out of the error; a channel that is never there in train is
left out altogether. Give them the channels that are scored. Higher is rarer; a row without enough rows before it scores
0, which is lower than any other.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.ensemble import IsolationForest

from pipeline.detector.scaling import learn_scaling, scale
from pipeline.records import Flags, Floats

FOREST_WINDOW = 16  # rows that a tree sees of a series of one channel; of many channels it sees one row
PENALTY_PER_ROW = 1e-3  # of the ridge
FEWEST_ROWS_PER_LAG = 8  # in train


def isolation_forest(train: Floats, test: Floats, seed: int) -> Floats:
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
    learnt = np.isfinite(train).any(axis=0)
    there_train, there_test = np.isfinite(train[:, learnt]), np.isfinite(test[:, learnt])
    there_test[:lags] = False  # no forecast yet
    errors = np.empty(unknown.shape)
    for channel in range(known.shape[1]):
        weights = _ridge(known[:, channel], there_train[:, channel], lags)
        errors[:, channel] = np.abs(unknown[:, channel] - _forecast(unknown[:, channel], weights))
    return _smoothed(errors, there_test, span)


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
