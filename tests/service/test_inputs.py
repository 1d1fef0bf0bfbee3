"""Other formats than JSON through the service: what their records come to, and where those go that are no readings."""

from __future__ import annotations

import io

import fastavro
import pytest

from pipeline.connectors.schema_registry import Access, SchemaRegistry
from pipeline.formats.inputs import decoder_of
from pipeline.formats.mapping import InputMapping, SeriesMapping, TimeMapping
from pipeline.records import Outcome
from pipeline.service.ports import Partition
from pipeline.service.stream import Stream
from tests.registry_server import RegistryServer, framed
from tests.service.memory import MemoryClock, World
from tests.service.small import (
    BEGIN,
    STEP,
    Bench,
    alerts_in,
    calm_values,
    monitor_of,
    publish,
    scores_in,
    small_detector,
    with_faults,
)

LINES = InputMapping(
    "line_protocol",
    series=SeriesMapping(field="tags.pump"),
    time=TimeMapping("timestamp", "us"),
    under="fields",
    only={"name": ("pumps",)},
)


@pytest.fixture(scope="module")
def detector():
    return small_detector()


def lines(values, series):
    """The rows of one series, a line each."""
    return [
        f"pumps,pump={series} temp={temp!r},flow={flow!r} {BEGIN + STEP * row}"
        for row, (temp, flow) in enumerate(values.tolist())
    ]


def counted(bench, outcome):
    return bench.registry.get_sample_value(
        "plumbline_readings_total", {"detector": "pumps", "outcome": outcome.name.lower()}
    )


def lines_bench(world, detector):
    stream = Stream("pumps", "readings", decoder_of(LINES, detector.names), monitor_of(detector))
    return Bench(world, detector, streams=[stream], batch=3)


def test_lines_many_to_a_record_are_scored_as_json_records_are(detector):
    values = {name: with_faults(calm_values(120, seed), [90]) for seed, name in enumerate(["pump-a", "pump-b"])}
    world, other = World(), World()
    for name, of_one in values.items():
        publish(other, of_one, series=name)
        written = lines(of_one, name)
        for start in range(0, len(written), 7):
            world.publish("readings", 0, None, "\n".join(written[start : start + 7]).encode())
    bench, json_bench = lines_bench(world, detector), Bench(other, detector)
    bench.run()
    json_bench.run()

    assert alerts_in(world)
    assert scores_in(world) == scores_in(other)
    assert [one["id"] for one in alerts_in(world)] == [one["id"] for one in alerts_in(other)]


def test_every_line_has_one_outcome_and_a_record_is_one_dead_letter_however_many_of_its_lines_are_none(detector):
    world = World()
    good = lines(calm_values(10), "pump")
    world.publish(
        "readings", 0, b"a", "\n".join([*good[:5], "pumps,pump=", *good[5:8], "cpu f=1", "pumps f="]).encode()
    )
    world.publish("readings", 0, b"b", "\n".join(good[8:]).encode())
    bench = lines_bench(world, detector)
    bench.run()
    letters = [message for message in world.stored if message.topic == "dead"]

    assert sum(counted(bench, outcome) for outcome in Outcome) == 13
    assert counted(bench, Outcome.INVALID) == 2
    assert counted(bench, Outcome.IGNORED) == 1
    assert [letter.key for letter in letters] == [b"a"]
    assert dict(letters[0].headers)["plumbline-detail"] == b"line 6, at its end: the value of a tag is needed"
    assert bench.registry.get_sample_value("plumbline_dead_letters_total", {"result": "ok"}) == 1


SCHEMA = {
    "type": "record",
    "name": "Pump",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "temp", "type": "double"},
        {"name": "flow", "type": "double"},
    ],
}
AVRO = InputMapping("avro", series=SeriesMapping(key=True), time=TimeMapping("at", "us"))


@pytest.fixture
def server():
    registry = RegistryServer()
    yield registry
    registry.close()


def publish_avro(world, values, number, partition=0, start=0):
    """The rows of the series pump-PARTITION as records of a schema of that number."""
    schema = fastavro.parse_schema(SCHEMA)
    for row, (temp, flow) in enumerate(values.tolist()):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, {"at": BEGIN + STEP * (start + row), "temp": temp, "flow": flow})
        world.publish("readings", partition, b"pump-%d" % partition, framed(number, body.getvalue()))


def avro_bench(world, detector, server, **settings):
    clock = MemoryClock(world)
    registry = SchemaRegistry(Access(server.url), clock.monotonic)
    stream = Stream("pumps", "readings", decoder_of(AVRO, detector.names, registry), monitor_of(detector))
    return Bench(world, detector, streams=[stream], **settings)


def put_off(bench):
    return bench.registry.get_sample_value("plumbline_put_off_records_total")


def test_records_of_avro_are_scored_as_json_records_are(detector, server):
    values = with_faults(calm_values(120), [90])
    world, other = World(), World()
    publish_avro(world, values, server.register(SCHEMA))
    publish(other, values, series="pump-0")
    bench, json_bench = avro_bench(world, detector, server), Bench(other, detector)
    bench.run()
    json_bench.run()

    assert alerts_in(world)
    assert scores_in(world) == scores_in(other)
    assert server.asked == {"/schemas/ids/1": 1}


