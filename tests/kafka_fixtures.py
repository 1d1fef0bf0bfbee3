"""One real Kafka for a whole run of tests; skipped by name where it cannot be started."""

from __future__ import annotations

import gc
import itertools
import os
import secrets
import warnings

import pytest

from pipeline.connectors.local_broker import LocalBroker, cache_folder, why_unavailable

_numbers = itertools.count()
_run = secrets.token_hex(3)  # several runs may share a broker


@pytest.fixture(scope="session")
def kafka_jars():
    """The cache with the jars of a broker of a test's own; skipped where none can be started."""
    cache = cache_folder(os.environ)
    if reason := why_unavailable(cache):
        pytest.skip(f"no Kafka: {reason}")
    return cache


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


@pytest.fixture(params=["at_least_once", "exactly_once"])
def delivery(request):
    """Each of the two, for whoever keeps its state in a changelog."""
    return request.param


@pytest.fixture
def fresh_name():
    """A name that no other test or run uses, for topics and groups."""
    return f"plumbline-test-{_run}-{next(_numbers)}"


def pytest_collection_modifyitems(items):
    """Excuse kafka-python's sockets where it is used, and nowhere else: our own are to be closed."""
    for item in items:
        if item.get_closest_marker("kafka") or "refused_connections" in item.fixturenames:
            for kind in ("socket", "ssl.SSLSocket"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore:unclosed <{kind}:ResourceWarning"))
            item.fixturenames.insert(0, "client_sockets")


@pytest.fixture
def client_sockets(caplog):
    """kafka-python leaves sockets that were still connecting, or were refused, to the garbage collector.

    They are collected after each test, so that the warnings reach no other.
    """
    yield
    for phase in ("setup", "call", "teardown"):
        caplog.get_records(phase).clear()  # which hold the errors, and these the sockets
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def refused_connections():
    """For tests without a broker in which the client is refused by somebody; see `client_sockets`."""
