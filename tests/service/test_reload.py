"""Another configuration while the service runs; what may happen between any two steps is the simulator's."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from pipeline.detector.detector import Extended
from pipeline.exceptions import BundleError
from pipeline.formats.json import JsonDecoder
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.service.ports import Partition
from pipeline.service.reload import Staged, preview
from pipeline.service.service_settings import ServiceSettings
from pipeline.service.stream import Stream
from pipeline.service.watched import SeriesShown
from tests.service.memory import World
from tests.service.small import (
    MAPPING,
    POLICY,
    TOPICS,
    Bench,
    alerts_in,
    calm_values,
    publish,
    readings_of,
    scores_in,
    small_detector,
    stream_of,
    with_faults,
)
from tests.service.telemetry_feed import value_of

ROWS, CUT = 90, 60
PARTITION = Partition("readings", 0)
VALUES = with_faults(calm_values(ROWS), [50], length=20)  # an incident is open at the cut
LENIENT = Policy(FalseAlarms(probability=0.001))


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture(scope="module")
def other():
    return small_detector(seed=1)


@pytest.fixture
def world():
    made = World()
    publish(made, VALUES[:CUT])
    return made


class Notices:
    """Satisfies `Changes` with what a test hangs out."""

    def __init__(self):
        self.next = None
        self.count = 0

    def staged(self):
        found, self.next = self.next, None
        if isinstance(found, Exception):
            raise found
        return found

    def taken(self):
        self.count += 1


@pytest.fixture
def notices():
    return Notices()


def staged(*streams, connect=None, outputs=TOPICS):
    return Staged(streams, outputs, ServiceSettings(commit_every=2.0), SeriesShown(), connect)


def stream_under(detector, policy, name="pumps", topic="readings"):
    return Stream(name, topic, JsonDecoder(MAPPING, detector.names), Monitor(detector, policy, name=name))


def halfway(world, detector, notices, **options):
    """A service that has taken all there is and committed nothing of it."""
    bench = Bench(world, detector, changes=notices, until=lambda: False, commit_every=1000.0, **options)
    bench.begin(1)
    while not bench.caught_up():
        bench.go_on(1)

    assert not world.stored
    return bench


def finished(world, bench):
    publish(world, VALUES[CUT:], start=CUT)
    bench.go_on(2)

    assert bench.finish()


def scored(detector, values=VALUES):
    """What the backtest says of every row: scores, and alerts by id and event."""
    scores, alerts = Monitor(detector, POLICY, name="pumps").observe(readings_of(values))
    return scores.score, [(alert.id, alert.event) for alert in alerts]


def put_out(world):
    return [row["score"] or 0.0 for row in scores_in(world)], [(a["id"], a["event"]) for a in alerts_in(world)]


def test_the_same_bundle_goes_on_as_if_nothing_had_happened(world, detector, notices):
    bench = halfway(world, detector, notices)
    notices.next = staged(stream_of(detector))
    bench.go_on(1)
    committed = dict(world.committed)
    finished(world, bench)
    scores, alerts = put_out(world)

    assert committed == {PARTITION: CUT}, "what stood was committed"
    assert notices.count == 1
    np.testing.assert_allclose(scores, scored(detector)[0], rtol=0, atol=1e-5)
    assert alerts == scored(detector)[1]
    assert [event for _, event in alerts] == ["raised", "updated"], "one incident, over the reload"
    assert len(bench.sources) == 1, "it stayed in its group"
    assert value_of(bench.registry, "plumbline_restores_total", "reason=state") == 1
    assert value_of(bench.registry, "plumbline_model_reloads_total", "result=ok") == 1


def test_another_bundle_scores_from_the_barrier_on_as_if_it_had_been_there_from_the_first(
    world, detector, other, notices
):
    bench = halfway(world, detector, notices)
    notices.next = staged(stream_of(other))
    bench.go_on(1)
    finished(world, bench)
    scores, _ = put_out(world)

    np.testing.assert_allclose(scores[:CUT], scored(detector)[0][:CUT], rtol=0, atol=1e-5)
    np.testing.assert_allclose(scores[CUT:], scored(other)[0][CUT:], rtol=0, atol=1e-5)
    assert np.abs(scored(detector)[0] - scored(other)[0])[CUT:].max() > 0.1, "else the test says nothing"
    assert value_of(bench.registry, "plumbline_restores_total", "reason=other_digest") == 1
    digest = f"digest={other.digest}"
    assert value_of(bench.registry, "plumbline_detector_info", "detector=pumps", digest, "topic=readings") == 1


def test_another_policy_keeps_what_is_remembered(world, detector, notices):
    bench = halfway(world, detector, notices)
    scored = bench.streams[0].monitor.standing("pump").scored
    new = stream_under(detector, LENIENT)
    notices.next = staged(new)
    bench.go_on(2)

    assert new.monitor.standing("pump").scored == scored > 0
    assert sum(new.monitor.open_incidents().values()) == 1
    assert value_of(bench.registry, "plumbline_series", "detector=pumps") == 1, "before any reading comes"
    assert value_of(bench.registry, "plumbline_target_exceedance_ratio", "detector=pumps") == pytest.approx(0.001)


def test_other_topics_need_another_connection(world, detector, notices):
    publish(world, calm_values(20), "fan", topic="air")
    bench = halfway(world, detector, notices)
    both = [stream_of(detector), stream_of(detector, name="fans", topic="air")]
    notices.next = staged(*both, connect=bench.connecting(["readings", "air"]))
    bench.go_on(1)
    finished(world, bench)
    scores, alerts = put_out(world)

    assert len(bench.sources) == 2
    assert bench.sources[0].closed
    assert len(scores) == ROWS + 20
    assert alerts == scored(detector)[1]
    assert value_of(bench.registry, "plumbline_readings_total", "detector=fans", "outcome=scored") > 0
    assert value_of(bench.registry, "plumbline_assigned_partitions", "topic=air") == 1


def test_a_detector_that_goes_is_shown_no_more_and_what_it_counted_stays(world, detector, notices):
    publish(world, calm_values(20), "fan", topic="air")
    both = [stream_of(detector), stream_of(detector, name="fans", topic="air")]
    bench = halfway(world, detector, notices, streams=both)
    notices.next = staged(stream_of(detector), connect=bench.connecting(["readings"]))
    bench.go_on(3)

    assert value_of(bench.registry, "plumbline_readings_total", "detector=fans", "outcome=scored") > 0
    assert value_of(bench.registry, "plumbline_series", "detector=fans") is None
    assert value_of(bench.registry, "plumbline_series", "detector=pumps") == 1
    assert value_of(bench.registry, "plumbline_series_alert", "detector=fans", "series=fan") is None
    assert value_of(bench.registry, "plumbline_assigned_partitions", "topic=air") is None


def test_what_cannot_be_used_changes_nothing(world, detector, notices, caplog):
    bench = halfway(world, detector, notices)
    notices.next = BundleError("bundles/pumps: its SHA-256 differs")
    bench.go_on(1)

    assert value_of(bench.registry, "plumbline_config_last_reload_successful") == 0
    assert value_of(bench.registry, "plumbline_model_reloads_total", "result=error") == 1
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage() == "not reloaded: all goes on as before"
    assert line.facts == {"reason": "bundles/pumps: its SHA-256 differs"}

    finished(world, bench)

    assert put_out(world)[1] == scored(detector)[1]
    assert value_of(bench.registry, "plumbline_restores_total", "reason=first_start") == 1


def test_a_success_after_a_failure_is_one(world, detector, notices):
    bench = halfway(world, detector, notices)
    for notices.next in (BundleError("no"), staged(stream_of(detector))):
        bench.go_on(1)

    assert value_of(bench.registry, "plumbline_config_last_reload_successful") == 1


def test_the_old_goes_on_until_the_barrier_is_reached(world, detector, other, notices):
    bench = halfway(world, detector, notices)
    world.down = True
    notices.next = staged(stream_of(other))
    bench.go_on(3)
    world.down = False
    publish(world, VALUES[CUT : CUT + 5], start=CUT)
    bench.go_on(1)

    assert notices.count == 0
    assert world.committed == {}

    world.seconds += 5.0  # a commit that failed is tried again
    bench.go_on(1)

    assert notices.count == 1
    assert world.committed == {PARTITION: CUT + 5}
    np.testing.assert_allclose(put_out(world)[0], scored(detector)[0][: CUT + 5], rtol=0, atol=1e-5)


def test_one_that_comes_while_another_waits_takes_its_place_and_a_broken_one_too(world, detector, other, notices):
    bench = halfway(world, detector, notices)
    world.down = True
    for notices.next in (staged(stream_of(other)), BundleError("half written")):
        bench.go_on(1)
    world.down = False
    world.seconds += 10.0
    bench.go_on(2)

    assert notices.count == 0
    assert value_of(bench.registry, "plumbline_config_last_reload_successful") == 0


def test_without_a_connection_it_is_taken_over_at_once(world, detector, other, notices):
    bench = halfway(world, detector, notices, reconnect_after=1.0)
    world.down = True
    world.seconds += 1000.0
    while bench.sources[-1].closed is False:  # the commits fail until it starts over
        bench.go_on(1)
        world.seconds += 5.0
    notices.next = staged(stream_of(other))
    bench.go_on(1)

    assert notices.count == 1

    world.down = False
    finished(world, bench)

    np.testing.assert_allclose(put_out(world)[0], scored(other)[0], rtol=0, atol=1e-5)


def test_the_preview_tells_each_fate_and_what_hangs_on_it(detector, other):
    running = stream_of(detector)
    running.monitor.observe(readings_of(VALUES[:CUT]))
    before = [running, stream_of(detector, "fans", "air"), stream_of(detector, "ovens", "heat")]
    after = [
        stream_under(detector, LENIENT),
        stream_of(other, "fans", "air"),
        stream_of(detector, "ovens", "heat-2"),
    ]
    told = list(preview(before, after))

    assert [(one.detector, one.topic, one.fate) for one in told] == [
        ("pumps", "readings", "kept"),
        ("fans", "air", "rewarmed"),
        ("ovens", "heat", "dropped"),
        ("ovens", "heat-2", "new"),
    ]
    assert told[0].facts() == {
        "detector": "pumps",
        "fate": "kept",
        "topic": "readings",
        "digest": detector.digest[:12],
        "series": 1,
        "open_incidents": 1,
    }
    assert told[1].digest == other.digest


def test_a_bundle_that_extends_the_one_of_before_keeps_what_is_remembered(detector):
    heir = replace(detector, calibrations=detector.calibrations * 2, extends=(Extended(detector.digest, 1, 0),))

    assert [one.fate for one in preview([stream_of(detector)], [stream_of(heir)])] == ["kept"]
    assert [one.fate for one in preview([stream_of(heir)], [stream_of(detector)])] == ["rewarmed"]
