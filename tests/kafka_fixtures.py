"""One real Kafka for a whole run of tests; skipped by name where it cannot be started."""

from __future__ import annotations

import gc
import itertools
import os
import warnings

import pytest

from pipeline.connectors.local_broker import LocalBroker, cache_folder, why_unavailable

_numbers = itertools.count()


@pytest.fixture(scope="session")
def kafka():
    """Bootstrap servers of a Kafka: the one that KAFKA_BOOTSTRAP_SERVERS names, else one started here."""
    if servers := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield servers
        return
    cache = cache_folder(os.environ)
    reason = why_unavailable(cache)
    if reason is not None:
        pytest.skip(f"no Kafka: {reason}, or set KAFKA_BOOTSTRAP_SERVERS")
    with LocalBroker(cache) as broker:
        yield broker.bootstrap_servers


@pytest.fixture
def fresh_name(request):
    """A name that no other test or run uses, for topics and groups on a broker that several runs may share."""
    return f"plumbline-test-{os.getpid()}-{next(_numbers)}"


LEAVES_SOCKETS = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def refused_connections(caplog):
    """For tests in which nobody listens: kafka-python leaves the sockets of such attempts to the garbage collector.

    They are collected here, so that the warnings reach no other test; the test itself needs LEAVES_SOCKETS.
    """
    yield
    caplog.get_records("call").clear()  # which hold the errors, and these the sockets
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
