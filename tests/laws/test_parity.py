"""The service on a real Kafka says of every reading what the backtest says of the same file, row by row."""

import json
import signal
import time

import numpy as np
import pandas as pd
import pytest
from kafka import KafkaConsumer, TopicPartition

from pipeline.bundle import save
from pipeline.cli.main import main
from pipeline.detector.fit_settings import FitSettings
from pipeline.training.fit import fit
from tests.laws.live import Live, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHANNELS = ("temp", "flow")
ROWS = 400  # of each series
CUTS = (700, 860)  # rows of all series together: in the middle of a batch and of an incident
OVERTAKEN = 70  # rows back that a late reading comes from


def frame_of(rows, seed, begin="2026-03-01"):
    """Three series side by side, row by row, each a wave with noise."""
    rng = np.random.default_rng(seed)
    parts = []
    for series in range(3):
        wave = np.sin(np.arange(rows) / 10 + series)
        parts.append(
            pd.DataFrame(
                {
                    "timestamp": pd.date_range(begin, periods=rows, freq="min", tz="UTC"),
                    "series": f"pump-{series}",
                    "temp": 20 + 5 * wave + rng.normal(0, 0.3, rows),
                    "flow": 3 + wave**2 + rng.normal(0, 0.1, rows),
                }
            )
        )
    return pd.concat(parts).sort_values(["timestamp", "series"], kind="stable", ignore_index=True)


