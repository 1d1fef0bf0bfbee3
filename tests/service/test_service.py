import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.detector.detector import Extended
from pipeline.exceptions import LogChangedError
from pipeline.formats import times
from pipeline.monitor.monitor import Monitor
from pipeline.records import Outcome
from pipeline.service.checkpoints import StoreCheckpoints
from pipeline.service.link import Connection
from pipeline.service.ports import Partition
from pipeline.service.resumption import ResumeRules
from tests.service.compared import (
    ROWS,
    assert_nothing_lost_and_repeats_agree,
    put_out,
    put_out_of,
    values_of,
    world_of_three,
)
from tests.service.memory import PowerCutError, World
from tests.service.small import (
    BEGIN,
    CHANNELS,
    JOINED,
    POLICY,
    STEP,
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

ONE, TWO = Partition("readings", 0), Partition("readings", 1)


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture
def world():
    return world_of_three()


def test_every_reading_is_scored_as_the_monitor_scores_it(world, detector):
    Bench(world, detector).run()
    scores, alerts = Monitor(detector, POLICY, name="pumps").observe(readings_of(values_of(2), "pump-2"))
    live = [score for score in scores_in(world) if score["series"] == "pump-2"]

    assert [score["outcome"] for score in live] == [Outcome(code).name.lower() for code in scores.outcome]
    np.testing.assert_allclose([score["score"] or 0.0 for score in live], scores.score, rtol=0, atol=1e-5)
    assert [score["alert"] for score in live] == scores.alert.tolist()
    assert alerts
    assert [(alert["id"], alert["event"]) for alert in alerts_in(world) if alert["series"] == "pump-2"] == [
        (alert.id, alert.event) for alert in alerts
    ]


def test_each_alert_is_also_one_sentence(world, detector):
    bench = Bench(world, detector)
    bench.run()

    assert bench.said == [alert["sentence"] for alert in alerts_in(world)]
    assert all("\n" not in sentence for sentence in bench.said)


def test_a_restart_loses_nothing_and_repeats_nothing(world, detector):
    halfway = Bench(world, detector, until=lambda: world.seconds > 1005)
    halfway.run()
    open_then = sum(halfway.streams[0].monitor.open_incidents().values())
    Bench(world, detector, batch=11).run()

    assert open_then, "the restart was to happen in mid-incident"
    assert all(len(copies) == 1 for copies in put_out(world).values())
    assert_nothing_lost_and_repeats_agree(put_out(world), put_out_of(world, detector))


CUTS = {"poll": 5, "message stored": 3, "flush": 6, "save": 8, "before commit": 6, "commit": 6}  # and how often before
EVERY = {"message stored": 31}


@pytest.mark.parametrize(("step", "count"), [(step, count) for step, times in CUTS.items() for count in range(times)])
def test_a_power_cut_at_any_step_loses_nothing_and_repeats_only_the_same(world, detector, step, count):
    world.cut_at[step] = count * EVERY.get(step, 1)
    with pytest.raises(PowerCutError):
        Bench(world, detector, batch=13, poll_for=0.7).run()
    world.cut_at.clear()
    Bench(world, detector, batch=17).run()

    assert_nothing_lost_and_repeats_agree(put_out(world), put_out_of(world, detector))
    assert world.committed == {ONE: 2 * ROWS, TWO: ROWS}


def test_no_state_is_ever_ahead_of_its_outputs_and_no_offset_ahead_of_its_state(world, detector):
    Bench(world, detector).run()
    last = [step for step in world.steps if step != "poll"]

    assert set(last) == {"message stored", "flush", "save", "before commit", "commit"}
    follows = {"save": {"flush", "save"}, "before commit": {"save", "flush"}, "commit": {"before commit"}}
    assert all(before in follows[step] for before, step in itertools.pairwise(last) if step in follows)


def test_what_is_replayed_is_silent(world, detector):
    Bench(world, detector, until=lambda: world.seconds > 1003).run()
    lost_state, stored = dict(world.committed), len(world.stored)
    world.states.clear()
    bench = Bench(world, detector)
    bench.run()

    assert bench.source.position[ONE] == 2 * ROWS
    told = [(score["series"], score["timestamp"]) for score in scores_in(world)]
    assert len(told) == len(set(told)) == 3 * ROWS
    assert 0 < stored < len(world.stored)
    assert lost_state[ONE] > 0
    assert bench.registry.get_sample_value("plumbline_restores_total", {"reason": "state_missing"}) == 2


def test_an_offset_never_goes_back_while_a_partition_catches_up(world, detector):
    Bench(world, detector).run()
    world.states.clear()
    before = dict(world.committed)
    bench = Bench(world, detector, commit_every=0.1)
    bench.begin(8)

    assert 0 < bench.source.position[ONE] < before[ONE]
    assert world.committed == before
    assert world.states == {}


def test_replayed_readings_are_not_counted_again(world, detector):
    Bench(world, detector).run()
    world.states.clear()
    publish(world, calm_values(5), "pump-9")
    bench = Bench(world, detector)
    bench.run()
    counted = [
        bench.registry.get_sample_value("plumbline_readings_total", {"detector": "pumps", "outcome": outcome})
        for outcome in ("scored", "warming", "missing", "late", "duplicate", "invalid")
    ]

    assert sum(counted) == 5


def test_without_replay_a_lost_state_warms_up_from_the_committed_offset(world, detector):
    Bench(world, detector).run()
    world.states.clear()
    publish(world, calm_values(3), "pump-9")
    bench = Bench(world, detector, resume=ResumeRules(replay=0))
    bench.run()

    assert len(bench.streams[0].monitor) == 1


def test_a_first_start_that_fills_back_scores_what_comes_at_once_and_tells_nothing_of_what_was_there(world, detector):
    bench = Bench(world, detector, resume=ResumeRules("latest", backfill=1000))
    bench.begin(2)
    publish(world, calm_values(20, seed=2), "pump-2", partition=1, start=ROWS)
    publish(world, with_faults(calm_values(20), [8]), "pump-0", start=ROWS)
    bench.finish()
    came = times.iso(BEGIN + STEP * ROWS)
    expected = {
        about: copies
        for about, copies in put_out_of(world, detector).items()
        if (copies[0].get("timestamp") or copies[0]["at"]) >= came
    }

    assert [score["outcome"] for score in scores_in(world)] == ["scored"] * 40
    assert alerts_in(world)
    assert_nothing_lost_and_repeats_agree(put_out(world), expected)


def test_where_it_began_at_the_end_is_committed_before_anything_comes(world, detector):
    """Else a kill in the first half minute would lose what came since: the next start would begin at a later end."""
    ends = {ONE: 2 * ROWS, TWO: ROWS}
    filling = Bench(world, detector, resume=ResumeRules("latest", backfill=1000), commit_every=30.0)
    filling.begin(2)
    known = dict(world.committed)
    publish(world, calm_values(5), "pump-0", start=ROWS)  # and the process is killed before its next commit
    publish(world, calm_values(5, seed=2), "pump-2", partition=1, start=ROWS)
    again = Bench(world, detector, resume=ResumeRules("latest", backfill=1000))
    again.begin()
    again.finish()

    assert known == ends
    assert [score["outcome"] for score in scores_in(world)] == ["scored"] * 10


def test_a_detector_that_extends_the_one_of_before_goes_on_with_its_state(world, detector):
    """In mid-incident: what is told of it bears the same id, and nothing warms up."""
    was = Extended(detector.digest, 1, 0)
    heir = replace(detector, calibrations=detector.calibrations * 2, extends=(was,))
    later = [world.logs[partition].pop() for partition in (ONE, TWO) for _ in range(55)][::-1]
    Bench(world, detector).run()
    told = len(world.stored)
    for entry in later:
        world.publish("readings", entry.partition, entry.key, entry.value)
    bench = Bench(world, heir)
    bench.run()
    continued = [json.loads(message.value) for message in world.stored[told:] if message.topic == "alerts"]
    found, expected = put_out(world), put_out_of(world, detector)
    for document in itertools.chain(*found.values(), *expected.values()):
        document.pop("digest", None)

    assert bench.registry.get_sample_value("plumbline_restores_total", {"reason": "state"}) == 2
    assert_nothing_lost_and_repeats_agree(found, expected)
    assert {alert["digest"] for alert in continued} == {heir.digest} != {detector.digest}
    assert continued[0]["event"] != "raised"


def test_a_revoked_partition_puts_out_nothing_afterwards(world, detector):
    bench = Bench(world, detector)
    bench.begin(4)
    bench.source.take_away(ONE)
    bench.go_on(20)
    before = world.states["pumps", ONE].offset
    told = [score for score in scores_in(world) if score["series"] in ("pump-0", "pump-1")]

    assert len(told) == before == 3 * 7
    assert list(bench.streams[0].monitor.snapshot()) == ["pump-2"]
    assert bench.registry.get_sample_value("plumbline_assigned_partitions", {"topic": "readings"}) == 1


def test_a_lost_partition_is_not_even_saved(world, detector):
    bench = Bench(world, detector, commit_every=60.0)
    bench.begin(4)
    bench.source.take_away(ONE, lost=True)
    bench.service.turn()

    assert world.states == {}
    assert list(bench.streams[0].monitor.snapshot()) == ["pump-2"]


def test_a_partition_that_comes_back_repeats_only_what_was_not_committed(world, detector):
    bench = Bench(world, detector, commit_every=1.0)
    bench.begin(7)
    at = world.committed[ONE]
    bench.source.take_away(ONE)
    bench.source.give(ONE)
    bench.finish()
    copies, expected = put_out(world), put_out_of(world, detector)
    twice = [about for about, some in copies.items() if len(some) > 1]

    assert at > 0
    assert_nothing_lost_and_repeats_agree(copies, expected)
    assert all(about[-1] >= times.iso(BEGIN + STEP * (at // 2)) for about in twice if about[0] == "scores")


def test_what_is_no_reading_goes_to_the_dead_letters_as_it_came(world, detector):
    world.publish("readings", 1, b"pump-2", b'{"ts": "yesterday"', [("trace", b"77")])
    world.publish("readings", 1, None, b"\xff\xfe")
    world.publish("readings", 1, b"pump-2", None)
    Bench(world, detector).run()
    letters = [message for message in world.stored if message.topic == "dead"]

    assert [(letter.key, letter.value) for letter in letters] == [
        (b"pump-2", b'{"ts": "yesterday"'),
        (None, b"\xff\xfe"),
        (b"pump-2", None),
    ]
    headers = [dict(letter.headers) for letter in letters]
    assert headers[0]["trace"] == b"77"
    assert [header["plumbline-reason"] for header in headers] == [b"syntax", b"encoding", b"syntax"]
    assert [header["plumbline-offset"] for header in headers] == [b"90", b"91", b"92"]
    assert {(header["plumbline-topic"], header["plumbline-partition"]) for header in headers} == {(b"readings", b"1")}
    assert all(header["plumbline-detail"] for header in headers)


def test_every_record_has_one_counted_outcome(world, detector):
    publish(world, values_of(0)[:4], "pump-0", start=20)  # late
    world.publish("readings", 0, b"pump-0", b"[]")
    bench = Bench(world, detector)
    bench.run()
    counted = {
        outcome.name: bench.registry.get_sample_value(
            "plumbline_readings_total", {"detector": "pumps", "outcome": outcome.name.lower()}
        )
        for outcome in Outcome
    }

    assert counted["LATE"] == 4
    assert counted["INVALID"] == 1
    assert sum(counted.values()) == 3 * ROWS + 5
    assert bench.registry.get_sample_value("plumbline_dead_letters_total", {"result": "ok"}) == 1


def test_every_record_of_a_single_sensor_has_one_counted_outcome_or_waits(detector):
    world = World()

    def tell(minute, sensor, value):
        fields = {"ts": times.iso(BEGIN + STEP * minute), "sensor": sensor, "value": value}
        world.publish("readings", 0, b"pump-0", json.dumps(fields).encode())

    for minute in range(20):
        for sensor in (*CHANNELS, "door"):
            tell(minute, sensor, 1.0)
    tell(3, CHANNELS[1], 2.0)
    tell(2, CHANNELS[1], 2.0)
    tell(30, CHANNELS[0], 1.0)  # waits for the other one
    tell(30, CHANNELS[0], 2.0)
    tell(31, CHANNELS[1], None)
    world.publish("readings", 0, b"pump-0", b"[]")
    bench = Bench(world, detector, streams=[stream_of(detector, mapping=JOINED)])
    bench.run()
    counted = {
        name: bench.registry.get_sample_value(
            "plumbline_readings_total", {"detector": "pumps", "outcome": name.lower()}
        )
        for name in Outcome.__members__
    }

    assert counted.pop("SCORED") + counted.pop("WARMING") == 20
    assert counted == {
        "JOINED": 20,
        "IGNORED": 20,
        "DUPLICATE": 1,
        "MISSING": 1,
        "LATE": 2,
        "INVALID": 1,
    }
    assert bench.registry.get_sample_value("plumbline_waiting_readings", {"detector": "pumps"}) == 1


def test_a_dry_run_shows_and_sends_saves_and_commits_nothing(world, detector):
    world.publish("readings", 0, b"pump-0", b"[]")
    bench = Bench(world, detector, dry_run=True)

    assert bench.run()
    assert bench.said
    assert world.stored == []
    assert world.states == {}
    assert world.committed == {}


def test_a_topic_that_got_partitions_ends_the_service_and_sets_no_offset_back(world, detector):
    Bench(world, detector).run()
    before = dict(world.committed)
    publish(world, values_of(0), "pump-9", partition=2)
    with pytest.raises(LogChangedError, match=r"had 2 partitions and has 3.*--rewarm"):
        Bench(world, detector).run()

    assert {partition: world.committed[partition] for partition in before} == before
    bench = Bench(world, detector, resume=ResumeRules(repartitioned=True))
    bench.run()
    assert bench.registry.get_sample_value("plumbline_restores_total", {"reason": "repartitioned"}) == 2
    told = [(score["series"], score["timestamp"]) for score in scores_in(world)]
    assert len(told) == len(set(told)) == 4 * ROWS


def test_two_detectors_each_read_their_own_topic(world, detector):
    publish(world, values_of(4), "fan", topic="fans")
    streams = [stream_of(detector), stream_of(small_detector(1), "fans", "fans")]
    Bench(world, detector, streams=streams).run()

    assert {alert["detector"] for alert in alerts_in(world)} == {"pumps", "fans"}
    assert {alert["series"] for alert in alerts_in(world) if alert["detector"] == "fans"} == {"fan"}
    assert set(world.states) == {("pumps", ONE), ("pumps", TWO), ("fans", Partition("fans", 0))}


def test_two_detectors_on_one_topic_are_refused(world, detector):
    with pytest.raises(ValueError, match="two detectors read one topic"):
        Bench(world, detector, streams=[stream_of(detector), stream_of(detector, "more")])


def test_while_outputs_do_not_arrive_nothing_is_read_and_the_group_is_kept(world, detector):
    bench = Bench(world, detector, in_flight=20, commit_every=1e9)
    bench.begin(10)
    read, held_back = dict(bench.source.position), bench.source.paused
    bench.go_on(10)

    assert bench.source.position == read
    assert held_back == {ONE, TWO}
    assert world.steps.count("poll") == 20

    bench.sinks[-1].flush(1.0)
    bench.go_on(2)

    assert bench.source.position != read


def test_an_outage_keeps_polling_then_starts_over_and_goes_on_where_it_was(world, detector):
    bench = Bench(world, detector)
    bench.begin(6)
    world.down = True
    while len(bench.sources) == 1 and not bench.sources[0].closed:
        bench.service.turn()
    ready = bench.telemetry.health.ready()
    bench.go_on(5)
    world.down = False

    assert bench.finish()
    assert not ready.ok
    assert bench.telemetry.health.healthy().ok
    assert_nothing_lost_and_repeats_agree(put_out(world), put_out_of(world, detector))
    assert bench.registry.get_sample_value("plumbline_kafka_errors_total", {"operation": "produce"}) > 0
    assert bench.registry.get_sample_value("plumbline_commits_total", {"result": "error"}) > 0


def test_a_short_outage_repeats_nothing(world, detector):
    bench = Bench(world, detector)
    bench.begin(6)
    world.down = True
    bench.go_on(6)
    world.down = False
    bench.finish()
    told = [(score["series"], score["timestamp"]) for score in scores_in(world)]

    assert len(bench.sources) == 1
    assert len(told) == len(set(told)) == 3 * ROWS


def test_a_full_disk_stops_commits_and_not_the_service(world, detector):
    world.disk_full = True
    bench = Bench(world, detector)

    assert not bench.run()
    assert len(scores_in(world)) == 3 * ROWS
    assert world.committed == {}
    assert bench.registry.get_sample_value("plumbline_commits_total", {"result": "error"}) > 0

    world.disk_full = False

    assert Bench(world, detector).run()
    assert world.committed == {ONE: 2 * ROWS, TWO: ROWS}


def test_records_deleted_before_we_read_them_are_told_and_passed_over(world, detector, caplog):
    bench = Bench(world, detector)
    bench.begin(6)
    read = bench.source.position[ONE]
    world.first[ONE] = 100
    bench.finish()
    told = [record.facts for record in caplog.records if record.message == "partition assigned"]

    assert bench.registry.get_sample_value("plumbline_restores_total", {"reason": "beyond_retention"}) == 1
    assert [fact["records_lost"] for fact in told] == [
        100 - read
    ]  # and not 100 less what is committed: the rest is put out
    assert world.committed[ONE] == 2 * ROWS


class SlowCheckpoints(StoreCheckpoints):
    """State that takes more than one turn on its way back."""

    def __init__(self, source, store, world):
        super().__init__(source, store)
        self.world = world

    def restore(self, detector, partition):
        return SlowRestoring(super().restore(detector, partition), self.world)


class SlowRestoring:
    def __init__(self, inner, world):
        self.inner, self.world, self.left = inner, world, 5

    def advance(self, seconds):
        self.left -= 1
        self.world.seconds += 0.3
        return self.left < 0

    def state(self):
        return self.inner.state()

    def close(self):
        pass


class SlowBench(Bench):
    def connecting(self, topics):
        connect = super().connecting(topics)

        def slowly():
            source, sink, _ = connect()
            return Connection(source, sink, SlowCheckpoints(source, self._store, self.world))

        return slowly


def test_a_state_that_comes_back_slowly_after_records_are_gone_comes_back(world, detector):
    bench = SlowBench(world, detector)
    bench.begin(14)
    read = bench.source.position[ONE]
    world.first[ONE] = 100
    bench.go_on(20)

    assert 0 < read < 100
    assert bench.registry.get_sample_value("plumbline_restores_total", {"reason": "beyond_retention"}) == 1


def test_where_a_leader_has_cut_off_the_log_all_goes_on_with_what_is_remembered(world, detector, caplog):
    bench = Bench(world, detector)
    bench.begin(12)
    read = bench.source.position[ONE]
    gone = world.logs[ONE][read - 10 : read]
    rest = world.logs[ONE][read:]
    world.cut_off(ONE, read - 10)
    for entry in rest:  # more than was there, so that no offset tells
        world.publish("readings", 0, entry.key, entry.value)
    bench.finish()
    told = [record.facts for record in caplog.records if record.facts.get("with") == "truncated"]
    whole = World()
    for entry in (*world.logs[ONE][: read - 10], *gone, *rest, *world.logs[TWO]):
        whole.publish("readings", entry.partition, entry.key, entry.value)
    Bench(whole, detector).run()

    def said(of):
        keys = "series", "timestamp", "outcome", "alert"
        return sorted([score[key] for key in keys] for score in scores_in(of))

    assert said(world) == said(whole)
    assert len({alert["id"] for alert in alerts_in(world)}) == len({alert["id"] for alert in alerts_in(whole)})
    assert world.committed[ONE] == 2 * ROWS - 10 == world.states["pumps", ONE].offset
    assert [(fact["offset"], fact["records_cut"]) for fact in told] == [(read - 10, 10)]
    assert bench.registry.get_sample_value("plumbline_restores_total", {"reason": "truncated"}) == 1


def test_a_log_that_was_cut_off_is_met_as_the_operator_wants_it(world, detector):
    bench = Bench(world, detector, resume=ResumeRules(on_loss="latest"))
    bench.begin(12)
    scored, at = len(bench.sinks[0].sent), bench.source.position[ONE] - 10
    world.cut_off(ONE, at)
    for value in calm_values(5):
        world.publish("readings", 0, b"pump-0", json.dumps(dict(zip(CHANNELS, value, strict=True))).encode())
    bench.go_on(2)

    assert bench.source.position[ONE] == at + 5
    assert not [m for m in bench.sinks[0].sent[scored:] if m.key in (b"pump-0", b"pump-1")]

    failing = Bench(world, detector, resume=ResumeRules(on_loss="fail"))
    failing.begin(4)
    world.cut_off(ONE, 3)
    with pytest.raises(LogChangedError, match=r"less than were read, and on_offset_loss is fail"):
        failing.go_on(1)


def test_a_topic_that_was_made_anew_is_not_taken_for_one_that_was_cut_off(world, detector):
    bench = Bench(world, detector)
    bench.begin(12)
    world.ids["readings"] = "another"
    world.cut_off(ONE, 10)
    bench.go_on(1)

    assert bench.registry.get_sample_value("plumbline_restores_total", {"reason": "beyond_retention"}) == 1


def test_records_in_hand_for_too_long_are_put_out_by_nobody_but_their_owner(world, detector):
    """The process was stopped while it observed; the group has gone on without it."""
    stream = stream_of(detector)
    stood_still = iter([0.0, 0.0, 90.0])  # seconds, batch by batch
    slow = replace(stream, decoder=SlowDecoder(world, stream.decoder, stood_still))
    bench = Bench(world, detector, streams=[slow], stale_after=30.0)
    bench.begin(3)
    sent = len(bench.sinks[0].sent)
    bench.go_on(1)

    assert bench.sources[0].closed
    assert len(bench.sinks[0].sent) == sent > 0

    bench.finish()

    assert_nothing_lost_and_repeats_agree(put_out(world), put_out_of(world, detector))


class SlowDecoder:
    """A decoder on a machine that stands still now and then."""

    def __init__(self, world, decoder, seconds):
        self._world, self._decoder, self._seconds = world, decoder, seconds

    def decode(self, records):
        self._world.seconds += next(self._seconds, 0.0)
        return self._decoder.decode(records)


def test_a_message_that_no_broker_takes_is_told_and_does_not_stop_the_rest(world, detector, caplog):
    world.largest = 300
    Bench(world, detector).run()

    assert alerts_in(world) == []
    assert len(scores_in(world)) == 3 * ROWS
    assert "message not sent" in caplog.text


def test_a_commit_is_one_line_with_its_facts(world, detector, caplog):
    caplog.set_level("INFO", "plumbline.service")
    Bench(world, detector).run()
    facts = [record.facts for record in caplog.records if record.message == "committed"]

    assert sum(fact["readings"] for fact in facts) == 3 * ROWS
    assert all(fact["partitions"] == 2 for fact in facts)
    assert {"alerts", "invalid", "saved", "slots", "flush_ms", "commit_ms", "slices"} <= set(facts[0])
