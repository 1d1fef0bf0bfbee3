"""`plumbline dead-letters`: list, publish."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pipeline.cli.broker import cluster_of
from pipeline.cli.configuration import load_settings
from pipeline.cli.console import counted, note, progress, say
from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.exceptions import SettingsError
from pipeline.records import Reason
from pipeline.service.letters import Letter, letter_of
from pipeline.settings import Settings

SHOWN_BYTES = 60  # of a value, in a line
UNDER_WAY = 10_000  # messages; more are not sent before these are acknowledged
FLUSH_SECONDS = 60.0


def list_letters(
    config: Path,
    /,
    *,
    reason: Reason | None = None,
    topic: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    json: bool = False,
) -> None:
    """Show the records that were no readings: when, why, whence, and how they begin.

    Parameters
    ----------
    config
        The configuration.
    reason
        Only those that were refused for this.
    topic
        Only those that came from this topic.
    since
        Only those written since then, such as 2026-11-26T08:00; UTC where it says nothing else.
    limit
        Only the first so many.
    json
        A line of JSON for each, with the bytes in base64.
    """
    settings = load_settings(config)
    cluster, chosen = cluster_of(settings, "dead-letters", os.environ), Chosen(reason, topic, _moment(since), limit)
    reasons: Counter[str] = Counter()
    for letter in chosen.letters(cluster, _topic(settings)):
        reasons[letter.reason] += 1
        say(_as_json(letter) if json else _line(letter))
    if not json:
        told = ", ".join(f"{name} {count:,}" for name, count in reasons.most_common())
        say(f"{counted(reasons.total(), 'dead letter')}{': ' if told else ''}{told}")


def publish_letters(
    config: Path,
    /,
    *,
    reason: Reason | None = None,
    topic: str | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    all_of_them: bool = False,
    dry_run: bool = False,
) -> None:
    """Send records that were no readings back to where they came from, once what was wrong is mended.

    Each has its own key, value and headers again, and a header plumbline-republished that names the letter. A record
    that is older than the last reading of its series is then counted as late. Letters stay in their topic: who
    publishes them twice sends them twice. What was cut off when it was written is left out.

    Parameters
    ----------
    config
        The configuration.
    reason
        Only those that were refused for this.
    topic
        Only those that came from this topic.
    since
        Only those written since then, such as 2026-11-26T08:00; UTC where it says nothing else.
    limit
        Only the first so many.
    all_of_them
        All that the topic holds: needed where nothing else is chosen.
    dry_run
        Say what would be sent, and send nothing.
    """
    if not (reason or topic or since or limit or all_of_them):
        raise SettingsError("nothing is chosen: --reason, --topic, --since or --limit choose, --all-of-them sends all")
    settings = load_settings(config)
    cluster, chosen = cluster_of(settings, "dead-letters", os.environ), Chosen(reason, topic, _moment(since), limit)
    sent: Counter[str] = Counter()
    cut = 0
    with closing(_Sender(cluster, dry_run=dry_run)) as sender:
        for letter in chosen.letters(cluster, _topic(settings)):
            if letter.truncated:
                cut += 1
                continue
            sender.send(letter)
            sent[letter.source.topic] += 1
        sender.flush()
    whither = ", ".join(f"{name} {count:,}" for name, count in sent.items())
    done = "would be published" if dry_run else "published"
    say(f"{counted(sent.total(), 'record')} {done}{': ' if whither else ''}{whither}")
    if cut:
        note(f"{counted(cut, 'letter')} left out: they were cut off when they were written, and are not whole")


class Chosen:
    """Which letters are asked for."""

    def __init__(self, reason: str | None, topic: str | None, since_ms: int | None, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise SettingsError(f"--limit is {limit}: at least 1 is needed")
        self._reason, self._topic, self._since_ms, self._limit = reason, topic, since_ms, limit

    def letters(self, cluster: Cluster, topic: str) -> Iterator[Letter]:
        """Those of the topic, in the order of each partition; records that are none of ours are counted and told."""
        left, foreign = self._limit, 0
        with (
            closing(TopicReader(cluster, topic, self._since_ms)) as reader,
            progress(f"reading {topic}", reader.total) as bar,
        ):
            for records in reader:
                bar.to(reader.total - reader.remaining)
                for record in records:
                    letter = letter_of(record)
                    foreign += letter is None
                    if letter is None or not self._asked(letter):
                        continue
                    if left == 0:
                        return
                    left = None if left is None else left - 1
                    yield letter
        if foreign:
            note(f"{counted(foreign, 'record')} of {topic} passed over: no dead letters of Plumbline")

    def _asked(self, letter: Letter) -> bool:
        return self._reason in (None, letter.reason) and self._topic in (None, letter.source.topic)


class _Sender:
    """Where letters are published to; nowhere in a dry run."""

    def __init__(self, cluster: Cluster, *, dry_run: bool) -> None:
        self._sink = None if dry_run else KafkaSink(cluster, linger_ms=5)

    def send(self, letter: Letter) -> None:
        if self._sink is None:
            say(_line(letter))
            return
        if self._sink.in_flight() > UNDER_WAY:
            self._sink.flush(FLUSH_SECONDS)
        self._sink.send(letter.again())

    def flush(self) -> None:
        if self._sink is not None:
            self._sink.flush(FLUSH_SECONDS)

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close(1.0)


def _topic(settings: Settings) -> str:
    if settings.outputs.dead_letters is None:
        raise SettingsError(f"{settings.path}: outputs.dead_letters is null: there is no topic of dead letters")
    return settings.outputs.dead_letters


def _moment(since: datetime | None) -> int | None:
    if since is None:
        return None
    return int((since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp() * 1000)


def _line(letter: Letter) -> str:
    """One line: when, why, whence, the key, and how the value begins."""
    at = datetime.fromtimestamp(letter.at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    where = f"{letter.source.topic}[{letter.source.number}]@{letter.offset}"
    value = "null" if letter.value is None else repr(letter.value[:SHOWN_BYTES])[1:]
    more = "..." if letter.value is not None and len(letter.value) > SHOWN_BYTES else ""
    key = "-" if letter.key is None else letter.key.decode(errors="backslashreplace")
    cut = f" (cut off: {letter.truncated})" if letter.truncated else ""
    return f"{at}  {letter.reason}: {letter.detail}  {where}  {key}  {value}{more}{cut}"


def _as_json(letter: Letter) -> str:
    return msgspec.json.encode(letter).decode()