@pytest.fixture(scope="module")
def later():
    """What was read later: faults, missing values, a gap, a duplicate and a late reading."""
    frame = frame_of(ROWS, seed=7, begin="2026-03-02")
    faulty = frame["timestamp"].between("2026-03-02T03:50", "2026-03-02T04:55") & (frame["series"] != "pump-1")
    frame.loc[faulty, "temp"] += 30.0
    frame.loc[frame.index % 37 == 0, "flow"] = np.nan
    frame.loc[100, list(CHANNELS)] = np.nan
    gap = frame["timestamp"].between("2026-03-02T01:00", "2026-03-02T01:30") & (frame["series"] == "pump-1")
    frame = frame[~gap]
    again = frame.iloc[[500, 500 - OVERTAKEN]]
    return pd.concat([frame.iloc[:501], again, frame.iloc[501:]], ignore_index=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity") / "bundle"
    save(fit(frame_of(800, seed=3), settings=FitSettings(steps=40, evaluate_every=20, warm_up=32)), folder)
    return folder


@pytest.fixture(scope="module")
def backtest(bundle, later, tmp_path_factory):
    """The rows of the backtest's scores, and its alerts."""
    folder = tmp_path_factory.mktemp("backtest")
    config = write(folder / "plumbline.yaml", bundle, "localhost:1", "nobody")
    later.to_parquet(folder / "later.parquet", index=False)
    told = ["--test", str(folder / "later.parquet"), "--out", str(folder / "out")]

    assert main(["backtest", str(config), "--bundle", str(bundle), *told]) == 0

    alerts = [json.loads(line) for line in (folder / "out" / "alerts.jsonl").read_text().splitlines()]
    return pd.read_parquet(folder / "out" / "scores.parquet"), alerts


@pytest.fixture
def live(kafka, fresh_name, tmp_path, bundle):
    with Live(kafka, fresh_name, tmp_path, bundle) as service:
        yield service


def about(row):
    """Which reading a score is about."""
    return row["series"], row["timestamp"], row["outcome"]


def assert_same(backtest, live_scores, live_alerts):
    """Times, outcomes, alerts and ids exactly, scores within 1e-5, series by series and incident by incident in order.

    Between incidents of a series the order is not the same: those of a silence are told at the end of a batch.
    """
    scores, alerts = backtest
    for series, rows in scores.groupby("series"):
        mine = [row for row in live_scores if row["series"] == series]

        assert [pd.Timestamp(row["timestamp"]) for row in mine] == rows["timestamp"].tolist()
        assert [row["outcome"] for row in mine] == rows["outcome"].tolist()
        assert [row["alert"] for row in mine] == rows["alert"].tolist()
        for column in ("score", "bar"):
            found = np.array([row[column] for row in mine], float)
            np.testing.assert_allclose(found, rows[column].to_numpy(float), rtol=0, atol=1e-5)
        for name in CHANNELS:
            found = [np.nan if row["expected"] is None else row["expected"][name] for row in mine]
            np.testing.assert_allclose(found, rows[f"{name}.expected"].to_numpy(float), rtol=1e-5, atol=1e-5)
        exactly = ("id", "event", "at", "start", "end", "peak_at", "severity", "because", "closing")
        mine, told = ([alert for alert in some if alert["series"] == series] for some in (live_alerts, alerts))
        for incident in {alert["id"] for alert in (*mine, *told)}:
            assert [[alert[key] for key in exactly] for alert in mine if alert["id"] == incident] == [
                [alert[key] for key in exactly] for alert in told if alert["id"] == incident
            ]


def test_the_file_holds_what_the_law_must_survive(backtest, later):
    scores, alerts = backtest

    assert set(scores["outcome"]) == {"scored", "warming", "missing", "late", "duplicate"}
    assert {alert["event"] for alert in alerts} >= {"raised", "cleared"}
    assert len(scores) == len(later)
    for cut in CUTS:
        assert scores["alert"].iloc[cut - 3 : cut].any(), "an incident is open when the service stops"


def test_backtest_equals_live_over_two_restarts_in_mid_incident(live, backtest, later):
    begun = 0
    for cut in (*CUTS, len(later)):
        live.publish(later[begun:cut])
        live.start()
        live.read("scores", cut)
        code, seconds = live.stop()
        begun = cut

        assert code == 0, live.log()
        assert seconds < 20
    alerts = live.read("alerts")

    assert_same(backtest, live.read("scores"), alerts)
    assert live.said() == [alert["sentence"] for alert in alerts]
    assert live.read("dead") == []


def test_what_a_killed_service_repeats_is_the_same_again(live, backtest, later):
    begun = 0
    for cut, number in zip(CUTS, (signal.SIGTERM, signal.SIGKILL), strict=True):
        live.publish(later[begun:cut])
        live.start()
        live.read("scores", cut)
        live.stop(number)
        begun = cut
    live.publish(later[begun:])
    live.start()
    live.read_until("scores", lambda rows: len({about(row) for row in rows}) == len(later))
    live.stop()
    rows, scores, events = live.read("scores"), {}, {}
    for row in rows:
        scores.setdefault(about(row), row)
    for alert in live.read("alerts"):
        events.setdefault((alert["id"], alert["event"]), alert)

    assert_same(backtest, list(scores.values()), list(events.values()))
    assert len(rows) == len(later) + CUTS[1] - CUTS[0]


def test_a_first_start_at_the_end_that_fills_back_goes_on_as_if_it_had_been_there(live, backtest, later):
    scores, alerts = backtest
    cut = CUTS[0]
    live.publish(later[:cut])
    live.start("--start", "latest", "--backfill", "20000")
    live.wait_for_commit(cut)
    live.publish(later[cut:])
    rows = live.read("scores", len(later) - cut)
    live.stop()
    events = live.read("alerts")
    kept = scores.iloc[cut:]
    since = {series: at.iloc[0] for series, at in kept.groupby("series")["timestamp"]}

    assert len(rows) == len(kept)
    assert "warming" not in {row["outcome"] for row in rows[:30]}
    assert_same((kept, [a for a in alerts if pd.Timestamp(a["at"]) >= since[a["series"]]]), rows, events)
    assert any(event["event"] == "cleared" for event in events), "an incident that was open is followed"


def test_who_is_silent_is_told_live_as_by_the_backtest_over_a_kill(kafka, fresh_name, tmp_path, bundle, later):
    """In a topic of one partition, which a file is, too."""
    with Live(kafka, fresh_name, tmp_path, bundle, partitions=1) as live:
        live.change("silent_after: 0", "silent_after: 20")
        later.to_parquet(tmp_path / "later.parquet", index=False)
        told = ["--test", str(tmp_path / "later.parquet"), "--out", str(tmp_path / "out")]
        assert main(["backtest", str(live.config), "--bundle", str(bundle), *told]) == 0
        begun = 0
        cut = int((later["timestamp"] < "2026-03-02T01:25").sum())  # pump-1 is silent
        for end, number in ((cut, signal.SIGKILL), (len(later), signal.SIGTERM)):
            live.publish(later[begun:end])
            live.start()
            live.read_until("scores", lambda rows, most=end: len({about(row) for row in rows}) >= most)
            live.stop(number)
            begun = end
        events = {(alert["id"], alert["event"]): alert for alert in reversed(live.read("alerts"))}
    lines = (tmp_path / "out" / "alerts.jsonl").read_text().splitlines()
    replayed = [alert for alert in map(json.loads, lines) if alert["kind"] == "silent"]
    live_ones = sorted((each for each in events.values() if each["kind"] == "silent"), key=lambda each: each["at"])

    assert [(alert["event"], alert["series"]) for alert in replayed] == [("raised", "pump-1"), ("cleared", "pump-1")]
    for alert, found in zip(replayed, live_ones, strict=True):
        assert {**found, "offset": 0} == {**alert, "offset": 0}


def test_a_dry_run_leaves_the_broker_as_it_was(live, backtest, later):
    alerts = backtest[1]
    live.publish(later)
    live.start("--dry-run")
    deadline = time.monotonic() + 60
    while len(live.said()) < len(alerts) and time.monotonic() < deadline:
        time.sleep(0.2)
    code, _ = live.stop()
    consumer = KafkaConsumer(bootstrap_servers=live.servers, group_id=live.name, enable_auto_commit=False)
    committed = [consumer.committed(TopicPartition(f"{live.name}-readings", number)) for number in range(2)]
    consumer.close()

    assert code == 0
    assert sorted(live.said()) == sorted(alert["sentence"] for alert in alerts)
    assert live.read("alerts") == live.read("scores") == []
    assert committed == [None, None]
    assert not (live.folder / "state").exists()


def test_records_of_single_sensors_are_scored_as_their_capture_is_over_a_kill(live, bundle, later, tmp_path):
    """Joined live, what waits carried over a restart, and joined by `capture` and replayed: the same scores."""
    joined = "shape: long, series: {field: sensor}, join: {by: series, lateness_seconds: 180}"
    live.change("series: {field: series}", joined)
    for rows, number in ((later[:703], signal.SIGKILL), (later[703:], signal.SIGTERM)):
        live.publish(rows)
        live.start()
        live.wait_for("partition assigned")
        captured = tmp_path / "captured.parquet"
        assert main(["capture", str(live.config), "--out", str(captured)]) == 0
        readings = len(pd.read_parquet(captured))
        live.read_until("scores", lambda found, most=readings: len({about(row) for row in found}) >= most - 3)
        live.stop(number)
    told = ["--test", str(captured), "--out", str(tmp_path / "out")]
    assert main(["backtest", str(live.config), "--bundle", str(bundle), *told]) == 0
    scores, events = {}, {}
    for row in live.read("scores"):
        scores.setdefault(about(row), row)
    for alert in live.read("alerts"):
        events.setdefault((alert["id"], alert["event"]), alert)
    replayed = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    alerts = [json.loads(line) for line in (tmp_path / "out" / "alerts.jsonl").read_text().splitlines()]

    assert events
    assert len(replayed) == len(later) - 2  # but the one that came twice, and the one without a value
    assert (replayed["outcome"] == "late").sum() == 1  # by more than the lateness: a reading, and named so
    assert_same((replayed, alerts), list(scores.values()), list(events.values()))
    assert live.read("dead") == []
