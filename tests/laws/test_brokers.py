"""What a cluster of several brokers can do to a service that one broker cannot; minutes, so run by `make test-long`."""

# ruff: noqa: F811  fixtures of other files are imported

from __future__ import annotations

import pytest

from tests.laws.brokers import GROUPS, TRANSACTIONS, Brokers
from tests.laws.live import Live
from tests.laws.test_exactly_once import changelog, event_of
from tests.laws.test_harsh import all_there, assert_all_as_the_backtest
from tests.laws.test_parity import about, backtest, bundle, later  # noqa: F401  fixtures

pytestmark = [pytest.mark.long, pytest.mark.kafka, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def brokers(kafka_jars):
    """A cluster of this file's own; each test leaves all its nodes running."""
    with Brokers(kafka_jars) as started:
        yield started


@pytest.fixture
def live(brokers, fresh_name, tmp_path, bundle, delivery):
    with Live(brokers.bootstrap_servers, fresh_name, tmp_path, bundle) as service:
        changelog(service, delivery)
        yield service


def repeated(rows, key):
    """How many come again, each the same as the first time."""
    first = {}
    for row in rows:
        assert first.setdefault(key(row), row) == row
    return len(rows) - len(first)


@pytest.mark.parametrize("coordinated", [GROUPS, TRANSACTIONS], ids=["of the group", "of transactions"])
def test_a_coordinator_that_is_killed_and_comes_back_loses_nothing(
    brokers,
    live,
    backtest,
    later,
    delivery,
    coordinated,
):
    coordinator, other = (2, 3) if coordinated == GROUPS else (3, 2)
    brokers.lead(coordinator, coordinated)
    brokers.lead(other, GROUPS if coordinated == TRANSACTIONS else TRANSACTIONS)
    live.publish(later[:500])
    live.start()
    live.wait_for("saved=2")
    live.publish(later[500:700])
    brokers.nodes[coordinator].kill()
    brokers.wait_until(lambda: brokers.leader(coordinated) not in (coordinator, None), "another coordinator")
    live.publish(later[700:900])
    live.read_until("scores", lambda rows: all_there(rows, 900), 120)
    brokers.nodes[coordinator].restart()
    brokers.lead(coordinator, coordinated)  # it moves once more, while all of them run
    live.publish(later[900:])
    rows = live.read_until("scores", lambda rows: all_there(rows, len(later)), 120)

    assert live.stop()[0] == 0, live.log()
    assert_all_as_the_backtest(live, backtest, delivery)
    assert repeated(rows, about) <= (400 if delivery == "at_least_once" else 0)
    repeated(live.read("alerts"), event_of)


KEPT, READ = 400, 600  # records that the leader to come has, and that the service reads


@pytest.fixture
def leading(brokers, fresh_name):
    """A topic of readings on the nodes 2 and 3, of which the one that has less may lead."""
    topic = f"{fresh_name}-readings"
    brokers.lead(1, GROUPS, TRANSACTIONS)
    brokers.create(topic, {0: [2, 3], 1: [2, 3]}, {"unclean.leader.election.enable": "true"})
    yield topic
    for node in brokers.nodes.values():
        if not node.running():
            node.restart()


@pytest.fixture
def read_on(brokers, leading, live, later):
    """The service has read and committed what node 3 does not have."""
    live.publish(later[:KEPT])
    brokers.wait_until(lambda: brokers.in_sync(leading) == {2, 3}, "both in sync")
    brokers.nodes[3].kill()
    brokers.wait_until(lambda: brokers.in_sync(leading) == {2}, "node 2 alone")
    live.publish(later[KEPT:READ])
    live.start()
    live.wait_for_commit(READ)
    return live


def cut(brokers, topic):
    """Let the node lead that has less."""
    brokers.nodes[2].kill()
    brokers.wait_until(lambda: brokers.leader(topic) is None, "no leader")
    brokers.nodes[3].restart()
    brokers.wait_until(lambda: brokers.leader(topic) == 3, "another leader")


@pytest.mark.parametrize("at_once", [0, 200], ids=["behind", "ahead"])
def test_a_leader_that_has_less_than_was_read_is_told_and_followed(
    brokers,
    leading,
    read_on,
    backtest,
    later,
    delivery,
    at_once,
):
    cut(brokers, leading)
    if at_once:  # before the service looks its end may be where it was, or beyond
        read_on.publish(later[READ : READ + at_once])
    read_on.wait_for("with=truncated")
    read_on.publish(later[READ + at_once :])
    read_on.read_until("scores", lambda rows: all_there(rows, len(later)), 60)
    brokers.nodes[2].restart()
    brokers.wait_until(lambda: brokers.in_sync(leading) == {2, 3}, "both in sync")

    assert read_on.stop()[0] == 0, read_on.log()
    assert_all_as_the_backtest(read_on, backtest, delivery)
    assert len(read_on.read("scores")) == len(later), "nothing comes twice"
    assert read_on.log().count("with=truncated") == 2
    assert "records_cut=67" in read_on.log()
    assert "records_cut=133" in read_on.log()


def test_a_service_that_was_away_when_a_log_was_cut_off_reads_what_there_is_from_the_beginning(
    brokers,
    leading,
    read_on,
    later,
    delivery,
):
    assert read_on.stop()[0] == 0
    cut(brokers, leading)
    read_on.start()
    read_on.read("scores", READ + KEPT)
    read_on.publish(later[READ:])
    rows = read_on.read_until("scores", lambda rows: all_there(rows, len(later)), 60)

    assert read_on.stop()[0] == 0, read_on.log()
    assert read_on.log().count("with=beyond_retention") == 2
    assert len(rows) == len(later) + KEPT, "exactly once, too"
    assert repeated(rows[: READ + KEPT], about) == KEPT


def test_a_service_that_was_away_until_a_log_had_grown_again_cannot_know_that_it_was_cut_off(
    brokers,
    leading,
    read_on,
    later,
    delivery,
):
    assert read_on.stop()[0] == 0
    cut(brokers, leading)
    read_on.publish(later[READ : READ + 200])  # in the place of as many others, of the same series
    read_on.start()
    read_on.wait_for("with=state")
    read_on.publish(later[READ + 200 :])
    rows = read_on.read("scores", len(later) - 200)

    assert read_on.stop()[0] == 0, read_on.log()
    assert len(rows) == len(later) - 200, "this is what docs/delivery.md does not promise"
