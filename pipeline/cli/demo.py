"""`plumbline demo`."""

from __future__ import annotations

import time
from pathlib import Path

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
from pipeline.monitor.monitor import Monitor
from pipeline.records import Alert, Flags, Readings, Scores, joined


def demo(*, out: Path = Path("plumbline-demo"), kafka: bool = False) -> None:
    """A real machine's last ten weeks, and what Plumbline says of them.

    It learns from seven days of a machine's temperature, then reads the next ten weeks one reading at a time, and tells
    each alert as it is raised. The machine was shut down once as planned, and failed in the end.

    Parameters
    ----------
    out
        The folder for the picture, the alerts and the bundle.
    kafka
        The same through a real Kafka: started here, or the one that KAFKA_BOOTSTRAP_SERVERS names.
    """
    history, labels = readings()
    begin = story.beginning(history.series[0].at)
    seen = history.series[0]
    say(f"A machine's temperature every 5 minutes, {story.between(seen.at)}; it learns from the first 7 days.")
    detector = learn(history, begin)
    save(detector, out / "bundle")
    rest = Readings(
        [story.SERIES],
        np.zeros(len(seen.at) - begin, np.int32),
        seen.at[begin:],
        seen.values[begin:],
        seen.missing[begin:],
        np.zeros(len(seen.at) - begin, np.int32),
        np.arange(begin, len(seen.at)),
    )
    if kafka:
        from pipeline.cli.demo_kafka import through_kafka  # here: only this needs the client

        through_kafka(out, begin)
        return
    tell(detector, rest, labels[begin:], out)


def readings() -> tuple[Histories, Flags]:
    """The whole story, and which of its readings the machine's engineers called abnormal."""
    tables = open_tables([story.data_file()])
    positive = [labels_of(batch)[0] for _, batch, _ in tables.decoded()]
    return read_histories(tables), np.concatenate(positive)


def learn(history: Histories, begin: int) -> Detector:
    """A detector of the first rows."""
    from pipeline.cli.fitting import watched  # here: torch takes seconds, and --help need not wait
    from pipeline.training.history import History

    whole = history.series[0]
    first = History(story.SERIES, whole.at[:begin], whole.values[:begin], whole.missing[:begin])
    return watched([first], history.channels, history.clock, FitSettings())


def tell(detector: Detector, rest: Readings, labels: Flags, out: Path) -> None:
    """Read the rest one reading at a time, say each alert, and end with the picture and three lines."""
    monitor = Monitor(detector, name=story.SERIES)
    parts: list[Scores] = []
    alerts: list[Alert] = []
    seconds = 0.0
    say(f"Now the other {len(rest):,} readings, one at a time; false alarms promised: 1 a week.\n")
    for row in range(len(rest)):
        begun = time.perf_counter()
        scores, raised = monitor.observe(rest[row : row + 1])
        seconds += time.perf_counter() - begun
        parts.append(scores)
        alerts += raised
        for alert in raised:
            if alert.event != "updated":
                say(f"  {alert_format.sentence(alert)}")
    whole = joined(parts)
    say()
    for line in story.found_in_words(labels, whole.alert, rest.at):
        say(f"  {line}")
    say()
    (out / "alerts.jsonl").write_bytes(b"".join(alert_format.encode(alert) + b"\n" for alert in alerts))
    picture = out / "demo.png"
    draw(Trace(story.SERIES, rest, whole, alerts, labels, np.ones(len(rest), bool)), detector, picture)
    weeks = monitor.tally().scored * detector.step / (7 * story.DAY)
    say(f"What: {story.summary(monitor.tally(), labels, whole.alert, weeks)}")
    say(f"Fast: {len(rest):,} readings scored one by one in {seconds:.1f} s, {seconds / len(rest) * 1e6:.0f} us each")
    say(f"Look: {picture}; {counted(len(alerts), 'event')} in {out / 'alerts.jsonl'}; the detector in {out / 'bundle'}")
