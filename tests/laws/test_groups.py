"""Groups are the same however the stream is cut, wherever it is restarted, and in backtest and service alike."""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli.main import main
from pipeline.monitor.labels import LabelRule
from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Grouping, Policy
from pipeline.service.stream import Stream
from tests.fixtures import unmoved
from tests.service import small
from tests.service.memory import World
from tests.streams import series, stream

NAMES = ("north/1/pump", "north/1/fan", "north/2/mill", "south/1/pump", "south/1/saw", "alone")
RULES = (LabelRule("{site}/{line}/*"),)
PLAIN = Policy(FalseAlarms(probability=0.05), bar="static", clear_after=1)
LABELLED = replace(PLAIN, labels=RULES)
GROUPED = replace(LABELLED, grouping=Grouping(("site",), within=8))


def failing_sites(seed, rows=480):
    """Series of two sites that are out together now and then, some a little later than others, and one by itself."""
    rng = np.random.default_rng(seed)
    values = {name: np.zeros((rows, 2)) for name in NAMES}
    for begin in range(30, rows - 20, 50):
        for name in NAMES:
            if rng.random() < 0.8:
                first = begin + int(rng.integers(0, 16))
                last = first + int(rng.integers(1, 6))
                values[name][first:last] += rng.uniform(3, 9, (last - first, 2)) * np.array([1, -1])
    return stream(*(series(name, each) for name, each in values.items()))


READINGS = failing_sites(seed=1)


def told(policy, readings, cuts=(), restart=False, at_once=1000):
    """The events that are told of a stream cut before these rows, by one monitor or by a new one after every cut."""
    monitor, said = Monitor(unmoved(), policy), []
    for rows in np.split(np.arange(len(readings)), sorted(cuts)):
        said += monitor.group(monitor.observe(readings[rows])[1])
        if restart:
            state = monitor.snapshot()
            monitor = Monitor(unmoved(), policy)
            for _ in monitor.restoring(state, at_once):
                pass
            assert monitor.snapshot() == state
    return said


WHOLE = told(GROUPED, READINGS)


def group_again(events, by, within, digest):
    """What is told of events of series, worked out by a plain loop: every group looks through all that it was told."""
    groups, said = [], []
    for event in events:
        labels = dict(event.labels)
        if by not in labels:
            said.append((event.event, event.id, event.start, event.end, event.severity, None))
            continue
        mine = [g for g in groups if g["open"] and g["label"] == labels[by] and event.series in open_in(g, True)]
        near = [g for g in groups if g["open"] and g["label"] == labels[by] and abs(event.start - g["start"]) <= within]
        if event.event != "raised" or mine:
            (group,) = mine
        elif near:
            group = max(near, key=lambda g: g["start"])
        else:
            group = {"label": labels[by], "start": event.start, "events": [], "open": True}
            groups.append(group)
        known, grave = {e.series for e in group["events"]}, any(e.severity == "critical" for e in group["events"])
        group["events"].append(event)
        severity = "critical" if grave or event.severity == "critical" else "warning"
        news = event.severity == "critical" and not grave
        name = "raised" if len(group["events"]) == 1 else "updated"
        if event.event == "raised":
            news |= event.series not in known
        if event.event == "cleared":
            group["open"] = bool(open_in(group, False))
            name, news = "cleared", not group["open"]
        if news or name == "raised":
            text = f"{digest}|group|{((by, labels[by]),)!r}|{group['start']}"
            end = event.at if name == "cleared" else None
            scores = {e.series: max(o.score for o in group["events"] if o.series == e.series) for e in group["events"]}
            members = sorted(scores.items(), key=lambda each: (-each[1], each[0]))
            own = hashlib.sha256(text.encode()).hexdigest()[:16]
            said.append((name, own, group["start"], end, severity, (len(open_in(group, False)), members)))
    return said


def open_at_once(events):
    """How many incidents of each site were open at one time, at most."""
    now, most = defaultdict(set), Counter()
    for event in events:
        (now[event.labels[:1]].discard if event.event == "cleared" else now[event.labels[:1]].add)(event.id)
        most[event.labels[:1]] = max(most[event.labels[:1]], len(now[event.labels[:1]]))
    return most


def open_in(group, ever):
    """Series that are members, or of these the ones whose own incident is open."""
    last = {event.series: event.event for event in group["events"]}
    return [name for name, event in last.items() if ever or event != "cleared"]


