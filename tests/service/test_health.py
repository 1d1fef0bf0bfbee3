"""Whether probes are told the truth, with its reason."""

import pytest

from pipeline.service.health import Deadlines, Health
from pipeline.service.ports import Partition

FIRST, SECOND = Partition("readings", 0), Partition("readings", 1)


class HandClock:
    """A clock that a test moves."""

    def __init__(self):
        self.seconds = 1_000.0

    def now(self):
        return 1_700_000_000.0 + self.seconds

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def health(clock):
    return Health(clock, Deadlines(turn=60, commit=90, stuck=300))


def test_not_ready_until_the_group_has_answered(health):
    assert health.healthy().ok
    assert health.ready() == (False, "starting: the consumer group has not answered yet; is Kafka reachable?")

    health.assigned([FIRST])

    assert health.ready() == (True, "partitions assigned: 1")


def test_a_member_without_partitions_is_a_ready_standby(health):
    health.assigned([])

    assert health.ready().ok
    assert "idle standby" in health.ready().reason


def test_a_loop_that_does_not_turn_is_neither_healthy_nor_ready(health, clock):
    health.assigned([FIRST])
    clock.seconds += 60
    assert health.healthy().ok
    clock.seconds += 1

    assert health.healthy() == (False, "the loop has not turned for 61 s; at most 60 s are allowed")
    assert health.ready() == health.healthy()

    health.turned()

    assert health.ready().ok


def test_readings_that_are_not_committed_in_time_make_it_unready(health, clock):
    health.assigned([FIRST])
    health.commit_due()
    for _ in range(3):
        clock.seconds += 31
        health.turned()
        health.commit_due()

    assert health.ready() == (False, "a commit has been due for 93 s; at most 90 s are allowed")
    assert health.healthy().ok

    health.committed()

    assert health.ready().ok


def test_an_outage_on_a_quiet_topic_shows_in_its_failing_commits(health, clock):
    health.assigned([FIRST])
    health.commit_due()
    clock.seconds += 50
    health.turned()
    health.commit_due()
    clock.seconds += 50

    assert "a commit has been due for 100 s" in health.ready().reason


def test_a_quiet_topic_needs_no_commit(health, clock):
    health.assigned([FIRST])
    health.commit_due()
    health.committed()
    clock.seconds += 10_000
    health.turned()

    assert health.ready().ok


def test_a_partition_from_which_nothing_is_read_makes_it_unready(health, clock):
    health.assigned([FIRST, SECOND])
    for _ in range(7):
        health.turned()
        health.unread({FIRST: 5, SECOND: 12}, read=[FIRST])
        clock.seconds += 50

    assert health.ready() == (False, "readings[1] has 12 unread records and none was read for 350 s")

    health.unread({FIRST: 5, SECOND: 12}, read=[SECOND])

    assert health.ready().ok


def test_a_stuck_partition_that_is_revoked_is_forgotten(health, clock):
    health.assigned([FIRST, SECOND])
    health.unread({SECOND: 12}, read=[])
    clock.seconds += 301
    health.turned()
    assert not health.ready().ok

    health.assigned([FIRST])

    assert health.ready().ok


def test_stopping_is_not_ready_and_healthy(health):
    health.assigned([FIRST])
    health.stopping()

    assert not health.ready().ok
    assert health.healthy().ok


def test_a_deadline_of_nothing_is_refused():
    with pytest.raises(ValueError, match="deadline `commit` is 0 seconds"):
        Deadlines(commit=0)
