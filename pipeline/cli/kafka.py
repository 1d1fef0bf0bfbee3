"""`plumbline kafka`, which `make kafka` runs."""

from __future__ import annotations

import os

from pipeline.cli.console import note, say
from pipeline.cli.process import Signals
from pipeline.connectors.local_broker import LocalBroker, cache_folder, fetched, why_unavailable
from pipeline.exceptions import BrokerError

LOOK_SECONDS = 1.0  # between two looks at whether the broker still runs


def kafka(*, topic: list[str] | None = None, partitions: int = 1) -> None:
    """Run a real Kafka broker here until stopped.

    One node on free ports of this machine, for trying things out: topics come into being when they are written to, and
    all of it is removed at the end. It needs Java 17 and, the first time, Maven.

    Parameters
    ----------
    topic
        Topics to create at the start.
    partitions
        Of each of these topics.
    """
    cache = cache_folder(os.environ)
    if reason := why_unavailable(cache):
        raise BrokerError(f"no Kafka can be started here: {reason}")
    if not fetched(cache):
        note("fetching Apache Kafka from Maven Central, once")
    with Signals() as signals, LocalBroker(cache, {"auto.create.topics.enable": "true"}) as broker:
        for name in topic or ():
            broker.create_topic(name, partitions)
        say(f"Apache Kafka answers at {broker.bootstrap_servers}; Ctrl-C ends it. For other shells:")
        say(f"  export KAFKA_BOOTSTRAP_SERVERS={broker.bootstrap_servers}")
        while not signals.asked():
            signals.wait(LOOK_SECONDS)
            if not broker.running():
                raise BrokerError(f"the broker has ended by itself; the end of its log:\n{broker.log_tail()}")
