"""Records of other formats than JSON through real processes on a real Kafka say what the same readings say as JSON."""

from __future__ import annotations

import io

import fastavro
import pandas as pd
import pytest

from pipeline.connectors.kafka_client import Cluster
from pipeline.connectors.kafka_sink import KafkaSink
from pipeline.service.ports import Message
from tests.laws.live import Live
from tests.laws.test_exactly_once import changelog
from tests.registry_server import RegistryServer, framed
from tests.service.small import CHANNELS, bundled, calm_values, with_faults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROWS = 60
JSON_INPUT = "series: {field: series}, time: {field: timestamp}"
SCHEMA = {
    "type": "record",
    "name": "Pump",
    "fields": [
        {"name": "pump", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        *({"name": name, "type": "double"} for name in CHANNELS),
    ],
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture(scope="module")
def frame():
    """Two series side by side, with a fault."""
    moments = pd.date_range("2026-03-01", periods=ROWS, freq="min", tz="UTC")
    parts = [
        pd.DataFrame(with_faults(calm_values(ROWS, seed), [40]), columns=CHANNELS).assign(
            timestamp=moments, series=name
        )
        for seed, name in enumerate(["a", "b"])
    ]
    return pd.concat(parts).sort_values(["timestamp", "series"], ignore_index=True)


@pytest.fixture(scope="module")
def expected(kafka, bundle, frame, tmp_path_factory):
    """What is said of the readings where they come as JSON."""
    with Live(kafka, "formats-as-json", tmp_path_factory.mktemp("json"), bundle) as live:
        live.publish(frame)
        live.start()
        scores = live.read("scores", len(frame))
        assert live.stop()[0] == 0
        return said(scores), said(live.read("alerts"))


@pytest.fixture
def live(kafka, fresh_name, tmp_path, bundle):
    with Live(kafka, fresh_name, tmp_path, bundle) as service:
        yield service


def said(documents):
    """What scores or alerts say, without where the readings stood; two partitions may come in either order."""
    told = [{name: value for name, value in one.items() if name not in ("partition", "offset")} for one in documents]
    return sorted(told, key=lambda one: (one["series"], one.get("timestamp") or one["at"], one.get("event", "")))


def test_lines_are_scored_as_json_is(live, frame, expected):
    lines = "format: line_protocol, series: {field: tags.pump}, time: {unit: ms}, only: {name: pumps}"
    live.change(JSON_INPUT, lines)
    live.publish(frame)
    live.start()
    scores = live.read("scores", len(frame))

    assert live.stop()[0] == 0
    assert expected[1]
    assert (said(scores), said(live.read("alerts"))) == expected


@pytest.mark.parametrize("trouble", ["away", "refusing"])
@pytest.mark.parametrize("keeping", ["folder", "exactly_once"])
def test_avro_waits_for_its_registry_and_is_then_scored_as_json_is(live, frame, expected, keeping, trouble):
    registry = RegistryServer(login="plumbline:secret")
    number = registry.register(SCHEMA)
    if trouble == "away":
        registry.close()
    else:
        registry.fault = lambda asked: asked.answer(401, {"error_code": 401, "message": "Unauthorized"})
    if keeping == "exactly_once":
        changelog(live, keeping)
    live.change(JSON_INPUT, "format: avro, series: {field: pump}, time: {field: at, unit: ms}")
    login = f"{{url: '{registry.url}', username: plumbline, password: {{file: secret}}}}"
    live.change("telemetry:", f"schema_registry: {login}\ntelemetry:")
    (live.folder / "secret").write_text("secret\n")
    publish_avro(live, frame, number)
    live.start()
    live.wait_for("records wait")
    live.wait_for("for_seconds=2")
    assert live.read("scores") == live.read("dead") == []

    if trouble == "away":
        registry.start()
    registry.fault = None
    scores = live.read("scores", len(frame))
    registry.close()

    assert live.stop()[0] == 0
    assert (said(scores), said(live.read("alerts"))) == expected
    assert len(live.read("scores")) == len(frame)
    assert live.read("dead") == []
    assert "records are read again" in live.log()
    assert live.log().count("partition assigned") == 2  # it was never thrown out of its group


def publish_avro(live, frame, number):
    """The rows as records of Avro, each series in one partition."""
    schema = fastavro.parse_schema(SCHEMA)
    sink = KafkaSink(Cluster(live.servers))
    for row in frame.itertuples():
        body = io.BytesIO()
        at = row.timestamp.value // 1_000_000
        fastavro.schemaless_writer(
            body, schema, {"pump": row.series, "at": at, **{name: getattr(row, name) for name in CHANNELS}}
        )
        sink.send(Message(f"{live.name}-readings", row.series.encode(), framed(number, body.getvalue())))
    sink.flush(30.0)
    sink.close(1.0)
