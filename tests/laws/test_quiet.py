"""Stuck channels are told the same however the stream is cut, wherever it is restarted, and in backtest and service."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bundle import save
from pipeline.cli.main import main
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.service.stream import Stream
from tests.fixtures import unmoved
from tests.laws.agreement import assert_alerts_agree
from tests.service import small
from tests.service.memory import World
from tests.streams import series, stream

DETECTOR = unmoved(longest_runs=(4, 5))
POLICY = Policy(FalseAlarms(probability=0.02), bar="static", clear_after=1)
NAMES = ("a", "b", "c", "d")


def odd_series(name, seed, rows=400):
    """A calm series with channels that stand still now and then, faults, missing values, and rows late or twice."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.1, (rows, 2))
    for first in range(20, rows - 40, 60):
        channel, length = int(rng.integers(2)), int(rng.integers(5, 40))
        values[first : first + length, channel] = rng.choice([0.0, 0.25, -0.5])
        if rng.random() < 0.4:
            values[first + 5 : first + length + 8, 1 - channel] = 0.125
    values[rng.integers(0, rows, 6)] += 6.0
    made = series(name, values)
    for channel in (0, 1):
        made = made.without(np.flatnonzero(rng.random(rows) < 0.05), channel)
    made = made.without(np.flatnonzero(rng.random(rows) < 0.02))
    for row in rng.integers(10, rows - 30, 4).tolist():
        made = made.shifted(row, int(rng.integers(1, 20)))
    for row in rng.integers(10, rows - 10, 6).tolist():
        made = made.repeated(row, row + int(rng.integers(0, 3)))
    return made


READINGS = stream(*(odd_series(name, seed) for seed, name in enumerate(NAMES)))


def told(readings, cuts=(), restart=False, policy=POLICY):
    """The events of a stream cut before these rows, by one monitor or by a new one after every cut."""
    monitor, said = Monitor(DETECTOR, policy), []
    for rows in np.split(np.arange(len(readings)), sorted(cuts)):
        said += monitor.observe(readings[rows])[1]
        if restart:
            state = monitor.snapshot()
            monitor = Monitor(DETECTOR, policy)
            monitor.restore(state)
            assert monitor.snapshot() == state
    return said


WHOLE = told(READINGS)


class Stand:
    """One channel of one series, reading by reading."""

    def __init__(self, longest):
        self.limit, self.value, self.times, self.stuck = max(3 * longest, 10), None, [], False

    def take(self, at, value):
        """The readings in a row with this value; whether it is stuck after this one."""
        if value is not None:
            self.times = [*self.times, at] if value == self.value else [at]
            self.value = value
            self.stuck = len(self.times) > self.limit
        return self.stuck


def stuck_plainly(readings):
    """What is told of stuck channels, by a loop over single readings that was written from the words."""
    stands, last, start, said = {}, {}, {}, []
    for row in range(len(readings)):
        name, at = readings.names[readings.series[row]], int(readings.at[row])
        missing = readings.missing[row].tolist()
        if all(missing) or at <= last.get(name, -1):
            continue
        last[name] = at
        mine = stands.setdefault(name, [Stand(longest) for longest in DETECTOR.longest_runs])
        before = {channel for channel, stand in enumerate(mine) if stand.stuck}
        values = [None if gone else value for gone, value in zip(missing, readings.values[row].tolist(), strict=True)]
        now = {channel for channel, stand in enumerate(mine) if stand.take(at, values[channel])}
        if now and not before:
            start[name] = min(mine[channel].times[0] for channel in now)
        if (now or before) and (not before or not now or now - before):
            event = "raised" if not before else "cleared" if not now else "updated"
            text = f"{DETECTOR.digest}|stuck|{name}|{start[name]}"
            own = hashlib.sha256(text.encode()).hexdigest()[:16]
            about = {DETECTOR.names[channel] for channel in now or before}
            said.append((event, own, name, start[name], at, about))
    return said


def in_short(alert):
    """What the plain loop says of an event."""
    channels = {channel.channel for channel in alert.channels}
    return alert.event, alert.id, alert.series, alert.start, alert.at, channels


def of_kind(alerts, kind):
    return [alert for alert in alerts if alert.kind == kind]


def test_a_plain_loop_tells_the_same_of_stuck_channels():
    assert [in_short(alert) for alert in of_kind(WHOLE, "stuck")] == stuck_plainly(READINGS)


def test_the_stream_holds_what_the_laws_must_survive():
    events = {(alert.kind, alert.event) for alert in WHOLE}
    late = Monitor(DETECTOR, POLICY).observe(READINGS)[0].outcome

    assert {("anomaly", "raised"), ("anomaly", "cleared")} <= events
    assert {("stuck", event) for event in ("raised", "updated", "cleared")} <= events
    assert set(late.tolist()) == {0, 1, 2, 3, 4}
    assert {len(alert.channels) for alert in of_kind(WHOLE, "stuck")} == {1, 2}


@settings(max_examples=12)
@given(cuts=st.lists(st.integers(0, len(READINGS)), min_size=1, max_size=40), restart=st.booleans())
def test_any_cutting_of_the_stream_and_a_restart_at_every_cut_tell_the_same(cuts, restart):
    assert_alerts_agree(told(READINGS, cuts, restart), WHOLE)


