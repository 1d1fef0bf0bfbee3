"""A slot per series: names to slots, and the columns that hold what is remembered.

A column is an array with one row per slot. Columns that belong together stand in one dataclass; the table grows them,
clears a row, and turns rows into bytes and back, without knowing what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import Ints

Bytes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Columns:
    """Arrays with one row per slot; subclasses name them. A row of zeros is a series of which nothing is known."""

    def arrays(self) -> list[npt.NDArray[Any]]:
        return [getattr(self, column.name) for column in fields(self)]

    def grow(self, slots: int) -> None:
        """Make room for so many slots."""
        for column in fields(self):
            old = getattr(self, column.name)
            new = np.zeros((slots, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, column.name, new)

    def clear(self, slots: Ints | int) -> None:
        for array in self.arrays():
            array[slots] = 0

    def pack(self, slots: Ints) -> Bytes:
        """These n rows as little-endian bytes, (n, row_bytes)."""
        parts = [
            np.frombuffer(array[slots].astype(array.dtype.newbyteorder("<")).tobytes(), np.uint8)
            for array in self.arrays()
        ]
        widths = [array.itemsize * prod(array.shape[1:]) for array in self.arrays()]
        rows = [part.reshape(len(slots), width) for part, width in zip(parts, widths, strict=True)]
        return np.concatenate(rows, axis=1)

    def unpack(self, slots: Ints, packed: Bytes) -> None:
        """Put back what `pack` took out, (n, row_bytes)."""
        at = 0
        for array in self.arrays():
            width = array.itemsize * prod(array.shape[1:])
            cut = np.ascontiguousarray(packed[:, at : at + width]).tobytes()
            rows = np.frombuffer(cut, array.dtype.newbyteorder("<"))
            array[slots] = rows.reshape(len(slots), *array.shape[1:])
            at += width

    @property
    def row_bytes(self) -> int:
        return sum(array.itemsize * prod(array.shape[1:]) for array in self.arrays())


class Table:
    """Which slot belongs to which series, over one or more sets of columns.

    `aside` are columns that grow and are cleared with the others, but are no part of a slot.
    """

    def __init__(self, *columns: Columns, aside: Sequence[Columns] = ()) -> None:
        self.columns = columns
        self._all = (*columns, *aside)
        self._slots: dict[str, int] = {}
        self._names: list[str | None] = []  # by slot; None where a slot is free
        self._free: list[int] = []
        self._room = len(columns[0].arrays()[0])

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, series: str) -> bool:
        return series in self._slots

    def __getitem__(self, series: str) -> int:
        return self._slots[series]

    def name(self, slot: int) -> str:
        """The series of a slot in use."""
        name = self._names[slot]
        if name is None:
            raise KeyError(slot)
        return name

    def names(self) -> list[str]:
        """The series, in the order in which they came."""
        return list(self._slots)

    def in_use(self) -> Ints:
        """The slots that belong to a series, in the order in which the series came."""
        return np.fromiter(self._slots.values(), np.int64, len(self._slots))

    def add(self, series: str) -> int:
        """A cleared slot for a series that has none."""
        if series in self._slots:
            raise ValueError(f"{series} has a slot already")
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._names)
            self._names.append(None)
            if slot >= self._room:
                self._room = max(2 * self._room, 16)
                for columns in self._all:
                    columns.grow(self._room)
        self._names[slot] = series
        self._slots[series] = slot
        return slot

    def drop(self, series: Sequence[str]) -> None:
        """Forget series; their slots are cleared and used again."""
        slots = [self._slots.pop(name) for name in series]
        for slot in slots:
            self._names[slot] = None
        self._free += slots
        for columns in self._all:
            columns.clear(np.array(slots, np.int64))

    def pack(self, series: Sequence[str]) -> list[bytes]:
        """All that is remembered of each of these series."""
        slots = np.array([self._slots[name] for name in series], np.int64)
        rows = np.concatenate([columns.pack(slots) for columns in self.columns], axis=1).tobytes()
        size = self.row_bytes
        return [rows[first : first + size] for first in range(0, len(rows), size)]

    def unpack(self, series: Sequence[str], packed: Sequence[bytes]) -> None:
        """Put back what `pack` took out; ValueError where a length is another."""
        size = self.row_bytes
        for one in packed:
            if len(one) != size:
                raise ValueError(f"{len(one)} bytes for a slot of {size}")
        slots = np.array([self._slots[name] for name in series], np.int64)
        rows = np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), size)
        at = 0
        for columns in self.columns:
            columns.unpack(slots, rows[:, at : at + columns.row_bytes])
            at += columns.row_bytes

    @property
    def row_bytes(self) -> int:
        """The size of a slot."""
        return sum(columns.row_bytes for columns in self.columns)
