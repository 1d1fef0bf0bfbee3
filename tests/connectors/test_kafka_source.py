"""The Kafka source against a real broker: groups, positions, commits."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import KafkaAdminClient

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.kafka_source import KafkaSource
from pipeline.exceptions import BrokerError, OffsetLostError, OwnershipLostError, StalledError
from pipeline.service.ports import Message, Partition

pytestmark = pytest.mark.kafka


@pytest.fixture
def cluster(kafka):
    return Cluster(kafka, {"heartbeat_interval_ms": 300})  # so that a member hears of a new one quickly


@pytest.fixture
def topic(cluster, fresh_name):
    create_topic(cluster, fresh_name, partitions=4)
    return fresh_name


@pytest.fixture
def join(cluster, topic):
    """A function that makes a member of the test's group; all are closed at the end."""
    members = []

    def member(**settings):
        members.append(KafkaSource(cluster, f"{topic}-group", [topic], **settings))
        return members[-1]

    yield member
    for source in members:
        source.close(5)


def write(cluster, topic, values, key=b"pump"):
    sink = KafkaSink(cluster)
    for value in values:
        sink.send(Message(topic, key, str(value).encode()))
    sink.flush(10)
    sink.close(5)


class Reading:
    """A member with what it owns and has read: places each new partition at its committed offset and resumes it."""

    def __init__(self, source):
        self.source = source
        self.owned = {}  # partition to next offset
        self.values = []
        self.revoked = set()

    def poll(self):
        poll = self.source.poll(0.2)
        for partition in (*poll.revoked, *poll.lost):
            del self.owned[partition]
            self.revoked.add(partition)
        for partition in poll.assigned:
            self.owned[partition] = self.source.committed(partition) or 0
            self.source.seek(partition, self.owned[partition])
        self.source.resume(poll.assigned)
        for partition, records in poll.records.items():
            assert records[0].offset == self.owned[partition]
            self.owned[partition] = records[-1].offset + 1
            self.values += [int(record.value) for record in records]


def poll_until(condition, *readings, seconds=20):
    """Poll each member in a thread of its own, as each waits for the others to join, until all have seen it."""
    deadline = time.monotonic() + seconds
    seen = set()

    def member(number):
        while len(seen) < len(readings):
            assert time.monotonic() < deadline, [reading.owned for reading in readings]
            readings[number].poll()
            if condition():
                seen.add(number)

    with ThreadPoolExecutor() as threads:
        list(threads.map(member, range(len(readings))))


def test_a_new_partition_gives_nothing_before_it_is_sought_and_resumed(cluster, topic, join):
    write(cluster, topic, range(10))
    source = join()
    first = source.poll(1)
    again = source.poll(0.5)

    assert len(first.assigned) == 4
    assert not first.records
    assert not again.records
    with pytest.raises(ValueError, match="seek before resume"):
        source.resume(first.assigned)


def test_two_members_share_the_partitions_and_hand_over(cluster, topic, join):
    write(cluster, topic, range(50), b"a")
    write(cluster, topic, range(50, 100), b"b")
    first, second = Reading(join()), Reading(join())
    poll_until(lambda: len(first.owned) == 2 and len(second.owned) == 2, first, second)
    poll_until(lambda: len(set(first.values + second.values)) == 100, first, second)
    second.source.commit(second.owned)
    left, stays = set(second.owned), set(first.owned)
    second.source.close(5)
    poll_until(lambda: len(first.owned) == 4, first)

    assert not stays & first.revoked  # never taken away in between; of the others the first may have had all before
    assert first.source.committed(min(left)) == second.owned[min(left)]


def test_a_restart_goes_on_at_the_committed_offset(cluster, topic, join):
    write(cluster, topic, range(30))
    before = Reading(join())
    poll_until(lambda: len(before.values) == 30, before)
    before.source.commit(before.owned)
    before.source.close(5)
    write(cluster, topic, range(30, 40))
    after = Reading(join())
    poll_until(lambda: len(after.values) == 10, after)

    assert after.values == list(range(30, 40))


