from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.connectors import parquet_sink
from pipeline.connectors.parquet_sink import ParquetSink

SCHEMA = pa.schema([("series", pa.string()), ("score", pa.float64())])


def batch(*scores):
    return pa.record_batch({"series": ["a"] * len(scores), "score": pa.array(scores, pa.float64())}, SCHEMA)


def test_batches_follow_each_other_and_the_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "out" / "scores.parquet"
    with ParquetSink(path, SCHEMA) as sink:
        sink.append(batch(1.0, None))
        sink.append(batch(3.0))
        assert not path.exists()

    assert sink.rows == 3
    assert pyarrow.parquet.read_table(path)["score"].to_pylist() == [1.0, None, 3.0]
    assert [each.name for each in path.parent.iterdir()] == ["scores.parquet"]


def test_many_small_batches_share_a_row_group_and_a_long_file_has_several(tmp_path):
    path, rows = tmp_path / "scores.parquet", parquet_sink.ROWS_PER_GROUP // 4
    with ParquetSink(path, SCHEMA) as sink:
        for _ in range(5):
            sink.append(batch(*range(rows)))

    assert pyarrow.parquet.read_metadata(path).num_row_groups == 2
    assert pyarrow.parquet.read_table(path)["score"].to_pylist() == list(range(rows)) * 5


def test_a_failure_halfway_leaves_the_earlier_file_as_it_was(tmp_path):
    path = tmp_path / "scores.parquet"
    with ParquetSink(path, SCHEMA) as sink:
        sink.append(batch(1.0))
    with pytest.raises(ValueError, match="are not those of"), ParquetSink(path, SCHEMA) as sink:
        sink.append(pa.record_batch({"other": [2.0]}))

    assert pyarrow.parquet.read_table(path)["score"].to_pylist() == [1.0]
    assert [each.name for each in tmp_path.iterdir()] == ["scores.parquet"]


def test_a_file_without_rows_has_its_columns(tmp_path):
    path = tmp_path / "scores.parquet"
    with ParquetSink(path, SCHEMA):
        pass

    assert pyarrow.parquet.read_table(path).schema.equals(SCHEMA)
