"""The Kafka sink against a real broker: it knows what is stored."""

import os

import pytest

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.exceptions import BrokerError, TooLargeError, UnacknowledgedError
from pipeline.service.ports import Message

pytestmark = pytest.mark.kafka


@pytest.fixture
def cluster(kafka):
    return Cluster(kafka)


@pytest.fixture
def sink(cluster):
    sink = KafkaSink(cluster)
    yield sink
    sink.close(5)


def read(cluster, topic):
    reader = TopicReader(cluster, topic)
    try:
        return [record for records in reader for record in records]
    finally:
        reader.close()


def test_what_was_flushed_is_stored_with_key_and_headers(cluster, sink, fresh_name):
    create_topic(cluster, fresh_name)
    for number in range(100):
        sink.send(Message(fresh_name, b"pump", f"{number}".encode(), (("ce_type", b"alert"),)))
    sink.flush(10)
    records = read(cluster, fresh_name)

    assert sink.in_flight() == 0
    assert [record.value for record in records] == [f"{number}".encode() for number in range(100)]
    assert {record.key for record in records} == {b"pump"}
    assert list(records[0].headers) == [("ce_type", b"alert")]


def test_a_message_that_the_topic_refuses_fails_every_flush_with_the_reason(cluster, sink, fresh_name):
    create_topic(cluster, fresh_name, config={"max.message.bytes": "1000"})
    sink.send(Message(fresh_name, None, b"x" * 5000))

    for _ in range(2):
        with pytest.raises(
            BrokerError, match=rf"1 of 1 messages were not stored.*{fresh_name}: .*MessageSizeTooLargeError"
        ):
            sink.flush(10)


def test_a_message_above_the_own_limit_is_refused_alone(cluster, sink, fresh_name):
    create_topic(cluster, fresh_name)
    with pytest.raises(TooLargeError, match="2000"):
        sink.send(Message(fresh_name, None, b"x" * 2_000_000))
    sink.send(Message(fresh_name, None, b"small"))
    sink.flush(10)

    assert [record.value for record in read(cluster, fresh_name)] == [b"small"]


def test_too_much_under_way_is_refused_before_it_fills_the_memory(cluster, fresh_name):
    create_topic(cluster, fresh_name)
    sink = KafkaSink(cluster, max_in_flight=3, linger_ms=60_000)  # nothing leaves before the flush
    for _ in range(3):
        sink.send(Message(fresh_name, None, b"x"))
    with pytest.raises(UnacknowledgedError, match="flush first"):
        sink.send(Message(fresh_name, None, b"x"))
    sink.flush(10)
    sink.send(Message(fresh_name, None, b"x"))
    sink.flush(10)
    sink.close(5)

    assert len(read(cluster, fresh_name)) == 4


def test_a_topic_that_is_not_there_is_named(sink, fresh_name):
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip("the broker of KAFKA_BOOTSTRAP_SERVERS may create topics by itself, as ours does not")
    with pytest.raises(BrokerError, match=f"there is no topic {fresh_name}.*create it"):
        sink.require_topic(fresh_name)
