"""A running service takes over another configuration or bundle, on a real Kafka, against the backtests with both."""

from __future__ import annotations

import json
import shutil
import signal

import pandas as pd
import pytest

from pipeline.bundle import load, save
from pipeline.cli.main import main
from pipeline.connectors.kafka_client import Cluster, create_topic
from pipeline.detector.fit_settings import FitSettings
from pipeline.training.fit import fit
from tests.laws.live import Live, write
from tests.laws.test_parity import assert_same, backtest, bundle, frame_of, later  # noqa: F401  fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CUT = 700  # rows of all series together, in the middle of an incident


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """Another bundle for the same pumps."""
    folder = tmp_path_factory.mktemp("newer") / "bundle"
    save(fit(frame_of(800, seed=4), settings=FitSettings(steps=40, evaluate_every=20, warm_up=32)), folder)
    return folder


@pytest.fixture(scope="module")
def newer_backtest(newer, later, tmp_path_factory):  # noqa: F811
    """The rows of its scores, and its alerts."""
    folder = tmp_path_factory.mktemp("newer-backtest")
    config = write(folder / "plumbline.yaml", newer, "localhost:1", "nobody")
    later.to_parquet(folder / "later.parquet", index=False)
    told = ["--test", str(folder / "later.parquet"), "--out", str(folder / "out")]

    assert main(["backtest", str(config), "--bundle", str(newer), *told]) == 0

    alerts = [json.loads(line) for line in (folder / "out" / "alerts.jsonl").read_text().splitlines()]
    return pd.read_parquet(folder / "out" / "scores.parquet"), alerts


@pytest.fixture
def live(kafka, fresh_name, tmp_path, bundle):  # noqa: F811
    mine = tmp_path / "bundle"
    shutil.copytree(bundle, mine)
    with Live(kafka, fresh_name, tmp_path, mine) as service:
        yield service


def split(backtest, later, series, first):  # noqa: F811
    """A backtest's rows and alerts of one series, of the first rows of the file or of the rest."""
    scores, alerts = backtest
    mine = (later["series"] == series).to_numpy()
    count = int(mine[:CUT].sum())
    rows = scores[scores["series"] == series]
    begin = rows["timestamp"].iloc[count]
    rows = rows.iloc[:count] if first else rows.iloc[count:]
    return rows, [a for a in alerts if a["series"] == series and (pd.Timestamp(a["at"]) < begin) == first]


def assert_old_then_new(older, newer, later, live):  # noqa: F811
    """Up to the barrier all is the older backtest's, from there the newer one's; each record once."""
    told, alerts = live.read("scores"), live.read("alerts")

    assert len(told) == len(later)
    for series in sorted(set(later["series"])):
        count = int((later["series"][:CUT] == series).sum())
        mine = [row for row in told if row["series"] == series]
        whose = [alert for alert in alerts if alert["series"] == series]
        begin = pd.Timestamp(mine[count]["timestamp"])
        before = [alert for alert in whose if pd.Timestamp(alert["at"]) < begin]

        assert_same(split(older, later, series, True), mine[:count], before)
        assert_same(split(newer, later, series, False), mine[count:], whose[len(before) :])


def test_sighup_brings_another_bundle_and_each_scores_its_side_of_the_barrier(
    live,
    backtest,  # noqa: F811
    newer,
    newer_backtest,
    later,  # noqa: F811
):
    live.publish(later[:CUT])
    live.start()
    live.read("scores", CUT)
    live.change(str(live.folder / "bundle"), str(newer))
    live.process.send_signal(signal.SIGHUP)
    live.wait_for("reloaded detectors=1")
    live.publish(later[CUT:])
    live.read("scores", len(later))
    code, _ = live.stop()

    assert code == 0, live.log()
    assert_old_then_new(backtest, newer_backtest, later, live)
    assert live.log().count("with=other_digest") == 2, "both partitions, at the barrier"
    assert "partitions given up" not in live.log()
    assert (
        f"reload detector=pumps fate=rewarmed topic={live.name}-readings digest={load(newer).digest[:12]}" in live.log()
    )


def test_a_bundle_replaced_on_disk_is_taken_up_and_a_damaged_one_is_not(
    live,
    backtest,  # noqa: F811
    newer,
    newer_backtest,
    later,  # noqa: F811
):
    live.change("{folder: state, every_seconds: 30}", f"{{changelog: {live.name}-state, every_seconds: 2}}")
    live.change("telemetry:", "delivery: exactly_once\ntelemetry:")
    live.publish(later[:CUT])
    live.start()
    live.read("scores", CUT)
    weights = live.folder / "bundle" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    live.wait_for("not reloaded: all goes on as before")

    assert "SHA-256 differs" in live.log()

    save(load(newer), live.folder / "bundle")
    live.wait_for("reloaded detectors=1")
    live.publish(later[CUT:])
    live.read("scores", len(later))
    code, _ = live.stop()

    assert code == 0, live.log()
    assert_old_then_new(backtest, newer_backtest, later, live)


def test_other_topics_are_written_after_the_barrier_and_the_state_is_kept(live, backtest, later):  # noqa: F811
    live.publish(later[:CUT])
    live.start()
    live.read("scores", CUT)
    live.change(f"scores: {live.name}-scores", f"scores: {live.name}-missing")
    live.process.send_signal(signal.SIGHUP)
    live.wait_for("not reloaded: all goes on as before")
    create_topic(Cluster(live.servers), f"{live.name}-others")
    live.change(f"scores: {live.name}-missing", f"scores: {live.name}-others")
    live.process.send_signal(signal.SIGHUP)
    live.wait_for("connected again")
    live.publish(later[CUT:])
    rest = live.read("others", len(later) - CUT)
    code, _ = live.stop()

    assert code == 0, live.log()
    assert len(live.read("scores")) == CUT
    assert_same(backtest, live.read("scores") + rest, live.read("alerts"))


def test_a_bundle_with_a_series_more_keeps_all_others_as_they_are(live, backtest, later):  # noqa: F811
    """The others in mid-incident and with the state in a changelog; the new one is scored from its first reading."""
    live.change("{folder: state, every_seconds: 30}", f"{{changelog: {live.name}-state, every_seconds: 2}}")
    live.change("telemetry:", "delivery: exactly_once\ntelemetry:")
    every = frame_of(5200, seed=11, begin="2026-02-26T16:00")  # among the others, from 5 o'clock on
    added = every[every["series"] == "pump-1"].assign(series="pump-9")
    added[:5100].to_parquet(live.folder / "added.parquet", index=False)
    bundle = live.folder / "bundle"  # noqa: F811
    live.publish(later[:CUT])
    live.start()
    live.read("scores", CUT)

    words = ["--data", live.folder / "added.parquet", "--extend", bundle, "--out", bundle]
    assert main(["train", *map(str, words)]) == 0

    live.wait_for("reloaded detectors=1")
    live.publish(later[CUT:])
    live.publish(added[5100:])
    told = live.read("scores", len(later) + 100)
    code, _ = live.stop()
    alerts = live.read("alerts")
    digests = [alert["digest"] for alert in alerts if alert["series"] != "pump-9"]

    assert code == 0, live.log()
    assert "fate=kept" in live.log()
    assert "with=other_digest" not in live.log()
    assert_same(backtest, told, alerts)
    assert len(set(digests)) == 2, "the same incidents, told by the one and then by the other"
    assert [row["outcome"] for row in told if row["series"] == "pump-9"] == ["scored"] * 100
