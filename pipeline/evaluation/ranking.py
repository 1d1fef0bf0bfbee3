"""How well a score ranks anomalous rows above normal ones, whatever the bar: VUS-PR, exact and fast, and AUC-PR.

Scores and labels are (T,), one series in order of time; a null score (NaN) counts as the lowest. Figures are those of
TSB-AD 1.5 (`TSB_AD.evaluation.metrics`, Liu and Paparrizos, NeurIPS 2024); tests/bench/vus_against_tsb_ad.py runs both.
A figure that means nothing here, labels of one class, is None.
"""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.quality import average_precision, events, ranked
from pipeline.records import Flags, Floats, Ints

THRESHOLDS = 250  # TSB-AD's
ROWS_OF_PERIOD = 20_000  # that the period is looked for in, from the beginning
LAGS, FIRST_LAG, LAST_PEAK = 400, 3, 300
NO_PERIOD = 125  # rows, where none is found


def auc_pr(score: Floats, label: Flags) -> float | None:
    """Average precision of the rows."""
    return average_precision(label, score)


def vus_pr(score: Floats, label: Flags, window: int) -> float | None:
    """Volume under the surface of range precision over recall, for buffers of 0 to `window` rows around the events.

    Paparrizos et al. VLDB 2022, section 4, by TSB-AD's 'opt' arithmetic. Its 250 thresholds are nested: what passes one
    passes all lower ones. So a row is known by the first threshold that it passes, and all masses are cumulative sums.
    """
    if len(score) != len(label) or window < 0:
        raise ValueError(f"{len(score)} scores, {len(label)} labels, a window of {window}: as many labels as scores")
    if not label.any() or label.all():
        return None
    first = _first_threshold(ranked(score))
    starts, ends = events(label)
    predicted = _cumulated(first)  # rows at or above each threshold, (K,)
    inside = _cumulated(first[label])
    buffers = _buffer_masses(first, label, starts, ends, window)  # (W + 1, K)
    existence = _existence(first, starts, ends, window)  # (W + 1, K)
    extended = int(label.sum()) + buffers  # the labels' own rows and the mass of the buffers that is passed
    found = inside + buffers
    recall = np.minimum(found / ((int(label.sum()) + extended) / 2), 1) * existence
    steps = np.diff(recall, axis=1, prepend=0.0)
    return float((steps * (found / predicted)).sum(axis=1).mean())


def sliding_window_of(series: Floats) -> int:
    """Rows of the strongest period, the window of VUS; 125 where there is none: TSB-AD's `find_length_rank(rank=1)`.

    Of a series of many channels TSB-AD takes the first: give that one, (T,).
    """
    if series.ndim != 1:
        raise ValueError(f"series is {series.shape}: give one channel, (T,)")
    x = series[:ROWS_OF_PERIOD]
    if len(x) < 2 or not np.isfinite(x).all():
        return NO_PERIOD
    x = x - x.mean()
    size = _next_regular(2 * len(x) + 1)
    spectrum = np.fft.fft(x, n=size)
    covariance = np.fft.ifft(spectrum * np.conjugate(spectrum))[: len(x)].real / len(x)
    if covariance[0] == 0:
        return NO_PERIOD
    lags = (covariance[: LAGS + 1] / covariance[0])[FIRST_LAG:]
    peaks = 1 + np.flatnonzero((lags[1:-1] > lags[:-2]) & (lags[1:-1] > lags[2:]))
    if not len(peaks):
        return NO_PERIOD
    highest = int(peaks[np.argsort(lags[peaks])[::-1][0]])
    return NO_PERIOD if highest < FIRST_LAG or highest > LAST_PEAK else highest + FIRST_LAG


def _first_threshold(ranks: Floats) -> Ints:
    """Which of the thresholds, highest first, each row passes first, (T,); the last is the lowest score."""
    falling = -np.sort(-ranks)
    thresholds = falling[np.linspace(0, len(ranks) - 1, THRESHOLDS).astype(int)]
    return np.searchsorted(-thresholds, -ranks)


def _cumulated(first: Ints) -> Ints:
    """How many rows pass each threshold, (K,)."""
    return np.bincount(first, minlength=THRESHOLDS).cumsum()


def _buffer_masses(first: Ints, label: Flags, starts: Ints, ends: Ints, window: int) -> Floats:
    """Label mass outside the events that passes each threshold, by width of the buffer, (W + 1, K).

    A row d rows from an event weighs sqrt(1 - d / w) where d is at most w / 2; near several events the sum, at most 1.
    """
    half = window // 2
    distance = np.arange(1, half + 1)
    rows = np.concatenate([(starts[:, None] - distance).ravel(), (ends[:, None] - 1 + distance).ravel()])
    away = np.tile(distance, 2 * len(starts))
    there = (rows >= 0) & (rows < len(label))
    there[there] = ~label[rows[there]]
    rows, away = rows[there], away[there]
    widths = np.arange(window + 1)
    weights = np.sqrt(np.maximum(1 - distance / np.maximum(widths, 1)[:, None], 0))  # (W + 1, half)
    weights[distance > widths[:, None] // 2] = 0
    _, place, times = np.unique(rows, return_inverse=True, return_counts=True)
    alone = times[place] == 1
    counts = np.bincount((away[alone] - 1) * THRESHOLDS + first[rows[alone]], minlength=half * THRESHOLDS)
    masses = weights @ counts.reshape(half, THRESHOLDS).astype(float)
    rows, away = rows[~alone], away[~alone]  # near several events
    shared, place = np.unique(rows, return_inverse=True)
    for width in widths[2:] if len(rows) else ():
        mass = np.minimum(np.bincount(place, weights[width][away - 1], minlength=len(shared)), 1)
        masses[width] += np.bincount(first[shared], mass, minlength=THRESHOLDS)
    cumulated: Floats = masses.cumsum(axis=1)
    return cumulated


def _existence(first: Ints, starts: Ints, ends: Ints, window: int) -> Floats:
    """Share of the events with a row that passes each threshold, buffers included and merged, (W + 1, K)."""
    earliest = np.minimum.reduceat(np.append(first, THRESHOLDS), np.stack([starts, ends], axis=1).ravel())[::2]
    shares = np.empty((window + 1, THRESHOLDS))
    for half in range(window // 2 + 1):
        earliest = np.minimum(earliest, first[np.maximum(starts - half, 0)])
        earliest = np.minimum(earliest, first[np.minimum(ends - 1 + half, len(first) - 1)])
        apart = ends[:-1] - 1 + half < starts[1:] - half
        groups = np.minimum.reduceat(earliest, np.append(0, 1 + np.flatnonzero(apart)))
        shares[2 * half : 2 * half + 2] = _cumulated(groups) / len(groups)
    return shares


def _next_regular(least: int) -> int:
    """The smallest number from `least` on without a prime factor above 5, as the reference's transform is long."""
    number = least
    while True:
        rest = number
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1
