"""Known anomalies in a history: nothing is learnt from them.

A labelled reading is as if it had not come: it is no target of training or validation, does not calibrate, and counts
neither for scaling nor for the period; time goes on. The state does not see it either: over a short labelled stretch it
runs on the network's own forecast, after a long one it begins anew, as over any gap (docs/training.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.exceptions import DataError
from pipeline.records import Floats
from pipeline.training.history import History


def labelled(history: History, labels: Floats) -> History:
    """The history with its known anomalies: labels (T,) are 1 for one, 0 for none, NaN where nobody knows.

    DataError where there is not one label for each reading, or one is something else.
    """
    if labels.shape != (len(history),):
        raise DataError(
            f"{history.name}: {len(history):,} readings have labels of shape {labels.shape}: give one label a reading"
        )
    other = ~(np.isnan(labels) | (labels == 0) | (labels == 1))
    if other.any():
        row = int(np.argmax(other))
        raise DataError(
            f"{history.name}: reading {row} has the label {labels[row]:g}: 1 is an anomaly, 0 is none, and empty is "
            "unknown; mend the labels, or leave --label out"
        )
    return replace(history, labelled=labels == 1)
