"""Tables in memory, of pyarrow or pandas, to readings.

A table has a column `timestamp`, one column a channel, and sometimes `series` (which machine) and `label` (known
anomalies: never a channel, never read for scoring). Rows that are no readings are rejected one by one; a table that
cannot be meant, such as one without `timestamp` or with text for a channel, is refused whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.exceptions import DataError
from pipeline.formats import times
from pipeline.records import Clock, Codes, Decoded, Flags, Floats, Ints, Readings, Reason, Rejected

TIMESTAMP, SERIES, LABEL = "timestamp", "series", "label"

_INDEX_OF_PANDAS = re.compile(r"__index_level_\d+__")  # how pyarrow names an index of pandas that has no name


@dataclass(frozen=True, slots=True)
class Layout:
    """What a table's columns are taken for."""

    clock: Clock
    channels: tuple[str, ...]  # in the order of the values
    series: bool  # there is a column that names the series
    label: bool
    label_column: str = LABEL
    label_asked: bool = False  # it was named, and did not only happen to be there
    unread: tuple[str, ...] = ()  # columns left out: ignored, or not among the channels asked for

    @property
    def columns(self) -> list[str]:
        """The columns that are read, in the order in which they are handed on."""
        return [
            TIMESTAMP,
            *([SERIES] if self.series else []),
            *self.channels,
            *([self.label_column] if self.label else []),
        ]


@dataclass(frozen=True, slots=True)
class FrameMapping:
    """How the columns of a table are to be read; the defaults read every column."""

    channels: tuple[str, ...] | None = None  # these, in this order; None: all but timestamp, series and label
    ignore: tuple[str, ...] = ()  # left out where they occur
    timezone: str = "UTC"  # of times without one
    unit: times.Unit | None = None  # of a timestamp that is a number; None: a whole number is a sample number
    label: str | None = None  # this column has the labels and must be there; None: `label`, where it is there

    def __post_init__(self) -> None:
        for name in (TIMESTAMP, SERIES, LABEL):
            if name in (self.channels or ()):
                raise ValueError(f"channels has {name!r}: that column is never a channel")
        if self.label in (TIMESTAMP, SERIES, *(self.channels or ()), *self.ignore):
            raise ValueError(f"label is {self.label!r}, which is something else already: name the column of the labels")
        repeated = [name for name, count in Counter(self.channels or ()).items() if count > 1]
        if repeated:
            raise ValueError(f"channels has {repeated[0]!r} twice")
        if self.channels is not None and not self.channels:
            raise ValueError("channels is empty: at least one is needed")
        if self.unit is not None and self.unit not in times.UNITS:
            raise ValueError(f"unit is {self.unit!r}: one of {', '.join(times.UNITS)} is needed")
        times.zone(self.timezone)

    def layout(self, schema: pa.Schema) -> Layout:
        """What the columns of `schema` are taken for; DataError when they cannot be meant."""
        names = [name for name in schema.names if not _INDEX_OF_PANDAS.fullmatch(name)]
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise DataError(f"column {repeated[0]!r} occurs twice: rename one of them")
        if TIMESTAMP not in names:
            raise DataError(f"there is no column {TIMESTAMP!r} among {_listed(names)}: rename the column of the times")
        label_column = self.label or LABEL
        if self.label is not None and self.label not in names:
            raise DataError(f"there is no column {self.label!r} for labels among {_listed(names)}: name one by --label")
        special = {TIMESTAMP, SERIES, LABEL, label_column}
        left_out = special.union(self.ignore)
        offered = [name for name in names if name not in left_out]
        channels = tuple(offered) if self.channels is None else self.channels
        _check_channels(names, offered, channels)
        label = label_column in names and label_column not in self.ignore
        _check_numeric(schema, channels)
        if label:
            _check_label(schema.field(label_column), self.label is not None)
        read = special.union(channels)
        return Layout(
            clock=_clock(schema.field(TIMESTAMP).type, self.unit),
            channels=channels,
            series=SERIES in names and SERIES not in self.ignore,
            label=label,
            label_column=label_column,
            label_asked=self.label is not None,
            unread=tuple(name for name in names if name not in read),
        )


def _check_channels(names: list[str], offered: list[str], channels: tuple[str, ...]) -> None:
    there = set(offered)
    absent = [name for name in channels if name not in there]
    if absent:
        raise DataError(
            f"the channels {_listed(absent)} are not there: asked for {_listed(channels)}, "
            f"found {_listed(offered)}; the table needs the detector's channels"
        )
    if not channels:
        raise DataError(f"there is no channel among the columns {_listed(names)}: at least one is needed")


def _check_numeric(schema: pa.Schema, columns: Sequence[str]) -> None:
    for name in columns:
        if not is_numeric(schema.field(name).type):
            raise DataError(
                f"column {name!r} is not numeric but {schema.field(name).type}: leave it out with --ignore {name}, "
                f"or, if it names the series, rename it to {SERIES}"
            )


