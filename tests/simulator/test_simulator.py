"""Schedules of faults from seeds: nothing lost, nothing repeated against the promise, all as the backtest says."""

import json
import logging
from collections import Counter

import pytest

from tests.service.small import small_detector
from tests.simulator.mutants import MUTANTS, catch_up_aloud, read_on_behind_what_waits, read_on_over_a_gap
from tests.simulator.retention import Shrinking, restores
from tests.simulator.schedule import Schedule, tried

SEEDS, LONG_SEEDS, MUTANT_SEEDS = 40, 1500, 150
FEW = 8  # of SEEDS, in `make check`
OTHER_SEEDS = 20  # of schedules with one thing more
SHRINKING_SEEDS, LONG_SHRINKING_SEEDS = 15, 300  # each takes three times as long


@pytest.fixture(scope="module")
def detector():
    return small_detector()


@pytest.fixture(autouse=True)
def quiet():
    """A schedule logs thousands of faults."""
    logger = logging.getLogger("plumbline")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)


@pytest.mark.parametrize("keeping", ["folder", "changelog", "exactly_once"])
@pytest.mark.parametrize("seeds", [range(FEW), pytest.param(range(FEW, SEEDS), marks=pytest.mark.slow)])
def test_no_schedule_breaks_a_promise(detector, keeping, seeds):
    broken = {seed: said for seed in seeds if (said := tried(seed, detector, keeping))}

    assert broken == {}


@pytest.mark.slow
@pytest.mark.parametrize("keeping", ["folder", "changelog", "exactly_once"])
def test_processes_that_begin_at_the_end_and_fill_back_lose_and_repeat_nothing(detector, keeping):
    broken = {seed: said for seed in range(OTHER_SEEDS) if (said := tried(seed, detector, keeping, late=True))}

    assert broken == {}


@pytest.mark.slow
@pytest.mark.parametrize("keeping", ["folder", "changelog", "exactly_once"])
def test_while_the_registry_is_away_now_and_then_nothing_is_lost_or_repeated(detector, keeping):
    broken = {seed: said for seed in range(OTHER_SEEDS) if (said := tried(seed, detector, keeping, registry=True))}

    assert broken == {}


@pytest.mark.slow
@pytest.mark.parametrize("keeping", ["folder", "changelog", "exactly_once"])
def test_where_retention_passes_only_what_nobody_had_read_is_lost_and_it_is_told(detector, keeping):
    broken = {seed: said for seed in range(SHRINKING_SEEDS) if (said := tried(seed, detector, keeping, Shrinking))}

    assert broken == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("keeping", ["folder", "changelog", "exactly_once"])
def test_retention_breaks_no_promise_under_any_of_hundreds_of_schedules(detector, keeping):
    seeds = range(SHRINKING_SEEDS, SHRINKING_SEEDS + LONG_SHRINKING_SEEDS)
    broken = {seed: said for seed in seeds if (said := tried(seed, detector, keeping, Shrinking))}

    assert broken == {}


@pytest.mark.slow
@pytest.mark.parametrize("keeping", ["folder", "exactly_once"])
def test_reading_on_over_what_was_deleted_is_found(detector, keeping, monkeypatch):
    read_on_over_a_gap(monkeypatch)

    assert any(tried(seed, detector, keeping, Shrinking) for seed in range(30))


@pytest.mark.slow
def test_retention_passes_over_what_was_read_and_what_was_not(detector):
    """Schedules in which nothing is ever lost, or all is, prove nothing."""
    told, lost, kept = 0, 0, 0
    for seed in range(SHRINKING_SEEDS):
        schedule = Shrinking(seed, detector, "changelog")
        schedule.run()
        told += restores(schedule, "beyond_retention")
        lost += schedule.lost
        kept += sum(not one.unknown for one in schedule.cluster.deletions)

    assert min(told, lost, kept) > SHRINKING_SEEDS // 3


@pytest.mark.slow
def test_reading_on_behind_what_waits_is_found(detector, monkeypatch):
    read_on_behind_what_waits(monkeypatch)

    assert any(tried(seed, detector, "folder", registry=True) for seed in range(10))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("keeping", ["folder", "changelog", "exactly_once"])
def test_none_of_thousands_of_schedules_breaks_a_promise(detector, keeping):
    broken = {seed: said for seed in range(SEEDS, SEEDS + LONG_SEEDS) if (said := tried(seed, detector, keeping))}

    assert broken == {}


@pytest.mark.slow
@pytest.mark.parametrize(("mutant", "keeping"), MUTANTS, ids=lambda one: getattr(one, "__name__", one))
def test_a_fault_that_is_put_in_is_found(detector, mutant, keeping, monkeypatch, record_property):
    mutant(monkeypatch)
    found = next((seed for seed in range(MUTANT_SEEDS) if tried(seed, detector, keeping)), None)

    assert found is not None, f"{MUTANT_SEEDS} schedules did not find it"
    record_property("schedules", found + 1)


@pytest.mark.slow
def test_filling_back_aloud_is_found(detector, monkeypatch):
    catch_up_aloud(monkeypatch)

    assert any(tried(seed, detector, "exactly_once", late=True) for seed in range(10))


@pytest.mark.slow
def test_schedules_do_what_they_are_for(detector):
    """A simulator that never kills, moves or restores proves nothing."""
    told, restored, kinds = "", 0, Counter()
    for seed in range(SEEDS):
        schedule = Schedule(seed, detector, "exactly_once")
        schedule.run()
        told += "\n".join(schedule.trace)
        restored += len(schedule.cluster.changelog)
        alerts = [json.loads(one.message.value) for one in schedule.cluster.stored if one.message.topic == "alerts"]
        kinds.update(alert["kind"] for alert in alerts)
    for words in ("is killed after send", "is killed after offsets", "is killed after flush", "stands still", "away"):
        assert words in told
    for words in ("given the same bundle", "given another bundle", "given a broken bundle", "has taken over"):
        assert words in told
    assert restored
    assert min(kinds["anomaly"], kinds["silent"]) > SEEDS // 2


def test_one_seed_is_one_run(detector):
    one, two = (Schedule(5, detector, "exactly_once") for _ in range(2))
    one.run()
    two.run()

    assert one.trace == two.trace
    assert [each.message for each in one.cluster.stored] == [each.message for each in two.cluster.stored]
