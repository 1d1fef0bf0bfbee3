"""When so little of what arrives is a reading that the service stops, and when it does not."""

import json
import re

import pytest
from prometheus_client import CollectorRegistry

from pipeline.exceptions import PoisonedError
from pipeline.records import Reason, Rejected
from pipeline.service.health import Deadlines
from pipeline.service.poison import Poison
from pipeline.service.ports import Partition
from pipeline.service.stream import Served
from pipeline.service.telemetry import Telemetry
from pipeline.service.watched import SeriesShown
from tests.service.memory import Entry, World
from tests.service.small import Bench, calm_values, publish, scores_in, small_detector
from tests.service.telemetry_feed import HandClock

ONE = Partition("readings", 0)


class Stream:
    """Records as they come, second by second."""

    def __init__(self, limit=0.5, kept_in="dead"):
        self.clock, self.registry = HandClock(), CollectorRegistry()
        served = [Served(name, name, "ab" * 32, ("temp",), target=1e-3) for name in ("pumps", "fans")]
        telemetry = Telemetry(
            self.registry, self.clock, served, version="0", series=SeriesShown(), deadlines=Deadlines()
        )
        self.poisons = {name: Poison(name, limit, kept_in, self.clock, telemetry) for name in ("pumps", "fans")}
        self.records = 0

    def come(self, good, bad, seconds=1, detector="pumps", reason=Reason.FIELD):
        """So many of each in every one of these seconds."""
        for _ in range(seconds):
            self.clock.seconds += 1
            self.records += good + bad
            letters = [
                (Entry("readings", 3, self.records - row, b"k", b"v"), Rejected(row, reason, "no such field"))
                for row in range(bad)
            ]
            self.poisons[detector].take(good, letters)

    def share(self, detector="pumps"):
        return self.registry.get_sample_value("plumbline_invalid_ratio", {"detector": detector})


def seconds_until_stopped(stream, good, bad, most=10_000):
    for second in range(1, most):
        try:
            stream.come(good, bad)
        except PoisonedError:
            return second
    return None


@pytest.mark.parametrize(
    ("bad", "seconds", "records"), [(1_000, 61, 60_000), (20, 61, 1_200), (2, 501, 1_000), (1, 1_001, 1_000)]
)
def test_where_nothing_is_a_reading_it_stops_after_a_minute_and_1000_records(bad, seconds, records):
    stopped = seconds_until_stopped(Stream(), 0, bad)

    assert stopped == pytest.approx(seconds, abs=6)
    assert stopped * bad >= records


@pytest.mark.parametrize(("good", "bad"), [(51, 49), (50, 50), (1, 1), (90, 10), (100, 0)])
def test_a_share_up_to_the_limit_is_data(good, bad):
    assert seconds_until_stopped(Stream(), good, bad, most=600) is None


def test_a_share_above_the_limit_stops_it():
    assert seconds_until_stopped(Stream(), 49, 51) is not None
    assert seconds_until_stopped(Stream(limit=0.9), 9, 91) is not None
    assert seconds_until_stopped(Stream(limit=0.9), 10, 90, most=600) is None


def test_the_first_records_do_not_stop_it():
    stream = Stream()
    stream.come(0, 10)
    stream.come(10, 0, seconds=600)

    assert stream.share() == 0


def test_a_burst_does_not_stop_it_however_large():
    stream = Stream()
    for _ in range(3):
        stream.come(10, 0, seconds=60)
        stream.come(10, 5_000, seconds=5)

    assert stream.share() > 0.9


def test_a_minute_of_nothing_does_not_count_as_a_minute_of_bad_records():
    stream = Stream()
    for _ in range(4):
        stream.come(0, 1_000)
        stream.clock.seconds += 3600

    assert stream.share() == 1


def test_readings_in_between_begin_it_anew():
    stream = Stream()
    for _ in range(20):
        stream.come(0, 100, seconds=45)
        stream.come(100, 0, seconds=24)


