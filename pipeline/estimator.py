"""The detector as an estimator of scikit-learn: one series as rows of an array, in the order of time.

It is `pipeline.training.fit` and `pipeline.Monitor` under other names, and computes no score of its own. T rows by C
channels; a row is a step of an index clock, NaN is a missing reading. Needs torch to fit, not to score.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from pipeline.detector.detector import Detector
from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import DataError
from pipeline.formats.frames import LABEL, SERIES, TIMESTAMP
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Flags, Floats, Ints, Readings

NAME = "series"  # of the one series
ROWS_AT_ONCE = 8192  # given to the monitor: any cutting gives the same scores


class Judged(NamedTuple):
    """What the monitor said of T rows."""

    score: Floats  # (T,) decades of rarity, 0 where a row was not scored
    bar: Floats  # (T,) decades; the starting bar where a row was not scored
    exceeds: Flags  # (T,)


class LSTMAnomalyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Outlier detector for one series of readings, after scikit-learn's conventions: lower scores are more abnormal.

    Harnesses in which higher is more abnormal, as PyOD's and TSB-AD's, take `-score_samples(X)`: decades of rarity, 3.0
    is one reading in a thousand. Rows that are not scored (the first `settings.warm_up` of a cold start or after a long
    gap, rows without a value) are inliers with the most normal score, 0. The score of a row depends on the rows before
    it, never on later ones; no call changes the estimator, so equal arrays get equal scores.

    Parameters
    ----------
    false_alarms
        The share of normal readings that may exceed the bar, above 0 and below 0.5. It is a promise about what is
        normal, not the share of outliers in X, so it is not called `contamination`.
    bar
        tracking: the bar moves so that the share is kept, as in the service; decision_function is then no translation
        of score_samples. static: it stays where the calibration put it.
    continues
        False: every X begins cold, as a series that was not watched before it (train on a part and score the whole).
        True: X is what came directly after the rows of fit.
    settings
        How the network is learnt; None: the defaults.

    Attributes
    ----------
    detector_
        What was learnt: `pipeline.save(estimator.detector_, folder)` makes a bundle of it that can be served.
    offset_
        Less the starting bar; with a static bar `decision_function` is `score_samples - offset_`.
    """

    def __init__(
        self,
        *,
        false_alarms: float = 1e-4,
        bar: Literal["tracking", "static"] = "tracking",
        continues: bool = False,
        settings: FitSettings | None = None,
    ) -> None:
        self.false_alarms = false_alarms
        self.bar = bar
        self.continues = continues
        self.settings = settings

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002  scikit-learn passes y to every estimator
        """Learn what is normal from X (T, C), a hundred rows or more; its last fifth calibrates the scores.

        ValueError where X cannot be learnt from or a parameter is impossible.
        """
        policy = self._policy()
        from pipeline.training import fit  # here: brings torch
        from pipeline.training.history import SHORTEST

        X = _rows(self, X, reset=True)
        if len(X) < SHORTEST:
            raise ValueError(
                f"X has n_samples={len(X)} and n_features={X.shape[1]}: at least {SHORTEST} rows are needed to learn "
                "what is normal; give a longer history"
            )
        names = [str(name) for name in getattr(self, "feature_names_in_", [f"channel_{n}" for n in range(X.shape[1])])]
        reserved = sorted({TIMESTAMP, SERIES, LABEL} & set(names))
        if reserved:
            raise ValueError(f"X has a column {reserved[0]!r}, which is never a channel: drop or rename it")
        table = pa.table([pa.array(np.arange(len(X))), *map(pa.array, X.T)], names=[TIMESTAMP, *names])
        try:
            self.detector_: Detector = fit(table, settings=self.settings, name=NAME)
        except DataError as error:
            raise ValueError(str(error)) from error
        self.offset_ = -_start_of_bar(self.detector_, policy)
        return self

    def score_samples(self, X: Any) -> Floats:
        """How normal each row of X (T, C) is, (T,): less its decades of rarity, 0 at most."""
        return -self._judged(X).score

    def decision_function(self, X: Any) -> Floats:
        """How far each row of X (T, C) is below its bar, (T,), in decades: negative for an outlier."""
        score, bar, exceeds = self._judged(X)
        room = bar - score
        # A decade is a rounded image of what the bar is compared with: where the two are equal, the comparison decides.
        return np.where(exceeds, np.minimum(room, -np.finfo(float).tiny), np.maximum(room, 0.0))

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """-1 for each row of X (T, C) that exceeds its bar, 1 for every other, (T,)."""
        return np.where(self._judged(X).exceeds, -1, 1)

    def _judged(self, X: Any) -> Judged:
        """What a new monitor says of X (T, C)."""
        check_is_fitted(self)
        X = _rows(self, X, reset=False)
        policy = self._policy()
        monitor = Monitor(self.detector_, policy, fresh=not self.continues)
        first = (monitor.last(NAME) or 0) + 1 if self.continues else 0
        parts = []
        for begin in range(0, len(X), ROWS_AT_ONCE):
            readings = _readings(X[begin : begin + ROWS_AT_ONCE], first + begin)
            scores, _ = monitor.observe(readings)
            parts.append((scores.score, np.where(scores.scored, scores.bar, np.nan), scores.exceeds))
        score, bar, exceeds = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Judged(score, np.where(np.isnan(bar), _start_of_bar(self.detector_, policy), bar), exceeds)

    def _policy(self) -> Policy:
        """The promise; ValueError where it is impossible."""
        return Policy(FalseAlarms(probability=self.false_alarms), self.bar)

    def __sklearn_tags__(self) -> Tags:
        """A missing reading is NaN."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _rows(estimator: LSTMAnomalyDetector, X: Any, *, reset: bool) -> Floats:
    """X as an array (T, C), NaN where a reading is missing; ValueError for what is none or has other columns."""
    rows: Floats = validate_data(estimator, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
    return rows


def _readings(X: Floats, first: int) -> Readings:
    """Rows (N, C) as readings of the one series from sample number `first` on."""
    place: Ints = first + np.arange(len(X))
    none = np.zeros(len(X), np.int32)
    return Readings([NAME], none, place, X, np.isnan(X), none, place)


def _start_of_bar(detector: Detector, policy: Policy) -> float:
    """The bar at the first scored reading, in decades."""
    assert policy.false_alarms is not None
    start = detector.calibrations[0].start_of_bar(policy.false_alarms.probability or 0.0)
    return float(detector.rarity(np.array([start]), np.zeros(1, np.int64))[0])
