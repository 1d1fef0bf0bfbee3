"""Mutes of a control topic, followed by a service on a real Kafka: set, withdrawn, and known again after a kill."""

import json
import re
import signal

import pytest

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.service.ports import Message
from tests.laws.test_parity import about, backtest, bundle, later, live  # noqa: F401  fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def mute(live, key, value):  # noqa: F811
    sink = KafkaSink(Cluster(live.servers))
    sink.send(Message(f"{live.name}-mutes", key.encode(), None if value is None else json.dumps(value).encode()))
    sink.flush(10)
    sink.close(1)


def committed(live):  # noqa: F811
    """How many readings the service says to have committed."""
    return sum(map(int, re.findall(r"committed readings=(\d+)", live.log())))


def test_what_the_topic_mutes_is_not_told_until_it_is_withdrawn(live, backtest, later):  # noqa: F811
    _, alerts = backtest
    series = {alert["series"] for alert in alerts}
    assert {"pump-0", "pump-2"} <= series
    create_topic(Cluster(live.servers), f"{live.name}-mutes", config={"cleanup.policy": "compact"})
    live.change("every_seconds: 30", "every_seconds: 2")
    live.change("group_id:", f"mutes: {live.name}-mutes\n  group_id:")
    mute(live, "a", {"series": "pump-0", "reason": "bearings"})
    mute(live, "b", {"series": "pump-2", "reason": "paint"})
    mute(live, "c", {"series": 3})
    mute(live, "b", None)
    cut = 700
    live.publish(later[:cut])
    live.start()
    live.read_until("scores", lambda rows: len(rows) >= cut and committed(live) >= cut)
    live.stop(signal.SIGKILL)
    live.start()
    live.wait_for("with=state")  # by then the topic was read
    mute(live, "a", None)
    live.wait_for("reloaded detectors=1")
    live.publish(later[cut:])
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == len(later))
    code, _ = live.stop()
    told = live.read("alerts")
    begin = later["timestamp"].iloc[cut].isoformat().replace("+00:00", "Z")
    known = {(one["id"], one["event"]) for one in told}

    assert code == 0, live.log()
    assert "mute not understood, and left out key=c" in live.log()
    assert "muted=" in live.log()
    assert not [one for one in told if one["series"] == "pump-0" and one["at"] < begin]
    for one in alerts:
        if one["series"] != "pump-0" or one["at"] >= begin:  # among these an incident that was open at the withdrawal
            assert (one["id"], one["event"]) in known
    late = [one for one in told if one["series"] == "pump-0" and one["event"] == "raised" and one["start"] < begin]
    assert len(late) == 1, "an incident is open when the mute is withdrawn, and is raised then"
