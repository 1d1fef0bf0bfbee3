"""Records deleted while the state before them is read back: told, counted, and what is there is scored."""

from __future__ import annotations

import pytest

from pipeline.exceptions import LogChangedError
from pipeline.service.checkpoints import StoreCheckpoints
from pipeline.service.link import Connection
from pipeline.service.ports import Partition
from pipeline.service.resumption import ResumeRules
from tests.service.memory import World
from tests.service.small import Bench, calm_values, publish, scores_in, small_detector, with_faults

ONE = Partition("readings", 0)
ROWS, B, C = 120, 40, 60  # the log, where the saved state stands, and what the group knows
TURNS = 100
MOMENTS = ("while the state comes", "before the first offset is sought", "before the first fetch")


@pytest.fixture(scope="module")
def detector():
    return small_detector()


class Slow(Bench):
    """A service whose states take long to come back, with what happens at a moment of that."""

    def __init__(self, world, detector, moment=None, then=lambda: None, *, seconds=5.0, **more):
        self._seconds, self._pending = seconds, {moment: then}
        super().__init__(world, detector, **more)

    def connecting(self, topics):
        connect = super().connecting(topics)

        def slowly():
            connection = connect()
            return Connection(connection.source, connection.sink, SlowCheckpoints(connection.source, self._store, self))

        return slowly

    def at(self, moment):
        self._pending.pop(moment, lambda: None)()

    @property
    def pause(self):
        return self._seconds


class SlowCheckpoints(StoreCheckpoints):
    """States that come bit by bit."""

    def __init__(self, source, store, bench):
        super().__init__(source, store)
        self._bench = bench

    def restore(self, detector, partition):
        return SlowRestoring(super().restore(detector, partition), self._bench)


class SlowRestoring:
    def __init__(self, stored, bench):
        self._stored, self._bench, self._left = stored, bench, bench.pause

    def advance(self, seconds):
        self._bench.at(MOMENTS[0])
        self._bench.world.seconds += max(seconds, 0.01)
        self._left -= seconds
        return self._left <= 0

    def state(self):
        self._bench.at(MOMENTS[1])  # its bounds are known
        return self._stored.state()

    def close(self):
        """Nothing is open."""


@pytest.fixture
def world(detector):
    """A log of which a state at B and the offset C are kept."""
    made = World()
    publish(made, with_faults(calm_values(ROWS), [80]))
    log = made.logs[ONE]
    made.logs[ONE] = log[:B]
    Bench(made, detector).run()
    state = made.states["pumps", ONE]
    made.logs[ONE] = log[:C]
    Bench(made, detector).run()
    made.states["pumps", ONE] = state  # as where another process went on
    made.logs[ONE] = log

    assert (state.offset, made.committed[ONE]) == (B, C)

    return made


def begin(bench, caplog):
    """Turns until the partition has its state back, and its first offset is sought."""
    bench.service.start()
    for _ in range(TURNS):
        bench.go_on(1)
        if told(caplog):
            break
    bench.at(MOMENTS[2])


def finish(bench):
    """Turns until all was polled, but no more than should be enough; whether all is committed then."""
    for _ in range(TURNS):
        if bench.caught_up():
            break
        bench.go_on(1)
    return bench.caught_up() and bench.service.stop()


def told(caplog):
    """What was said of the partition whenever it began."""
    return [one.facts for one in caplog.records if one.message == "partition assigned"]


def lost(caplog):
    return sum(facts.get("records_lost", 0) for facts in told(caplog))


def restores(bench, reason):
    return bench.registry.get_sample_value("plumbline_restores_total", {"reason": reason}) or 0


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("first", [B + 10, C + 10, ROWS])
def test_retention_that_passes_while_a_state_is_read_back_is_counted_and_the_rest_is_scored(
    world, detector, caplog, moment, first
):
    def passes():
        world.first[ONE] = first

    caplog.set_level("INFO", "plumbline.service")
    before = len(scores_in(world))
    bench = Slow(world, detector, moment, passes)
    begin(bench, caplog)
    assert finish(bench)

    assert lost(caplog) == max(first - C, 0)
    assert restores(bench, "beyond_retention") == 1
    assert len(scores_in(world)) - before == ROWS - max(first, C)
    assert world.committed[ONE] == ROWS


def test_records_gone_before_the_first_commit_are_told_though_the_group_knows_nothing(detector, caplog):
    """It was told as a first start, and what had been deleted in front of the reader not at all."""
    caplog.set_level("INFO", "plumbline.service")
    world = World()
    publish(world, calm_values(ROWS))
    bench = Slow(world, detector, seconds=2.0, commit_every=1e9)
    begin(bench, caplog)
    bench.go_on(4)
    read = bench.source.position[ONE]
    world.first[ONE] = ROWS - 10

    assert finish(bench)
    assert [facts["with"] for facts in told(caplog)] == ["first_start", "beyond_retention"]
    assert lost(caplog) == ROWS - 10 - read
    assert len(scores_in(world)) == read + 10


def test_a_log_that_was_cut_off_behind_us_is_read_on_from_what_is_committed(world, detector, caplog):
    """Its leader lost what had not been copied; how far we had come means nothing then, and the log is no other one."""
    caplog.set_level("INFO", "plumbline.service")
    bench = Slow(world, detector, seconds=0.5, commit_every=1e9)
    begin(bench, caplog)
    while bench.source.position[ONE] < ROWS - 10:
        bench.go_on(1)
    del world.logs[ONE][C + 10 :]
    bench.go_on(5)

    assert finish(bench)
    assert [(facts["with"], facts["offset"]) for facts in told(caplog)] == [("state", B), ("state", B)]


def test_a_log_that_retention_eats_again_and_again_is_followed(world, detector, caplog):
    """Whenever the partition begins anew, what it would begin with is gone already."""
    caplog.set_level("INFO", "plumbline.service")
    before = len(scores_in(world))
    bench = Slow(world, detector)
    bench.service.start()
    for first in (70, 80, 90, 100):
        begins = len(told(caplog))
        while len(told(caplog)) == begins:
            bench.go_on(1)
        world.first[ONE] = first

    assert finish(bench)
    assert lost(caplog) == 100 - C
    assert restores(bench, "beyond_retention") == 4
    assert len(scores_in(world)) - before == ROWS - 100


@pytest.mark.parametrize("on_loss", ["latest", "fail"])
def test_what_the_operator_wants_of_a_loss_holds_in_the_middle_of_a_run_too(world, detector, caplog, on_loss):
    caplog.set_level("INFO", "plumbline.service")
    before = len(scores_in(world))
    bench = Slow(
        world, detector, MOMENTS[2], lambda: world.first.update({ONE: 80}), resume=ResumeRules(on_loss=on_loss)
    )
    begin(bench, caplog)
    if on_loss == "fail":
        with pytest.raises(LogChangedError, match="20 records were deleted before they were read, and on_offset_loss"):
            finish(bench)
        assert world.committed[ONE] == C
        return

    assert finish(bench)
    assert (lost(caplog), len(scores_in(world)) - before) == (80 - C, 0)
