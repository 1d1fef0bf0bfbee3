"""Parquet and CSV files as tables, in chunks, each file checked before the first row is used.

A folder is read with everything below it and may hold nothing but tables: a file that is skipped in silence is a
history that nobody misses. Every failure is a DataError that begins with the path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pipeline.connectors import csv_file
from pipeline.exceptions import DataError
from pipeline.formats.frames import TIMESTAMP, FrameDecoder, FrameMapping, Layout, label_values
from pipeline.records import Clock, Decoded, Flags, Floats, Ints, Readings, Reason, Rejected, join

SUFFIXES = (".parquet", ".csv.gz", ".csv")
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Table:
    """One file that was found in order; its rows are read when they are asked for."""

    path: Path
    name: str  # of the series, where no column says it
    rows: int | None  # known of Parquet; None of CSV
    layout: Layout
    types: pa.Schema | None = None  # of the columns of a CSV file

    @property
    def most_rows(self) -> int | None:
        """No more rows than so many; None of a compressed file. A cell of a CSV file has a byte at least."""
        if self.rows is not None or self.types is None or self.path.suffix != ".csv":
            return self.rows
        return self.path.stat().st_size // len(self.types)

    def batches(self, rows: int = ROWS_AT_ONCE) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most so many at once, with the columns of the layout."""
        with _failures_of(self.path, self.layout):
            for batch in self._read(rows):
                for start in range(0, batch.num_rows, rows):
                    yield batch.select(self.layout.columns).slice(start, rows)

    def _read(self, rows: int) -> Iterator[pa.RecordBatch]:
        if self.types is not None:
            yield from csv_file.batches(self.path, self.types, self.layout.columns)
        else:
            with pyarrow.parquet.ParquetFile(self.path) as file:
                yield from file.iter_batches(batch_size=rows, columns=self.layout.columns)


@dataclass(frozen=True, slots=True)
class Tables:
    """Files with the same channels and clock, in the order in which they were given."""

    files: tuple[Table, ...]
    mapping: FrameMapping  # with the channels that were found, in the order of the first file

    @property
    def clock(self) -> Clock:
        """What the timestamps were taken for."""
        return self.files[0].layout.clock

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of all files, in the order of the values."""
        return self.files[0].layout.channels

    @property
    def rows(self) -> int | None:
        """All rows; None where CSV files are among the files."""
        counts = [file.rows for file in self.files if file.rows is not None]
        return sum(counts) if len(counts) == len(self.files) else None

    @property
    def columns(self) -> frozenset[str]:
        """Every column of any file, read or not: an `ignore` that is not among them is a slip of the pen."""
        return frozenset(name for file in self.files for name in (*file.layout.columns, *file.layout.unread))

    def ordered(self, channels: Sequence[str]) -> Tables:
        """The same files with the same channels, their values in this order: a detector's, for one."""
        if set(channels) != set(self.channels):
            raise ValueError(f"the channels are {', '.join(self.channels)}: {', '.join(channels)} is no order of them")
        names = tuple(channels)
        files = tuple(replace(file, layout=replace(file.layout, channels=names)) for file in self.files)
        return Tables(files, replace(self.mapping, channels=names))

    def decoded(
        self, last: Mapping[str, int] | None = None, rows: int = ROWS_AT_ONCE
    ) -> Iterator[tuple[Table, pa.RecordBatch, Decoded]]:
        """Every batch of every file with its readings, which all share one list of names; offsets are rows of the file.

        `last` has the last sample number of series that go on from before; it is for index clocks only.
        """
        for file, lane in self.lanes(last, rows):
            for batch, decoded in lane:
                yield file, batch, decoded

    def lanes(
        self, last: Mapping[str, int] | None = None, rows: int = ROWS_AT_ONCE
    ) -> list[tuple[Table, Iterator[tuple[pa.RecordBatch, Decoded]]]]:
        """Each file with its batches, as in `decoded`; files of different series may be read side by side."""
        decoder = FrameDecoder(self.mapping, self.files[0].layout)
        continuation = Continuation(last or {})
        return [(file, self._lane(file, decoder, continuation, rows)) for file in self.files]

    def _lane(
        self, file: Table, decoder: FrameDecoder, continuation: Continuation, rows: int
    ) -> Iterator[tuple[pa.RecordBatch, Decoded]]:
        row, of_file = 0, continuation.file()
        for batch in file.batches(rows):
            decoder.layout = file.layout
            decoded = decoder.decode(batch, file.name, row)
            if self.clock == "index":
                decoded = replace(decoded, readings=of_file.shift(decoded.readings))
            yield batch, decoded
            row += batch.num_rows

    @property
    def series(self) -> tuple[str, ...] | None:
        """The series of the files where each is one, in order and with repetitions; None where a column names them."""
        if any(file.layout.series for file in self.files):
            return None
        return tuple(file.name for file in self.files)


