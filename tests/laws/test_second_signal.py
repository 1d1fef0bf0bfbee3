"""A second signal on a real Kafka: what it cuts off is put out again as after a kill, and no more than that."""

from __future__ import annotations

import signal
import time

import pytest

from tests.laws.live import Live
from tests.laws.test_exactly_once import changelog, event_of, once
from tests.laws.test_letters_refused import DeadTopic, publish_broken
from tests.laws.test_parity import about, assert_same, backtest, bundle, later  # noqa: F401  fixtures

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

CUTS = (400, 700)


@pytest.fixture
def live(kafka, fresh_name, tmp_path, bundle, delivery):  # noqa: F811
    with Live(kafka, fresh_name, tmp_path, bundle) as service:
        changelog(service, delivery)
        yield service


def test_a_second_signal_repeats_what_was_put_out_since_the_last_commit(live, backtest, later, delivery):  # noqa: F811
    """The stop waits for a letter that nobody takes, so that there is something to cut off."""
    dead = DeadTopic(live)
    live.publish(later[: CUTS[0]])
    live.start()
    live.wait_for("saved=2")
    dead.delete()
    live.publish(later[CUTS[0] : CUTS[1]])
    publish_broken(live, 1)
    live.wait_for("not committed")
    live.process.send_signal(signal.SIGTERM)
    time.sleep(0.8)  # within half a second it would be the same request
    code, seconds = live.stop()
    dead.create()
    live.publish(later[CUTS[1] :])
    live.start()
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == len(later))
    ended = live.stop()[0]
    rows = live.read("scores")

    assert (code, ended) == (1, 0), live.log()
    assert seconds < 3
    assert "asked to end a second time" in live.log()
    assert len(rows) - len(later) == (CUTS[1] - CUTS[0] if delivery == "at_least_once" else 0)
    assert len(dead.letters()) == 1
    assert_same(backtest, once(rows, delivery, about), once(live.read("alerts"), delivery, event_of))
