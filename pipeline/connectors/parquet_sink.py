"""A Parquet file written batch by batch, which appears under its name only when it is whole."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet

ROWS_PER_GROUP = 131_072  # small groups read slowly, large ones take memory


class ParquetSink:
    """Batches of one schema to a file; leaving a `with` block by an exception leaves no file behind."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._schema = schema
        self._beside = path.with_name(path.name + ".part")
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pyarrow.parquet.ParquetWriter(self._beside, schema, compression="zstd")

    def append(self, batch: pa.RecordBatch) -> None:
        """Take rows that follow those before; ValueError unless they have the sink's columns and types."""
        if not batch.schema.equals(self._schema):
            raise ValueError(f"{self.path}: columns {batch.schema.names} are not those of {self._schema.names}")
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._waiting_rows >= ROWS_PER_GROUP:
            self._write()

    def close(self) -> None:
        """Write what waits and put the file in its place, over an earlier one."""
        self._write()
        self._writer.close()
        self._beside.replace(self.path)

    def discard(self) -> None:
        """Leave an earlier file as it was."""
        self._writer.close()
        self._beside.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
            self._waiting, self._waiting_rows = [], 0

    def __enter__(self) -> ParquetSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
