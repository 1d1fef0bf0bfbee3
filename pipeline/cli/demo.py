"""`plumbline demo`."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.console import say
from pipeline.cli.demo_steps import end, learn, replay
from pipeline.formats.alerts import sentence
from pipeline.records import Alert


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
    if kafka:
        from pipeline.cli.demo_kafka import through_kafka  # here: only this needs the client

        through_kafka(out)
        return
    learnt = learn(out)
    N = len(learnt.rest)
    say(f"Now the other {N:,} readings, one at a time; false alarms promised: 1 a week.\n")
    replayed = replay(learnt, _tell)
    seconds = replayed.seconds
    end(learnt, replayed, out, f"{N:,} readings scored one by one in {seconds:.1f} s, {seconds / N * 1e6:.0f} us each")


def _tell(alert: Alert) -> None:
    if alert.event != "updated":
        say(f"  {sentence(alert)}")
