"""Checkpoints in a store of this process: the states first, then the offsets.

Should it end between the two, the state is ahead of the group's offsets, and its own offset counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pipeline.service.ports import Partition, Restoring, SavedState, Source, States, StateStore


class StoreCheckpoints:
    """Satisfies `ports.Checkpoints` with a store of whole states, or with none: then every start warms up anew."""

    def __init__(self, source: Source, store: StateStore | None) -> None:
        self._source = source
        self._store = store

    def restore(self, detector: str, partition: Partition) -> Restoring:
        """The state, which is there at once."""
        return _Stored(self._store, detector, partition)

    def commit(self, offsets: Mapping[Partition, int], states: States) -> None:
        """Save and commit; StateError where a state is not saved, and nothing is committed."""
        if self._store is not None:
            for partition, (detector, state) in states.items():
                self._store.save(detector, partition, state)
        self._source.commit(offsets)

    def needed(self, detector: str, partition: Partition, changed: Collection[str]) -> None:
        """All: a file is replaced as a whole."""

    def keep(self, detector: str, partition: Partition, state: SavedState) -> None:
        """Save the state of a partition that others go on with, so that it is at hand should it come back."""
        if self._store is not None:
            self._store.save(detector, partition, state)

    def abandon(self) -> bool:
        """What was put out is out."""
        return False

    def close(self, timeout_seconds: float) -> None:
        """The store belongs to the process."""


class _Stored:
    def __init__(self, store: StateStore | None, detector: str, partition: Partition) -> None:
        self._store = store
        self._whose = detector, partition

    def advance(self, seconds: float) -> bool:  # noqa: ARG002  nothing is waited for
        return True

    def state(self) -> SavedState | None:
        return None if self._store is None else self._store.load(*self._whose)

    def close(self) -> None:
        """Nothing is open."""