class Continuation:
    """Sample numbers that restart in the next file go on at last + 1, so that two files of a series are one history."""

    def __init__(self, last: Mapping[str, int]) -> None:
        self._last = dict(last)  # the highest sample number of each series, over all files
        self._shift: dict[str, int] = {}  # of the series of one file

    def file(self) -> Continuation:
        """The same for the readings of one more file."""
        one = Continuation({})
        one._last = self._last
        return one

    def shift(self, readings: Readings) -> Readings:
        """The same readings, each at its place in the history of its series."""
        at = readings.at.copy()
        for name, mine in _by_series(readings):
            if name not in self._shift:
                first = int(at[mine][0])
                self._shift[name] = max(self._last.get(name, first - 1) + 1 - first, 0)
            at[mine] += self._shift[name]
            self._last[name] = max(self._last.get(name, int(at[mine][0])), int(at[mine].max()))
        return replace(readings, at=at)


@dataclass(frozen=True, slots=True)
class TableHistory:
    """All readings of one series, T rows of C channels, in the order of the files."""

    name: str
    at: Ints  # (T,)
    values: Floats  # (T, C) NaN where missing
    missing: Flags  # (T, C)
    labels: Floats | None = None  # (T,) of the column that was asked for, NaN where it is null


@dataclass(frozen=True, slots=True)
class Histories:
    """What files hold, by series."""

    clock: Clock
    channels: tuple[str, ...]
    series: tuple[TableHistory, ...]  # in the order of their first rows
    rejected: Mapping[Reason, int]  # rows that are no readings
    example: str | None  # the first of them, for a person


def read_histories(tables: Tables) -> Histories:
    """All readings of all files in memory, by series; the rows of a series in several files follow each other."""
    parts: dict[str, list[Readings]] = {}
    labels: dict[str, list[Floats]] = {}
    asked = tables.mapping.label
    counts: Counter[Reason] = Counter()
    example: str | None = None
    for file, batch, decoded in tables.decoded():
        counts.update(rejected.reason for rejected in decoded.rejected)
        if decoded.rejected and example is None:
            example = _shown(file, batch, decoded.rejected[0])
        for name, rows in _by_series(decoded.readings):
            parts.setdefault(name, []).append(decoded.readings[rows])
            if asked is not None:
                labels.setdefault(name, []).append(label_values(batch, asked)[decoded.rows[rows]])
    if not parts:
        raise DataError(f"{tables.files[0].path}: no row is a reading; the first: {example}")
    whole = {name: join(readings) for name, readings in parts.items()}
    return Histories(
        clock=tables.clock,
        channels=tables.channels,
        series=tuple(
            TableHistory(
                name, each.at, each.values, each.missing, np.concatenate(labels[name]) if name in labels else None
            )
            for name, each in whole.items()
        ),
        rejected=counts,
        example=example,
    )


