"""Pictures of what was replayed: for `backtest` and `demo`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.backtest.trace import Trace
from pipeline.detector.detector import Detector


def draw(trace: Trace, detector: Detector, path: Path) -> None:
    """Write the picture of one series, the channels that its incidents were about first."""
    from pipeline.backtest.picture import picture  # here: matplotlib is slow to load, and many backtests draw nothing

    weight = dict.fromkeys(detector.names, 0.0)
    for alert in trace.alerts:
        for channel in alert.channels:
            weight[channel.channel] += channel.contribution
    order = np.argsort(-np.array(list(weight.values())) - detector.scored, kind="stable")
    figure = picture(
        trace.series,
        trace.readings.at,
        trace.readings.values,
        trace.readings.missing,
        trace.scores,
        detector.names,
        detector.clock,
        incidents=trace.incidents,
        labels=trace.labels,
        chosen=order.tolist(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
