"""Settings passed through, and what is said when the cluster does not let us in."""

import threading
import time

import pytest

from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.local_broker import free_port
from pipeline.exceptions import BrokerError

QUICK = {"bootstrap_timeout_ms": 1000}


def test_a_broker_that_is_absent_is_reported_in_time_and_leaves_no_thread(refused_connections):
    with free_port() as port:
        servers = f"127.0.0.1:{port}"
    threads, start = threading.active_count(), time.monotonic()
    with pytest.raises(BrokerError, match=rf"Kafka at {servers} .*within 1 s: .*ECONNREFUSED"):
        KafkaSink(Cluster(servers, QUICK))

    assert time.monotonic() - start < 5
    assert threading.active_count() == threads


def test_a_host_that_nobody_knows_is_named(refused_connections):
    with pytest.raises(BrokerError, match=r"DNS lookup failed for nowhere\.invalid:9092"):
        KafkaSink(Cluster("nowhere.invalid:9092", QUICK))


def test_a_certificate_file_that_is_not_there_is_named_before_connecting(tmp_path):
    cluster = Cluster("localhost:1", {"security_protocol": "SSL", "ssl_cafile": str(tmp_path / "ca.pem")})
    with pytest.raises(BrokerError, match=r"kafka\.client\.ssl_cafile: .*ca\.pem cannot be read: No such file"):
        create_topic(cluster, "readings")


@pytest.mark.parametrize(
    ("client", "message"),
    [
        ({"sasl_pain_username": "alice"}, r"client\.sasl_pain_username .* did you mean sasl_plain_username\?"),
        ({"enable_auto_commit": True}, r"client\.enable_auto_commit is no setting .* may be passed through"),
        ({"security_protocol": "TLS"}, "security_protocol is TLS; there are PLAINTEXT, SSL"),
        ({"ssl_cafile": "ca.pem"}, "ssl_cafile has no effect with security_protocol PLAINTEXT"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM"}, "sasl_mechanism is SCRAM; there are"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_plain_username": "alice"},
            "sasl_plain_password is missing",
        ),
    ],
)
def test_a_client_setting_that_cannot_work_is_refused(client, message):
    with pytest.raises(ValueError, match=message):
        Cluster("localhost:9092", client)


def test_secrets_are_not_shown():
    client = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}
    cluster = Cluster("localhost:9092", {**client, "sasl_plain_username": "alice", "sasl_plain_password": "hush"})

    assert "hush" not in repr(cluster)