def in_short(alert):
    """What the plain loop says of an event."""
    group = alert.group
    members = None if group is None else (group.open, [(each.series, each.score) for each in group.members])
    return alert.event, alert.id, alert.start, alert.end, alert.severity, members


@pytest.mark.parametrize("seed", range(4))
def test_a_plain_loop_over_the_events_of_the_series_tells_the_same(seed):
    readings, monitor = failing_sites(seed=seed), Monitor(unmoved(), GROUPED)
    events = monitor.observe(readings)[1]
    said = [in_short(alert) for alert in monitor.group(events)]

    assert said == group_again(events, "site", 8 * monitor.detector.step, monitor.detector.digest)


def test_the_stream_holds_what_the_laws_must_survive():
    groups = Counter(alert.id for alert in WHOLE if alert.group is not None)
    alone = [alert for alert in WHOLE if alert.group is None]

    assert {alert.event for alert in WHOLE} == {"raised", "updated", "cleared"}
    assert max(alert.group.joined for alert in WHOLE if alert.group) == 3
    assert any(alert.group.open < alert.group.joined for alert in WHOLE if alert.event == "updated")
    assert {alert.severity for alert in WHOLE} == {"warning", "critical"}
    assert max(open_at_once(WHOLE).values()) > 1, "a window passes while a group is open"
    assert {alert.series for alert in alone} == {"alone"}
    raised = sum(alert.event == "raised" for alert in WHOLE)
    assert len(groups) < raised < sum(alert.event == "raised" for alert in told(PLAIN, READINGS))


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, len(READINGS)), min_size=1, max_size=40), restart=st.booleans())
def test_any_cutting_of_the_stream_and_a_restart_at_every_cut_tell_the_same(cuts, restart):
    assert told(GROUPED, READINGS, cuts, restart) == WHOLE


def test_a_restart_after_every_reading_tells_the_same():
    short = READINGS[:700]

    for at_once in (1, 1000):  # series that are put back together
        assert told(GROUPED, short, range(1, len(short)), restart=True, at_once=at_once) == told(GROUPED, short)


def test_without_group_by_nothing_changes_and_labels_are_only_told():
    plain, labelled = Monitor(unmoved(), PLAIN), Monitor(unmoved(), LABELLED)
    (scores, events), (same, others) = plain.observe(READINGS), labelled.observe(READINGS)

    assert plain.group(events) == events
    assert labelled.group(others) == others
    assert [replace(alert, labels=()) for alert in others] == events
    assert {alert.labels for alert in others if alert.series == "south/1/saw"} == {(("site", "south"), ("line", "1"))}
    assert plain.snapshot() == labelled.snapshot()
    assert scores.score.tobytes() == same.score.tobytes()


def test_grouping_changes_nothing_of_the_series_and_their_incidents():
    plain, grouped = Monitor(unmoved(), LABELLED), Monitor(unmoved(), GROUPED)
    one, other = plain.observe(READINGS[:900]), grouped.observe(READINGS[:900])
    grouped.group(other[1])
    one, other = plain.observe(READINGS[900:]), grouped.observe(READINGS[900:])

    assert one[1] == other[1]
    np.testing.assert_array_equal(one[0].alert, other[0].alert)
    assert plain.tally().exceeded == grouped.tally().exceeded
    assert grouped.tally().members == sum(plain.tally().raised.values())


def test_what_one_partition_tells_does_not_depend_on_how_another_is_read_between():
    partition = (READINGS.series % 2).astype(READINGS.partition.dtype)
    readings = replace(READINGS, partition=partition)
    mixed = told(GROUPED, readings)
    later = told(GROUPED, readings[np.argsort(partition, kind="stable")])

    for half in (0, 1):
        alone = told(GROUPED, readings[partition == half])
        assert [alert for alert in mixed if alert.partition == half] == alone
        assert [alert for alert in later if alert.partition == half] == alone


def test_a_partition_takes_its_open_groups_along_to_another_process():
    readings = replace(READINGS, partition=(READINGS.series >= 3).astype(READINGS.partition.dtype))
    whole = told(GROUPED, readings)
    for middle in range(300, 600, 11):
        here, there = Monitor(unmoved(), GROUPED), Monitor(unmoved(), GROUPED)
        said, rest = here.group(here.observe(readings[:middle])[1]), readings[middle:]
        there.restore(here.snapshot(here.series_of(1)))
        here.drop(1)
        said += here.group(here.observe(rest[rest.partition == 0])[1])
        said += there.group(there.observe(rest[rest.partition == 1])[1])

        for half in (0, 1):
            assert [a for a in said if a.partition == half] == [a for a in whole if a.partition == half]


