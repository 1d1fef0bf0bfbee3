"""What is done with the records of a poll: decoded, observed, put out, counted; one object for one configuration.

The loop around it does not change. A reload puts another in its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.exceptions import RegistryError, StalledError
from pipeline.service.outputs import Outputs, OutputTopics
from pipeline.service.partitions import Partitions
from pipeline.service.poison import Poison
from pipeline.service.ports import Clock, Partition, Record, Sink
from pipeline.service.service_settings import ServiceSettings
from pipeline.service.stream import Observed, Stream
from pipeline.service.telemetry import Telemetry
from pipeline.service.waiting import Waiting


class Scoring:
    """The streams that are scored, where their outputs go, and what is held of their partitions."""

    def __init__(
        self,
        streams: Sequence[Stream],
        outputs: OutputTopics,
        settings: ServiceSettings,
        telemetry: Telemetry,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        """`say` is given one sentence for each alert."""
        outputs = OutputTopics() if settings.dry_run else outputs
        self.streams = streams
        self.partitions = Partitions(streams, telemetry, settings.resume, clock, settings.series_at_once)
        self.waiting = Waiting(self.partitions, telemetry, clock)
        self.counts: Counter[str] = Counter()  # since the last commit
        self.letters = 0  # sent and not known to be stored
        self._outputs = Outputs(outputs, say)
        self._stale_after = settings.stale_after
        self._telemetry = telemetry
        self._clock = clock
        limit, kept_in = settings.dead_letter_limit, outputs.dead_letters
        self._poison = {one.topic: Poison(one.detector, limit, kept_in, clock, telemetry) for one in streams}

    def take(
        self, sink: Sink, polled: Mapping[Partition, Sequence[Record]], polled_at: float
    ) -> dict[Partition, Sequence[Record]]:
        """Observe what a poll brought, stream by stream, and say what of it did not have to wait.

        `polled_at` is on the monotonic clock. StalledError: it took so long that the records may be another's by now.
        """
        for stream in self.streams:
            brought = {
                partition: records
                for partition, records in polled.items()
                if partition.topic == stream.topic and records and self.partitions.reads(partition)
            }
            if brought:
                self._observe(sink, stream, brought, polled_at)
        return {partition: records for partition, records in polled.items() if not self.waiting.waits(partition)}

    def assigned(self) -> None:
        """Say what is held: to be called whenever partitions came or went."""
        self._telemetry.assigned(self.partitions.held)
        for stream in self.streams:
            self._show(stream)

    def _observe(
        self, sink: Sink, stream: Stream, brought: Mapping[Partition, Sequence[Record]], polled_at: float
    ) -> None:
        """Decode, observe and put out the records of one stream."""
        records = [record for some in brought.values() for record in some]
        try:
            with self._telemetry.stage("decode"):
                decoded = stream.decoder.decode(records)
        except RegistryError as error:
            away = {one: some for one, some in brought.items() if one.number in error.partitions} or dict(brought)
            self.waiting.put_off(away, error)
            if rest := {one: some for one, some in brought.items() if one not in away}:
                self._observe(sink, stream, rest, polled_at)
            return
        self.waiting.read(brought)
        with self._telemetry.stage("observe"):
            observed = stream.observe(records, decoded, self.partitions.quiet(brought))
        in_hand = self._clock.monotonic() - polled_at
        if in_hand > self._stale_after:
            raise StalledError(f"records were in hand for {in_hand:.0f} s and may be somebody else's by now")
        with self._telemetry.stage("emit"):
            detector, outputs = stream.monitor.detector, self._outputs
            outputs.alerts(sink, observed.alerts)
            outputs.scores(sink, detector.names, detector.clock, observed.readings, observed.scores)
            taken, refused = outputs.dead_letters(sink, observed.letters)
        self.letters += taken
        self._telemetry.dead_letters(refused, ok=False)
        self._count(stream, observed)
        self.partitions.advance(brought)
        self._poison[stream.topic].take(observed.fine, observed.rejected)

    def _count(self, stream: Stream, observed: Observed) -> None:
        if len(observed.readings):
            self._telemetry.observed(stream.detector, observed.readings, observed.scores, observed.alerts)
        self._telemetry.muted(stream.detector, observed.muted)
        self._telemetry.beside(stream.detector, observed.beside, observed.ignored)
        self._telemetry.rejected(stream.detector, [one for _, one in observed.rejected])
        self._show(stream)
        self.counts["readings"] += len(observed.readings)
        self.counts["scored"] += int(np.count_nonzero(observed.scores.scored))
        self.counts["alerts"] += len(observed.alerts)
        self.counts["muted"] += len(observed.muted)
        self.counts["invalid"] += len(observed.rejected)
        self.counts["replayed"] += observed.replayed

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
            monitor.warming(),
        )
