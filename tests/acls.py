"""A real broker that lets nobody do anything unless it is told to, and the rights of its one user."""

from __future__ import annotations

from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from pipeline.connectors.local_broker import LocalBroker

USER, PASSWORD = "bob", "a-secret"
CLIENT = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_plain_username": USER,
    "sasl_plain_password": PASSWORD,
}
KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}


@contextmanager
def guarded_broker(cache):
    """A broker with an authorizer. Whoever comes by its plain listener may do all, the user what he is granted."""
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.guarded.plain.sasl.jaas.config": (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        ),
    }
    with LocalBroker(cache, settings, listeners={"GUARDED": "SASL_PLAINTEXT"}) as broker:
        yield broker


class Rights:
    """What the user may do; each right is an operation, a kind of resource, and a name that may end in `*`."""

    def __init__(self, broker):
        self._admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)

    def grant(self, *rights):
        self._admin.create_acls([self._acl(ACL, ResourcePattern, right) for right in rights])

    def take(self, *rights):
        self._admin.delete_acls([self._acl(ACLFilter, ResourcePatternFilter, right) for right in rights])

    def close(self):
        self._admin.close()

    def _acl(self, acl, resource, right):
        operation, kind, name = right
        pattern = ACLResourcePatternType.PREFIXED if name.endswith("*") else ACLResourcePatternType.LITERAL
        where = resource(KINDS[kind], name.rstrip("*"), pattern)
        return acl(f"User:{USER}", "*", ACLOperation[operation], ACLPermissionType.ALLOW, where)
