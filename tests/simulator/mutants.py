"""Faults put in on purpose: orders in which things must not be made to last. The simulator has to find each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from pipeline.exceptions import AbandonedError, BrokerError
from pipeline.monitor.assembly import Assembly
from pipeline.monitor.silence import Silence
from pipeline.service import service
from pipeline.service.changelog import Changelog
from pipeline.service.commit import Commit
from pipeline.service.partitions import Partitions
from pipeline.service.stream import Held
from pipeline.service.waiting import Waiting
from tests.simulator.ports import SimulatedSink, SimulatedSource, SimulatedTransactions
from tests.simulator.process import Keeping

Mutant = Callable[[pytest.MonkeyPatch], None]


def offsets_before_outputs(patch: pytest.MonkeyPatch) -> None:
    """The offsets are committed, and only then the outputs flushed."""
    begin = service.Service._begin_commit

    def hasty(self, connection, *, save):
        class Late:
            def flush(self, seconds):
                """Not yet."""

        commit = begin(self, connection._replace(sink=Late()), save=save)
        advance = commit.advance

        def flushing_afterwards(seconds):
            done = advance(seconds)
            if done is not None:
                connection.sink.flush(1.0)
            return done

        commit.advance = flushing_afterwards
        return commit

    patch.setattr(service.Service, "_begin_commit", hasty)


def read_on_during_a_commit(patch: pytest.MonkeyPatch) -> None:
    """Records are observed between two slices of a commit."""
    patch.setattr(service.Service, "_hold_back", lambda *_: None)


def commit_kept_at_a_rebalance(patch: pytest.MonkeyPatch) -> None:
    """A commit that is under way goes on when partitions have moved."""
    exchange = service.Service._exchange

    def keeping(self, connection, poll):
        self._drop_commit = lambda: None
        try:
            return exchange(self, connection, poll)
        finally:
            del self._drop_commit

    patch.setattr(service.Service, "_exchange", keeping)


def failed_flush_passed_over(patch: pytest.MonkeyPatch) -> None:
    """What was not acknowledged in time is taken for stored."""
    flush = SimulatedSink.flush

    def hopeful(self, seconds):
        with suppress(BrokerError):
            flush(self, seconds)

    patch.setattr(SimulatedSink, "flush", hopeful)
    patch.setattr(SimulatedSink, "send", forgetful(SimulatedSink.send))


def forgetful(send):
    """A sink that gives up what waits in an outage."""

    def dropping(self, message, partition=None):
        send(self, message, partition)
        if self._cluster.seconds < self._cluster.down_until:
            self._waiting.clear()

    return dropping


def catch_up_aloud(patch: pytest.MonkeyPatch) -> None:
    """What is observed again between the saved state and the committed offset is put out again."""
    go_on = Partitions.go_on

    def loud(self, *arguments):
        ready = go_on(self, *arguments)
        for partition in ready:
            self.held[partition].quiet = 0
        return ready

    patch.setattr(Partitions, "go_on", loud)


def outputs_kept_at_a_rebalance(patch: pytest.MonkeyPatch) -> None:
    """What was put out for partitions that went away stays in the transaction."""
    patch.setattr(Changelog, "abandon", lambda _: False)


def records_kept_after_a_rebalance(patch: pytest.MonkeyPatch) -> None:
    """What was undone is not read again: a fault that the product had until the simulator found it."""
    exchange = service.Service._exchange

    def forgetting(self, connection, poll):
        exchange(self, connection, poll)
        return False

    patch.setattr(service.Service, "_exchange", forgetting)


def state_one_record_ahead(patch: pytest.MonkeyPatch) -> None:
    """The state is said to stand one record further than it does."""
    state_of = Commit._state

    def ahead(self, partition, one):
        state = state_of(self, partition, one)
        return replace(state, offset=state.offset + 1)

    patch.setattr(Commit, "_state", ahead)


def offsets_outside_of_the_transaction(patch: pytest.MonkeyPatch) -> None:
    """The outputs are committed, and only then the offsets."""

    def commit(self, offsets):
        transaction = self._begin()
        self._unharmed(transaction)
        member = self._source.member
        if member is None or self._cluster.given_up(self._process.name, member):
            raise AbandonedError("the offsets failed")
        transaction.state = "committed"
        self._process.step("before offsets")
        self._cluster.commit(self._process.name, dict(offsets))
        self._open = None
        self._process.step("committed")

    patch.setattr(SimulatedTransactions, "commit", commit)


def changed_slots_left_out(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint holds only the slots that changed with the very last record."""
    state_of = Commit._state

    def few(self, partition, one):
        state = state_of(self, partition, one)
        last = one.stream.monitor.series_of(partition.number, one.next - 1)
        return state if state.whole else replace(state, series=[name for name in state.series if name in last])

    patch.setattr(Commit, "_state", few)


