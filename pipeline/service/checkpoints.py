"""Checkpoints in a store of this process: the states first, then the offsets.

Should it end between the two, the state is ahead of the group's offsets, and its own offset counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pipeline.service.ports import Checkpoint, Partition, Restoring, SavedState, Source, StateStore
from pipeline.service.slices import sliced


class StoreCheckpoints:
    """Satisfies `ports.Checkpoints` with a store of whole states, or with none: then every start warms up anew."""

    def __init__(self, source: Source, store: StateStore | None) -> None:
        self._source = source
        self._store = store

    def restore(self, detector: str, partition: Partition) -> Restoring:
        """The state, which is there at once."""
        return _Stored(self._store, detector, partition)

    def commit(self, offsets: Mapping[Partition, int], states: Mapping[Partition, Checkpoint]) -> Iterator[None]:
        """Save and commit; StateError where a state is not saved, and nothing is committed."""
        if self._store is not None:
            for partition, state in states.items():
                slots: dict[str, bytes] = {}
                for some in sliced(state.series, state.at_once):
                    slots |= state.take(some)
                    yield
                saved = SavedState(state.offset, state.digest, slots, state.log)
                yield from self._store.saving(state.detector, partition, saved)
        self._source.commit(offsets)

    def needed(self, detector: str, partition: Partition, changed: Collection[str]) -> None:
        """All: a file is replaced as a whole."""

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
