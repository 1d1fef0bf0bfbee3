"""Whether a detector fits what the settings say of its input: asked by `check` and by `serve`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.bundle import load
from pipeline.detector.detector import Detector
from pipeline.exceptions import SettingsError
from pipeline.settings import DetectorSettings, Settings


class Misfit(NamedTuple):
    """One thing that does not fit, and the part of the settings that it is in."""

    aspect: str
    words: str


def loaded(settings: DetectorSettings, bundle: Path) -> Detector:
    """The detector in a bundle; SettingsError where it does not fit what the settings say of its input."""
    detector = load(bundle)
    for misfit in misfits(settings, detector):
        raise SettingsError(f"detectors.{settings.name}: {misfit.aspect}: {misfit.words}")
    return detector


def misfits(settings: DetectorSettings, detector: Detector) -> Iterator[Misfit]:
    """What of channels, mutes and input does not fit the bundle; nothing where all does."""
    lacking = [name for name in detector.names if name not in settings.channels]
    besides = [name for name in settings.channels if name not in detector.names]
    if settings.channels and (lacking or besides):
        words = f"lacking {', '.join(lacking) or 'none'}, besides {', '.join(besides) or 'none'}"
        yield Misfit("channels", f"other than the bundle's: {words}; mend the list or fit the detector again")
    for mute in settings.policy.mutes:
        if (mute.begin, mute.end) != (None, None) and mute.clock != detector.clock:
            words = f"times of {mute.series} are a clock of {mute.clock}, the bundle's clock is {detector.clock}"
            yield Misfit("mute", words)
    mapping = settings.input
    if mapping is None:
        return
    try:
        mapping.paths(detector.names)
    except ValueError as error:
        yield Misfit("input", str(error))
        return
    if mapping.time.clock != detector.clock:
        words = f"time unit {mapping.time.unit} is a clock of {mapping.time.clock}, the bundle's clock is"
        yield Misfit("input", f"{words} {detector.clock}: mend the unit")


def shared_topics(settings: Settings) -> Iterator[Misfit]:
    """The topics that two detectors read: a service commits one position for each."""
    readers: dict[str, list[str]] = {}
    for each in settings.detectors.values():
        if each.topic is not None:
            readers.setdefault(each.topic, []).append(each.name)
    for topic, names in readers.items():
        if len(names) > 1:
            yield Misfit("input", f"topic {topic} is read by {' and '.join(names)}: give each its own")
