"""With a changelog the state follows its partition, and with transactions each output is seen once: on a real Kafka.

The backtest of the same file is the oracle; processes are killed, stopped and joined by others.
"""

from __future__ import annotations

import signal

import pytest

from tests.laws.live import Live
from tests.laws.test_parity import about, assert_same, backtest, bundle, later  # noqa: F401  fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CUTS = (400, 700, 860, 1000)  # rows of all series together


@pytest.fixture
def live(kafka, fresh_name, tmp_path, bundle, delivery):  # noqa: F811
    with Live(kafka, fresh_name, tmp_path, bundle) as service:
        changelog(service, delivery)
        yield service


def changelog(service, delivery):
    """Let a service keep its state in a topic."""
    service.change("{folder: state, every_seconds: 30}", f"{{changelog: {service.name}-state, every_seconds: 2}}")
    service.change("telemetry:", f"delivery: {delivery}\ntelemetry:")


def once(rows, delivery, key):
    """The first of each, in order; of exactly once there must be no more than that."""
    seen = {}
    for row in rows:
        seen.setdefault(key(row), row)
    assert delivery == "at_least_once" or len(seen) == len(rows)
    return list(seen.values())


def event_of(alert):
    return alert["id"], alert["event"]


def test_a_service_that_is_killed_again_and_again_says_what_the_backtest_says(live, backtest, later, delivery):  # noqa: F811
    begun = 0
    for number, cut in enumerate(CUTS):
        live.publish(later[begun:cut])
        live.start()
        live.read_until("scores", lambda rows, cut=cut: len({about(row) for row in rows}) >= cut - 40)
        live.stop(signal.SIGTERM if number == 1 else signal.SIGKILL)
        begun = cut
    live.publish(later[begun:])
    live.start()
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == len(later))
    code, seconds = live.stop()

    assert code == 0, live.log()
    assert seconds < 20
    assert_same(
        backtest,
        once(live.read("scores"), delivery, about),
        once(live.read("alerts"), delivery, event_of),
    )
    assert "with=state " in live.log()


def test_partitions_that_move_between_processes_take_their_state_with_them(live, backtest, later, delivery):  # noqa: F811
    other = live.second()
    live.publish(later[: CUTS[0]])
    live.start()
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == CUTS[0])
    live.wait_for("saved=2")
    other.start()  # one partition goes to it
    live.wait_for("partitions given up revoked=1")
    live.publish(later[CUTS[0] : CUTS[2]])
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == CUTS[2])
    live.stop(signal.SIGKILL)  # and the other one, after its session
    live.publish(later[CUTS[2] :])
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == len(later))
    code, _ = other.stop()

    assert code == 0, live.log()
    assert_same(
        backtest,
        once(live.read("scores"), delivery, about),
        once(live.read("alerts"), delivery, event_of),
    )
    assert "state_missing" not in live.log()
    assert live.log().count("with=state ") >= 2, "one partition went over, and later the other"
