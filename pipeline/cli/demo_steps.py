"""What both ways of the demo share, from the file and through Kafka: learning, replaying, and the end of the story."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.backtest.trace import Trace
from pipeline.bundle import save
from pipeline.cli.console import counted, say
from pipeline.cli.drawing import draw
from pipeline.connectors.tables import Histories, open_tables, read_histories
from pipeline.demo import story
from pipeline.detector.detector import Detector
from pipeline.detector.fit_settings import FitSettings
from pipeline.formats import alerts as alert_format
from pipeline.formats.frames import labels as labels_of
from pipeline.monitor.monitor import Monitor, Tally
from pipeline.records import Alert, Flags, Readings, Scores, joined


class Learnt(NamedTuple):
    """The detector of the first days, and the N readings that come after them."""

    detector: Detector
    rest: Readings
    labels: Flags  # (N,) which of them the machine's engineers called abnormal


class Replayed(NamedTuple):
    """What a Monitor of this process said of the readings."""

    trace: Trace
    tally: Tally
    seconds: float  # spent in the Monitor


def learn(out: Path) -> Learnt:
    """Learn from the first days, and keep the bundle in the folder `out`, which is made if need be."""
    from pipeline.cli.fitting import watched  # here: torch takes seconds, and --help need not wait
    from pipeline.training.history import History

    out.mkdir(parents=True, exist_ok=True)  # first: what cannot be written is said before the training
    history, labels = _everything()
    whole = history.series[0]
    begin = story.beginning(whole.at)
    say(f"A machine's temperature every 5 minutes, {story.between(whole.at)}; it learns from the first 7 days.")
    first = History(story.SERIES, whole.at[:begin], whole.values[:begin], whole.missing[:begin])
    detector = watched([first], history.channels, history.clock, FitSettings())
    save(detector, out / "bundle")
    N = len(whole.at) - begin
    rest = Readings(
        [story.SERIES],
        np.zeros(N, np.int32),
        whole.at[begin:],
        whole.values[begin:],
        whole.missing[begin:],
        np.zeros(N, np.int32),
        np.arange(N),
    )
    return Learnt(detector, rest, labels[begin:])


def replay(learnt: Learnt, tell: Callable[[Alert], None], at_once: int = 1) -> Replayed:
    """Give a Monitor the rest, so many readings at a time, and tell each alert as it is raised."""
    detector, rest, labels = learnt
    monitor = Monitor(detector, name=story.SERIES)
    parts: list[Scores] = []
    alerts: list[Alert] = []
    seconds = 0.0
    for row in range(0, len(rest), at_once):
        begun = time.perf_counter()
        scores, raised = monitor.observe(rest[row : row + at_once])
        seconds += time.perf_counter() - begun
        parts.append(scores)
        alerts += raised
        for alert in raised:
            tell(alert)
    trace = Trace(story.SERIES, rest, joined(parts), alerts, labels, np.ones(len(rest), bool))
    return Replayed(trace, monitor.tally(), seconds)


def end(learnt: Learnt, replayed: Replayed, out: Path, fast: str, look: str = "") -> None:
    """Say what was found, write the alerts and the picture, and close with three lines; `look` names more files."""
    from pipeline.evaluation.quality import finding  # here: scikit-learn loads slowly

    trace, tally, _ = replayed
    finds = finding(trace.scores.exceeds, trace.scores.alert)
    say()
    for line in story.found_in_words(learnt.labels, finds, learnt.rest.at):
        say(f"  {line}")
    say()
    picture, alerts = out / "demo.png", out / "alerts.jsonl"
    alerts.write_bytes(b"".join(alert_format.encode(each) + b"\n" for each in trace.alerts))
    draw(trace, learnt.detector, picture)
    weeks = tally.scored * learnt.detector.step / (7 * story.DAY)
    say(f"What: {story.summary(tally, learnt.labels, finds, weeks)}")
    say(f"Fast: {fast}")
    say(f"Look: {picture}; {counted(len(trace.alerts), 'event')} in {alerts}; the detector in {out / 'bundle'}{look}")


def _everything() -> tuple[Histories, Flags]:
    """The whole story, and which of its readings are labelled."""
    tables = open_tables([story.data_file()])
    labels = [labels_of(batch)[0] for _, batch, _ in tables.decoded()]
    return read_histories(tables), np.concatenate(labels)
