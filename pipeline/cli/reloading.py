"""A new configuration while the service runs: asked for by SIGHUP or noticed on disk, and made ready beside the old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.cli.configuration import load_settings
from pipeline.cli.muting import Documents, NoDocuments, with_mutes
from pipeline.cli.serving import (
    Asked,
    connecting,
    output_topics,
    require_topics,
    service_settings,
    shown,
    streams_of,
    topics_of,
)
from pipeline.connectors.file_watch import FileWatch
from pipeline.connectors.kafka_client import Cluster
from pipeline.exceptions import SettingsError
from pipeline.service.ports import StateStore
from pipeline.service.reload import Staged
from pipeline.settings import KafkaSettings, Settings


@dataclass(frozen=True, slots=True)
class Around:
    """What stays as it is for as long as the process runs."""

    asked: Asked
    cluster: Cluster
    store: StateStore | None
    stopping: Callable[[], bool]


class Reloads:
    """Satisfies `service.reload.Changes` with the files of a configuration."""

    def __init__(
        self,
        settings: Settings,
        around: Around,
        called_for: Callable[[], bool],
        watch: FileWatch,
        mutes: Documents | None = None,
    ) -> None:
        """`called_for` says whether somebody has asked for a reload since it was last asked itself.

        `mutes` are those of the control topic, which are not in the settings.
        """
        self._running = self._waiting = settings
        self._mutes = mutes or NoDocuments()
        self._around = around
        self._called_for = called_for
        self._watch = watch

    def staged(self) -> Staged | None:
        """The configuration on disk, if it is another or was asked for; PlumblineError where it will not do."""
        muted = self._mutes.changed()
        reread = self._called_for() or self._watch.changed()
        if not (muted or reread):
            return None
        running, around = self._running, self._around
        if reread:
            self._watch.over(places(running))
        settings = load_settings(running.path) if reread else running
        self._watch.over(places(settings))
        for name in fixed(running, settings):
            raise SettingsError(
                f"{settings.path}: {name} was changed, which only a restart can do: restart, or undo it"
            )
        streams, connect = streams_of(with_mutes(settings, self._mutes.documents), around.asked), None
        if topics_of(settings) != topics_of(running):
            require_topics(settings, around.cluster)
            connect = connecting(settings, around.cluster, around.stopping, around.store, around.asked)
        self._waiting = settings
        service = service_settings(settings, around.asked)
        return Staged(streams, output_topics(settings), service, shown(settings), connect)

    def taken(self) -> None:
        """What was staged last is what runs."""
        self._running = self._waiting


def places(settings: Settings) -> list[Path]:
    """The files and folders that a configuration is made of."""
    bundles = [each.bundle for each in settings.detectors.values() if each.bundle is not None]
    return [settings.path, *bundles]


def fixed(running: Settings, settings: Settings) -> Iterator[str]:
    """What differs and belongs to the process: its group and cluster, where its state is, where it is asked."""
    kafka, other = running.kafka or KafkaSettings(), settings.kafka or KafkaSettings()
    if kafka != replace(other, on_offset_loss=kafka.on_offset_loss):
        yield "kafka (all but on_offset_loss)"
    if replace(running.state, every_seconds=0.0) != replace(settings.state, every_seconds=0.0):
        yield "state.folder or state.changelog"
    if running.delivery != settings.delivery:
        yield "delivery"
    if running.telemetry.listen != settings.telemetry.listen:
        yield "telemetry.listen"
