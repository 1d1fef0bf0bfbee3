"""NAB's own score: Lavin and Ahmad, ICMLA 2015, section 3, standard profile; the arithmetic of NAB's sweeper.

A run of anomalous rows is one of NAB's windows; one that ends in probation is not there. The one threshold for all
files is the best in hindsight, chosen on the labels as NAB's authors choose it: compare the score with theirs, not with
what is known before. Files are pairs of score (T,) and label (T,), whole files with what was learnt from at their
beginning; a null score counts as the lowest, and is never a detection.

Every row at or above the threshold outside a window costs .11, however many stand together, and one threshold has to
serve all files. So a score must be as rare on every stream and must not stay high: hand over the rows above the moving
bar, not the decades of all, which a stream that has drifted keeps for the rest of its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.quality import events
from pipeline.records import Flags, Floats

FALSE_POSITIVE = 0.11  # weights of the standard profile; a hit and a miss weigh 1
PROBATION_SHARE, PROBATION_ROWS = 0.15, 750


@dataclass(frozen=True, slots=True)
class NabScore:
    """0 is a detector that says nothing, 100 a perfect one."""

    score: float | None  # None where no file has a window
    threshold: float | None  # in hindsight; None: it is best to say nothing
    windows: int


def nab_score(files: Sequence[tuple[Floats, Flags]]) -> NabScore:
    """The normalised score of all files together."""
    scores: list[Floats] = []
    weights: list[Floats] = []
    owners: list[Floats] = []
    windows, known = 0, 0
    for score, label in files:
        if len(score) != len(label):
            raise ValueError(f"{len(score)} scores and {len(label)} labels: as many labels as scores are needed")
        weight, owner = _weights(label)
        probation = min(int(PROBATION_SHARE * len(label)), PROBATION_ROWS)
        counts = (np.arange(len(label)) >= probation) & ~np.isnan(score)
        scores.append(score[counts])
        weights.append(weight[counts])
        owners.append(np.where(owner >= 0, owner + known, -1.0)[counts])
        ends = events(label)[1]
        known += len(ends)
        windows += int((ends > probation).sum())
    if not windows:
        return NabScore(None, None, 0)
    falling, total = _by_threshold(np.concatenate(scores), np.concatenate(weights), np.concatenate(owners))
    best = int(np.argmax(total)) if len(total) else 0
    raw = float(total[best]) if len(total) else 0.0
    if raw <= 0:
        return NabScore(0.0, None, windows)
    return NabScore(100 * raw / (2 * windows), float(falling[best]), windows)  # perfect W, nothing -W


def scaled_sigmoid(y: Floats) -> Floats:
    """2 / (1 + e^(5 y)) - 1, and -1 from three window lengths on."""
    value: Floats = np.where(y >= 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(y, 3.0))) - 1)
    return value


def _weights(label: Flags) -> tuple[Floats, Floats]:
    """What a detection at each row is worth, and which window it belongs to, -1 for none; both (T,)."""
    starts, ends = events(label)
    weight, owner = np.full(len(label), -FALSE_POSITIVE), np.full(len(label), -1.0)
    rows = np.arange(len(label))
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        width = end - start
        inside = rows[start:end]
        weight[start:end] = scaled_sigmoid(-(end - inside) / width) / scaled_sigmoid(np.array(-1.0))
        owner[start:end] = number
        past = rows[end : starts[number + 1] if number + 1 < len(starts) else len(label)]
        weight[end : end + len(past)] = FALSE_POSITIVE * scaled_sigmoid((past - end + 1) / max(width - 1, 1))
    return weight, owner


def _by_threshold(score: Floats, weight: Floats, owner: Floats) -> tuple[Floats, Floats]:
    """Every threshold, highest first, and the gain over saying nothing at it; of a window the best detection counts."""
    order = np.argsort(-score, kind="stable")
    score, gain, owner = score[order], weight[order].copy(), owner[order]
    for window in np.unique(owner[owner >= 0]):
        rows = np.flatnonzero(owner == window)
        gain[rows] = np.diff(np.maximum.accumulate(gain[rows]), prepend=-1.0)  # -1: the window missed
    last = np.append(np.diff(score) != 0, True) if len(score) else np.zeros(0, bool)
    return score[last], np.cumsum(gain)[last]
