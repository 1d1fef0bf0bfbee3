"""An hour of a fleet through a real Kafka: nothing is lost or counted twice, memory is flat, the lag is bounded.

PLUMBLINE_SOAK_READINGS=200000 makes a minute of it; `python -m tests.bench.soak` does the same by hand.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from tests.bench.soak import Fleet, Soak, outcome_of, print_now
from tests.bench.soak_report import Asked, Told, write

SMALL = Asked(readings=2_500, series=100, rate=10.0)


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.timeout(4 * 3600)
def test_a_fleet_of_ten_thousand_series_goes_on_while_processes_are_killed_stopped_and_joined(
    kafka, fresh_name, tmp_path, capsys
):
    asked = Asked()
    asked = replace(asked, readings=int(os.environ.get("PLUMBLINE_SOAK_READINGS", asked.readings)))
    asked = replace(asked, event_seconds=min(asked.event_seconds, asked.readings / asked.rate / 6))

    def say(line):
        with capsys.disabled():
            print_now(line)

    told = Soak(asked, kafka, fresh_name, tmp_path, say).run()
    write(told, tmp_path)
    say(f"{told.figures()}; {tmp_path / 'soak.json'}")

    assert told.broken() == []
    assert len(told.events) >= 4


def kept():
    """What is seen where all goes well."""
    samples = [(float(at), 10 * at, 5, {"elder": 90.0 + at % 2, "other": 80.0}) for at in range(0, 250, 2)]
    return Told(
        SMALL,
        samples=samples,
        sent={"reading": 2_400, "missing": 40, "duplicate": 40, "invalid": 20},
        outcomes={"scored": 800, "warming": 1_600, "missing": 40, "duplicate": 40, "invalid": 20},
        seconds=250.0,
        watched_scores=500,
        exit_codes={"elder": [0], "other": [-signal.SIGKILL, 0]},
    )


def test_a_soak_in_which_all_goes_well_breaks_nothing():
    assert kept().broken() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcomes": {**kept().outcomes, "scored": 799}}, "799"),
        ({"outcomes": {**kept().outcomes, "scored": 801}}, "801"),
        ({"outcomes": {**kept().outcomes, "invalid": 19}}, "20 records were invalid, 19 outputs say so"),
        ({"outcomes": {**kept().outcomes, "late": 1}}, "1 came late"),
        ({"outcomes": {**kept().outcomes, "scored": 600, "warming": 1_800}}, "began again"),
        ({"uneven_series": 1}, "1 series have another number"),
        ({"differing_scores": 2}, "2 scores are not the backtest's"),
        ({"watched_scores": 0}, "0 scores are not"),
        ({"exit_codes": {"elder": [1]}}, "ended badly"),
        ({"samples": [(at, 1, 5, {"elder": 90.0 + at}) for at in range(250)]}, "memory grew"),
        ({"samples": [*kept().samples, (249.0, 1, 2_000, {"elder": 90.0})]}, "fell behind by 2000"),
    ],
)
def test_a_promise_that_is_broken_is_named(change, said):
    if said in ("799", "801"):
        said = f"2400 readings were sent, {int(said) + 1_600} scored or warming up"
    (found,) = [one for one in replace(kept(), **change).broken() if said in one]

    assert found


def test_the_fleet_knows_what_it_sends():
    fleet = Fleet(replace(SMALL, readings=50_000))
    records = list(fleet.records())
    kinds = {kind: sum(one[0] == kind for one in records) for kind in ("reading", "missing", "duplicate", "invalid")}

    assert len(records) == sum(kinds.values()) == 50_000
    assert all(kinds.values())
    assert all(value.endswith(b"}") == (kind != "invalid") for kind, _, value in records)
    assert {key for _, key, _ in records} == set(fleet.names)


def test_the_outcome_is_read_from_a_score():
    assert outcome_of(b'{"series":"a","score":null,"outcome":"warming","expected":null}') == "warming"


def test_the_report_is_written_with_a_picture(tmp_path):
    write(kept(), tmp_path / "out")

    assert (tmp_path / "out" / "soak.png").stat().st_size > 10_000
    assert '"elder_slope_mib_per_hour"' in (tmp_path / "out" / "soak.json").read_text()
