"""What every use of the Kafka client shares: settings passed through, connecting within a limit, reasons in words.

The client reports a wrong host, a refused port, a wrong password and a wrong certificate alike: as a bootstrap that
took too long. `connect` says the reason: kafka_network.py ends a start that was refused, kafka_refusal.py finds words.
"""

from __future__ import annotations

import difflib
import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import AuthorizationError, KafkaError, TopicAlreadyExistsError

from pipeline.connectors.kafka_certificates import check_certificates
from pipeline.connectors.kafka_network import Network
from pipeline.connectors.kafka_refusal import in_words, reasons_kept, refusal
from pipeline.exceptions import BrokerError
from pipeline.service.ports import TopicLog

Client = TypeVar("Client")

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER", "AWS_MSK_IAM")
DEFAULTS: Final[Mapping[str, object]] = {
    "client_id": "plumbline",
    "bootstrap_timeout_ms": 10_000,
    "reconnect_backoff_max_ms": 1_000,  # with the client's own 30 s a broker that is back is found half a minute late
    "metadata_max_age_ms": 30_000,
}
CONSUMER: Final[Mapping[str, object]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",  # `latest` and `earliest` hide that records are gone
    "isolation_level": "read_committed",
    "allow_auto_create_topics": False,  # a mistyped input topic is an error, not a new topic
    "max_poll_records": 5_000,
}
OWN: Final = frozenset(  # what the program's promises rest on is not to be passed through
    {
        *("bootstrap_servers", "kafka_client", "selector", "metric_reporters", "socket_options"),
        *("group_id", "group_instance_id", "partition_assignment_strategy"),
        *("enable_auto_commit", "auto_commit_interval_ms", "default_offset_commit_callback", "auto_offset_reset"),
        *("isolation_level", "consumer_timeout_ms", "key_deserializer", "value_deserializer"),
        *("acks", "enable_idempotence", "retries", "max_in_flight_requests_per_connection", "partitioner"),
        *("transactional_id", "transaction_timeout_ms", "key_serializer", "value_serializer"),
    }
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a Kafka cluster is; `client` goes to kafka-python as it is and is never shown, for it holds secrets."""

    bootstrap_servers: str = "localhost:9092"
    client: Mapping[str, object] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.bootstrap_servers.strip():
            raise ValueError("bootstrap_servers is empty: name at least one broker as host:port")
        known = sorted(client_settings())
        for key in self.client:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise ValueError(f"client.{key} is no setting of kafka-python that may be passed through; {hint}")
        self._check_security()

    @property
    def protocol(self) -> str:
        """How the connection is secured, in Kafka's words."""
        return str(self.client.get("security_protocol", "PLAINTEXT"))

    def _check_security(self) -> None:
        """Refuse what kafka-python would take: an unknown protocol goes in the clear, a missing password fails late."""
        protocol = self.protocol
        if protocol not in PROTOCOLS:
            raise ValueError(f"client.security_protocol is {protocol}; there are {', '.join(PROTOCOLS)}")
        for prefix, kind in (("ssl_", "SSL"), ("sasl_", "SASL")):
            given = [key for key in self.client if key.startswith(prefix)]
            if given and kind not in protocol.split("_"):
                raise ValueError(
                    f"client.{given[0]} has no effect with security_protocol {protocol}: name the protocol"
                )
        if not protocol.startswith("SASL"):
            return
        mechanism = self.client.get("sasl_mechanism")
        if mechanism not in MECHANISMS:
            raise ValueError(f"client.sasl_mechanism is {mechanism}; there are {', '.join(MECHANISMS)}")
        if str(mechanism).startswith(("PLAIN", "SCRAM")):
            for key in ("sasl_plain_username", "sasl_plain_password"):
                if not self.client.get(key):
                    raise ValueError(f"client.{key} is missing: {mechanism} needs it")


def client_settings() -> frozenset[str]:
    """Names of kafka-python's settings that may be passed through; each client takes those that it knows."""
    return frozenset().union(*(kind.DEFAULT_CONFIG for kind in (KafkaConsumer, KafkaProducer, KafkaAdminClient))) - OWN


def connect(build: Callable[..., Client], cluster: Cluster, **settings: object) -> Client:
    """A client of the given kind, connected; BrokerError with the reason when the cluster does not let us in.

    `build` is kafka-python's class. The user's own settings win over those given here.
    """
    check_certificates(cluster.client, time.time())
    known: Mapping[str, object] = vars(build)["DEFAULT_CONFIG"]
    chosen = {key: value for key, value in cluster.client.items() if key in known}
    made: list[Any] = []

    def net_client(**configs: object) -> object:
        made.append(Network(**configs))
        return made[-1]

    with reasons_kept() as reasons:
        try:
            return build(
                bootstrap_servers=[server.strip() for server in cluster.bootstrap_servers.split(",")],
                kafka_client=net_client,
                **{**DEFAULTS, **settings, **chosen},
            )
        except (KafkaError, ValueError, TypeError, AssertionError, OSError) as error:  # also of ssl, of wrong settings
            for client in made:
                client.close()  # a constructor that fails leaves its thread behind
            gc.collect()  # and the sockets of attempts before this one, which an outage of hours would run out of
            where = f"Kafka at {cluster.bootstrap_servers} ({cluster.protocol})"
            seconds = float(str(cluster.client.get("bootstrap_timeout_ms", DEFAULTS["bootstrap_timeout_ms"]))) / 1000
            raise BrokerError(refusal(where, cluster.client, error, reasons.seen, seconds)) from error


def require_topic(consumer: Any, cluster: Cluster, topic: str) -> tuple[int, ...]:
    """The numbers of a topic's partitions; BrokerError when there is no such topic."""
    try:
        numbers = consumer.partitions_for_topic(topic)
        others = () if numbers else consumer.topics()
    except KafkaError as error:
        raise BrokerError(
            f"{cluster.bootstrap_servers} did not say whether there is a topic {topic}: {in_words(error)}"
        ) from error
    if numbers:
        return tuple(sorted(numbers))
    near = difflib.get_close_matches(topic, others, 1)
    hint = f"; there is {near[0]}" if near else ""
    raise BrokerError(
        f"there is no topic {topic} at {cluster.bootstrap_servers}, or we may not read it{hint}. "
        f"Create it: kafka-topics.sh --create --topic {topic}, or `plumbline publish` does"
    )


def topic_log(cluster: Cluster, topic: str) -> TopicLog:
    """Which log a topic is now; BrokerError when the cluster does not say."""
    admin: Any = connect(KafkaAdminClient, cluster)
    try:
        (told,) = admin.describe_topics([topic])
    except KafkaError as error:
        raise BrokerError(f"{cluster.bootstrap_servers} did not describe {topic}: {in_words(error)}") from error
    finally:
        admin.close()
    return TopicLog(str(told.get("topic_id") or ""), len(told["partitions"]))


def create_topic(
    cluster: Cluster, name: str, partitions: int = 1, config: Mapping[str, str] | None = None, replication: int = -1
) -> bool:
    """Create a topic and wait until it can be used; False when it is there. A replication of -1 is the broker's own."""
    admin: Any = connect(KafkaAdminClient, cluster)
    wanted = {"num_partitions": partitions, "replication_factor": replication, "configs": dict(config or {})}
    try:
        if not admin.describe_topics([name])[0]["error_code"]:  # looked at first: we may lack the right to create
            return False
        admin.create_topics({name: wanted}, timeout_ms=10_000, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return False
    except AuthorizationError as error:
        raise BrokerError(
            f"there is no topic {name} at {cluster.bootstrap_servers}, and we may not make it: create it, or grant "
            f"CREATE on topic {name}"
        ) from error
    except KafkaError as error:
        raise BrokerError(
            f"topic {name} could not be created at {cluster.bootstrap_servers}: {in_words(error)}"
        ) from error
    finally:
        admin.close()
    return True
