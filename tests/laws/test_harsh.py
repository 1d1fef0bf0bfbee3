"""The failures of docs/delivery.md on a real Kafka, with state in a changelog: minutes, so run by `make test-long`."""

from __future__ import annotations

import signal
import time

import pytest
from kafka import KafkaAdminClient, TopicPartition

from pipeline.connectors.local_broker import LocalBroker
from tests.laws.live import Live
from tests.laws.test_exactly_once import changelog, event_of, once
from tests.laws.test_parity import about, assert_same, backtest, bundle, later  # noqa: F401  fixtures

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SESSION = 6.0  # seconds, of the configuration of `Live`


@pytest.fixture
def broker(kafka_jars):
    """A broker of this test's own, for it is killed."""
    with LocalBroker(kafka_jars) as started:
        yield started


@pytest.fixture
def live(broker, fresh_name, tmp_path, bundle, delivery):  # noqa: F811
    with Live(broker.bootstrap_servers, fresh_name, tmp_path, bundle) as service:
        changelog(service, delivery)
        yield service


def all_there(rows, count):
    return len({about(row) for row in rows}) == count


def assert_all_as_the_backtest(live, backtest, delivery):  # noqa: F811
    assert_same(backtest, once(live.read("scores"), delivery, about), once(live.read("alerts"), delivery, event_of))


def test_a_process_that_stood_still_beyond_its_session_says_nothing_new(live, backtest, later, delivery):  # noqa: F811
    other = live.second()
    live.publish(later[:400])
    live.start()
    live.wait_for("saved=2")
    other.start()
    live.wait_for("partitions given up revoked=1")
    live.process.send_signal(signal.SIGSTOP)
    live.publish(later[400:])
    other.read_until("scores", lambda rows: all_there(rows, len(later)), 90)
    live.process.send_signal(signal.SIGCONT)
    time.sleep(2 * SESSION)  # it wakes, and learns that it was given up
    codes = [live.stop()[0], other.stop()[0]]

    assert codes == [0, 0], live.log()
    assert_all_as_the_backtest(live, backtest, delivery)


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(broker, live, backtest, later, delivery):  # noqa: F811
    live.publish(later[:500])
    live.start()
    live.wait_for("saved=2")
    broker.kill()
    time.sleep(20.0)
    broker.restart()
    live.publish(later[500:])
    live.read_until("scores", lambda rows: all_there(rows, len(later)), 120)

    assert live.stop()[0] == 0, live.log()
    assert_all_as_the_backtest(live, backtest, delivery)


def test_a_topic_that_gets_partitions_ends_the_service_with_the_way_out(broker, live, later, delivery):  # noqa: F811
    live.publish(later[:400])
    live.start()
    live.wait_for("saved=2")
    live.stop()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    admin.create_partitions({f"{live.name}-readings": 3, f"{live.name}-state": 3})
    admin.close()
    live.start()
    code = live.process.wait(60)
    live.process = None

    assert code == 1
    assert "had 2 partitions and has 3" in live.log()
    assert "--rewarm" in live.log()

    live.publish(later[400:])
    live.start("--rewarm")
    live.read_until("scores", lambda rows: all_there(rows, len(later)), 90)
    assert live.stop()[0] == 0
    assert "with=repartitioned" in live.log()


def test_records_that_retention_deleted_are_told_and_the_rest_is_scored(broker, live, later, delivery):  # noqa: F811
    live.publish(later[:300])
    live.start()
    live.wait_for("saved=2")
    live.stop()
    live.publish(later[300:600])
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    ends = {TopicPartition(f"{live.name}-readings", number): -1 for number in range(2)}
    admin.delete_records(ends)
    admin.close()
    live.publish(later[600:])
    live.start()
    live.wait_for("records_lost=")
    live.read_until("scores", lambda rows: all_there(rows, 300 + len(later) - 600), 90)

    assert live.stop()[0] == 0
    assert "with=beyond_retention" in live.log()


def test_a_topic_that_was_made_anew_is_told_and_read_from_its_beginning(broker, live, later, delivery):  # noqa: F811
    live.publish(later[:300])
    live.start()
    live.wait_for("saved=2")
    live.stop()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    admin.delete_topics([f"{live.name}-readings"])
    admin.close()
    while not broker.create_topic(f"{live.name}-readings", partitions=2):
        pass  # the old one is still there
    live.publish(later[300:])
    live.start()
    live.read_until("scores", lambda rows: all_there(rows, len(later)), 90)

    assert live.stop()[0] == 0
    assert live.log().count("with=beyond_retention") == 2
    assert len(live.read("scores")) == len(later)