def test_while_the_registry_is_away_records_wait_and_the_group_is_kept(detector, server, caplog):
    values = with_faults(calm_values(60), [40])
    world, other = World(), World()
    number = server.register(SCHEMA)
    publish_avro(world, values, number)
    publish(other, values, series="pump-0")
    server.close()
    bench = avro_bench(world, detector, server)
    caplog.set_level("INFO")
    bench.begin(turns=40)  # 20 s

    assert scores_in(world) == []
    assert [message for message in world.stored if message.topic == "dead"] == []
    assert world.committed == {Partition("readings", 0): 0}
    assert bench.source.position == {Partition("readings", 0): 0}
    assert len(bench.sources) == 1
    assert bench.registry.get_sample_value("plumbline_waiting_partitions") == 1
    assert bench.registry.get_sample_value("plumbline_lag_records", {"topic": "readings", "partition": "0"}) == 60
    waits = [record.facts for record in caplog.records if record.message == "records wait"]
    assert [one["for_seconds"] for one in waits] == [1, 2, 4, 8, 16]
    assert put_off(bench) == 7 * len(waits)
    assert "cannot be reached: [Errno 111] Connection refused" in waits[0]["reason"]
    assert (waits[0]["partition"], waits[0]["offset"]) == ("readings[0]", 0)

    server.start()
    bench.finish()
    Bench(other, detector).run()

    assert scores_in(world) == scores_in(other)
    assert "records are read again" in caplog.messages
    assert bench.registry.get_sample_value("plumbline_waiting_partitions") == 0
    assert world.committed == {Partition("readings", 0): 60}
    assert counted(bench, Outcome.INVALID) == 0


def test_what_needs_no_new_schema_is_read_while_others_wait(detector, server):
    world = World()
    number = server.register(SCHEMA)
    publish_avro(world, calm_values(20), number, partition=0)
    publish_avro(world, calm_values(7), number, partition=1)
    bench = avro_bench(world, detector, server)
    bench.begin(turns=2)
    server.close()
    publish_avro(world, calm_values(30)[7:], number + 1, partition=1, start=7)
    bench.go_on(8)

    assert bench.source.position == {Partition("readings", 0): 20, Partition("readings", 1): 7}
    assert sum(one["series"] == "pump-0" for one in scores_in(world)) == 20

    server.register(SCHEMA, number=number + 1)
    server.start()
    bench.finish()

    assert len({(one["series"], one["timestamp"]) for one in scores_in(world)}) == len(scores_in(world)) == 50


def test_a_partition_that_went_away_while_it_waited_is_not_resumed(detector, server):
    world = World()
    publish_avro(world, calm_values(20), 1, partition=0)
    publish_avro(world, calm_values(20), 1, partition=1)
    server.close()
    bench = avro_bench(world, detector, server)
    bench.begin(turns=2)
    bench.source.take_away(Partition("readings", 1))
    bench.go_on(40)

    assert bench.registry.get_sample_value("plumbline_waiting_partitions") == 1
    server.register(SCHEMA)
    server.start()
    bench.source.give(Partition("readings", 1))
    bench.finish()
    assert len(scores_in(world)) == 40


def test_a_number_that_the_registry_does_not_know_is_a_dead_letter_and_the_rest_goes_on(detector, server):
    world = World()
    number = server.register(SCHEMA)
    publish_avro(world, calm_values(5), number)
    publish_avro(world, calm_values(1), 99, start=5)
    publish_avro(world, calm_values(5), number, start=6)
    bench = avro_bench(world, detector, server)
    bench.run()
    (letter,) = [message for message in world.stored if message.topic == "dead"]

    assert dict(letter.headers)["plumbline-reason"] == b"schema"
    assert dict(letter.headers)["plumbline-detail"] == b"the registry knows no schema 99"
    assert len(scores_in(world)) == 10
    assert put_off(bench) == 0


def test_partitions_that_wait_do_so_for_as_long_beside_commits_in_slices(detector, server, caplog):
    world = World()
    number = server.register(SCHEMA)
    publish_avro(world, calm_values(90), number, partition=0)
    publish_avro(world, calm_values(7), number, partition=1)
    bench = avro_bench(world, detector, server, commit_every=1.0, turn_for=0.0, series_at_once=1)
    bench.begin(turns=2)
    server.close()
    publish_avro(world, calm_values(90)[7:], number + 1, partition=1, start=7)
    caplog.set_level("INFO")
    waiting, began = Partition("readings", 1), world.seconds
    while world.seconds < began + 20:
        bench.go_on(1)

        assert bench.source.position[waiting] == 7
    waits = [record.facts["for_seconds"] for record in caplog.records if record.message == "records wait"]

    assert waits[:4] == [1, 2, 4, 8]
    assert len(waits) <= 5
    assert caplog.messages.count("committed") >= 3
    assert bench.source.position[Partition("readings", 0)] == 90

    server.register(SCHEMA, number=number + 1)
    server.start()
    bench.finish()
    assert len(scores_in(world)) == 180