def _check_label(column: pa.Field, asked: bool) -> None:
    if not is_numeric(column.type):
        raise DataError(f"column {column.name!r} is not numeric but {column.type}: {label_needed(column.name, asked)}")


def label_needed(column: str, asked: bool) -> str:
    """What labels are, and the way out for a column of them that holds text: another one where it was `asked` for."""
    way_out = "name another column by --label" if asked else f"leave it out with --ignore {column}"
    return f"labels are 1 for an anomaly and 0 for none, or true and false; write them so, or {way_out}"


def is_numeric(kind: pa.DataType) -> bool:
    """Whether a column of this type can be a channel; truth values are 0 and 1, an empty column is all missing."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _clock(kind: pa.DataType, unit: times.Unit | None) -> Clock:
    """The clock of a timestamp column: moments are time, whole numbers an index unless their unit is given."""
    if pa.types.is_integer(kind) and unit != "iso8601":
        return times.clock_of(unit or "index")
    if pa.types.is_floating(kind) and unit not in (None, "iso8601", "index"):
        return "time"
    if (_is_text(kind) or _is_moment(kind)) and unit in (None, "iso8601"):
        return "time"
    if pa.types.is_floating(kind) and unit is None:
        raise DataError(f"column {TIMESTAMP!r} holds fractions ({kind}): say in which unit (s, ms, us, ns) they count")
    raise DataError(f"column {TIMESTAMP!r} is {kind}, which cannot be read as {unit or 'times'}: mend one of the two")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _listed(names: Sequence[str]) -> str:
    """Names for a message: all of a few, the first of many."""
    shown = ", ".join(names[:12]) or "none"
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


class FrameDecoder:
    """Tables of one layout to readings; it keeps the growing list of series that the codes point into."""

    def __init__(self, mapping: FrameMapping, layout: Layout) -> None:
        self.layout = layout
        self.names: list[str] = []
        self._unit: times.Unit | None = mapping.unit
        self._local = times.zone(mapping.timezone)
        self._codes: dict[str, int] = {}

    def decode(self, table: pa.Table | pa.RecordBatch, series: str, first_row: int = 0) -> Decoded:
        """The rows of a table, each a reading or rejected with a reason.

        `series` names the rows of a table without such a column; `first_row` is the row of the file that the table
        begins at. Missing values are NaN in `values` and true in `missing`.
        """
        at, timeless = self._moments(_column(table, TIMESTAMP))
        values = np.empty((table.num_rows, len(self.layout.channels)))
        for position, name in enumerate(self.layout.channels):
            values[:, position] = _floats(_column(table, name))
        codes, nameless = self._series(table, series)
        infinite = np.isinf(values)
        keep = ~(timeless | nameless | infinite.any(axis=1))
        rows = np.flatnonzero(keep)
        readings = Readings(
            names=self.names,
            series=codes[rows],
            at=at[rows],
            values=values[rows],
            missing=np.isnan(values[rows]),
            partition=np.zeros(len(rows), dtype=np.int32),
            offset=rows + first_row,
        )
        rejected = tuple(self._reasons(table, np.flatnonzero(~keep), timeless, nameless, infinite))
        return Decoded(readings, rows, rejected)

    def _reasons(
        self, table: pa.Table | pa.RecordBatch, rows: Ints, timeless: Flags, nameless: Flags, infinite: Flags
    ) -> Iterator[Rejected]:
        """Why each of the rejected rows is no reading; the first reason that applies."""
        for row in rows.tolist():
            if timeless[row]:
                found = _column(table, TIMESTAMP)[row]
                shown = found.value if _is_moment(found.type) else _value(found)  # Python cannot hold every moment
                reason = Reason.ENCODING if isinstance(shown, bytes) else Reason.TIME
                yield Rejected(row, reason, f"{TIMESTAMP} is {shown!r}")
            elif nameless[row]:
                name = _value(_column(table, SERIES)[row])
                if isinstance(name, bytes):
                    yield Rejected(row, Reason.ENCODING, f"{SERIES} is {name!r}, which is not UTF-8")
                else:
                    yield Rejected(row, Reason.FIELD, f"{SERIES} is null or empty")
            else:
                channel = self.layout.channels[int(infinite[row].argmax())]
                yield Rejected(row, Reason.NOT_FINITE, f"{channel} is infinite")

    def _series(self, table: pa.Table | pa.RecordBatch, series: str) -> tuple[Codes, Flags]:
        """Codes (N,) and where a row names no series (N,)."""
        if not self.layout.series:
            return np.full(table.num_rows, self._code(series), np.int32), np.zeros(table.num_rows, np.bool_)
        names = _column(table, SERIES).cast(pa.string()).dictionary_encode()
        local = names.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        found = [name if isinstance(name, str) and name else None for name in _values(names.dictionary)]
        codes = np.array([-1 if name is None else self._code(name) for name in found] + [-1], dtype=np.int32)
        return codes[local], codes[local] < 0

    def _code(self, name: str) -> int:
        code = self._codes.setdefault(name, len(self.names))
        if code == len(self.names):
            self.names.append(name)
        return code

    def _moments(self, column: pa.Array) -> tuple[Ints, Flags]:
        """Moments (N,) and where there is none (N,)."""
        if _is_moment(column.type):
            return _from_moments(column, self._local)
        if _is_text(column.type):
            texts = [text if isinstance(text, str) else None for text in _values(column)]
            found = [None if text is None else times.parse(text.strip(), self._local) for text in texts]
        else:
            unit = self._unit or "index"
            if pa.types.is_signed_integer(column.type) and unit in ("index", "us"):
                return _from_integers(column, times.clock_of(unit))
            found = [None if number is None else times.from_number(number, unit) for number in column.to_pylist()]
        none = np.array([at is None for at in found], dtype=np.bool_)
        return np.array([at or 0 for at in found], dtype=np.int64), none


def _column(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    """One column in one piece."""
    column = table.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _values(column: pa.Array) -> list[Any]:
    """What a column holds, text that is not UTF-8 as its bytes: nobody checks the text of a file."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        return [_value(one) for one in column]
    return values


