"""State in a compacted topic, on a real broker: what is committed comes back whole, and nothing else does."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.connectors.kafka_changelog import KafkaChangelogReader, require_changelog
from pipeline.connectors.kafka_client import Cluster, connect, create_topic
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.kafka_source import KafkaSource
from pipeline.connectors.kafka_transactions import TransactionalSink
from pipeline.exceptions import AbandonedError, BrokerError, OwnershipLostError, StateError
from pipeline.service.changelog import Changelog, forgotten
from pipeline.service.ports import Checkpoint, Message, Partition, SavedState, TopicLog

pytestmark = pytest.mark.kafka

WHOLE = SavedState(5, "d" * 64, {"a": b"a1", "b": b"b1"}, TopicLog("id", 2))


@pytest.fixture
def cluster(kafka):
    return Cluster(kafka)


class Member:
    """A member of a group on a topic of its own, with a changelog."""

    def __init__(self, cluster, topic, group, *, inside=False, name=None):
        self.topic, self.changelog = topic, f"{topic}-state"
        self.source = KafkaSource(cluster, group, [topic])
        self.sink = TransactionalSink(cluster, name or f"{group}-{time.monotonic_ns()}", self.source.member)
        reader = partial(KafkaChangelogReader, cluster)
        self.checkpoints = Changelog(self.changelog, self.sink, reader, outputs_inside=inside, flush_seconds=5.0)
        self.partitions = []

    def join(self, count):
        until = time.monotonic() + 30
        while len(self.partitions) < count and time.monotonic() < until:
            polled = self.source.poll(0.2)
            gone = {*polled.revoked, *polled.lost}
            self.partitions = [one for one in self.partitions if one not in gone] + list(polled.assigned)
        assert len(self.partitions) == count
        for one in self.partitions:
            self.source.seek(one, 0)
        return self

    def close(self):
        self.source.close(1)
        self.checkpoints.close(1)
        self.sink.close(1)


@pytest.fixture
def members(cluster, fresh_name):
    """Makes members of one group on one topic of two partitions."""
    create_topic(cluster, fresh_name, 2)
    require_changelog(cluster, f"{fresh_name}-state", 2)
    made = []

    def make(**how):
        made.append(Member(cluster, fresh_name, fresh_name, **how))
        return made[-1]

    yield make
    for member in made:
        member.close()


def restored(member, number=0, detector="pumps"):
    restoring = member.checkpoints.restore(detector, Partition(member.topic, number))
    until = time.monotonic() + 40
    while not restoring.advance(0.5):
        assert time.monotonic() < until
    return restoring.state()


def checkpoint(state, needed=None):
    """A state to be saved: whole, or those of its series that are needed beside what was saved before."""

    def take(series):
        return {name: state.slots[name] for name in series}

    series = sorted(state.slots if needed is None else needed)
    return Checkpoint("pumps", state.offset, state.digest, series, take, 1, state.log, needed is None)


def changed(member, offset, before, **slots):
    """The state after these slots changed, and its checkpoint with what is needed beside them."""
    whole = SavedState(offset, before.digest, dict(before.slots) | slots, before.log)
    return checkpoint(whole, member.checkpoints.needed("pumps", Partition(member.topic, 0), list(slots)))


def begin(member, one, number=0):
    """A commit that is under way, of a state or a checkpoint of one."""
    partition = Partition(member.topic, number)
    one = checkpoint(one) if isinstance(one, SavedState) else one
    return member.checkpoints.commit({partition: one.offset}, {partition: one})


def commit(member, states, number=0):
    """Each state in a checkpoint of its own."""
    for state in states:
        for _ in begin(member, state, number):
            pass


def test_what_was_committed_comes_back_with_the_slots_that_changed_last(members):
    member = members().join(2)
    commit(member, [WHOLE])
    commit(member, [changed(member, 9, WHOLE, b=b"b2", c=b"c1")])

    assert restored(member) == replace(WHOLE, offset=9, slots={"a": b"a1", "b": b"b2", "c": b"c1"})
    assert member.source.committed(Partition(member.topic, 0)) == 9
    assert restored(member, 1) is None
    assert restored(member, 0, "others") is None


def test_an_empty_changelog_is_no_state(members):
    assert restored(members()) is None


def test_a_whole_state_makes_an_end_of_all_slots_before_it(members):
    member = members().join(2)
    again = SavedState(20, "e" * 64, {"b": b"b9"}, WHOLE.log)
    commit(member, [WHOLE, again])

    assert restored(member) == again


def test_a_state_goes_on_where_another_process_restored_it(members):
    first = members().join(2)
    commit(first, [WHOLE])
    first.source.close(1)
    second = members().join(2)
    assert restored(second) == WHOLE
    commit(second, [changed(second, 7, WHOLE, a=b"a2")])

    assert restored(second).slots == {"a": b"a2", "b": b"b1"}


def test_offsets_can_be_committed_without_a_state(members):
    member = members().join(2)
    commit(member, [WHOLE])
    for _ in member.checkpoints.commit({Partition(member.topic, 0): 8}, {}):
        pass

    assert restored(member).offset == 5
    assert member.source.committed(Partition(member.topic, 0)) == 8


def test_a_checkpoint_that_was_never_ended_is_not_seen_and_the_restore_waits_for_its_end(members, cluster):
    member = members(name="dies").join(2)
    commit(member, [WHOLE])
    next(begin(member, replace(WHOLE, offset=9, slots={"a": b"half"})))
    member.sink.flush(5)  # and here the process dies: nothing ends the transaction but its time

    waiting = members().checkpoints.restore("pumps", Partition(member.topic, 0))
    assert not waiting.advance(1.0)
    TransactionalSink(cluster, "dies", lambda: None).close(1)  # the same id comes back and ends it at once
    while not waiting.advance(1.0):
        pass
    assert waiting.state() == WHOLE


def test_a_checkpoint_that_was_dropped_half_written_is_stored_by_no_later_commit(members):
    member, other = members().join(2), replace(WHOLE, offset=7)
    commit(member, [WHOLE])
    next(begin(member, changed(member, 9, WHOLE, a=b"a2", b=b"b2")))  # and then a partition moves
    with pytest.raises(AbandonedError, match="the state of 1 partitions was left half written"):
        commit(member, [other], number=1)
    assert not member.checkpoints.abandon()  # no outputs were in it
    commit(member, [other], number=1)

    assert restored(member) == WHOLE
    assert restored(member, 1) == other


def test_a_checkpoint_that_was_dropped_half_written_is_made_good_by_one_of_the_same_partition(members):
    member = members().join(2)
    commit(member, [WHOLE])
    many = {f"series-{number}": b"s" for number in range(500)}
    for offset in (9, 12):  # a life ends here, and the first time it does not get far
        under_way = begin(member, changed(member, offset, WHOLE, **many))
        next(under_way)
    for _ in under_way:
        pass

    assert restored(member) == replace(WHOLE, offset=12, slots=dict(WHOLE.slots) | many)


def test_a_process_that_lost_its_partitions_cannot_write_over_the_state_of_its_heir(members):
    old = members().join(2)
    commit(old, [WHOLE])
    metadata = old.source.member()
    old.source.close(1)  # the group gives its partitions to others
    heir = members().join(2)
    newer = SavedState(30, WHOLE.digest, {"a": b"of the heir"}, WHOLE.log)
    commit(heir, [newer])

    old.sink._member = lambda: metadata
    with pytest.raises(AbandonedError, match="the offsets failed"):
        commit(old, [replace(WHOLE, offset=6, slots={"a": b"of the old owner"})])
    old.sink.close(5)
    assert restored(heir) == newer
    assert heir.source.committed(Partition(heir.topic, 0)) == 30


def test_two_processes_with_one_transactional_id_do_not_both_write(members):
    first = members(name="one-id").join(2)
    commit(first, [WHOLE])
    members(name="one-id")

    with pytest.raises(AbandonedError, match=r"another process uses this kafka\.transactional_id"):
        commit(first, [replace(WHOLE, offset=6)])


def test_who_is_no_member_commits_nothing(members):
    with pytest.raises(OwnershipLostError, match="no member"):
        commit(members(), [WHOLE])


def test_outputs_of_a_transaction_are_seen_with_its_commit_or_not_at_all(members, cluster, fresh_name):
    member = members(inside=True).join(2)
    out = f"{fresh_name}-out"
    create_topic(cluster, out)
    member.sink.send(Message(out, None, b"undone"))
    member.sink.flush(5)
    assert member.checkpoints.abandon()
    assert not member.checkpoints.abandon()
    member.sink.send(Message(out, None, b"stored"))
    commit(member, [WHOLE])

    reader = TopicReader(cluster, out)
    seen = [record.value for records in reader for record in records]
    reader.close()
    assert seen == [b"stored"]


def damaged(cluster, topic, key, value):
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap_servers)
    producer.send(topic, value, key, partition=0)
    producer.flush(5)
    producer.close(1)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\xff\xff", "a barrier is damaged"),
        (msgspec.msgpack.encode({"version": 1}), "a barrier is damaged"),
        (
            msgspec.msgpack.encode({"version": 9, "offset": 5, "digest": "d", "epoch": b"", "series": 0, "log": None}),
            "has version 9",
        ),
    ],
)
def test_a_changelog_that_is_damaged_is_told_and_not_taken(members, cluster, value, said):
    member = members().join(2)
    commit(member, [WHOLE])
    damaged(cluster, member.changelog, msgspec.msgpack.encode(("pumps", member.topic, None)), value)

    with pytest.raises(StateError, match=said):
        restored(member)


def test_slots_that_are_gone_or_damaged_are_noticed(members, cluster):
    member = members().join(2)
    commit(member, [replace(WHOLE, slots={"a": b"a1"})])
    (bucket,) = (
        number
        for number, some in enumerate(member.checkpoints._lives["pumps", Partition(member.topic, 0)].buckets)
        if some
    )
    key, epoch = (
        msgspec.msgpack.encode(("pumps", member.topic, bucket)),
        member.checkpoints._lives["pumps", Partition(member.topic, 0)].epoch,
    )
    damaged(cluster, member.changelog, key, epoch + b"\xff")
    with pytest.raises(StateError, match="slots are damaged"):
        restored(member)
    damaged(cluster, member.changelog, key, None)
    with pytest.raises(StateError, match="holds 0 of 1 series"):
        restored(member)


def test_a_state_that_was_forgotten_is_none(members, cluster):
    member = members().join(2)
    commit(member, [WHOLE])
    sink = KafkaSink(cluster)
    sink.send(*forgotten(member.changelog, "pumps", Partition(member.topic, 0)))
    sink.flush(5)
    sink.close(1)

    assert restored(member) is None


def test_a_life_of_few_series_ends_when_there_are_many(members):
    member = members().join(2)
    commit(member, [WHOLE])
    many = {f"series-{number}": b"s" for number in range(500)}

    assert member.checkpoints.needed("pumps", Partition(member.topic, 0), list(many)) is None
    whole = replace(WHOLE, offset=9, slots=dict(WHOLE.slots) | many)
    commit(member, [whole])
    assert restored(member) == whole
    needed = member.checkpoints.needed("pumps", Partition(member.topic, 0), ["series-1"])
    assert "series-1" in needed
    assert len(needed) < 100


def test_records_that_nobody_of_us_wrote_are_passed_over(members, cluster):
    member = members().join(2)
    commit(member, [WHOLE])
    for key in (None, b"", b"\xff", msgspec.msgpack.encode(["pumps"])):
        damaged(cluster, member.changelog, key or None, b"x") if key else None

    assert restored(member) == WHOLE


def test_a_topic_that_deletes_or_is_too_narrow_is_refused_with_the_command_that_mends_it(cluster, fresh_name):
    create_topic(cluster, f"{fresh_name}-deletes", 2)
    create_topic(cluster, f"{fresh_name}-narrow", 1, {"cleanup.policy": "compact"})

    with pytest.raises(BrokerError, match=r"cleanup.policy delete.*kafka-configs\.sh"):
        require_changelog(cluster, f"{fresh_name}-deletes", 2)
    with pytest.raises(BrokerError, match=r"has 1 partitions.*up to 2.*kafka-topics\.sh"):
        require_changelog(cluster, f"{fresh_name}-narrow", 2)


def test_a_changelog_is_made_so_that_little_of_it_stays_uncompacted(cluster, fresh_name):
    """The last segment is never compacted: with the broker's own size a restore read up to 1 GiB."""
    require_changelog(cluster, fresh_name, 1)
    admin = connect(KafkaAdminClient, cluster)
    resource = ConfigResource(ConfigResourceType.TOPIC, fresh_name)
    told = admin.describe_configs([resource], config_filter="all")["topic"][fresh_name]
    admin.close()

    assert (told["cleanup.policy"]["value"], told["segment.bytes"]["value"]) == ("compact", str(16 * 2**20))


def test_a_plain_sink_sends_to_the_partition_that_is_named(cluster, fresh_name):
    create_topic(cluster, fresh_name, 3)
    sink = KafkaSink(cluster)
    sink.send(Message(fresh_name, b"k", b"v"), Partition(fresh_name, 2))
    sink.flush(5)
    sink.close(1)
    reader = TopicReader(cluster, fresh_name)

    assert [record.partition for records in reader for record in records] == [2]
    reader.close()
