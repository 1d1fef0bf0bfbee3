"""VUS-PR as TSB-AD defines it, and the window that it takes from a series; stands in until `evaluation` has its own.

Paparrizos et al. 2022 (VLDB 15, Volume under the surface), in the form of TSB-AD (Liu, Paparrizos 2024): labels are
extended on both sides by buffers that fall off as sqrt(1 - d / window), and the area under precision over recall is
averaged over all windows from 0 to `window`. T rows of one series in order of time.
"""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.quality import events
from pipeline.records import Flags, Floats, Ints
from tests.bench.quality.measures import Labels

THRESHOLDS = 250
ROWS_OF_WINDOW, FIRST_LAG, LAST_LAG, LONGEST_PEAK, DEFAULT_WINDOW = 20_000, 3, 400, 300, 125


def vus_pr(score: Floats, labels: Labels, window: int) -> float:
    """Volume under the surface of precision and recall, 0 to 1; labels of both classes.

    The thresholds are nested, so each row needs only the first one that it passes: what is summed over the rows above a
    threshold is a running sum over thresholds.
    """
    flags = labels.astype(bool)
    first, last = events(flags)
    chosen = -np.sort(-score)[np.linspace(0, len(score) - 1, THRESHOLDS).astype(int)]
    passes = np.searchsorted(-chosen, -score, side="left")  # (T,) the first threshold at or below each row's score
    above = _running(passes, None)
    above_in_event = _running(passes[flags], None)
    areas = [_area(passes, flags, first, last, size, above, above_in_event) for size in range(window + 1)]
    return float(np.mean(areas))


def _area(
    passes: Ints, flags: Flags, first: Ints, last: Ints, window: int, above: Floats, above_in_event: Floats
) -> float:
    """The area under precision over recall with buffers of one window."""
    extended = extended_labels(flags, first, last, window)
    near = np.flatnonzero(extended)
    mass = _running(passes[near], extended[near])  # (K,) of extended labels above each threshold
    positive = flags.sum()
    extended_positive = positive + (positive + mass - above_in_event)
    recall = np.minimum(mass / (extended_positive / 2), 1.0)
    earliest = [passes[begin:end].min() for begin, end in segments(first, last, window // 2, len(flags))]
    existing = _running(np.array(earliest), None) / len(earliest)  # share of the segments with a row above
    reached = recall * existing
    return float((np.diff(reached, prepend=0.0) * (mass / above)).sum())


def extended_labels(flags: Flags, first: Ints, last: Ints, window: int) -> Floats:
    """Labels with buffers of half a window, a row d from its event worth sqrt(1 - d / window); at most 1."""
    extended = flags.astype(np.float64)
    worth = np.sqrt(1 - np.arange(1, window // 2 + 1) / max(window, 1))
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        behind = extended[end : end + len(worth)]
        behind += worth[: len(behind)]
        before = extended[max(begin - len(worth), 0) : begin]
        before += worth[: len(before)][::-1]
    return np.minimum(extended, 1.0)


def segments(first: Ints, last: Ints, half: int, rows: int) -> list[tuple[int, int]]:
    """Events with their buffers as spans of rows, those that overlap or meet in a row as one."""
    found = [(max(int(first[0]) - half, 0), 0)]
    for end, begin in zip((last[:-1] - 1).tolist(), first[1:].tolist(), strict=True):
        if end + half < begin - half:
            found[-1] = (found[-1][0], end + half + 1)
            found.append((begin - half, 0))
    found[-1] = (found[-1][0], min(int(last[-1]) - 1 + half, rows - 1) + 1)
    return found


def _running(passes: Ints, weights: Floats | None) -> Floats:
    return np.cumsum(np.bincount(passes, weights, THRESHOLDS)).astype(np.float64)


def sliding_window_of(values: Floats) -> int:
    """The period of the first channel of (T, C) as TSB-AD finds it: the highest local maximum of its autocorrelation.

    Of the first 20,000 rows, at lags 3 to 400; 125 where there is none, or at a lag below 6 or above 303.
    """
    channel = values[:ROWS_OF_WINDOW, 0] - values[:ROWS_OF_WINDOW, 0].mean()
    size = 1 << (2 * len(channel)).bit_length()
    products = np.fft.irfft(np.abs(np.fft.rfft(channel, size)) ** 2, size)[: min(LAST_LAG, len(channel) - 1) + 1]
    if products[0] <= 0:
        return DEFAULT_WINDOW
    correlation = products[FIRST_LAG:] / products[0]
    peaks = np.flatnonzero((correlation[1:-1] > correlation[:-2]) & (correlation[1:-1] > correlation[2:])) + 1
    if not len(peaks):
        return DEFAULT_WINDOW
    highest = int(peaks[np.argmax(correlation[peaks])])
    return highest + FIRST_LAG if FIRST_LAG <= highest <= LONGEST_PEAK else DEFAULT_WINDOW
