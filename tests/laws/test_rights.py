"""Rights taken away from a running service, and missing topics and disks: said, tried again, and nothing is lost."""

from __future__ import annotations

import pytest

from tests.acls import CLIENT, Rights, guarded_broker
from tests.laws.live import Live
from tests.laws.test_exactly_once import changelog, event_of, once
from tests.laws.test_parity import about, assert_same, backtest, bundle, later  # noqa: F401  fixtures

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

TAKEN = {  # and what the log says of it
    "READ topic readings": ("READ", "topic", "readings"),
    "WRITE topic scores": ("WRITE", "topic", "scores"),
    "WRITE topic state": ("WRITE", "topic", "state"),
    "READ group": ("READ", "group", ""),
    "WRITE transactional-id": ("WRITE", "transactional-id", ""),
}


@pytest.fixture(scope="module")
def broker(kafka_jars):
    with guarded_broker(kafka_jars) as started:
        yield started


@pytest.fixture
def live(broker, fresh_name, tmp_path, bundle, delivery):  # noqa: F811
    with Live(broker.bootstrap_servers, fresh_name, tmp_path, bundle) as service:
        changelog(service, delivery)
        broker.create_topic(f"{fresh_name}-state", 2, {"cleanup.policy": "compact"})
        client = ", ".join(f"{key}: {value}" for key, value in CLIENT.items())
        service.change("client: {", f"transactional_id: {fresh_name}\n  client: {{{client}, ")
        service.change(broker.bootstrap_servers, broker.address("GUARDED"))
        yield service


@pytest.mark.parametrize("taken", TAKEN)
def test_a_right_that_is_taken_away_and_given_back_loses_nothing(
    broker,
    live,
    backtest,  # noqa: F811
    later,  # noqa: F811
    delivery,
    taken,
):
    operation, kind, short = TAKEN[taken]
    rights, name = Rights(broker), live.name
    topics = {("READ", "readings"), ("WRITE", "readings")} | {
        (does, topic) for does in ("READ", "WRITE") for topic in ("alerts", "scores", "dead", "state")
    }
    rights.grant(*((does, "topic", f"{name}-{topic}") for does, topic in topics))
    rights.grant(("DESCRIBE_CONFIGS", "topic", f"{name}-state"), ("READ", "group", name))
    rights.grant(("WRITE", "transactional-id", name))
    one = (operation, kind, f"{name}-{short}" if short else name)
    live.publish(later[:400])
    live.start()
    live.wait_for("saved=2")
    rights.take(one)
    live.publish(later[400:])
    live.wait_for(f"{operation} on {kind} {one[2]}", 120)
    rights.grant(one)
    rights.close()
    live.wait_for("connected again")
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == len(later), 120)

    assert live.stop()[0] == 0, live.log()
    assert_same(backtest, once(live.read("scores"), delivery, about), once(live.read("alerts"), delivery, event_of))
