"""Long work in slices: what holds between two of them, and how long a turn of the loop takes."""

from dataclasses import replace

import pytest

from pipeline.service.ports import Partition
from pipeline.service.resumption import ResumeRules
from tests.service.compared import (
    ROWS,
    assert_nothing_lost_and_repeats_agree,
    put_out,
    put_out_of,
    values_of,
    world_of_three,
)
from tests.service.memory import MemoryStore, World
from tests.service.small import (
    Bench,
    calm_values,
    publish,
    scores_in,
    small_detector,
    stream_of,
)

ONE, TWO = Partition("readings", 0), Partition("readings", 1)


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture
def world():
    return world_of_three()


def sliced(world, detector, **settings):
    """A service each of whose turns does one slice of a commit, of one series."""
    return Bench(world, detector, **{"commit_every": 3.0, "turn_for": 0.0, "series_at_once": 1, **settings})


def committing(world, detector, **settings):
    """The same in the middle of its first commit."""
    bench = sliced(world, detector, **settings)
    bench.begin(1)
    while not bench.source.paused or not bench.source.position:
        bench.go_on(1)
    return bench


def assert_state_and_offsets_are_those_that_were_read(world, bench):
    assert world.committed == bench.source.position
    assert {partition: state.offset for (_, partition), state in world.states.items()} == world.committed


def test_a_commit_goes_on_in_slices_between_polls_and_nothing_is_read_meanwhile(world, detector):
    bench = committing(world, detector)
    read, polls = dict(bench.source.position), world.steps.count("poll")
    while not world.committed:
        bench.go_on(1)

    assert world.steps.count("poll") - polls >= 4  # of three series, and a file for each of two partitions
    assert bench.source.position == read
    assert_state_and_offsets_are_those_that_were_read(world, bench)

    assert bench.finish()
    assert_nothing_lost_and_repeats_agree(put_out(world), put_out_of(world, detector))
    assert all(len(copies) == 1 for copies in put_out(world).values())


@pytest.mark.parametrize("turns", range(4))
def test_a_stop_in_the_middle_of_a_commit_ends_it_and_polls_between_its_slices(world, detector, turns):
    bench = committing(world, detector)
    bench.go_on(turns)
    polls, under_way = world.steps.count("poll"), not world.committed

    assert under_way
    assert bench.service.stop()
    assert world.steps.count("poll") - polls == 3 - turns
    assert_state_and_offsets_are_those_that_were_read(world, bench)


def test_a_partition_that_goes_in_the_middle_of_a_commit_is_not_in_it(world, detector):
    bench = committing(world, detector)
    bench.source.take_away(ONE)
    while not world.committed:
        bench.go_on(1)

    assert set(world.committed) == {TWO}
    assert {partition for _, partition in world.states} == {TWO}


def test_a_partition_that_goes_in_the_middle_of_the_last_commit_is_not_in_it(world, detector):
    bench = committing(world, detector)
    bench.source.take_away(ONE)

    assert bench.service.stop()
    assert set(world.committed) == {TWO}
    assert {partition for _, partition in world.states} == {TWO}


def test_a_last_commit_goes_on_for_as_long_as_it_takes_when_nothing_fails(world, detector):
    bench = sliced(world, detector, last_retry_within=0.0, commit_every=1e9)
    bench.begin(5)

    assert bench.service.stop()
    assert_state_and_offsets_are_those_that_were_read(world, bench)


def with_one_partition(world, detector):
    """A service at the ends of the logs, and in the middle of a commit of the one partition that it has."""
    bench = sliced(world, detector, resume=ResumeRules(start="latest"))
    bench.service.start()
    bench.source.owned.discard(TWO)
    bench.source._assigned.remove(TWO)
    bench.go_on(2)
    while ONE not in world.committed:  # where it began
        bench.go_on(1)
    publish(world, values_of(0), "pump-0", partition=0, start=ROWS)
    began = world.committed[ONE]
    while not (ONE in bench.source.paused and bench.source.position[ONE] > began):
        bench.go_on(1)
    return bench


