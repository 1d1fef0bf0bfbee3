"""The topic of dead letters alone takes nothing, on a real Kafka: no letter is lost, and no offset goes past one."""

from __future__ import annotations

from collections import defaultdict

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.service.letters import letter_of
from pipeline.service.ports import Message
from tests.acls import CLIENT, Rights, guarded_broker
from tests.laws.live import Live
from tests.laws.test_exactly_once import changelog
from tests.laws.test_failures import assert_repeats_agree, frame_of, readings_in
from tests.service.small import bundled

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

BROKEN = 12  # records


@pytest.fixture(scope="module")
def broker(kafka_jars):
    with guarded_broker(kafka_jars) as started:
        yield started


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture
def rights(broker):
    held = Rights(broker)
    yield held
    held.close()


@pytest.fixture
def live(broker, rights, fresh_name, tmp_path, bundle, delivery):
    with Live(broker.bootstrap_servers, fresh_name, tmp_path, bundle) as service:
        guarded(service, broker, rights, delivery)
        yield service


class DeadTopic:
    """The topic of dead letters, and what an operator may do to it."""

    def __init__(self, live, rights=None):
        self.name = f"{live.name}-dead"
        self._live, self._rights = live, rights

    def configure(self, key, value):
        """Set a setting of the topic; None: as it was."""
        operation = AlterConfigOp.DELETE if value is None else AlterConfigOp.SET
        configs = {key: (operation, value or "")}
        with_admin(self._live, "alter_configs", [ConfigResource(ConfigResourceType.TOPIC, self.name, configs)])

    def forbid(self):
        self._rights.take(("WRITE", "topic", self.name))

    def allow(self):
        self._rights.grant(("WRITE", "topic", self.name))

    def delete(self):
        with_admin(self._live, "delete_topics", [self.name])

    def create(self):
        while not create_topic(Cluster(self._live.servers), self.name):
            pass  # the old one is still there

    def letters(self):
        """All letters, as they lie there."""
        return read(self._live, self.name)


def guarded(live, broker, rights, delivery):
    """Let a service keep its state in a topic, and have each right that it needs by itself."""
    changelog(live, delivery)
    broker.create_topic(f"{live.name}-state", 2, {"cleanup.policy": "compact"})
    client = ", ".join(f"{key}: {value}" for key, value in CLIENT.items())
    live.change("client: {", f"transactional_id: {live.name}\n  client: {{{client}, ")
    live.change(broker.bootstrap_servers, broker.address("GUARDED"))
    topics = [f"{live.name}-{kind}" for kind in ("readings", "alerts", "scores", "dead", "state")]
    rights.grant(*((does, "topic", topic) for does in ("READ", "WRITE") for topic in topics))
    rights.grant(("DESCRIBE_CONFIGS", "topic", topics[-1]), ("READ", "group", live.name))
    rights.grant(("WRITE", "transactional-id", live.name))


def with_admin(live, what, *arguments):
    admin = KafkaAdminClient(bootstrap_servers=live.servers)
    try:
        return getattr(admin, what)(*arguments)
    finally:
        admin.close()


def read(live, topic):
    reader = TopicReader(Cluster(live.servers), topic)
    try:
        return [record for records in reader for record in records]
    finally:
        reader.close()


def publish_broken(live, count):
    """Records that are no readings, on both partitions."""
    sink = KafkaSink(Cluster(live.servers))
    for number in range(count):
        sink.send(Message(f"{live.name}-readings", f"pump-{number}".encode(), b"{ broken %d" % number))
    sink.flush(10.0)
    sink.close(1.0)


def committed(live):
    """The group's offset of each partition."""
    consumer = KafkaConsumer(bootstrap_servers=live.servers, group_id=live.name, enable_auto_commit=False)
    try:
        return {number: consumer.committed(TopicPartition(f"{live.name}-readings", number)) for number in range(2)}
    finally:
        consumer.close()


TROUBLES = {  # how it begins and ends, and what the log has when it is mended
    "deleted for a while": (DeadTopic.delete, DeadTopic.create, "not committed"),
    "deleted": (DeadTopic.delete, DeadTopic.create, "starting over"),
    "forbidden": (DeadTopic.forbid, DeadTopic.allow, "starting over"),
    "taking no message": (
        lambda dead: dead.configure("max.message.bytes", "150"),  # which the mark of a transaction fits into
        lambda dead: dead.configure("max.message.bytes", None),
        "starting over",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_letters_that_cannot_be_stored_hold_back_the_offsets_and_are_all_there_afterwards(
    live, rights, delivery, trouble, record_property
):
    begin, end, words = TROUBLES[trouble]
    frame, dead = frame_of("a", "b", "c", "d"), DeadTopic(live, rights)
    live.publish(frame[:400])
    live.start()
    live.wait_for("saved=2")
    begin(dead)
    live.publish(frame[400:600])
    publish_broken(live, BROKEN)
    live.publish(frame[600:])
    live.wait_for(words, 150)
    broken = [one for one in read(live, f"{live.name}-readings") if one.value.startswith(b"{ broken")]
    first = {number: min(one.offset for one in broken if one.partition == number) for number in range(2)}
    held, said = committed(live), live.log()
    end(dead)
    live.wait_for_commit(len(frame) + BROKEN, 120)
    code, _ = live.stop()
    rows, letters = live.read("scores"), [(letter_of(record), record) for record in dead.letters()]
    copies = defaultdict(list)
    for letter, record in letters:
        copies[letter.source.partition, letter.source.offset].append((record.key, record.value, record.headers))
    record_property("scores repeated", len(rows) - len(frame))
    record_property("letters repeated", len(letters) - BROKEN)

    assert code == 0, live.log()
    assert all(held[number] <= first[number] for number in first)
    assert dead.name in said, "the log names the topic, and not only that something is not stored"
    assert copies.keys() == {(one.partition, one.offset) for one in broken}
    assert all(copy == same[0] for same in copies.values() for copy in same)
    assert len(readings_in(rows)) == len(frame)
    assert_repeats_agree(rows, live.read("alerts"))
    if delivery == "exactly_once":
        assert (len(rows), len(letters)) == (len(frame), BROKEN)
