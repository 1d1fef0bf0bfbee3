"""The service: topics -> decoder -> Monitor -> outputs, on one thread; start, loop, stop.

What goes wrong with the broker ends in one of two ways. What may pass by itself is tried again while polling goes on.
What may not, ends the connection: everything in memory is dropped, a new connection is made, and each partition
resumes from its saved state as after a restart. So there is one way of recovering, and every restart tests it. A new
configuration goes the same way: what stands is committed, and each partition resumes under the new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pipeline.exceptions import (
    AbandonedError,
    BrokerError,
    LogChangedError,
    OffsetLostError,
    PlumblineError,
    PoisonedError,
    StateError,
)
from pipeline.service.commit import Commit
from pipeline.service.link import Connection, Link
from pipeline.service.outputs import OutputTopics
from pipeline.service.pace import Pace
from pipeline.service.partitions import Partitions
from pipeline.service.ports import Clock, Partition, Poll, Stop
from pipeline.service.reload import Changes, Staged, Unchanging, preview
from pipeline.service.scoring import Scoring
from pipeline.service.service_settings import ServiceSettings
from pipeline.service.stream import Stream
from pipeline.service.telemetry import Operation, Telemetry

log = logging.getLogger("plumbline.service")


class Service:
    """Scores topics until it is asked to stop."""

    def __init__(
        self,
        streams: Sequence[Stream],
        connect: Callable[[], Connection],
        outputs: OutputTopics,
        telemetry: Telemetry,
        clock: Clock,
        stop: Stop,
        say: Callable[[str], None],
        settings: ServiceSettings,
        changes: Changes | None = None,
    ) -> None:
        """`say` is given one sentence for each alert; without `changes` the configuration is never another.

        Nothing is connected before `start`.
        """
        self._link = Link(connect, settings.longest_pause)
        self._scoring = Scoring(streams, outputs, settings, telemetry, clock, say)
        self._telemetry = telemetry
        self._clock = clock
        self._stop = stop
        self._say = say
        self._settings = settings
        self._changes: Changes = changes or Unchanging()
        self._staged: Staged | None = None  # to be taken over at the next commit
        self._pace = Pace(settings.score_for)
        self._joined = False  # the group has answered this connection
        self._held_back = False  # nothing is read: too much is under way, or a commit
        self._commit: Commit | None = None  # that is under way
        self._commit_at = 0.0  # on the monotonic clock, as are the next two
        self._save_at = 0.0
        self._failing_since: float | None = None

    @property
    def _partitions(self) -> Partitions:
        return self._scoring.partitions

    def run(self) -> bool:
        """Start, loop until asked to stop, stop; whether all that was observed is committed."""
        try:
            self.start()
            while not self._stop.asked():
                self.turn()
            return self.stop()
        except (LogChangedError, PoisonedError):
            self.stop()
            raise
        finally:
            self._link.close(1.0)

    def start(self) -> None:
        """Connect; BrokerError when that is not possible."""
        self._link.make()
        self._set_clocks()

    def _set_clocks(self) -> None:
        now = self._clock.monotonic()
        self._commit_at, self._save_at = now + self._settings.commit_every, now + self._settings.save_every

    def turn(self) -> None:
        """One round: poll, observe, put out, and commit when it is due."""
        self._look_for_changes()
        connection = self._link.connection or self._connect_again()
        if connection is None:
            return
        try:
            self._advance(connection)
        except OffsetLostError as error:
            self._failed("poll", error)
            self._resume_elsewhere(connection, error)
        except BrokerError as error:
            self._failed("poll", error)
            self._start_over()

    def stop(self) -> bool:
        """Commit and leave the group; whether everything is committed.

        The turn under way and this take 20 seconds together, when the broker answers nothing: twice a flush and an
        answer of the broker, and a second for each client to close.
        """
        self._telemetry.health.stopping()
        done = self._link.connection is not None and self._last_commit(self._link.connection)
        self._link.close(1.0)
        if done:
            log.info("stopped")
        else:
            log.error("stopped without a commit: what came since the last one is observed again at the next start")
        return done

    def _advance(self, connection: Connection) -> None:
        hurried = self._held_back or self._partitions.restoring
        poll = connection.source.poll(0.1 if hurried else self._settings.poll_for, self._pace.records)
        polled_at = self._clock.monotonic()
        self._telemetry.polled()
        if self._exchange(connection, poll):
            poll = replace(poll, records={})  # they come again, from where they were committed
        begun = self._clock.monotonic()
        read = self._scoring.take(connection.sink, poll.records, polled_at)
        self._pace.took(sum(map(len, poll.records.values())), self._clock.monotonic() - begun)
        self._scoring.waiting.settle(connection.source, hold=self._held_back)
        self._telemetry.lag(connection.source.lag_records(), read)
        now = self._clock.monotonic()
        if self._commit is not None or now >= self._commit_at:
            save = now >= self._save_at or self._staged is not None
            turn_ends = polled_at + self._settings.turn_for
            if self._committed(connection, turn_ends, save=save) and save and self._staged is not None:
                self._take_over(self._staged)
        self._hold_back()

    def _exchange(self, connection: Connection, poll: Poll) -> bool:
        """Let go of what is no longer ours, and take on what is; whether all of it began anew."""
        undone = False
        if poll.revoked or poll.lost:
            self._drop_commit()
            undone = connection.checkpoints.abandon()
            log.info("partitions given up", extra={"facts": {"revoked": len(poll.revoked), "lost": len(poll.lost)}})
            self._partitions.let_go({*poll.revoked, *poll.lost})
        again = list(self._partitions.held) if undone else []
        connection.source.pause(again)
        self._partitions.take_on(connection.checkpoints, (*again, *poll.assigned))
        self._restore(connection)
        if poll.assigned or poll.revoked or poll.lost or not self._joined:
            self._joined = True
            self._scoring.assigned()
        return undone

    def _restore(self, connection: Connection) -> None:
        """Bring states back for a while, and read on where they are; not during a commit, which is of what is held."""
        if self._commit is not None:
            return
        ready = self._partitions.go_on(connection.source, self._settings.restore_for)
        if ready:
            self._scoring.assigned()
        if any(self._partitions.held[partition].at_end for partition in ready):
            self._commit_at = self._clock.monotonic()  # what comes from now on is to be lost by no restart
        if ready and not self._held_back:
            connection.source.resume(ready)

    def _hold_back(self) -> None:
        """Read nothing while a commit or too much is under way to the broker; go on when half of that has arrived."""
        connection = self._link.connection
        if connection is None:
            return
        most = self._settings.in_flight // 2 if self._held_back else self._settings.in_flight
        hold = self._commit is not None or connection.sink.in_flight() > most
        if hold != self._held_back:
            waits = self._scoring.waiting.waits
            held = [one for one in self._partitions.held if self._partitions.reads(one) and not waits(one)]
            (connection.source.pause if hold else connection.source.resume)(held)
            self._held_back = hold

    def _committed(self, connection: Connection, until: float, *, save: bool) -> bool:
        """Begin a commit or go on with the one under way; whether all that was asked for is committed.

        It goes on until this time on the monotonic clock, for one slice at least. What fails is tried again soon.
        """
        now = self._clock.monotonic()
        if self._commit is None:
            self._commit_at = now + self._settings.commit_every
            if not (save or self._partitions.moved):
                return True
            if self._settings.dry_run:
                return self._tell("dry run: nothing is sent, saved or committed", {})
            self._commit = self._begin_commit(connection, save=save)
        try:
            with self._telemetry.stage("commit"):
                done = self._commit.advance(until)
        except (BrokerError, StateError) as error:
            self._drop_commit()
            self._not_committed(error, now)
            return False
        if done is None:
            return False
        saved, self._commit, self._failing_since = self._commit.saves, None, None
        self._link.proved()
        self._telemetry.committed(ok=True)
        self._telemetry.dead_letters(self._scoring.letters, ok=True)
        self._scoring.letters = 0
        if saved:
            self._save_at = now + self._settings.save_every
            self._tell("committed", done.facts())
        return saved or not save

    def _begin_commit(self, connection: Connection, *, save: bool) -> Commit:
        if save:  # until it is done no offset is committed without it: it may have been dropped half written
            self._save_at = min(self._save_at, self._clock.monotonic())
        return Commit(
            connection.sink,
            connection.checkpoints,
            self._partitions.held,
            self._settings.flush_for,
            self._clock,
            self._telemetry,
            at_once=self._settings.series_at_once,
            save=save,
        )

    def _drop_commit(self) -> None:
        """Begin anew, and soon: what is held is not what it was."""
        if self._commit is not None:
            self._commit.drop()
            self._commit, self._commit_at = None, self._clock.monotonic()

    def _not_committed(self, error: PlumblineError, now: float) -> None:
        """Note a failed commit; where the broker is at fault for long, nothing else is left than to start over."""
        self._telemetry.committed(ok=False)
        log.error("not committed", extra={"facts": {"reason": str(error)}})
        self._commit_at = self._clock.monotonic() + self._settings.retry_after
        if isinstance(error, AbandonedError):
            self._start_over()
        elif isinstance(error, BrokerError):
            self._failing_since = now if self._failing_since is None else self._failing_since
            if now - self._failing_since >= self._settings.reconnect_after:
                self._start_over()

    def _last_commit(self, connection: Connection) -> bool:
        """Commit before leaving, again where it failed at once; nothing is read meanwhile, and the group is kept."""
        last_try: float | None = None
        if self._commit is not None and not self._commit.saves:
            self._drop_commit()
        try:
            connection.source.pause(list(self._partitions.held))
            self._held_back = True
            while not self._committed(connection, self._clock.monotonic() + self._settings.turn_for, save=True):
                if self._commit is None:
                    now = self._clock.monotonic()
                    last_try = now + self._settings.last_retry_within if last_try is None else last_try
                    if self._link.connection is None or now > last_try:
                        return False
                self._exchange(connection, connection.source.poll(0.1 if self._commit else self._settings.poll_for))
        except BrokerError as error:
            self._failed("poll", error)
            return False
        return True

    def _tell(self, what: str, facts: Mapping[str, object]) -> bool:
        """One line for a commit."""
        counted = {name: self._scoring.counts[name] for name in ("readings", "scored", "alerts", "invalid")}
        counted |= {name: count for name in ("muted", "replayed") if (count := self._scoring.counts[name])}
        log.info(what, extra={"facts": {**counted, **facts}})
        self._scoring.counts.clear()
        return True

    def _failed(self, operation: Operation, error: PlumblineError) -> None:
        self._telemetry.kafka_error(operation)
        log.error("broker failed", extra={"facts": {"at": operation, "reason": str(error)}})

    def _resume_elsewhere(self, connection: Connection, told: OffsetLostError) -> None:
        """Go on where a log was cut off; where records are gone otherwise, as after a restart, with what is there."""
        self._drop_commit()
        source, lost = connection.source, []
        try:
            for key in told.partitions:
                partition, at = Partition(*key), told.cut.get(key)
                if at is None or not self._partitions.cut_off(source, partition, at):
                    lost.append(partition)
                else:  # until it is committed a restart would not know
                    self._commit_at = self._save_at = self._clock.monotonic()
            source.pause(lost)  # else every poll says it again, and the restore begins again
            self._partitions.take_on_elsewhere(connection.checkpoints, lost)
            self._restore(connection)
        except BrokerError as error:
            self._failed("metadata", error)
            self._start_over()

    def _start_over(self) -> None:
        """Drop everything in memory and the connection; the next turn makes a new one and resumes from saved state."""
        log.warning("starting over", extra={"facts": {"partitions": len(self._partitions.held)}})
        self._drop_commit()
        self._partitions.let_go(list(self._partitions.held))
        self._telemetry.assigned(())
        self._telemetry.health.disconnected()
        self._telemetry.dead_letters(self._scoring.letters, ok=False)
        self._scoring.letters = 0
        self._failing_since = None
        self._held_back = self._joined = False
        self._link.close(1.0)

    def _look_for_changes(self) -> None:
        """Have a new configuration wait for a commit, which is due at once; one that cannot be used changes nothing."""
        try:
            staged = self._changes.staged()
        except PlumblineError as error:
            self._staged = None
            self._telemetry.reloaded(ok=False)
            log.error("not reloaded: all goes on as before", extra={"facts": {"reason": str(error)}})
            return
        if staged is None:
            return
        self._staged, self._commit_at = staged, self._clock.monotonic()
        for prospect in preview(self._scoring.streams, staged.streams):
            log.info("reload", extra={"facts": prospect.facts()})
        if self._link.connection is None:  # nothing is in memory either
            self._take_over(staged)

    def _take_over(self, staged: Staged) -> None:
        """Go on under another configuration; all that was put out is committed, and nothing is in hand."""
        held, connection = list(self._partitions.held), self._link.connection
        self._partitions.let_go(held)
        self._staged, self._settings = None, staged.settings
        self._scoring = Scoring(
            staged.streams, staged.outputs, staged.settings, self._telemetry, self._clock, self._say
        )
        self._telemetry.serve([one.served for one in staged.streams], staged.series)
        self._changes.taken()
        self._telemetry.reloaded(ok=True)
        log.info("reloaded", extra={"facts": {"detectors": len(staged.streams), "partitions": len(held)}})
        if staged.connect is not None:
            self._link.by(staged.connect)
            self._start_over()
        elif connection is not None:
            connection.source.pause(held)
            self._partitions.take_on(connection.checkpoints, held)
            self._scoring.assigned()
            self._set_clocks()

    def _connect_again(self) -> Connection | None:
        """A new connection after a pause that grows; None when there is none yet."""
        self._stop.wait(self._link.pause)
        self._telemetry.health.turned()
        if self._stop.asked():
            return None
        try:
            connection = self._link.make()
        except BrokerError as error:
            self._failed("metadata", error)
            return None
        self._set_clocks()
        log.info("connected again")
        return connection