def _by_series(readings: Readings) -> Iterator[tuple[str, Ints]]:
    """Each series that occurs, with its rows in order."""
    if not len(readings):
        return
    order = np.argsort(readings.series, kind="stable")
    borders = np.flatnonzero(np.diff(readings.series[order])) + 1
    for rows in np.split(order, borders):
        yield readings.names[readings.series[rows[0]]], rows


def _shown(file: Table, batch: pa.RecordBatch, rejected: Rejected) -> str:
    """A rejected row for a person, who knows it by its time."""
    at = batch.column(TIMESTAMP)[rejected.row]
    return f"{file.path}, timestamp {at}: {rejected.detail}"


def open_tables(paths: Sequence[Path], mapping: FrameMapping | None = None) -> Tables:
    """The tables of files and folders, found in order and with the same channels and clock.

    A series is named by the column `series`, else by the path below the folder given, without suffix.
    """
    mapping = mapping or FrameMapping()
    found = [each for path in paths for each in _below(path)]
    if not found:
        raise DataError("no data was given: name a file or folder of tables")
    repeated = [path for path, count in Counter(path.resolve() for path, _ in found).items() if count > 1]
    if repeated:
        raise DataError(f"{repeated[0]}: given twice")
    first = _open(*found[0], mapping)
    files = [first]
    whole = replace(mapping, channels=first.layout.channels)
    for path, name in found[1:]:
        if mapping.channels is None:
            _compare(_open(path, name, mapping), first)
        files.append(_open(path, name, whole))
        if files[-1].layout.clock != first.layout.clock:
            raise DataError(f"{path}: its timestamps are no {first.layout.clock} as in {first.path}: mend one of them")
    return Tables(tuple(files), whole)


def _compare(file: Table, first: Table) -> None:
    """Refuse a file with other channels than the first has; their order does not matter."""
    ours, theirs = file.layout.channels, first.layout.channels
    lacking = ", ".join(name for name in theirs if name not in ours)
    besides = ", ".join(name for name in ours if name not in theirs)
    if lacking or besides:
        raise DataError(
            f"{file.path}: other channels than {first.path}: lacking {lacking or 'none'}, besides {besides or 'none'}; "
            "one detector has one list of channels: name it by --channels, or leave columns out by --ignore"
        )


def _below(path: Path) -> list[tuple[Path, str]]:
    """The tables at a path, each with the name of its series."""
    if path.is_file():
        return [(path, _without_suffix(path, path.name))]
    if not path.is_dir():
        raise DataError(f"{path}: there is no such file or folder")
    inside = [each for each in sorted(path.rglob("*")) if each.is_file()]
    seen = [each for each in inside if not any(part.startswith(".") for part in each.relative_to(path).parts)]
    if not seen:
        raise DataError(f"{path}: this folder holds no tables ({', '.join(SUFFIXES)})")
    return [(each, _without_suffix(each, each.relative_to(path).as_posix())) for each in seen]


def _without_suffix(path: Path, name: str) -> str:
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    raise DataError(
        f"{path}: this is no table ({', '.join(SUFFIXES)}); name files, or a folder that holds nothing else"
    )


def _open(path: Path, name: str, mapping: FrameMapping) -> Table:
    """A file after its checks: readable, with rows, with columns that can be meant."""
    with _failures_of(path):
        if path.stat().st_size == 0:
            raise DataError("the file is empty")
        if path.suffix == ".parquet":
            with pyarrow.parquet.ParquetFile(path) as file:
                if file.metadata.num_rows == 0:
                    raise DataError("there are columns and no rows")
                return Table(path, name, file.metadata.num_rows, mapping.layout(file.schema_arrow))
        types = csv_file.types(path, mapping)
        return Table(path, name, None, mapping.layout(types), types)


@contextmanager
def _failures_of(path: Path, layout: Layout | None = None) -> Iterator[None]:
    """Failures inside, of the file or of the library that reads it, as DataError that begins with the path."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        text = None if layout is None else csv_file.text_among_numbers(error, layout)
        raise DataError(f"{path}: {text or f'cannot be read: {error}; is it cut short?'}") from error
