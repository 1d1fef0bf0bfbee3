"""A CSV file as a stream of typed columns; what a column is stays for the whole file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from pipeline.exceptions import DataError
from pipeline.formats import times
from pipeline.formats.frames import LABEL, SERIES, TIMESTAMP, FrameMapping, Layout, label_needed

BLOCK = 2**20  # bytes that are read at a time; the first line must fit in
_CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to \w+: invalid value '(.*)'")


def types(path: Path, mapping: FrameMapping) -> pa.Schema:
    """The type of each column; DataError when there are no rows, or text where a number is needed."""
    start = next(_open(path, {SERIES: pa.string()}), None)
    if start is None:
        raise DataError("there are columns and no rows")
    if TIMESTAMP in start.schema.names:  # else it is no table of readings at all, which the layout says better
        _check(start, mapping)
    return pa.schema([pa.field(column.name, _type(column)) for column in start.schema])


def batches(path: Path, types: pa.Schema, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows in order, in pieces of about a megabyte, with these columns in this order."""
    yield from _open(path, types, columns)


def text_among_numbers(error: Exception, layout: Layout) -> str | None:
    """What is wrong in words, where reading the columns failed because one holds text; else None."""
    found = _CONVERSION.search(str(error))
    if found is None or found[2] is None or int(found[1]) >= len(layout.columns):
        return None
    column = layout.columns[int(found[1])]
    asked = layout.label_asked if layout.label and column == layout.label_column else None
    return _text_at(column, int(found[2]), found[3], asked)


def _open(
    path: Path, types: pa.Schema | dict[str, pa.DataType], columns: list[str] | None = None
) -> pyarrow.csv.CSVStreamingReader:
    """A stream of batches; types that are not given are guessed from the first."""
    try:
        return pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=BLOCK
            ),  # threads lose the row of a failure
            convert_options=pyarrow.csv.ConvertOptions(column_types=types, include_columns=columns),
        )
    except pa.ArrowInvalid as error:
        if "cannot infer number of columns" not in str(error) or path.stat().st_size < BLOCK:
            raise
        raise DataError(
            "its first line is longer than 1 MiB: that is more columns than one detector can take; write the channels "
            "of one machine, or of one group, to a file of their own"
        ) from error


def _type(column: pa.Field) -> pa.DataType:
    """What a column stays for the whole file: a guess from its first part is often too narrow for the rest."""
    kind = column.type
    if column.name == TIMESTAMP:
        return kind if pa.types.is_integer(kind) or pa.types.is_floating(kind) else pa.string()
    return pa.float64() if pa.types.is_integer(kind) or pa.types.is_null(kind) else kind


def _check(start: pa.RecordBatch, mapping: FrameMapping) -> None:
    """Refuse text among numbers by its place: `not numeric` alone would leave a person searching."""
    for column, values in zip(start.schema, start.columns, strict=True):
        if column.name in (SERIES, *mapping.ignore) or not pa.types.is_string(column.type):
            continue
        texts = values.to_pylist()
        if column.name == TIMESTAMP:
            if times.parse(texts[0].strip(), times.zone(mapping.timezone)) is None:
                raise DataError(f"line 2: timestamp {texts[0]!r} is neither ISO 8601 nor a whole number")
        elif mapping.channels is None or column.name in (*mapping.channels, mapping.label or LABEL):
            line, text = next((line, text) for line, text in enumerate(texts, start=2) if not _is_number(text))
            asked = mapping.label is not None if column.name == (mapping.label or LABEL) else None
            raise DataError(_text_at(column.name, line, text, asked))


def _is_number(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return False
    return True


def _text_at(column: str, line: int, text: str, asked: bool | None) -> str:
    """`asked`: whether the column was named as the one of the labels; None of a channel."""
    mend = (
        f"mend the file, leave the column out with --ignore {column}, or, if it names the series, rename it to {SERIES}"
    )
    needed = mend if asked is None else label_needed(column, asked)
    return f"line {line}: column {column!r} holds {text!r}, which is no number: {needed}"
