"""Which dead letters are meant, and reading them."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.cli.console import counted, note, progress
from pipeline.cli.since import moment_of
from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_reader import TopicReader
from pipeline.exceptions import SettingsError
from pipeline.records import Reason
from pipeline.service.letters import Letter, letter_of
from pipeline.settings.problems import nearest


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant."""

    reasons: frozenset[str]  # empty: all
    topic: str | None  # that the records came from
    since_ms: int | None
    places: frozenset[tuple[int, int]]  # partition and offset; empty: all

    @property
    def narrows(self) -> bool:
        """Whether it leaves any letter out."""
        return bool(self.reasons or self.places) or self.topic is not None or self.since_ms is not None

    def takes(self, letter: Letter) -> bool:
        """Whether this one is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and self.topic in (None, letter.source.topic)
            and (not self.places or letter.place[1:] in self.places)
            and (self.since_ms is None or letter.at >= self.since_ms)
        )


def choice_of(
    reason: list[str] | None, topic: str | None, since: str | None, letter: list[str] | None, limit: int | None
) -> Choice:
    """What was asked for; SettingsError where it cannot be meant."""
    for each in reason or []:
        if each not in tuple(Reason):
            raise SettingsError(f"--reason {each}: there is no such reason; {nearest(each, Reason)}")
    if limit is not None and limit < 1:
        raise SettingsError(f"--limit is {limit}: at least 1 is needed")
    places = []
    for each in letter or []:
        place = re.fullmatch(r"(\d+):(\d+)", each)
        if place is None:
            raise SettingsError(f"--letter {each}: a partition and an offset are needed, as in 0:17")
        places.append((int(place[1]), int(place[2])))
    moment = None if since is None else moment_of(since, "--since", time.time())
    return Choice(frozenset(reason or ()), topic, moment, frozenset(places))


@contextmanager
def chosen(cluster: Cluster, topic: str, choice: Choice, seen: Counter[str]) -> Iterator[Iterator[Letter]]:
    """The letters meant, as they are read; counted by reason. What else stands there is told."""
    strangers = 0

    def read() -> Iterator[Letter]:
        nonlocal strangers
        with progress(f"reading {topic}", reader.total) as bar:
            for records in reader:
                for record in records:
                    letter = letter_of(record)
                    if letter is None:
                        strangers += 1
                    elif choice.takes(letter):
                        seen[letter.reason] += 1
                        yield letter
                bar.to(reader.total - reader.remaining)
            bar.to(reader.total)

    reader = TopicReader(cluster, topic, choice.since_ms)
    try:
        yield read()
    finally:
        reader.close()
    if strangers:
        note(f"{counted(strangers, 'record')} of {topic} left out: not written by this program as dead letters")