def offsets_committed_while_catching_up(patch: pytest.MonkeyPatch) -> None:
    """A partition that only remembers is committed like the others."""
    patch.setattr(Held, "live", property(lambda self: self.restoring is None))


def what_waits_left_out(patch: pytest.MonkeyPatch) -> None:
    """The state holds nothing of the records that wait for others."""
    patch.setattr(Assembly, "pack", lambda *_: b"")


def released_readings_with_an_earlier_offset(patch: pytest.MonkeyPatch) -> None:
    """A reading is said to stand a record before the one that released it."""
    take = Assembly.take

    def earlier(self, readings):
        released, settled = take(self, readings)
        return replace(released, offset=released.offset - 1), settled

    patch.setattr(Assembly, "take", earlier)


def taken_over_at_once(patch: pytest.MonkeyPatch) -> None:
    """A new configuration does not wait for a commit."""
    look = service.Service._look_for_changes

    def hasty(self):
        look(self)
        if self._staged is not None:
            self._take_over(self._staged)

    patch.setattr(service.Service, "_look_for_changes", hasty)


def read_on_after_a_reload(patch: pytest.MonkeyPatch) -> None:
    """A partition goes on under the new configuration where it was, without its past."""
    take_over = service.Service._take_over

    def forgetful(self, staged):
        at = {partition: one.next for partition, one in self._partitions.held.items() if one.live}
        take_over(self, staged)
        for partition, one in self._partitions.held.items():
            if partition in at and one.restoring is not None:
                one.restoring, one.next = None, at[partition]
                self._link.connection.source.resume([partition])

    patch.setattr(service.Service, "_take_over", forgetful)


def silence_not_saved(patch: pytest.MonkeyPatch) -> None:
    """A slot that changed without a reading of its own, for its series fell silent, is left out of the checkpoint."""
    follow = Silence.follow

    def unmarked(self, *arguments):
        before = self._marks.offset.copy()
        said = follow(self, *arguments)
        self._marks.offset[: len(before)] = before
        return said

    patch.setattr(Silence, "follow", unmarked)


def read_on_behind_what_waits(patch: pytest.MonkeyPatch) -> None:
    """Records that could not be read are not read again: the partition is paused and not set back."""
    settle = Waiting.settle

    def forgetful(self, source, *, hold):
        self._new.clear()
        settle(self, source, hold=hold)

    patch.setattr(Waiting, "settle", forgetful)


def read_on_over_a_gap(patch: pytest.MonkeyPatch) -> None:
    """Where records are gone the first that is there follows, and nobody hears of it, as with auto_offset_reset."""

    def passing(self):
        for one, at in self._position.items():
            self._position[one] = max(at, self._cluster.first(one))

    patch.setattr(SimulatedSource, "_require_kept", passing)


MUTANTS: list[tuple[Mutant, Keeping]] = [
    (read_on_during_a_commit, "folder"),
    (read_on_during_a_commit, "changelog"),
    (read_on_during_a_commit, "exactly_once"),
    (commit_kept_at_a_rebalance, "folder"),
    (commit_kept_at_a_rebalance, "changelog"),
    (commit_kept_at_a_rebalance, "exactly_once"),
    (offsets_before_outputs, "folder"),
    (offsets_before_outputs, "changelog"),
    (failed_flush_passed_over, "folder"),
    (catch_up_aloud, "exactly_once"),
    (outputs_kept_at_a_rebalance, "exactly_once"),
    (records_kept_after_a_rebalance, "exactly_once"),
    (state_one_record_ahead, "folder"),
    (state_one_record_ahead, "changelog"),
    (offsets_outside_of_the_transaction, "exactly_once"),
    (changed_slots_left_out, "changelog"),
    (offsets_committed_while_catching_up, "folder"),
    (silence_not_saved, "exactly_once"),
    (what_waits_left_out, "folder"),
    (what_waits_left_out, "exactly_once"),
    (released_readings_with_an_earlier_offset, "exactly_once"),
    (taken_over_at_once, "exactly_once"),
    (read_on_after_a_reload, "folder"),
]
