"""Other formats than JSON through the service: what their records come to, and where those go that are no readings."""

from __future__ import annotations

import pytest

from pipeline.formats.inputs import decoder_of
from pipeline.formats.mapping import InputMapping, SeriesMapping, TimeMapping
from pipeline.records import Outcome
from pipeline.service.stream import Stream
from tests.service.memory import World
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
