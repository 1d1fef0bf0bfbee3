"""What docs/delivery.md promises, through real failures; minutes, so run by `make test-long`."""

import time
import urllib.error
import urllib.request

import pandas as pd
import pytest

from pipeline.connectors.local_broker import LocalBroker, free_port
from tests.laws.live import Live
from tests.service.small import CHANNELS, bundled, calm_values, with_faults

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]
ROWS = 300


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture
def broker(kafka_jars):
    """A broker of this test's own, for it is killed."""
    with LocalBroker(kafka_jars) as started:
        yield started


def frame_of(*series):
    """Rows of these series side by side, each with two faults."""
    moments = pd.date_range("2026-03-01", periods=ROWS, freq="min", tz="UTC")
    parts = [
        pd.DataFrame(with_faults(calm_values(ROWS, seed), [100, 200]), columns=CHANNELS).assign(
            timestamp=moments, series=name
        )
        for seed, name in enumerate(series)
    ]
    return pd.concat(parts).sort_values(["timestamp", "series"], ignore_index=True)


def readings_in(rows):
    """The readings that scores are about, each once."""
    return {(row["series"], row["timestamp"]) for row in rows}


def assert_repeats_agree(rows, alerts):
    """What was put out more than once says the same each time."""
    scores, events = {}, {}
    for row in rows:
        first = scores.setdefault((row["series"], row["timestamp"]), row)

        assert (row["outcome"], row["alert"]) == (first["outcome"], first["alert"])
        assert abs((row["score"] or 0.0) - (first["score"] or 0.0)) < 1e-5
    for alert in alerts:
        first = events.setdefault((alert["id"], alert["event"]), alert)

        assert (alert["at"], alert["sentence"]) == (first["at"], first["sentence"])


def ready(port):
    """What the probe is answered."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(("seconds", "answer"), [(15, 200), (100, 503)], ids=["short", "longer than its patience"])
def test_an_outage_loses_nothing_and_is_told(broker, fresh_name, tmp_path, bundle, seconds, answer):
    frame = frame_of("pump")
    with free_port() as port:
        pass
    with Live(broker.bootstrap_servers, fresh_name, tmp_path, bundle) as live:
        live.change("every_seconds: 30", "every_seconds: 2")
        live.change("listen: null", f"listen: 127.0.0.1:{port}")
        live.publish(frame[:120])
        live.start()
        live.read("scores", 120)
        broker.kill()
        time.sleep(seconds)  # the outage
        during = ready(port)
        broker.restart()
        live.publish(frame[120:])
        rows = live.read_until("scores", lambda rows: len(readings_in(rows)) == ROWS, 120)
        after = ready(port)

        assert live.stop()[0] == 0
        assert (during, after) == (answer, 200)
        assert_repeats_agree(rows, live.read("alerts"))


def test_partitions_move_to_another_member_and_back(kafka, fresh_name, tmp_path, bundle):
    frame = frame_of("a", "b", "c", "d")
    homes = tmp_path / "one", tmp_path / "two"  # each member has a state of its own
    for home in homes:
        home.mkdir()
    with Live(kafka, fresh_name, homes[0], bundle) as one, Live(kafka, fresh_name, homes[1], bundle) as two:
        one.publish(frame[:400])
        one.start()
        one.read("scores", 400)
        two.start()
        two.wait_for("partition assigned")
        one.publish(frame[400:800])
        one.read_until("scores", lambda rows: len(readings_in(rows)) == 800)
        ended = [two.stop()[0]]
        one.publish(frame[800:])
        rows = one.read_until("scores", lambda rows: len(readings_in(rows)) == 1200)
        ended.append(one.stop()[0])

        assert ended == [0, 0]
        assert "partitions given up revoked=1 lost=0" in one.log()
        assert "with=first_start" in two.log() or "with=state_missing" in two.log()
        assert one.log().count("with=state") >= 1, "what came back was caught up with from its own state"
        assert_repeats_agree(rows, one.read("alerts"))


def test_a_stop_while_kafka_is_away_ends_in_time_and_says_what_it_left(broker, fresh_name, tmp_path, bundle):
    frame = frame_of("pump")
    with Live(broker.bootstrap_servers, fresh_name, tmp_path, bundle) as live:
        live.change("every_seconds: 30", "every_seconds: 2")
        live.publish(frame[:120])
        live.start()
        live.wait_for("committed")
        broker.kill()
        live.wait_for("not committed")
        code, seconds = live.stop()

    assert code == 1
    assert seconds < 20
    assert "stopped without a commit" in live.log()
