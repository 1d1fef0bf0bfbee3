"""Files to a topic, and back by `capture`."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.cli.main import main
from pipeline.cli.publish import in_order, paced
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.connectors.tables import open_tables
from pipeline.records import Readings
from pipeline.service.ports import Message

SECOND = 1_000_000


def readings(series, at):
    """Readings of two series; the value of each is its row."""
    rows = len(at)
    return Readings(
        ["a", "b"],
        np.array(series, np.int32),
        np.array(at, np.int64) * SECOND,
        np.arange(rows, dtype=np.float64).reshape(rows, 1),
        np.zeros((rows, 1), bool),
        np.zeros(rows, np.int32),
        np.arange(rows, dtype=np.int64),
    )


def test_series_are_interleaved_by_time_and_each_keeps_its_order():
    files = readings([0, 0, 0, 0, 1, 1, 1], [0, 20, 10, 30, 5, 15, 25])  # the third stepped back
    ordered, came = in_order(files)

    assert ordered.offset.tolist() == [0, 4, 5, 1, 2, 6, 3]
    assert (came / SECOND).tolist() == [0, 5, 15, 20, 20, 25, 30]


def test_each_reading_goes_out_when_it_is_due():
    now, gone = 100.0, []

    def sleep(seconds):
        nonlocal now
        now += seconds

    for some in paced([readings([0, 0, 0], [0, 60, 180])], 60.0, "time", lambda: now, sleep):
        gone += [(offset, now - 100) for offset in some.offset.tolist()]

    assert gone == [(0, 0.0), (1, 1.0), (2, 3.0)]


@pytest.fixture
def config(tmp_path, kafka, fresh_name):
    path = tmp_path / "plumbline.yaml"
    path.write_text(f"""
kafka: {{bootstrap_servers: "{kafka}"}}
detectors:
  pumps:
    input: {{topic: {fresh_name}, series: {{field: pump}}, time: {{field: ts}}}}
    channels: {{temp: {{field: t}}, flow: {{}}}}
""")
    return path


@pytest.fixture
def table(tmp_path):
    table = pa.table(
        {
            "timestamp": pa.array([3, 1, 2, 5], pa.timestamp("s", tz="UTC")),
            "series": ["one", "one", "two", "one"],
            "temp": [0.1, 1e-300, None, 2.0 / 3.0],
            "flow": [1.0, None, 3.0, -0.0],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "pumps.parquet")
    return tmp_path / "pumps.parquet"


@pytest.mark.kafka
def test_what_is_published_is_captured_equal(config, table, tmp_path, fresh_name, capsys):
    assert main(["publish", str(config), "--data", str(table)]) == 0
    published = capsys.readouterr()
    assert main(["capture", str(config), "--last", "1h", "--out", str(tmp_path / "captured.parquet")]) == 0
    captured = capsys.readouterr()
    before, after = (list(rows(path)) for path in (table, tmp_path / "captured.parquet"))

    assert f"topic {fresh_name} was not there: created with 1 partition" in published.err
    assert published.out.startswith(f"4 readings published to {fresh_name} at ")
    assert captured.out.endswith(f"4 readings of 2 series from {fresh_name}\n")
    assert after == before


def rows(path):
    """Each reading as series, time and values, as any command reads it."""
    for _, _, decoded in open_tables([path]).decoded():
        found = decoded.readings
        values = np.where(found.missing, np.inf, found.values).tolist()
        names = [found.names[code] for code in found.series]
        yield from zip(names, found.at.tolist(), values, strict=True)


@pytest.mark.kafka
def test_captured_records_that_are_no_readings_are_counted_by_reason(
    config, table, kafka, tmp_path, fresh_name, capsys
):
    create_topic(Cluster(kafka), fresh_name)
    sink = KafkaSink(Cluster(kafka))
    for value in (b"{", b"[]", b'{"ts": "2026-01-01T00:00:00Z", "pump": "one", "t": 1}', b"{"):
        sink.send(Message(fresh_name, b"one", value))
    sink.flush(10)
    sink.close(5)
    code = main(["capture", str(config), "--out", str(tmp_path / "captured.parquet")])
    said = capsys.readouterr()

    assert code == 0
    assert "1 reading of 1 series" in said.out
    assert "3 records left out, for they are no readings: syntax 2, type 1; the first: syntax: " in said.err


@pytest.mark.kafka
def test_a_topic_without_a_reading_leaves_no_file(config, kafka, tmp_path, fresh_name, capsys):
    create_topic(Cluster(kafka), fresh_name)
    code = main(["capture", str(config), "--last", "14d", "--out", str(tmp_path / "captured.parquet")])

    assert code == 2
    assert f"topic {fresh_name} holds no record of the last 14d" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["plumbline.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "--data", "x.csv", "--speed", "-1"], "--speed is -1: a number above 0 is needed, or max"),
        (["publish", "--data", "x.csv", "--limit", "0"], "--limit is 0: at least 1 is needed"),
        (["capture", "--out", "x.parquet", "--last", "14"], "--last is '14': a number and a unit are needed"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(tmp_path, arguments, message, capsys):
    code = main([arguments[0], str(tmp_path / "plumbline.yaml"), *arguments[1:]])

    assert code == 2
    assert message in capsys.readouterr().err


def test_avro_is_read_and_not_written(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("timestamp,temp\n2026-03-01T00:00:00Z,1\n")
    (tmp_path / "a.yaml").write_text(
        "kafka: {}\nschema_registry: {url: http://localhost:1}\n"
        "detectors: {pumps: {input: {topic: t, format: avro, time: {unit: ms}}}}\n"
    )
    code = main(["publish", str(tmp_path / "a.yaml"), "--data", str(tmp_path / "a.csv")])

    assert code == 2
    assert "detectors.pumps.input.format is avro, which publish does not write" in capsys.readouterr().err


def test_timestamps_of_another_clock_are_refused(tmp_path, capsys):
    (tmp_path / "plumbline.yaml").write_text("{kafka: {}, detectors: {pumps: {input: {topic: readings}}}}")
    (tmp_path / "counted.csv").write_text("timestamp,temp\n0,1.0\n1,2.0\n")
    code = main(["publish", str(tmp_path / "plumbline.yaml"), "--data", str(tmp_path / "counted.csv")])

    assert code == 2
    assert "counted.csv: its timestamps are a clock of index" in capsys.readouterr().err
