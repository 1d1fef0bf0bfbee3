"""A new configuration beside the one that runs: what it is, where it comes from, what becomes of what is remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from pipeline.service.link import Connection
from pipeline.service.outputs import OutputTopics
from pipeline.service.service_settings import ServiceSettings
from pipeline.service.stream import Stream
from pipeline.service.watched import SeriesShown

Fate = Literal["kept", "rewarmed", "dropped", "new"]


@dataclass(frozen=True, slots=True)
class Staged:
    """A configuration that was read, checked and loaded, and waits for the next commit."""

    streams: Sequence[Stream]  # nothing of them is in use yet
    outputs: OutputTopics
    settings: ServiceSettings
    series: SeriesShown
    connect: Callable[[], Connection] | None = None  # None: the connection there is will do


class Changes(Protocol):
    """Where new configurations come from."""

    def staged(self) -> Staged | None: ...  # asked every turn; None: nothing new; PlumblineError: it cannot be used
    def taken(self) -> None: ...  # what was staged last is what runs


class Unchanging:
    """The configuration is what it is; satisfies `Changes`."""

    def staged(self) -> None:
        """Nothing new."""

    def taken(self) -> None:
        """Nothing was."""


class Prospect(NamedTuple):
    """What is to become of what is remembered of one detector's series."""

    detector: str
    fate: Fate
    topic: str
    digest: str  # of its bundle, as it will be
    series: int  # remembered now
    open_incidents: int  # of these

    def facts(self) -> dict[str, object]:
        """The same for a line of the log."""
        return {**self._asdict(), "digest": self.digest[:12]}


def preview(before: Sequence[Stream], after: Sequence[Stream]) -> Iterator[Prospect]:
    """What a change of configuration does to each detector, by the rules by which a restart finds its state.

    Kept: the same name and topic, and the same digest or one that the other bundle extends, whatever else changed.
    Rewarmed: another digest, and series that warm up in the last records. Dropped: no longer served, or another topic,
    which is then new as well.
    """
    staying = {(one.detector, one.topic): one for one in after}
    known = {(one.detector, one.topic) for one in before}
    for one in before:
        then = staying.get((one.detector, one.topic))
        if then is None:
            yield _prospect(one, "dropped", one)
        else:
            same = one.monitor.detector.digest in then.monitor.detector.kin
            yield _prospect(one, "kept" if same else "rewarmed", then)
    for one in after:
        if (one.detector, one.topic) not in known:
            yield _prospect(one, "new", one)


def _prospect(now: Stream, fate: Fate, then: Stream) -> Prospect:
    monitor = now.monitor
    remembered, still_open = (0, 0) if fate == "new" else (len(monitor), sum(monitor.open_incidents().values()))
    return Prospect(now.detector, fate, now.topic, then.monitor.detector.digest, remembered, still_open)
