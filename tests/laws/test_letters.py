"""Records that a wrong input made no readings: kept, and scored after the mend, by real services on a real Kafka."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from pipeline.cli.main import main
from tests.laws.live import Live
from tests.service.small import CHANNELS, bundled, calm_values

RIGHT, WRONG = "series: {field: series}", "series: {field: sensor}"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundled(tmp_path_factory.mktemp("bundles") / "pumps")


@pytest.fixture
def live(kafka, fresh_name, tmp_path, bundle):
    with Live(kafka, fresh_name, tmp_path, bundle) as service:
        yield service


def frame_of(rows, *series):
    """Calm rows of these series side by side."""
    moments = pd.date_range("2026-03-01", periods=rows, freq="min", tz="UTC")
    parts = [
        pd.DataFrame(calm_values(rows, seed), columns=CHANNELS).assign(timestamp=moments, series=name)
        for seed, name in enumerate(series)
    ]
    return pd.concat(parts).sort_values(["timestamp", "series"], ignore_index=True)


def outcomes(rows):
    """How many readings ended how; each has one outcome."""
    about = [(row["series"], row["timestamp"]) for row in rows]

    assert len(set(about)) == len(about)

    return Counter(row["outcome"] for row in rows)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_was_no_reading_is_scored_after_the_mend_as_if_it_had_always_been_one(live, capsys):
    frame = frame_of(100, "a", "b", "c")
    live.publish(frame)
    live.change(RIGHT, WRONG)
    live.start()
    live.read_until("dead", lambda letters: len(letters) == 300)

    assert live.stop()[0] == 0

    live.change(WRONG, RIGHT)
    assert main(["dead-letters", "publish", str(live.config), "--reason", "field"]) == 0
    live.start()
    rows = live.read("scores", 300)

    assert live.stop()[0] == 0
    assert "300 records sent to" in capsys.readouterr().out
    assert outcomes(rows) == {"scored": 300 - 3 * 16, "warming": 3 * 16}
    assert len(live.read("dead")) == 300


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_wrong_input_stops_the_service_and_no_record_is_lost(live, capsys):
    frame = frame_of(1_000, "a", "b")
    frame.to_parquet(live.folder / "all.parquet", index=False)
    live.change(RIGHT, WRONG)
    live.start()
    live.wait_for("partition assigned")
    command = [str(Path(sys.executable).with_name("plumbline")), "publish", str(live.config)]
    live.change(WRONG, RIGHT)  # what is sent is right
    with subprocess.Popen([*command, "--data", str(live.folder / "all.parquet"), "--speed", "600"]) as sender:
        code = live.process.wait(200)
        sender.send_signal(signal.SIGINT)
    live.process = None
    said = live.log().splitlines()
    letters = len(live.read("dead"))

    assert code == 1
    told = f"plumbline: detector pumps: {letters:,} of the last {letters:,} records were no readings (100 %, "
    assert said[-1].startswith(told)
    assert "by reason field, such as" in said[-1]
    assert said[-2].endswith(" stopped")
    assert letters >= 1_000
    main(["dead-letters", "publish", str(live.config), "--all"])
    live.start()
    rows = live.read_until("scores", lambda rows: len(rows) >= letters)

    assert live.stop()[0] == 0
    ended = outcomes(rows)
    sent = int(capsys.readouterr().out.split(" records sent to")[0].splitlines()[-1].replace(",", ""))
    assert sent == letters
    assert ended["scored"] + ended["warming"] + ended["late"] == len(rows) >= letters