def test_paused_partitions_keep_their_place(cluster, topic, join):
    reading = Reading(join())
    poll_until(lambda: len(reading.owned) == 4, reading)
    reading.source.pause(list(reading.owned))
    write(cluster, topic, range(10))
    reading.poll()
    held = list(reading.values)
    reading.source.resume(list(reading.owned))
    poll_until(lambda: len(reading.values) == 10, reading)

    assert held == []
    assert reading.values == list(range(10))


def test_bounds_and_lag_tell_how_much_is_left(cluster, topic, join):
    write(cluster, topic, range(10))
    reading = Reading(join())
    poll_until(lambda: len(reading.values) == 10, reading)
    (busy,) = (partition for partition, offset in reading.owned.items() if offset == 10)

    assert reading.source.bounds(busy) == (0, 10)
    assert reading.source.lag_records()[busy] == 0


def test_a_partition_of_others_is_never_committed(topic, join):
    source = join()
    source.poll(1)

    with pytest.raises(OwnershipLostError, match="not ours"):
        source.commit({Partition(topic, 99): 5})


def test_a_commit_after_the_poll_deadline_is_refused_and_the_partitions_are_reported_lost(cluster, topic):
    write(cluster, topic, range(3))
    impatient = Cluster(cluster.bootstrap_servers, {"max_poll_interval_ms": 1000, "heartbeat_interval_ms": 300})
    source = KafkaSource(impatient, f"{topic}-group", [topic])
    reading = Reading(source)
    poll_until(lambda: len(reading.values) == 3, reading)
    deadline = time.monotonic() + 20
    refused = None
    while refused is None and time.monotonic() < deadline:  # nothing polls, so the membership ends by itself
        try:
            source.commit(reading.owned)
        except OwnershipLostError as error:
            refused = error
    poll = source.poll(1)
    source.close(5)

    assert "gone on without us" in str(refused)
    assert set(poll.lost) == set(reading.owned)
    assert set(poll.assigned) == set(reading.owned)
    assert not poll.records


def test_an_offset_that_is_not_kept_is_named_until_it_is_sought(cluster, topic, join):
    write(cluster, topic, range(3))
    reading = Reading(join())
    poll_until(lambda: len(reading.values) == 3, reading)
    (busy,) = (partition for partition, offset in reading.owned.items() if offset == 3)
    reading.source.seek(busy, 1000)
    with pytest.raises(OffsetLostError, match="at 1000") as lost:
        poll_until(lambda: False, reading)
    reading.source.pause([busy])
    for _ in range(3):
        reading.source.poll(0.2)  # nothing more is said of it
    reading.source.resume([busy])
    reading.source.seek(busy, 1)
    reading.owned[busy] = 1
    poll_until(lambda: len(reading.values) == 5, reading)

    assert lost.value.partitions == {busy: 1000}
    assert reading.values == [0, 1, 2, 1, 2]


def test_a_group_that_does_not_settle_is_reported(join):
    first, second = join(settle_seconds=1), join(settle_seconds=1)
    first.poll(1)
    with pytest.raises(
        StalledError, match=r"has not settled for 1 s"
    ):  # as the first, which never polls, must join too
        second.poll(0.1)


def test_a_stop_is_not_kept_waiting_by_a_group_that_does_not_settle(join):
    first, second = join(), join(stopping=lambda: True)
    first.poll(1)
    start = time.monotonic()
    second.poll(0.1)

    assert time.monotonic() - start < 3


def test_a_missing_topic_is_named_with_the_nearest_one(cluster, topic):
    with pytest.raises(BrokerError, match=f"there is no topic {topic}s .*there is {topic}.*Create it"):
        KafkaSource(cluster, "group", [f"{topic}s"])


def test_a_topic_made_anew_between_two_polls_is_known_as_another_log(cluster, topic, join):
    write(cluster, topic, range(3))
    reading = Reading(join())
    poll_until(lambda: len(reading.values) == 3, reading)
    before = reading.source.log(topic)
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    admin.delete_topics([topic])
    admin.close()
    while not create_topic(cluster, topic, partitions=4):
        pass  # the old one is still there
    with pytest.raises(OffsetLostError, match=r"made anew|gone"):
        poll_until(lambda: False, reading)

    assert reading.source.log(topic).id != before.id
