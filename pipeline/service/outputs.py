"""What is put out: alerts, scores, and records that were no readings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from pipeline.exceptions import TooLargeError
from pipeline.formats import alerts, times
from pipeline.records import Alert, Clock, Outcome, Readings, Rejected, Scores
from pipeline.service.letters import dead_letter
from pipeline.service.ports import Message, Record, Sink

log = logging.getLogger("plumbline.service")

OUTCOMES: Final = tuple(outcome.name.lower() for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """The topics written to; None: not written."""

    alerts: str | None = None
    scores: str | None = None
    dead_letters: str | None = None


class Outputs:
    """Puts out what there is to be told, to people through `say` and to topics through a sink."""

    def __init__(self, topics: OutputTopics, say: Callable[[str], None]) -> None:
        self._topics = topics
        self._say = say

    def alerts(self, sink: Sink, alerted: Iterable[Alert]) -> None:
        """A sentence and a message for each event."""
        for alert in alerted:
            self._say(alerts.sentence(alert))
            if self._topics.alerts is not None:
                _send(sink, alert_message(self._topics.alerts, alert))

    def scores(self, sink: Sink, channels: Sequence[str], clock: Clock, readings: Readings, scores: Scores) -> None:
        """A message for each reading, where scores are asked for."""
        if self._topics.scores is not None:
            for message in score_messages(self._topics.scores, channels, clock, readings, scores):
                _send(sink, message)

    def dead_letters(self, sink: Sink, rejected: Iterable[tuple[Record, Rejected]]) -> tuple[int, int]:
        """A message for each record that was no reading; how many were taken, and how many were not."""
        topic = self._topics.dead_letters
        if topic is None:
            return 0, 0
        taken = [_send(sink, dead_letter(topic, record, why)) for record, why in rejected]
        return sum(taken), len(taken) - sum(taken)


class Nowhere:
    """The sink of a dry run, which may be given nothing."""

    def send(self, message: Message) -> None:
        raise ValueError(f"a dry run sends nothing, and this was for {message.topic}")

    def in_flight(self) -> int:
        return 0

    def flush(self, timeout_seconds: float) -> None:
        """Nothing waits."""

    def close(self, timeout_seconds: float) -> None:
        """Nothing is open."""


def _send(sink: Sink, message: Message) -> bool:
    """Hand over; a message that no broker would take is told and left out, or it would be met again for ever."""
    try:
        sink.send(message)
    except TooLargeError as error:
        log.error("message not sent", extra={"facts": {"topic": message.topic, "reason": str(error)}})
        return False
    return True


def alert_message(topic: str, alert: Alert) -> Message:
    """One event of an incident; the key keeps those of a series, or of the series that are grouped, in order."""
    whose = alert.series if alert.group is None else alerts.in_words(alert.group.labels)
    return Message(topic, whose.encode(), alerts.encode(alert), tuple(alerts.cloud_event(alert)))


def score_messages(
    topic: str, channels: Sequence[str], clock: Clock, readings: Readings, scores: Scores
) -> Iterator[Message]:
    """One message a reading; what does not exist is null: score, bar and forecast where it was not scored."""
    columns = zip(
        readings.series.tolist(),
        readings.at.tolist(),
        scores.outcome.tolist(),
        scores.score.tolist(),
        scores.bar.tolist(),
        scores.alert.tolist(),
        scores.expected.tolist(),
        strict=True,
    )
    encoder = msgspec.json.Encoder()
    for code, at, outcome, score, bar, alert, expected in columns:
        scored = outcome == Outcome.SCORED
        document = {
            "series": readings.names[code],
            "timestamp": times.iso(at) if clock == "time" else at,
            "score": score if scored else None,
            "bar": bar if scored else None,
            "alert": alert,
            "outcome": OUTCOMES[outcome],
            "expected": dict(zip(channels, expected, strict=True)) if scored else None,
        }
        yield Message(topic, readings.names[code].encode(), encoder.encode(document))
