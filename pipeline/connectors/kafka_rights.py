"""What a cluster lets us do, asked before anything is done: each missing right with the command that grants it.

A broker tells, of a topic or a group, which operations whoever asks may carry out. So nothing is tried out, and all
that is missing is said at once. Two things show only when they are used: a transactional id that we may describe and
not write with, and a group that nobody has made yet and that we may describe and not read with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from kafka import KafkaAdminClient
from kafka.errors import (
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
)

from pipeline.connectors.kafka_client import Cluster, connect
from pipeline.connectors.kafka_refusal import in_words
from pipeline.exceptions import BrokerError

Kind = Literal["topic", "group", "transactional-id"]
OPERATIONS: Final = {"READ": "Read", "WRITE": "Write", "DESCRIBE_CONFIGS": "DescribeConfigs"}  # as kafka-acls has them


class Right(NamedTuple):
    """One thing to be allowed to do."""

    operation: str  # in Kafka's words
    kind: Kind
    name: str
    prefix: bool = False  # of all whose names begin so

    def __str__(self) -> str:
        return f"{self.operation} on {self.kind} {self.name}{'*' if self.prefix else ''}"


@dataclass(frozen=True, slots=True)
class Uses:
    """What a program is going to use."""

    read: Collection[str] = ()  # topics
    written: Collection[str] = ()
    kept: str | None = None  # the topic with the state
    group: str | None = None
    transactional_id: str | None = None
    ids_begin_with: str | None = None  # where the id is drawn anew at each start


def missing_rights(cluster: Cluster, uses: Uses) -> tuple[Right, ...]:
    """Every right that is missing; BrokerError where the cluster does not say."""
    admin: Any = connect(KafkaAdminClient, cluster)
    try:
        return (*_topics(admin, uses), *_group(admin, uses), *_transactional_id(admin, uses))
    except KafkaError as error:
        raise BrokerError(f"{cluster.bootstrap_servers} did not tell what we may do: {in_words(error)}") from error
    finally:
        admin.close()


def require_rights(cluster: Cluster, uses: Uses) -> None:
    """BrokerError that names every right that is missing, and how each is granted."""
    missing = missing_rights(cluster, uses)
    if missing:
        commands = "".join(f"\n  {granting(cluster, one)}" for one in missing)
        raise BrokerError(
            f"Kafka at {cluster.bootstrap_servers} does not give {who(cluster)} the right to "
            f"{'; '.join(map(str, missing))}. Grant it:{commands}"
        )


def who(cluster: Cluster) -> str:
    """Us, as far as the settings tell."""
    user = cluster.client.get("sasl_plain_username")
    return f"user {user}" if user else "us"


def granting(cluster: Cluster, right: Right) -> str:
    """The command that grants a right."""
    operation = OPERATIONS.get(right.operation, right.operation.capitalize())
    pattern = " --resource-pattern-type prefixed" if right.prefix else ""
    return (
        f"kafka-acls.sh --bootstrap-server {cluster.bootstrap_servers} --add "
        f"--allow-principal User:{cluster.client.get('sasl_plain_username', 'NAME')} --operation {operation} "
        f"--{right.kind} {right.name}{pattern}"
    )


def _topics(admin: Any, uses: Uses) -> Iterator[Right]:
    wanted = [("READ", topic) for topic in uses.read] + [("WRITE", topic) for topic in uses.written]
    if uses.kept is not None:
        wanted += [(operation, uses.kept) for operation in ("READ", "WRITE", "DESCRIBE_CONFIGS")]
    names = sorted({topic for _, topic in wanted})
    told = {one["name"]: one for one in admin.describe_topics(names)} if names else {}
    for operation, topic in dict.fromkeys(wanted):
        allowed = told[topic].get("authorized_operations")
        hidden = told[topic]["error_code"] == TopicAuthorizationFailedError.errno
        there = not told[topic]["error_code"]  # one that is not there is told by whoever needs it
        if hidden or (there and allowed and operation not in allowed):
            yield Right(operation, "topic", topic)


def _group(admin: Any, uses: Uses) -> Iterator[Right]:
    if uses.group is None:
        return
    try:
        told = admin.describe_groups([uses.group])[uses.group]
    except GroupAuthorizationFailedError:
        told = {"error": GroupAuthorizationFailedError.__name__}
    except CoordinatorNotAvailableError:  # of a cluster that never had a group; a right is looked at before that
        return
    hidden = GroupAuthorizationFailedError.__name__ in (told["error"] or "")
    allowed = told.get("authorized_operations")
    if hidden or (not told["error"] and allowed and "READ" not in allowed):
        yield Right("READ", "group", uses.group)


def _transactional_id(admin: Any, uses: Uses) -> Iterator[Right]:
    if uses.transactional_id is None:
        return
    try:
        admin.describe_transactions([uses.transactional_id])
    except TransactionalIdAuthorizationFailedError:
        begin = uses.ids_begin_with
        yield Right("WRITE", "transactional-id", begin or uses.transactional_id, prefix=begin is not None)
    except KafkaError:  # it was never used, or the broker is too old to be asked: its use shows
        return
