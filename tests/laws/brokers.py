"""Three real Kafka nodes as one cluster, of which two can be killed: coordinators move, leaders change.

The first node is also the only controller and is never killed: it keeps a copy of everything but of those topics that a
test places elsewhere.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaConnectionError

from pipeline.connectors.local_broker import LocalBroker

SETTINGS = {
    "default.replication.factor": "3",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "min.insync.replicas": "1",
    "replica.lag.time.max.ms": "3000",
    "auto.leader.rebalance.enable": "false",  # a leader stays until it is killed
}
GROUPS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"


class Brokers:
    """A context manager: its `nodes` by number, and questions to the first of them. The nodes 2 and 3 may be killed."""

    def __init__(self, cache):
        first = LocalBroker(cache, SETTINGS)
        self.nodes = {1: first} | {node: LocalBroker(cache, SETTINGS, node=node, first=first) for node in (2, 3)}
        self._ended = ExitStack()

    def __enter__(self):
        with ExitStack() as started:
            for node in self.nodes.values():
                started.enter_context(node)
            self.create(GROUPS, {0: [1, 2, 3]}, {"cleanup.policy": "compact"})
            self.create(TRANSACTIONS, {0: [1, 2, 3]}, {"cleanup.policy": "compact"})
            self._ended = started.pop_all()
        return self

    def __exit__(self, *trace):
        self._ended.close()

    @property
    def bootstrap_servers(self):
        return ",".join(node.bootstrap_servers for node in self.nodes.values())

    def create(self, topic, replicas, config=None):
        """Create a topic whose partitions are on these nodes, the first of each its leader."""
        wanted = {topic: {"assignments": replicas, "configs": config or {}}}
        self._asked(lambda admin: admin.create_topics(wanted, wait_for_metadata=True))

    def leader(self, topic):
        """The node that leads the first partition of a topic; None while there is none."""
        leader = self._first_partition(topic)["leader_id"]
        return leader if leader in self.nodes else None

    def in_sync(self, topic):
        """The nodes that have all of the first partition of a topic."""
        return set(self._first_partition(topic)["isr_nodes"])

    def lead(self, node, *topics):
        """Let a node lead the first partition of topics that are on all nodes, while all of them run."""
        self.wait_until(lambda: all(self.in_sync(topic) == set(self.nodes) for topic in topics), "all in sync")
        others = [other for other in self.nodes if other != node]
        for topic in topics:
            moved = {TopicPartition(topic, 0): [node, *others]}
            self._asked(lambda admin, moved=moved: admin.alter_partition_reassignments(moved))
            self._asked(lambda admin, topic=topic: admin.elect_leaders(0, {topic: [0]}))
            self.wait_until(lambda topic=topic: self.leader(topic) == node, f"node {node} to lead {topic}")

    def wait_until(self, true, what, seconds=30.0):
        """Return when something is so."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"{what} not after {seconds} s"
            time.sleep(0.1)

    def _first_partition(self, topic):
        (told,) = self._asked(lambda admin: admin.describe_topics([topic]))
        return min(told["partitions"], key=lambda one: one["partition_index"])

    def _asked(self, question, seconds=30.0):
        """An answer of the cluster; asked again where a node that was killed is still named as one to ask."""
        deadline = time.monotonic() + seconds
        while True:
            admin = KafkaAdminClient(bootstrap_servers=self.nodes[1].bootstrap_servers)
            try:
                return question(admin)
            except KafkaConnectionError:
                assert time.monotonic() < deadline, f"no answer after {seconds} s"
            finally:
                admin.close()
