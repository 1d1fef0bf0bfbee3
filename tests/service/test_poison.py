"""A service that is fed mostly what is no reading ends, and says why."""

import pytest

from pipeline.exceptions import PoisonedError
from pipeline.records import Reason, Rejected
from pipeline.service.poison import LOOKED_AT, Poison
from tests.service.memory import World
from tests.service.small import Bench, calm_values, publish, small_detector

BAD = [Rejected(row, Reason.TIME, f"no time {row}") for row in range(LOOKED_AT)]


def test_few_records_prove_nothing():
    poison = Poison("readings", 0.5)
    for _ in range(LOOKED_AT // 10 - 1):
        poison.take(10, BAD[:10])
    with pytest.raises(
        PoisonedError, match=r"readings: 100% of the last 1,000 records.*\(50%\).*time \(1,000\): no time 9"
    ):
        poison.take(10, BAD[:10])


def test_a_burst_among_many_readings_is_bad_data():
    poison = Poison("readings", 0.5)
    for _ in range(5):
        poison.take(LOOKED_AT, BAD[: LOOKED_AT // 2])
    for _ in range(10):
        poison.take(100, [])
    poison.take(400, BAD[:400])


def test_what_was_long_ago_is_forgotten():
    poison = Poison("readings", 0.5)
    for _ in range(100):
        poison.take(LOOKED_AT, [])
    poison.take(500, BAD[:500])
    with pytest.raises(PoisonedError):
        poison.take(500, BAD[:500])


def test_a_limit_of_one_never_ends_it():
    Poison("readings", 1.0).take(LOOKED_AT, BAD)


def test_a_service_that_is_poisoned_ends_with_everything_committed_and_in_the_dead_letters():
    world, detector = World(), small_detector()
    publish(world, calm_values(20), "pump-0")
    for _ in range(1500):
        world.publish("readings", 0, b"pump-0", b"{")
    bench = Bench(world, detector, batch=100, dead_letter_limit=0.5)

    with pytest.raises(PoisonedError, match="syntax"):
        bench.run()
    letters = sum(message.topic == "dead" for message in world.stored)
    assert letters + 20 == next(iter(world.committed.values()))
    assert LOOKED_AT - 100 <= letters < 1500
