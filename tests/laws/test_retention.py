"""Retention passes on a real Kafka while a service reads its state back, or catches up behind it."""

from __future__ import annotations

import re
import signal
import time

import pandas as pd
import pytest
from kafka import KafkaProducer, TopicPartition

from tests.laws.live import Live
from tests.laws.test_exactly_once import changelog
from tests.laws.test_letters_refused import committed, with_admin
from tests.service.small import CHANNELS, bundled, calm_values

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

SERIES = ("a", "b", "c", "d")
ROWS, MORE = 5_000, 200  # of each series: before, and while the service does not run
PASSED = 50  # records of each partition that are deleted unread


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture
def live(kafka, fresh_name, tmp_path, bundle, delivery):
    with Live(kafka, fresh_name, tmp_path, bundle) as service:
        changelog(service, delivery)
        yield service


def frame_of(rows):
    moments = pd.date_range("2026-03-01", periods=rows, freq="min", tz="UTC")
    parts = [
        pd.DataFrame(calm_values(rows, seed), columns=CHANNELS).assign(timestamp=moments, series=name)
        for seed, name in enumerate(SERIES)
    ]
    return pd.concat(parts).sort_values(["timestamp", "series"], ignore_index=True)


def delete(live, firsts):
    """Delete the records before these offsets."""
    with_admin(
        live,
        "delete_records",
        {TopicPartition(f"{live.name}-readings", number): first for number, first in firsts.items()},
    )


def wait_until_stable(live, seconds=30.0):
    """Return when the group of the service has settled."""
    deadline = time.monotonic() + seconds
    while "Stable" not in str(with_admin(live, "describe_groups", [live.name])):
        assert time.monotonic() < deadline, live.log()
        time.sleep(0.1)


def lost(live):
    """How many records the service said to have lost."""
    return sum(map(int, re.findall(r"records_lost=(\d+)", live.log())))


def assert_each_once(live, count):
    rows = live.read("scores", count)

    assert len(rows) == len({(row["series"], row["timestamp"]) for row in rows}) == count


def test_retention_that_passes_while_the_state_is_on_its_way_is_told_and_the_rest_is_scored(live):
    frame = frame_of(100 + MORE)
    live.publish(frame[:400])
    live.start()
    live.wait_for("saved=2")
    live.stop()
    known = committed(live)
    live.publish(frame[400:])
    holder = KafkaProducer(bootstrap_servers=live.servers, transactional_id=live.name, transaction_timeout_ms=60_000)
    holder.init_transactions()
    holder.begin_transaction()
    for number in range(2):  # no reader of committed records gets past it
        holder.send(f"{live.name}-state", b"", b"of somebody else", partition=number)
    holder.flush(10)
    live.start()
    wait_until_stable(live)
    time.sleep(2.0)  # it reads, and stands before the transaction
    before = live.log().count("partition assigned")
    delete(live, {number: offset + PASSED for number, offset in known.items()})
    holder.abort_transaction()
    holder.close()
    live.wait_for_commit(len(frame))

    assert live.stop()[0] == 0, live.log()
    assert (before, live.log().count("with=beyond_retention")) == (2, 2)
    assert lost(live) == 2 * PASSED
    assert_each_once(live, len(frame) - 2 * PASSED)


@pytest.mark.parametrize("passed", [-1000, PASSED], ids=["over what was scored", "over what was not read"])
def test_retention_that_overtakes_a_service_that_catches_up_is_told_and_the_rest_is_scored(live, passed):
    """Its state is gone, and it warms up by the records before: 20,000 at most, in fetches of some hundred."""
    frame = frame_of(ROWS + MORE)
    cut = len(SERIES) * ROWS
    live.change("client: {", "client: {max_partition_fetch_bytes: 32768, ")
    live.publish(frame[:cut])
    live.start()
    live.wait_for_commit(cut)
    live.stop()
    known = committed(live)
    with_admin(live, "delete_topics", [f"{live.name}-state"])
    live.publish(frame[cut:])
    live.start()
    while live.log().count("with=state_missing") < 2:
        assert live.process.poll() is None
        time.sleep(0.01)
    live.process.send_signal(signal.SIGSTOP)
    delete(live, {number: offset + passed for number, offset in known.items()})
    live.process.send_signal(signal.SIGCONT)
    live.wait_for_commit(len(frame))

    assert live.stop()[0] == 0, live.log()
    assert live.log().count("with=beyond_retention") == 2
    assert lost(live) == max(0, 2 * passed)
    assert_each_once(live, len(frame) - max(0, 2 * passed))