ROWS = 240
SEVERITIES = ("warning", "critical")
SERVED = ("north/pump", "north/fan", "south/pump")
SETTINGS = """
detectors:
  pumps:
    labels: [{match: "{site}/*"}]
    policy: {false_alarms: {probability: 0.01}, group_by: site}
"""
BY_SITE = replace(small.POLICY, labels=(LabelRule("{site}/*"),), grouping=Grouping(("site",)))


def served_values():
    return {
        name: small.with_faults(small.calm_values(ROWS, seed=place), [50 + 3 * place, 150 + 20 * place])
        for place, name in enumerate(SERVED)
    }


def backtested(folder):
    """The alerts and the report of a backtest over a file for each series."""
    (folder / "c.yaml").write_text(SETTINGS)
    for name, values in served_values().items():
        path = folder / "test" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        stamps = pa.array(small.BEGIN + small.STEP * np.arange(len(values)), pa.timestamp("us", "UTC"))
        columns = dict(zip(small.CHANNELS, values.T, strict=True))
        pq.write_table(pa.table({"timestamp": stamps, **columns}), path)
    bundle = small.bundled(folder / "bundle")
    words = ["backtest", str(folder / "c.yaml"), "--bundle", str(bundle), "--test", str(folder / "test")]

    assert main([*words, "--out", str(folder / "out"), "--pictures", "0", "--fresh"]) == 0

    lines = (folder / "out" / "alerts.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], json.loads((folder / "out" / "report.json").read_text())


def test_explain_finds_the_reading_that_raised_a_group(tmp_path, capsys):
    alerts, _ = backtested(tmp_path)
    raised = next(alert for alert in alerts if alert["event"] == "raised")
    words = ["explain", str(tmp_path / "c.yaml"), "--bundle", str(tmp_path / "bundle"), "--fresh"]
    capsys.readouterr()

    assert main([*words, "--test", str(tmp_path / "test"), "--alert", raised["id"]]) == 0
    assert capsys.readouterr().out.startswith(f"{raised['series']} at ")


def published():
    """A world in which the same readings came in the order of their times."""
    world, values = World(), served_values()
    for row in range(ROWS):
        for name in sorted(SERVED):
            small.publish(world, values[name][row : row + 1], name, start=row)
    return world


def served(world, **options):
    """A service that groups by site, on this world."""
    detector = small.small_detector()
    plain = small.stream_of(detector)
    grouping = Stream(plain.detector, plain.topic, plain.decoder, Monitor(detector, BY_SITE, name="pumps"))
    return small.Bench(world, detector, streams=[grouping], **options)


def labels(severity):
    return {"detector": "pumps", "severity": severity}


def without_offset(alert):
    """The row of a file is not the offset in a log."""
    return {key: value for key, value in alert.items() if key != "offset"}


def test_the_service_tells_of_a_log_what_the_backtest_tells_of_files_one_a_series(tmp_path):
    alerts, report = backtested(tmp_path)
    world = published()
    bench = served(world)
    bench.run()
    live = small.alerts_in(world)
    counted = [bench.registry.get_sample_value("plumbline_incidents_total", labels(each)) for each in SEVERITIES]

    assert [without_offset(alert) for alert in live] == [without_offset(alert) for alert in alerts]
    assert {alert["group"]["labels"]["site"] for alert in alerts} == {"north", "south"}
    assert {each.key for each in world.stored if each.topic == "alerts"} == {b"site north", b"site south"}
    assert max(alert["group"]["joined"] for alert in alerts) == 2
    told = Counter(alert["event"] for alert in alerts)
    assert report["alerts"] == dict(told)
    assert report["at_target"]["incidents"] == told["raised"] == sum(counted)
    assert told["raised"] < report["at_target"]["members"]
    assert sum(report["open_at_the_end"].values()) == told["raised"] - told["cleared"]
    assert told["cleared"] > 1


def test_a_service_that_stops_while_a_group_is_open_goes_on_with_it():
    whole, world = published(), published()
    served(whole).run()
    stops = iter((1005.5, 1010.5, 1014.0, 1017.5))
    open_then = []
    for seconds in stops:
        bench = served(world, until=lambda until=seconds: world.seconds > until)
        bench.run()
        open_then.append(sum(bench.streams[0].monitor.open_incidents().values()))
    served(world).run()

    assert small.alerts_in(world) == small.alerts_in(whole)
    assert any(open_then)