def test_a_partition_that_comes_in_the_middle_of_a_commit_is_brought_back_after_it_and_committed_at_once(
    world, detector
):
    bench = with_one_partition(world, detector)
    before = world.committed[ONE]
    bench.source.give(TWO)
    while world.committed[ONE] == before:
        assert TWO not in bench.source.position
        bench.go_on(1)
    seconds = world.seconds
    while TWO not in world.committed:
        bench.go_on(1)

    assert world.committed[TWO] == ROWS  # where it began
    assert world.seconds - seconds < 3.0  # and not a commit's time later

    publish(world, values_of(2), "pump-2", partition=1, start=ROWS)
    Bench(world, detector).run()

    assert sum(row["series"] == "pump-2" for row in scores_in(world)) == ROWS


@pytest.mark.parametrize("turns", range(6))
def test_a_stop_soon_after_a_partition_came_in_the_middle_of_a_commit_loses_nothing_of_it(world, detector, turns):
    bench = with_one_partition(world, detector)
    bench.source.give(TWO)
    bench.go_on(turns)
    begun = TWO in bench.source.position
    publish(world, values_of(2), "pump-2", partition=1, start=ROWS)

    assert bench.service.stop()
    assert (TWO in world.committed) >= begun

    Bench(world, detector).run()

    assert sum(row["series"] == "pump-2" for row in scores_in(world)) >= ROWS
    assert sum(row["series"] == "pump-0" for row in scores_in(world)) == ROWS


def test_a_state_comes_back_in_slices_and_one_that_is_damaged_in_the_last_of_them_not_at_all(world, detector):
    Bench(world, detector).run()
    saved = world.states["pumps", ONE]
    world.states["pumps", ONE] = replace(saved, slots={**saved.slots, "pump-1": saved.slots["pump-1"][:-1]})
    bench = Bench(world, detector, restore_for=0.0, series_at_once=1)
    bench.begin(1)
    monitor, turns = bench.streams[0].monitor, 1
    while ONE not in bench.source.position:
        assert monitor.series_of(0) == []
        bench.go_on(1)
        turns += 1

    assert turns == 2
    assert monitor.series_of(0) == []
    assert bench.registry.get_sample_value("plumbline_restores_total", {"reason": "corrupt"}) == 1
    bench.finish()
    assert_nothing_lost_and_repeats_agree(put_out(world), put_out_of(world, detector))


class SlowStore(MemoryStore):
    """States that take as long to be loaded, and to be saved, as those of 100,000 series."""

    LOADING, SLICE, SLICES = 0.4, 0.2, 10  # seconds, and how many

    def load(self, detector, partition):
        self._world.seconds += self.LOADING
        return super().load(detector, partition)

    def saving(self, detector, partition, state):
        for _ in range(self.SLICES):
            self._world.seconds += self.SLICE
            yield
        yield from super().saving(detector, partition, state)


class SlowDecoder:
    """Records that take as long as those of a wide detector."""

    SECONDS = 0.01  # each

    def __init__(self, world, decoder):
        self._world, self._decoder = world, decoder

    def decode(self, records):
        self._world.seconds += self.SECONDS * len(records)
        return self._decoder.decode(records)


def test_a_turn_that_restores_observes_and_begins_a_commit_takes_a_second_and_a_slice(detector):
    world = World()
    for number in range(6):
        publish(world, values_of(number), f"pump-{number}", partition=number)
    Bench(world, detector).run()
    for number in range(6):
        publish(world, calm_values(600), f"pump-{number}", partition=number, start=ROWS)
    stream = stream_of(detector)
    slow = replace(stream, decoder=SlowDecoder(world, stream.decoder))
    bench = Bench(world, detector, streams=[slow], batch=100, commit_every=0.1)
    bench._store = SlowStore(world)
    bench.begin()
    took, did = [], []
    while not bench.caught_up():
        began, steps, restored = world.seconds, len(world.steps), len(bench.source.position)
        position = dict(bench.source.position)
        bench.go_on(1)
        took.append(world.seconds - began)
        did.append(
            {
                "restored": len(bench.source.position) > restored,
                "read": any(bench.source.position[one] > at for one, at in position.items()),
                "saved": "save" in world.steps[steps:],
            }
        )

    poll = 0.5
    assert max(took) <= poll + 1.0 + SlowStore.LOADING + SlowStore.SLICE
    assert sum(turn["restored"] for turn in did) >= 3  # six states, two in a turn
    assert sum(turn["saved"] for turn in did) >= 6
    assert not any(turn["restored"] and turn["saved"] for turn in did)
    assert any(turn["read"] for turn in did)
    assert bench.service.stop()
    assert len(scores_in(world)) == 6 * (ROWS + 600)
