"""How well a backtest's alerts met the labels, beside two simple detectors that learn from the same history."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.backtest.trace import Trace
from pipeline.connectors.tables import Tables, read_histories
from pipeline.detector.detector import Detector
from pipeline.records import Floats

SEED = 0  # of the forest's trees


class Comparison:
    """Gathers labelled series; the simple detectors run where there is a history to learn from."""

    def __init__(self, learnt: Detector, learn_from: Tables | None) -> None:
        self._scored = learnt.scored
        self._learn_from = learn_from
        self._histories: dict[str, Floats] | None = None
        self._columns: list[tuple[Any, ...]] = []
        self._precision: dict[str, list[float]] = {"plumbline": [], "isolation_forest": [], "ridge_ar": []}

    def take(self, trace: Trace) -> None:
        """Judge one series, where it has labels."""
        if trace.labels is None or trace.labelled is None:
            return
        scores = trace.scores
        code = np.full(len(scores), len(self._columns), np.int32)
        self._columns.append(
            (trace.labels, trace.labelled, scores.score, scores.scored, scores.exceeds, scores.alert, code)
        )
        rows = trace.labelled
        if trace.labels[rows].any() and not trace.labels[rows].all():
            for name, column in self._all_scores(trace).items():
                from pipeline.evaluation.quality import average_precision  # here: scikit-learn loads slowly

                precision = average_precision(trace.labels[rows], column[rows])
                if precision is not None:
                    self._precision[name].append(precision)

    def _all_scores(self, trace: Trace) -> dict[str, Floats]:
        """The scores of one series by detector, higher is rarer."""
        ours = np.where(trace.scores.scored, trace.scores.score, np.nan)
        history = self._history(trace.series)
        if history is None:
            return {"plumbline": ours}
        from pipeline.evaluation.baselines import isolation_forest, ridge_ar

        test = np.where(trace.readings.missing, np.nan, trace.readings.values)[:, self._scored]
        return {
            "plumbline": ours,
            "isolation_forest": isolation_forest(history, test, SEED),
            "ridge_ar": ridge_ar(history, test),
        }

    def _history(self, series: str) -> Floats | None:
        """What a series was learnt from, missing readings as NaN; the only one where there is only one."""
        if self._learn_from is None:
            return None
        if self._histories is None:
            found = read_histories(self._learn_from)
            self._histories = {each.name: each.values[:, self._scored] for each in found.series}
        if len(self._histories) == 1:
            return next(iter(self._histories.values()))
        return self._histories.get(series)

    def judged(self) -> dict[str, Any] | None:
        """The figures for the report; None where no series has labels."""
        if not self._columns:
            return None
        from pipeline.evaluation.quality import assess

        quality = assess(*(np.concatenate(column) for column in zip(*self._columns, strict=True)))
        return {
            "series": len(self._columns),
            **asdict(quality),
            "average_precision_by_detector": {
                name: {"mean": float(np.mean(each)) if each else None, "series": len(each)}
                for name, each in self._precision.items()
            },
        }
