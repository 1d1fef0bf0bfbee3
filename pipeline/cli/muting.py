"""Mutes that stand in a control topic, put beside those of the configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from pipeline.exceptions import SettingsError
from pipeline.monitor.mutes import Mute
from pipeline.settings import Settings, parse_mute

log = logging.getLogger("plumbline.service")


class Documents(Protocol):
    """What stands in the topic, by key."""

    @property
    def documents(self) -> Mapping[bytes, bytes]: ...
    def changed(self) -> bool: ...


class NoDocuments:
    """There is no control topic."""

    @property
    def documents(self) -> Mapping[bytes, bytes]:
        """None."""
        return {}

    def changed(self) -> bool:
        """Nothing changes."""
        return False


def with_mutes(settings: Settings, documents: Mapping[bytes, bytes]) -> Settings:
    """The settings with these mutes; one that cannot be read is said in the log and left out.

    Those of a detector that it does not have are for somebody else.
    """
    added: dict[str, list[Mute]] = {name: [] for name in settings.detectors}
    for key, value in sorted(documents.items()):
        try:
            detector, mute = parse_mute(value)
        except SettingsError as error:
            facts = {"key": key.decode("utf-8", "replace"), "reason": str(error)}
            log.error("mute not understood, and left out", extra={"facts": facts})
            continue
        for name, mutes in added.items():
            if detector in (None, name):
                mutes.append(mute)
    detectors = {
        name: replace(one, policy=replace(one.policy, mutes=(*one.policy.mutes, *added[name])))
        for name, one in settings.detectors.items()
    }
    return replace(settings, detectors=detectors)