def _value(one: pa.Scalar) -> Any:
    try:
        return one.as_py()
    except UnicodeDecodeError:
        text = one.value if pa.types.is_dictionary(one.type) else one
        return text.as_buffer().to_pybytes()


def _floats(column: pa.Array) -> Floats:
    """A channel as float64 (N,), NaN where it is null; single floats are widened exactly."""
    floats: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats


def _from_integers(column: pa.Array, clock: Clock) -> tuple[Ints, Flags]:
    """Whole numbers that are moments already."""
    numbers: Ints = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    first, last = (-times.FARTHEST, times.FARTHEST) if clock == "index" else (times.EARLIEST, times.LATEST)
    none = column.is_null().to_numpy(zero_copy_only=False) | (numbers < first) | (numbers > last)
    return np.where(none, 0, numbers), none


def _from_moments(column: pa.Array, local: Any) -> tuple[Ints, Flags]:
    """Dates and times, with or without a zone; those without are wall clocks in `local`."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms" if pa.types.is_date64(column.type) else "s"))
    numbers: Ints = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    per_second = times.PER_SECOND[column.type.unit]
    day = 86_400 * per_second if column.type.tz is None else 0  # a margin for the zone's offset
    first = times.EARLIEST // 1_000_000 * per_second + day if per_second < 1_000_000_000 else np.iinfo(np.int64).min
    last = times.LATEST * per_second // 1_000_000 - day if per_second < 1_000_000_000 else np.iinfo(np.int64).max
    none = column.is_null().to_numpy(zero_copy_only=False) | (numbers < first) | (numbers > last)
    numbers = np.where(none, 0, numbers)
    at = numbers // 1_000 if per_second == 1_000_000_000 else numbers * (1_000_000 // per_second)
    return at if column.type.tz is not None else times.to_utc(at, local), none


def labels(table: pa.Table | pa.RecordBatch) -> tuple[Flags, Flags]:
    """Known anomalies (N,), and where it is known whether a row is one (N,): a label may be null."""
    known = label_values(table, LABEL)
    return known > 0, ~np.isnan(known)


def label_values(table: pa.Table | pa.RecordBatch, column: str) -> Floats:
    """The numbers of a column of labels (N,), NaN where it is null."""
    return _floats(_column(table, column))


def table_of(frame: Any) -> pa.Table:
    """Any frame that speaks the Arrow interface, of pandas, polars or pyarrow; an index named `timestamp` counts."""
    try:
        return pa.table(frame)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"this {type(frame).__name__} is no frame with typed columns: {error}") from error


def readings_of(
    frame: Any,
    channels: Sequence[str] | None = None,
    *,
    series: str = "series",
    ignore: Sequence[str] = (),
    timezone: str = "UTC",
    unit: times.Unit | None = None,
) -> Readings:
    """The readings of a frame whose every row must be one; DataError names the first that is not.

    `channels` are the detector's names, in its order; `series` names the rows of a frame without such a column.
    """
    table = table_of(frame)
    mapping = FrameMapping(None if channels is None else tuple(channels), tuple(ignore), timezone, unit)
    decoded = FrameDecoder(mapping, mapping.layout(table.schema)).decode(table, series)
    if decoded.rejected:
        first = decoded.rejected[0]
        raise DataError(f"row {first.row} is no reading: {first.detail}; mend or drop such rows first")
    return decoded.readings


def frame_of(readings: Readings, channels: Sequence[str], clock: Clock) -> pa.RecordBatch:
    """The reverse: readings as a batch that reads back equal, with a column `series`."""
    moments = pa.array(readings.at, type=pa.timestamp("us", tz="UTC") if clock == "time" else pa.int64())
    names = pa.DictionaryArray.from_arrays(pa.array(readings.series), pa.array(list(readings.names), pa.string()))
    columns = [moments, names.cast(pa.string())]
    for position in range(len(channels)):
        columns.append(pa.array(readings.values[:, position], mask=readings.missing[:, position]))
    return pa.record_batch(columns, names=[TIMESTAMP, SERIES, *channels])
