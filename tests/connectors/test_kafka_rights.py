"""A broker that does not let us do what we need: every missing right is named before anything is done."""

from __future__ import annotations

import time

import pytest

from pipeline.cli.main import main
from pipeline.connectors.kafka_changelog import require_changelog
from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_rights import Right, Uses, missing_rights
from tests.acls import CLIENT, Rights, guarded_broker
from tests.service.small import bundled

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TOPICS = ("readings", "alerts", "dead", "state")
NEEDED = [
    ("READ", "topic", "readings"),
    ("WRITE", "topic", "alerts"),
    ("WRITE", "topic", "dead"),
    ("READ", "topic", "state"),
    ("WRITE", "topic", "state"),
    ("DESCRIBE_CONFIGS", "topic", "state"),
    ("READ", "group", "group"),
    ("WRITE", "transactional-id", "id"),
]


@pytest.fixture(scope="module")
def broker(kafka_jars):
    with guarded_broker(kafka_jars) as started:
        yield started


@pytest.fixture(scope="module")
def rights(broker):
    rights = Rights(broker)
    yield rights
    rights.close()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundle") / "pumps")


def named(name, right):
    operation, kind, short = right
    return operation, kind, f"{name}-{short}"


@pytest.fixture
def config(broker, bundle, fresh_name, tmp_path):
    """A service that keeps its state in a topic, with all its topics there, and nothing granted."""
    make_topics(broker, fresh_name)
    return written(tmp_path / "plumbline.yaml", broker, bundle, fresh_name)


def make_topics(broker, name, but=None):
    for topic in TOPICS:
        if topic != but:
            broker.create_topic(f"{name}-{topic}", config={"cleanup.policy": "compact"} if topic == "state" else None)


def written(path, broker, bundle, fresh_name):
    client = ", ".join(f"{key}: {value}" for key, value in CLIENT.items())
    path.write_text(
        f"""
kafka:
  bootstrap_servers: {broker.address("GUARDED")}
  group_id: {fresh_name}-group
  transactional_id: {fresh_name}-id
  client: {{{client}}}
detectors: {{pumps: {{bundle: {bundle}, input: {{topic: {fresh_name}-readings}}}}}}
outputs: {{alerts: {fresh_name}-alerts, dead_letters: {fresh_name}-dead}}
state: {{changelog: {fresh_name}-state}}
delivery: exactly_once
telemetry: {{listen: null}}
"""
    )
    return path


def test_check_finds_nothing_where_all_is_granted(config, rights, fresh_name):
    rights.grant(*(named(fresh_name, right) for right in NEEDED))

    assert main(["check", str(config), "--connect"]) == 0


@pytest.mark.parametrize("missing", NEEDED, ids=" ".join)
def test_check_and_serve_name_the_right_that_is_missing_and_how_it_is_granted(
    config, rights, fresh_name, missing, capsys
):
    rights.grant(*(named(fresh_name, right) for right in NEEDED if right != missing))
    operation, kind, name = named(fresh_name, missing)
    asked = {"READ": "Read", "WRITE": "Write", "DESCRIBE_CONFIGS": "DescribeConfigs"}[operation]
    began = time.monotonic()

    assert main(["check", str(config), "--connect"]) == 1
    checked = capsys.readouterr().out
    assert main(["serve", str(config)]) == 1
    served = capsys.readouterr().err
    assert time.monotonic() - began < 20
    for told in (checked, served):
        assert f"{operation} on {kind} {name}" in told
        assert f"--add --allow-principal User:bob --operation {asked} --{kind} {name}" in told
        assert told.count("kafka-acls.sh") == 1  # nothing but what is missing


def test_everything_that_is_missing_is_said_at_once(config, broker, fresh_name, capsys):
    uses = Uses({"a", "b"}, {"c"}, None, "g", "g-any", ids_begin_with="g-")
    found = missing_rights(Cluster(broker.address("GUARDED"), CLIENT), uses)

    assert set(found) == {
        Right("READ", "topic", "a"),
        Right("READ", "topic", "b"),
        Right("WRITE", "topic", "c"),
        Right("READ", "group", "g"),
        Right("WRITE", "transactional-id", "g-", prefix=True),
    }
    assert main(["serve", str(config)]) == 1
    assert capsys.readouterr().err.count("kafka-acls.sh") == len(NEEDED)


def test_a_broker_without_rights_asks_for_none(kafka, fresh_name):
    assert missing_rights(Cluster(kafka), Uses({fresh_name}, (), None, fresh_name, fresh_name)) == ()


@pytest.mark.parametrize("missing", TOPICS)
def test_a_topic_that_is_not_there_is_named(broker, rights, bundle, fresh_name, tmp_path, missing, capsys):
    make_topics(broker, fresh_name, but=missing)
    rights.grant(*(named(fresh_name, right) for right in NEEDED))
    config = written(tmp_path / "plumbline.yaml", broker, bundle, fresh_name)

    assert main(["serve", str(config)]) == 1
    told = capsys.readouterr().err
    assert f"topic {fresh_name}-{missing}" in told
    if missing == "state":  # the service makes it, and may not here
        assert f"create it, or grant CREATE on topic {fresh_name}-state" in told
        rights.grant(("CREATE", "topic", f"{fresh_name}-state"))
        require_changelog(Cluster(broker.address("GUARDED"), CLIENT), f"{fresh_name}-state", 1)
    else:
        assert f"kafka-topics.sh --create --topic {fresh_name}-{missing}" in told
        assert main(["check", str(config), "--connect"]) == 1
        assert f"there is no topic {fresh_name}-{missing}" in capsys.readouterr().out