def test_a_restart_after_every_reading_tells_the_same():
    short = READINGS[:500]

    assert_alerts_agree(told(short, range(1, len(short)), restart=True), told(short))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_series_does_not_matter_to_stuck_channels(seed):
    order = np.argsort(np.random.default_rng(seed).permutation(4)[READINGS.series], kind="stable")
    others = of_kind(told(READINGS[order]), "stuck")

    for name in NAMES:
        assert [alert for alert in others if alert.series == name] == [
            alert for alert in of_kind(WHOLE, "stuck") if alert.series == name
        ]


def test_other_kinds_change_nothing_of_the_incidents_of_scores():
    calm = replace(POLICY, stuck_after=0)

    assert told(READINGS, policy=calm) == of_kind(WHOLE, "anomaly")


ROWS = 200
SETTINGS = """
detectors:
  pumps:
    policy: {false_alarms: {probability: 0.01}}
"""


def served_values():
    """Two pumps, each with a channel that stands still for a while."""
    made = {}
    for seed, name in enumerate(("north", "south")):
        values = small.with_faults(small.calm_values(ROWS, seed=seed), [50 + 9 * seed])
        values[100 + 7 * seed : 140 + 7 * seed, seed] = 21.5
        made[name] = values
    return made


SILENT = {"south": range(150, 185)}  # rows that do not come


def quiet_detector():
    return replace(small.small_detector(), longest_runs=(4, 5))


def backtested(folder):
    """The alerts and the report of a backtest over a file for each series."""
    (folder / "c.yaml").write_text(SETTINGS)
    for name, values in served_values().items():
        path = folder / "test" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = np.array([row for row in range(ROWS) if row not in SILENT.get(name, ())])
        stamps, values = pa.array(small.BEGIN + small.STEP * rows, pa.timestamp("us", "UTC")), values[rows]
        pq.write_table(pa.table({"timestamp": stamps, **dict(zip(small.CHANNELS, values.T, strict=True))}), path)
    detector = quiet_detector()
    seen = Monitor(detector, small.POLICY)
    seen.observe(small.readings_of(small.calm_values(50)))
    save(replace(detector, slots=seen.snapshot()), folder / "bundle")
    words = ["backtest", str(folder / "c.yaml"), "--bundle", str(folder / "bundle"), "--test", str(folder / "test")]

    assert main([*words, "--out", str(folder / "out"), "--pictures", "0", "--fresh"]) == 0

    lines = (folder / "out" / "alerts.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], json.loads((folder / "out" / "report.json").read_text())


def published():
    """A world in which the same readings came in the order of their times."""
    world, values = World(), served_values()
    for row in range(ROWS):
        for name in (name for name in sorted(values) if row not in SILENT.get(name, ())):
            small.publish(world, values[name][row : row + 1], name, start=row)
    return world


def served(world, **options):
    detector = quiet_detector()
    plain = small.stream_of(detector)
    quiet = Stream(plain.detector, plain.topic, plain.decoder, Monitor(detector, small.POLICY, name="pumps"))
    return small.Bench(world, detector, streams=[quiet], **options)


def without_offset(alert):
    """The row of a file is not the offset in a log."""
    return {key: value for key, value in alert.items() if key != "offset"}


def test_the_service_tells_of_a_log_what_the_backtest_tells_of_files_one_a_series(tmp_path):
    alerts, report = backtested(tmp_path)
    world = published()
    bench = served(world)
    bench.run()
    live = small.alerts_in(world)

    for kind in ("anomaly", "stuck", "silent"):  # those of one time may be told in another order
        found, wanted = ([without_offset(each) for each in some if each["kind"] == kind] for some in (live, alerts))
        assert found == wanted
    kinds = {(alert["kind"], alert["event"]) for alert in alerts}
    assert {(kind, event) for kind in ("stuck", "silent") for event in ("raised", "cleared")} <= kinds
    assert ("anomaly", "raised") in kinds
    for kind, counted in report["quiet"].items():
        labels = {"detector": "pumps", "kind": kind}
        assert counted["raised"] == sum(alert["kind"] == kind and alert["event"] == "raised" for alert in alerts) > 0
        assert bench.registry.get_sample_value("plumbline_quiet_incidents_total", labels) == counted["raised"]
        assert bench.registry.get_sample_value("plumbline_open_quiet_incidents", labels) == counted["open_at_the_end"]
    of_scores = sum(alert["kind"] == "anomaly" and alert["event"] == "raised" for alert in alerts)
    assert report["at_target"]["incidents"] == report["alerts"]["raised"] == of_scores


def test_a_service_that_stops_while_a_channel_is_stuck_goes_on_with_it():
    whole, world = published(), published()
    served(whole).run()
    open_then = []
    for seconds in (1004.0, 1017.0, 1019.0, 1024.0):
        bench = served(world, until=lambda until=seconds: world.seconds > until)
        bench.run()
        open_then.append(sum(bench.streams[0].monitor.open_quiet().values()))
    served(world).run()

    assert small.alerts_in(world) == small.alerts_in(whole)
    assert any(open_then)