def test_each_detector_is_held_by_itself():
    stream = Stream()

    def both():
        for _ in range(100):
            stream.come(1_000, 0, detector="pumps")
            stream.come(0, 100, detector="fans")

    with pytest.raises(PoisonedError, match="detector fans: "):
        both()

    assert (stream.share("pumps"), stream.share("fans")) == (0, 1)


def test_at_a_limit_of_one_it_never_stops_and_still_tells_the_share():
    stream = Stream(limit=1.0)

    assert seconds_until_stopped(stream, 0, 100, most=600) is None
    assert stream.share() == 1


def test_it_says_how_many_why_and_what_to_do():
    stream = Stream()

    def mixed():
        for _ in range(100):
            stream.come(1, 40)
            stream.come(0, 2, reason=Reason.TIME)

    with pytest.raises(PoisonedError) as stopped:
        mixed()
    words = str(stopped.value)

    assert re.match(r"detector pumps: 1,\d\d\d of the last 1,\d\d\d records were no readings \(97.7 %, ", words)
    assert "outputs.dead_letter_limit is 50 %" in words
    assert re.search(r"\), 1,\d\d\d of them by reason field, such as readings\[3\]@\d+: no such field\. ", words)
    assert "these records are kept in dead, and `plumbline dead-letters publish` sends them back" in words
    assert "\n" not in words


def test_it_says_where_the_records_are_when_there_are_no_dead_letters():
    with pytest.raises(PoisonedError, match="stand in their topic alone"):
        Stream(kept_in=None).come(0, 100, seconds=100)


@pytest.fixture(scope="module")
def detector():
    return small_detector()


def poisoned(records=6_000):
    """A topic that begins well and then holds nothing that is a reading."""
    world = World()
    publish(world, calm_values(100))
    for _ in range(records):
        world.publish("readings", 0, b"pump", b'{"ts": "2026-01-01T00:00:00Z", "temperature": 1.0}')
    return world


def test_the_service_stops_with_everything_committed_and_kept(detector):
    world = poisoned()
    bench = Bench(world, detector, batch=20, dead_letter_limit=0.5)
    with pytest.raises(PoisonedError, match=r"by reason field, such as readings\[0\]@"):
        bench.run()
    letters = [message for message in world.stored if message.topic == "dead"]

    assert 1_000 <= len(letters) < 6_000
    assert world.committed[ONE] == 100 + len(letters)
    assert bench.source.closed
    assert len(scores_in(world)) == 100


def test_after_the_mend_it_goes_on_where_it_stopped_and_repeats_nothing(detector):
    world = poisoned(3_000)
    with pytest.raises(PoisonedError):
        Bench(world, detector, batch=20, dead_letter_limit=0.5).run()
    publish(world, calm_values(100, seed=1), start=100)
    done = Bench(world, detector, batch=20, dead_letter_limit=1.0).run()
    offsets = [int(dict(message.headers)["plumbline-offset"]) for message in world.stored if message.topic == "dead"]

    assert done
    assert offsets == list(range(100, 3_100))
    assert len(scores_in(world)) == 200
    assert json.loads(world.stored[-1].value)["outcome"] == "scored"


def test_what_is_replayed_in_silence_is_not_counted_again(detector):
    world = poisoned(2_000)
    Bench(world, detector, batch=20, dead_letter_limit=1.0).run()
    world.states.clear()
    publish(world, calm_values(10, seed=1), start=100)
    bench = Bench(world, detector, batch=20, dead_letter_limit=0.5)

    assert bench.run()
    assert bench.registry.get_sample_value("plumbline_invalid_ratio", {"detector": "pumps"}) == 0


def test_a_dry_run_stops_too(detector):
    world = poisoned(3_000)
    with pytest.raises(PoisonedError, match="stand in their topic alone"):
        Bench(world, detector, batch=20, dead_letter_limit=0.5, dry_run=True).run()

    assert world.stored == []
    assert world.committed == {}
