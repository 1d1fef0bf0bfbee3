"""Scores as a table: one row per row of the input, in its order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.formats.frames import SERIES, TIMESTAMP
from pipeline.records import Decoded, Flags, Floats, Outcome, Scores


def scores_schema(channels: Sequence[str], timestamp: pa.DataType) -> pa.Schema:
    """The columns of a table of scores; `timestamp` has the input's type."""
    bands = [pa.field(f"{name}.{part}", pa.float64()) for name in channels for part in ("expected", "lower", "upper")]
    return pa.schema(
        [
            pa.field(SERIES, pa.string()),
            pa.field(TIMESTAMP, timestamp),
            pa.field("score", pa.float64()),
            pa.field("bar", pa.float64()),
            pa.field("alert", pa.bool_()),
            pa.field("outcome", pa.string()),
            *bands,
        ]
    )


def scores_batch(
    schema: pa.Schema, channels: Sequence[str], series: str, batch: pa.RecordBatch, decoded: Decoded, scores: Scores
) -> pa.RecordBatch:
    """The scores of all rows of an input batch, null where a row was not scored.

    `series` names the rows of a batch without such a column; a row that is no reading has the outcome `invalid`, and an
    incident open before it stays open.
    """
    total, rows = batch.num_rows, decoded.rows
    scored = spread(scores.scored, rows, total)
    outcome = np.full(total, Outcome.INVALID, np.uint8)
    outcome[rows] = scores.outcome
    names = batch.column(SERIES).cast(pa.string()) if SERIES in batch.schema.names else pa.array([series] * total)
    expected, lower, upper = (spread(part, rows, total) for part in (scores.expected, scores.lower, scores.upper))
    bands = [part[:, c] for c in range(len(channels)) for part in (expected, lower, upper)]
    columns = [
        names,
        batch.column(TIMESTAMP),
        _nullable(spread(scores.score, rows, total), scored),
        _nullable(spread(scores.bar, rows, total), scored),
        pa.array(_carried(scores.alert, rows, total)),
        pa.DictionaryArray.from_arrays(outcome, [each.name.lower() for each in Outcome]).cast(pa.string()),
        *(_nullable(band, scored) for band in bands),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def spread(column: Floats | Flags, rows: np.typing.NDArray[np.int64], total: int) -> np.typing.NDArray[np.generic]:
    """A column of readings at their places among `total` rows, zero elsewhere."""
    whole = np.zeros((total, *column.shape[1:]), column.dtype)
    whole[rows] = column
    return whole


def _carried(alert: Flags, rows: np.typing.NDArray[np.int64], total: int) -> Flags:
    """Whether an incident is open after each row: a row that is no reading changes nothing."""
    if not len(rows):
        return np.zeros(total, bool)
    before = np.searchsorted(rows, np.arange(total), side="right") - 1
    carried: Flags = np.where(before >= 0, alert[np.maximum(before, 0)], False)
    return carried


def _nullable(column: np.typing.NDArray[np.generic], there: np.typing.NDArray[np.generic]) -> pa.Array:
    return pa.array(column, mask=~there.astype(bool))
