"""The service: topics -> decoder -> Monitor -> outputs, on one thread; start, loop, stop.

What goes wrong with the broker ends in one of two ways. What may pass by itself is tried again while polling goes on.
What may not, ends the connection: everything in memory is dropped, a new connection is made, and each partition
resumes from its saved state as after a restart. So there is one way of recovering, and every restart tests it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.exceptions import (
    AbandonedError,
    BrokerError,
    LogChangedError,
    OffsetLostError,
    PlumblineError,
    PoisonedError,
    StalledError,
    StateError,
)
from pipeline.service.commit import ResumeRules, commit
from pipeline.service.link import Connection, Link
from pipeline.service.outputs import Outputs, OutputTopics
from pipeline.service.partitions import Partitions
from pipeline.service.poison import Poison
from pipeline.service.ports import Clock, Partition, Poll, Record, Sink, Stop
from pipeline.service.stream import Observed, Stream
from pipeline.service.telemetry import Operation, Telemetry

log = logging.getLogger("plumbline.service")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How often, how long and how much; times in seconds."""

    commit_every: float = 30.0
    save_every: float = 0.0  # the state, at the first commit after so long
    poll_for: float = 0.5
    flush_for: float = 4.0
    retry_after: float = 5.0  # a commit that failed
    last_retry_within: float = 2.0  # of the stop: the group may just be rebalancing
    reconnect_after: float = 60.0  # of commits that failed
    longest_pause: float = 30.0  # between attempts to connect
    stale_after: float = 30.0  # records in hand for longer may be somebody else's: a group waits 45 s for a member
    in_flight: int = 20_000  # messages under way above which nothing more is read
    dead_letter_limit: float = 1.0  # share of records that are no readings, above which, for long, the service ends
    dry_run: bool = False  # show alerts; send, save and commit nothing
    restore_for: float = 0.5  # of each turn, while states are on their way back
    resume: ResumeRules = field(default_factory=ResumeRules)


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
    ) -> None:
        """`say` is given one sentence for each alert. Nothing is connected before `start`."""
        self._streams = streams
        self._link = Link(connect, settings.longest_pause)
        outputs = OutputTopics() if settings.dry_run else outputs
        self._outputs = Outputs(outputs, say)
        self._telemetry = telemetry
        self._clock = clock
        self._stop = stop
        self._settings = settings
        self._partitions = Partitions(streams, telemetry, settings.resume, clock)
        self._joined = False  # the group has answered this connection
        self._held_back = False  # too much is under way: nothing is read
        self._letters = 0  # sent and not known to be stored
        limit, kept_in = settings.dead_letter_limit, outputs.dead_letters
        self._poison = {one.topic: Poison(one.detector, limit, kept_in, clock, telemetry) for one in streams}
        self._counts: Counter[str] = Counter()  # since the last commit
        self._commit_at = 0.0  # on the monotonic clock, as are the next two
        self._save_at = 0.0
        self._failing_since: float | None = None

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
        connection = self._link.connection or self._connect_again()
        if connection is None:
            return
        try:
            self._advance(connection)
        except OffsetLostError as error:
            self._failed("poll", error)
            self._resume_elsewhere(connection, [Partition(*key) for key in error.partitions])
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
        poll = connection.source.poll(0.1 if hurried else self._settings.poll_for)
        polled_at = self._clock.monotonic()
        self._telemetry.polled()
        if self._exchange(connection, poll):
            poll = replace(poll, records={})  # they come again, from where they were committed
        for stream in self._streams:
            brought = {
                partition: records
                for partition, records in poll.records.items()
                if partition.topic == stream.topic and records and self._partitions.reads(partition)
            }
            if brought:
                self._observe(connection.sink, stream, brought, polled_at)
        self._telemetry.lag(connection.source.lag_records(), poll.records)
        self._hold_back(connection)
        if self._clock.monotonic() >= self._commit_at:
            self._commit(connection, save=self._clock.monotonic() >= self._save_at)

    def _exchange(self, connection: Connection, poll: Poll) -> bool:
        """Let go of what is no longer ours, and take on what is; whether all of it began anew."""
        undone = bool(poll.revoked or poll.lost) and connection.checkpoints.abandon()
        if poll.revoked and not undone and not self._settings.dry_run:
            try:  # outputs first: a state must not be ahead of them
                connection.sink.flush(min(1.0, self._settings.flush_for))
                self._partitions.keep(connection.checkpoints, poll.revoked)
            except BrokerError as error:
                self._failed("produce", error)
        if poll.revoked or poll.lost:
            gone = {*poll.revoked, *poll.lost}
            log.info("partitions given up", extra={"facts": {"revoked": len(poll.revoked), "lost": len(poll.lost)}})
            self._partitions.let_go(gone)
        again = list(self._partitions.held) if undone else []
        connection.source.pause(again)
        self._partitions.take_on(connection.checkpoints, (*again, *poll.assigned))
        self._restore(connection)
        if poll.assigned or poll.revoked or poll.lost or not self._joined:
            self._joined = True
            self._telemetry.assigned(self._partitions.held)
            for stream in self._streams:
                self._show(stream)
        return undone

    def _restore(self, connection: Connection) -> None:
        """Bring states back for a while, and read on where they are."""
        ready = self._partitions.go_on(connection.source, self._settings.restore_for)
        if ready and not self._held_back:
            connection.source.resume(ready)

    def _observe(
        self, sink: Sink, stream: Stream, brought: Mapping[Partition, Sequence[Record]], polled_at: float
    ) -> None:
        """Decode, observe and put out the records of one stream."""
        records = [record for some in brought.values() for record in some]
        with self._telemetry.stage("decode"):
            decoded = stream.decoder.decode(records)
        with self._telemetry.stage("observe"):
            observed = stream.observe(records, decoded, self._partitions.quiet(brought))
        in_hand = self._clock.monotonic() - polled_at
        if in_hand > self._settings.stale_after:
            raise StalledError(f"records were in hand for {in_hand:.0f} s and may be somebody else's by now")
        with self._telemetry.stage("emit"):
            detector, outputs = stream.monitor.detector, self._outputs
            outputs.alerts(sink, observed.alerts)
            outputs.scores(sink, detector.names, detector.clock, observed.readings, observed.scores)
            taken, refused = outputs.dead_letters(sink, observed.rejected)
        self._letters += taken
        self._telemetry.dead_letters(refused, ok=False)
        self._count(stream, observed)
        self._partitions.advance(brought)
        fine = len(records) - observed.replayed - len(observed.rejected)
        self._poison[stream.topic].take(fine, observed.rejected)

    def _count(self, stream: Stream, observed: Observed) -> None:
        if len(observed.readings):
            self._telemetry.observed(stream.detector, observed.readings, observed.scores, observed.alerts)
        self._telemetry.beside(stream.detector, observed.beside)
        self._telemetry.rejected(stream.detector, [one for _, one in observed.rejected])
        self._show(stream)
        self._counts["readings"] += len(observed.readings)
        self._counts["scored"] += int(np.count_nonzero(observed.scores.scored))
        self._counts["alerts"] += len(observed.alerts)
        self._counts["invalid"] += len(observed.rejected)
        self._counts["replayed"] += observed.replayed

    def _show(self, stream: Stream) -> None:
        """What the monitor holds now."""
        monitor = stream.monitor
        self._telemetry.held(
            stream.detector,
            len(monitor),
            monitor.open_incidents(),
            monitor.open_quiet(),
            monitor.tally().held_back,
            monitor.waiting(),
        )

    def _hold_back(self, connection: Connection) -> None:
        """Read nothing while too much is under way to the broker, and go on when half of it has arrived."""
        under_way = connection.sink.in_flight()
        held = [partition for partition in self._partitions.held if self._partitions.reads(partition)]
        if not self._held_back and under_way > self._settings.in_flight:
            connection.source.pause(held)
            self._held_back = True
        elif self._held_back and under_way <= self._settings.in_flight // 2:
            connection.source.resume(held)
            self._held_back = False

    def _commit(self, connection: Connection, *, save: bool) -> bool:
        """Flush, save, commit, or say why not; a commit that failed is tried again soon."""
        now = self._clock.monotonic()
        self._commit_at = now + self._settings.commit_every
        if not (save or self._partitions.moved):
            return True
        if self._settings.dry_run:
            return self._tell("dry run: nothing is sent, saved or committed", {})
        try:
            with self._telemetry.stage("commit"):
                done = commit(
                    connection.sink,
                    connection.checkpoints,
                    self._partitions.held,
                    self._settings.flush_for,
                    self._clock,
                    self._telemetry,
                    save=save,
                )
        except (BrokerError, StateError) as error:
            self._not_committed(error, now)
            return False
        self._failing_since = None
        self._link.proved()
        self._telemetry.committed(ok=True)
        self._telemetry.dead_letters(self._letters, ok=True)
        self._letters = 0
        if not save:
            return True
        self._save_at = now + self._settings.save_every
        return self._tell("committed", done.facts())

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
        """Commit before leaving, again where it failed at once."""
        last_try = self._clock.monotonic() + self._settings.last_retry_within
        while not self._commit(connection, save=True):
            if self._link.connection is None or self._clock.monotonic() > last_try:
                return False
            try:
                self._exchange(connection, connection.source.poll(self._settings.poll_for))
            except BrokerError as error:
                self._failed("poll", error)
                return False
        return True

    def _tell(self, what: str, facts: Mapping[str, object]) -> bool:
        """One line for a commit."""
        counted = {name: self._counts[name] for name in ("readings", "scored", "alerts", "invalid")}
        if self._counts["replayed"]:
            counted["replayed"] = self._counts["replayed"]
        log.info(what, extra={"facts": {**counted, **facts}})
        self._counts.clear()
        return True

    def _failed(self, operation: Operation, error: PlumblineError) -> None:
        self._telemetry.kafka_error(operation)
        log.error("broker failed", extra={"facts": {"at": operation, "reason": str(error)}})

    def _resume_elsewhere(self, connection: Connection, lost: Sequence[Partition]) -> None:
        """The records at these offsets are gone: begin as after a restart, with what the log holds now."""
        try:
            self._partitions.take_on(connection.checkpoints, lost)
            self._restore(connection)
        except BrokerError as error:
            self._failed("metadata", error)
            self._start_over()

    def _start_over(self) -> None:
        """Drop everything in memory and the connection; the next turn makes a new one and resumes from saved state."""
        log.warning("starting over", extra={"facts": {"partitions": len(self._partitions.held)}})
        self._partitions.let_go(list(self._partitions.held))
        self._telemetry.assigned(())
        self._telemetry.health.disconnected()
        self._telemetry.dead_letters(self._letters, ok=False)
        self._letters = 0
        self._failing_since = None
        self._held_back = self._joined = False
        self._link.close(1.0)

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
