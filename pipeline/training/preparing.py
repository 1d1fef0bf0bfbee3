"""What can be found out about histories before any network: order, step, scaling, period, and the roles of channels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.detector.detector import Channel
from pipeline.detector.fit_settings import FitSettings
from pipeline.detector.scaling import learn_scaling, scale
from pipeline.exceptions import DataError
from pipeline.records import Flags, Floats
from pipeline.training.history import SHORTEST, Grid, History, in_order, on_grid, parts_of, period_of, step_of

NO_PERIOD = 64  # readings: the span of the slow error of a series without a period
PERIODS = (8, 256)  # readings: a period outside is taken as this


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fit found out about one series, before any network."""

    history: History  # in order
    mean: Floats  # (C,)
    spread: Floats  # (C,)
    step: int
    regular: bool
    period: int  # readings
    left_out: int  # readings that were late, repeated or missing altogether
    trimmed: Flags | None = None  # (T,) readings of the fit part that nothing is learnt from: trimming.py

    @property
    def calibrates(self) -> bool:
        """It is long enough to be calibrated; a shorter one only lends itself to the network."""
        return len(self.history) >= SHORTEST

    @property
    def trimmed_rows(self) -> Flags:
        """Which readings are trimmed, none where nothing was, (T,)."""
        return np.zeros(len(self.history), bool) if self.trimmed is None else self.trimmed

    @property
    def learnt(self) -> History:
        """Its history as training sees it: what was trimmed is missing, in place."""
        if self.trimmed is None:
            return self.history
        return replace(self.history, missing=self.history.missing | self.trimmed[:, None])

    @property
    def fit_part(self) -> History:
        """What may be learnt from: nothing that calibrates."""
        return self.learnt[: parts_of(len(self.history)).fit_end]

    def grid(self, max_gap: int) -> Grid:
        """Its readings as the network learns from them."""
        z = scale(self.history.values, self.mean, self.spread)
        return on_grid(self.history.at, z, self.learnt.missing, self.step, self.regular, max_gap)

    def without(self, trimmed: Flags) -> Fitted:
        """The same series, found out about anew without these readings (T,)."""
        return _prepared(self.history, self.left_out, trimmed)


def prepared(histories: Sequence[History], channels: Sequence[str]) -> list[Fitted]:
    """Every history of two readings and more, made ready; DataError by name where one cannot be used, or all are short.

    Two readings have a step, which is the least that the network can learn from.
    """
    if not histories:
        raise DataError("there is no history to learn from: not one series was given")
    for history in histories:
        _check_order(history)
    taken = [in_order(history) for history in histories]
    longest = max(taken, key=len)
    if len(longest) < SHORTEST:
        known = sum(labelled_in(history) for history in histories)
        besides = f" besides {known:,} labelled ones" if known else ""
        raise DataError(
            f"{longest.name} has {len(longest)} readings in order{besides}; "
            f"at least {SHORTEST} are needed to learn what is normal for {_listed(channels)}: give a longer history"
        )
    pairs = zip(histories, taken, strict=True)
    return [
        _prepared(part, len(history) - labelled_in(history) - len(part)) for history, part in pairs if len(part) > 1
    ]


def labelled_in(history: History) -> int:
    """How many readings are known anomalies."""
    return 0 if history.labelled is None else int(history.labelled.sum())


def _listed(channels: Sequence[str]) -> str:
    """Names for a message: all of a few, the first of many."""
    return ", ".join(channels[:12]) + (f" and {len(channels) - 12} more" if len(channels) > 12 else "")


def _check_order(history: History) -> None:
    """DataError where most readings do not come after the one before: there they are no history of one series."""
    steps = np.diff(history.at[(~history.missing).any(axis=1)])
    middle = float(np.median(steps)) if len(steps) else 1.0
    if middle < 0:
        raise DataError(f"{history.name}: its readings run backwards in time; sort the rows by timestamp")
    if middle == 0:
        raise DataError(
            f"{history.name}: the median step between its readings is 0; give one series a file, or name the column "
            "`series`"
        )


def _prepared(taken: History, left_out: int, trimmed: Flags | None = None) -> Fitted:
    """One history in order, of two readings and more."""
    fit = taken[: parts_of(len(taken)).fit_end]
    if trimmed is not None:
        fit = replace(fit, missing=fit.missing | trimmed[: len(fit), None])
    step, regular = step_of(fit.at if len(fit) > 1 else taken.at)
    mean, spread = learn_scaling(fit.values, fit.missing)
    z = np.where(fit.missing, 0.0, scale(fit.values, mean, spread))
    period = int(np.clip(period_of(z) or NO_PERIOD, *PERIODS))
    return Fitted(taken, mean, spread, step, regular, period, left_out, trimmed)


def roles_of(fitted: Sequence[Fitted], channels: Sequence[str], settings: FitSettings) -> tuple[Channel, ...]:
    """The role of each channel: one with at most two values in every fit part is context, unless none would be scored.

    DataError where the settings name a channel that is not there, or leave none to be scored.
    """
    unknown = [name for name in settings.roles if name not in channels]
    if unknown:
        raise DataError(f"a role is given to {', '.join(unknown)}; the channels are {', '.join(channels)}")
    lively = np.zeros(len(channels), bool)
    for series in fitted:
        fit = series.fit_part
        for index in np.flatnonzero(~lively):
            lively[index] = len(np.unique(fit.values[~fit.missing[:, index], index])) > 2
    if not lively.any():
        lively[:] = True
    found = [
        settings.roles.get(name, "sensor" if lives else "context") for name, lives in zip(channels, lively, strict=True)
    ]
    if "sensor" not in found:
        raise DataError(f"every channel ({', '.join(channels)}) has the role of context: nothing would be scored")
    return tuple(Channel(name, role) for name, role in zip(channels, found, strict=True))


def fingerprint(histories: Sequence[History]) -> str:
    """SHA-256 of the training data, in hex: which history a detector was learnt from."""
    sha = hashlib.sha256()
    for history in histories:
        sha.update(f"{history.name} {history.values.shape}".encode())
        labelled = () if history.labelled is None else (history.labelled,)
        for array in (history.at, np.where(history.missing, 0.0, history.values), history.missing, *labelled):
            sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
