"""Reading what a topic holds, against a real broker."""

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_reader import PartitionReader, TopicReader
from pipeline.exceptions import BrokerError

pytestmark = pytest.mark.kafka


@pytest.fixture
def cluster(kafka):
    return Cluster(kafka)


@pytest.fixture
def topic(cluster, fresh_name):
    create_topic(cluster, fresh_name, partitions=2)
    return fresh_name


@pytest.fixture
def write(kafka, topic):
    """A function that writes values with chosen times, in milliseconds since 1970, to one partition."""
    producer = KafkaProducer(bootstrap_servers=kafka)

    def write(values, partition=0, step_ms=1000):
        for value in values:
            producer.send(topic, str(value).encode(), partition=partition, timestamp_ms=value * step_ms)
        producer.flush(10)

    yield write
    producer.close(5)


def read(cluster, topic, since_ms=None):
    return values_in(TopicReader(cluster, topic, since_ms))


def values_in(reader):
    try:
        values = [int(record.value) for records in reader for record in records]
        return sorted(values), reader
    finally:
        reader.close()


def test_all_partitions_are_read_to_their_ends(cluster, topic, write):
    write(range(100), partition=0)
    write(range(100, 107), partition=1)
    values, reader = read(cluster, topic)

    assert values == list(range(107))
    assert (reader.total, reader.remaining) == (107, 0)


def test_reading_begins_at_the_first_record_since_a_time(cluster, topic, write):
    write(range(10), partition=0)
    write(range(3), partition=1)  # nothing since then
    values, reader = read(cluster, topic, since_ms=7000)

    assert values == [7, 8, 9]
    assert reader.total == 3


def test_an_empty_topic_is_read_at_once(cluster, topic):
    values, reader = read(cluster, topic)

    assert values == []
    assert reader.total == 0


def test_what_comes_while_reading_is_left(cluster, topic, write):
    write(range(5))
    reader = TopicReader(cluster, topic)
    write(range(5, 10))
    values = [int(record.value) for records in reader for record in records]
    reader.close()

    assert values == list(range(5))


def test_marks_of_transactions_are_passed_over_and_what_was_aborted_is_not_read(kafka, cluster, topic):
    producer = KafkaProducer(bootstrap_servers=kafka, transactional_id=topic, retry_backoff_ms=10)
    producer.init_transactions()
    for value, keep in ((1, True), (2, False), (3, True), (4, False)):
        producer.begin_transaction()
        producer.send(topic, str(value).encode(), partition=0)
        if keep:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close(5)
    values, reader = read(cluster, topic)

    assert values == [1, 3]
    assert reader.remaining == 0


def test_a_topic_that_is_not_there_is_named(cluster, topic):
    with pytest.raises(BrokerError, match=f"there is no topic {topic}s at .*there is {topic}"):
        TopicReader(cluster, f"{topic}s")


def test_a_part_of_one_partition_is_read(cluster, topic, write):
    write(range(100), partition=0)
    write(range(100, 150), partition=1)
    values, reader = values_in(PartitionReader(cluster, topic, 1, below=40, most=5))

    assert values == [135, 136, 137, 138, 139]
    assert (reader.kept, reader.begin, reader.total) == ((0, 50), 35, 5)


@pytest.mark.parametrize(("below", "most", "expected"), [(3, 100, 3), (3, None, 3), (99, 2, 0), (0, None, 0)])
def test_a_part_is_what_of_it_the_log_holds(cluster, topic, write, below, most, expected):
    write(range(7))
    values, reader = values_in(PartitionReader(cluster, topic, 0, below, most))

    assert values == list(range(expected))
    assert reader.kept == (0, 7)


def test_a_part_begins_where_the_log_begins_after_records_were_deleted(kafka, cluster, topic, write):
    write(range(20))
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(topic, 0): 12})
    admin.close()
    values, reader = values_in(PartitionReader(cluster, topic, 0, below=15))

    assert values == [12, 13, 14]
    assert (reader.kept, reader.begin) == ((12, 20), 12)


def test_a_partition_that_is_not_there_is_named(cluster, topic):
    with pytest.raises(BrokerError, match=f"{topic} at .* has no partition 2: it has 2, counted from 0"):
        PartitionReader(cluster, topic, 2, below=10)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_records_are_read_however_they_are_compressed(cluster, kafka, fresh_name, codec):
    create_topic(cluster, fresh_name, config={"compression.type": codec})  # by the broker, whatever a producer does
    producer = KafkaProducer(bootstrap_servers=kafka)
    for number in range(200):
        producer.send(fresh_name, f"{number:0100}".encode())
    producer.flush(10)
    producer.close(5)

    assert read(cluster, fresh_name)[0] == list(range(200))
