"""What a scrape says after what happened."""

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pipeline.exceptions import BrokerError
from pipeline.monitor.parts import Warming
from pipeline.records import Alert, Outcome, Reason, Rejected
from pipeline.service.health import Deadlines
from pipeline.service.ports import Partition
from pipeline.service.stream import Served
from pipeline.service.telemetry import Telemetry
from pipeline.service.watched import SeriesShown
from tests.service.telemetry_feed import HandClock, Record, readings_of, scores_of, scraped, value_of

FIRST, SECOND = Partition("readings", 0), Partition("readings", 1)
PUMPS = Served("pumps", "readings", "ab" * 32, ("temp", "flow"), target=1e-3)
FANS = Served("fans", "air", "cd" * 32, ("rpm",), target=1e-4)
NONE_WARMING = Warming(0, 0, 0.0)
NAMES = ["pump-0", "pump-1", "pump-2"]


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry, clock):
    return Telemetry(registry, clock, [PUMPS, FANS], version="0.1.0", series=SeriesShown(max=2), deadlines=Deadlines())


def alert_of(event, severity):
    return Alert(
        id="0" * 16, event=event, at=0, detector="pumps", digest=PUMPS.digest, series="pump-0", severity=severity,
        start=0, end=None, peak_at=0, score=4.0, bar=3.0, target=1e-3, because="point", span=5, one_in=1000,
        closing=None, channels=(), partition=0, offset=0, clock="time",
    )  # fmt: skip


def fail_after(clock, seconds):
    clock.seconds += seconds
    raise BrokerError("the broker did not answer")


def test_every_bounded_label_value_stands_at_zero_from_the_start(telemetry, registry):
    samples = scraped(registry)

    for outcome in ("scored", "warming", "missing", "late", "duplicate", "invalid"):
        for detector in ("pumps", "fans"):
            name = ("plumbline_readings_total", frozenset({f"detector={detector}", f"outcome={outcome}"}))
            assert samples[name] == 0
    counted = {name for name, _ in samples if name.startswith("plumbline_") and name.endswith("_total")}
    assert counted == {
        "plumbline_readings_total",
        "plumbline_invalid_total",
        "plumbline_ignored_total",
        "plumbline_put_off_records_total",
        "plumbline_exceedances_total",
        "plumbline_held_back_total",
        "plumbline_incidents_total",
        "plumbline_alerts_total",
        "plumbline_muted_alerts_total",
        "plumbline_quiet_incidents_total",
        "plumbline_commits_total",
        "plumbline_dead_letters_total",
        "plumbline_restores_total",
        "plumbline_model_reloads_total",
        "plumbline_kafka_errors_total",
    }
    assert not [value for (name, _), value in samples.items() if name in counted and value]


def test_names_carry_prefix_and_unit_and_nothing_is_named_created(telemetry, registry):
    names = {name for name, _ in scraped(registry)}

    assert not [name for name in names if name.endswith("_created")]
    assert not [name for name in names if not name.startswith(("plumbline_", "process_", "python_"))]


def test_readings_are_counted_by_outcome(telemetry, registry):
    outcomes = [Outcome.SCORED, Outcome.SCORED, Outcome.WARMING, Outcome.LATE, Outcome.DUPLICATE, Outcome.MISSING]
    scores = scores_of([1.0] * 6, outcome=outcomes, exceeds=[True, False, False, False, False, False])
    telemetry.observed("pumps", readings_of(NAMES, [0, 1, 2, 0, 1, 2]), scores, [])
    telemetry.rejected("pumps", [Rejected(0, Reason.SYNTAX, ""), Rejected(1, Reason.NOT_FINITE, "NaN")])

    counted = {
        outcome: value_of(registry, "plumbline_readings_total", "detector=pumps", f"outcome={outcome}")
        for outcome in ("scored", "warming", "missing", "late", "duplicate", "invalid")
    }
    assert counted == {"scored": 2, "warming": 1, "missing": 1, "late": 1, "duplicate": 1, "invalid": 2}
    assert value_of(registry, "plumbline_invalid_total", "detector=pumps", "reason=not_finite") == 1
    assert value_of(registry, "plumbline_exceedances_total", "detector=pumps") == 1
    assert value_of(registry, "plumbline_exceedances_total", "detector=fans") == 0


def test_incidents_are_counted_when_raised_and_alerts_by_event(telemetry, registry):
    alerts = [alert_of("raised", "warning"), alert_of("updated", "critical"), alert_of("cleared", "critical")]
    telemetry.observed("pumps", readings_of(NAMES, [0]), scores_of([4.0]), alerts)

    assert value_of(registry, "plumbline_incidents_total", "detector=pumps", "severity=warning") == 1
    assert value_of(registry, "plumbline_incidents_total", "detector=pumps", "severity=critical") == 0
    for event in ("raised", "updated", "cleared"):
        assert value_of(registry, "plumbline_alerts_total", "detector=pumps", f"event={event}") == 1


def test_incidents_that_no_score_has_to_do_with_are_counted_apart_by_kind(telemetry, registry):
    stuck = replace(alert_of("raised", "warning"), kind="stuck")
    telemetry.observed("pumps", readings_of(NAMES, [0]), scores_of([4.0]), [stuck, replace(stuck, event="cleared")])
    telemetry.held("pumps", 7, {"warning": 0, "critical": 0}, {"stuck": 2}, {}, 0, NONE_WARMING)

    assert value_of(registry, "plumbline_quiet_incidents_total", "detector=pumps", "kind=stuck") == 1
    assert value_of(registry, "plumbline_open_quiet_incidents", "detector=pumps", "kind=stuck") == 2
    assert value_of(registry, "plumbline_incidents_total", "detector=pumps", "severity=warning") == 0
    assert value_of(registry, "plumbline_alerts_total", "detector=pumps", "event=raised") == 1
    assert value_of(registry, "plumbline_quiet_incidents_total", "detector=fans", "kind=stuck") == 0


def test_what_the_monitor_holds_is_shown_and_what_it_held_back_counted_once(telemetry, registry):
    telemetry.held("pumps", 7, {"warning": 2, "critical": 1}, {"stuck": 0}, {"direction": 3}, 0, NONE_WARMING)
    rules = {"direction": 4, "budget": 2}
    telemetry.held("pumps", 8, {"warning": 0, "critical": 1}, {"stuck": 1}, rules, 0, NONE_WARMING)

    assert value_of(registry, "plumbline_series", "detector=pumps") == 8
    assert value_of(registry, "plumbline_open_incidents", "detector=pumps", "severity=warning") == 0
    assert value_of(registry, "plumbline_open_incidents", "detector=pumps", "severity=critical") == 1
    assert value_of(registry, "plumbline_held_back_total", "detector=pumps", "rule=direction") == 4
    assert value_of(registry, "plumbline_held_back_total", "detector=pumps", "rule=budget") == 2
    assert value_of(registry, "plumbline_held_back_total", "detector=pumps", "rule=ignore_below") == 0


def test_how_long_series_warm_up_is_told_in_readings_and_where_there_are_times_in_seconds(registry, clock):
    presses = Served("presses", "strokes", "ef" * 32, ("force",), target=1e-4)  # an index clock
    served = [replace(PUMPS, step_seconds=60.0), presses]
    telemetry = Telemetry(registry, clock, served, version="0.1.0", series=SeriesShown(), deadlines=Deadlines())
    telemetry.held("pumps", 7, {}, {}, {}, 0, Warming(3, 128, 7680.0))
    telemetry.held("presses", 1, {}, {}, {}, 0, Warming(1, 5, None))

    assert value_of(registry, "plumbline_series_warming", "detector=pumps") == 3
    assert value_of(registry, "plumbline_warm_up_readings", "detector=pumps") == 128
    assert value_of(registry, "plumbline_warm_up_seconds", "detector=pumps") == 7680
    assert value_of(registry, "plumbline_warm_up_readings", "detector=presses") == 5
    assert value_of(registry, "plumbline_warm_up_seconds", "detector=presses") is None

    telemetry.held("pumps", 7, {}, {}, {}, 0, NONE_WARMING)

    assert value_of(registry, "plumbline_series_warming", "detector=pumps") == 0
    assert value_of(registry, "plumbline_warm_up_seconds", "detector=pumps") == 0


def test_lag_in_records_and_seconds_per_partition(telemetry, registry, clock):
    telemetry.assigned([FIRST, SECOND])
    written = int((clock.now() - 40) * 1000)
    telemetry.lag({FIRST: 12, SECOND: 0}, {FIRST: [Record(written - 5000), Record(written)]})

    assert value_of(registry, "plumbline_lag_records", "topic=readings", "partition=0") == 12
    assert value_of(registry, "plumbline_lag_seconds", "topic=readings", "partition=0") == pytest.approx(40, abs=0.01)
    assert value_of(registry, "plumbline_lag_records", "topic=readings", "partition=1") == 0
    assert value_of(registry, "plumbline_lag_seconds", "topic=readings", "partition=1") == 0


def test_lag_in_seconds_is_left_out_until_it_is_known(telemetry, registry):
    telemetry.assigned([FIRST])
    telemetry.lag({FIRST: 12}, {})

    assert value_of(registry, "plumbline_lag_records", "topic=readings", "partition=0") == 12
    assert value_of(registry, "plumbline_lag_seconds", "topic=readings", "partition=0") is None


def test_the_first_records_after_a_quiet_night_are_not_hours_late(telemetry, registry, clock):
    telemetry.assigned([FIRST])
    telemetry.lag({FIRST: 0}, {FIRST: [Record(int(clock.now() * 1000))]})
    clock.seconds += 8 * 3600
    telemetry.lag({FIRST: 0}, {})
    clock.seconds += 3
    telemetry.lag({FIRST: 2}, {})

    assert value_of(registry, "plumbline_lag_seconds", "topic=readings", "partition=0") == pytest.approx(3)

    clock.seconds += 60

    assert value_of(registry, "plumbline_lag_seconds", "topic=readings", "partition=0") == pytest.approx(63)


def test_lag_never_shrinks_while_old_records_are_caught_up(telemetry, registry, clock):
    """A backlog is read record by record; each one read is a younger bound, none an older one."""
    telemetry.assigned([FIRST])
    for remaining, age in ((30, 3000), (20, 2000), (10, 1000)):
        telemetry.lag({FIRST: remaining}, {FIRST: [Record(int((clock.now() - age) * 1000))]})

        assert value_of(registry, "plumbline_lag_seconds", "topic=readings", "partition=0") == pytest.approx(age)


def test_a_revoked_partition_vanishes_at_once(telemetry, registry, clock):
    telemetry.assigned([FIRST, SECOND])
    telemetry.lag({FIRST: 3, SECOND: 4}, {FIRST: [Record(int(clock.now() * 1000))]})
    telemetry.observed("pumps", readings_of(NAMES, [0], partition=0), scores_of([1.0]), [])
    telemetry.observed("pumps", readings_of(NAMES, [1], partition=1), scores_of([1.0]), [])
    telemetry.assigned([SECOND])

    samples = scraped(registry)
    assert not [labels for _, labels in samples if "partition=0" in labels or "series=pump-0" in labels]
    assert value_of(registry, "plumbline_assigned_partitions", "topic=readings") == 1
    assert value_of(registry, "plumbline_assigned_partitions", "topic=air") == 0

    telemetry.lag({FIRST: 3, SECOND: 4}, {})

    assert value_of(registry, "plumbline_lag_records", "topic=readings", "partition=0") is None


def test_stages_are_measured_by_the_clock_that_was_given(telemetry, registry, clock):
    with telemetry.stage("observe"):
        clock.seconds += 0.02
    with pytest.raises(BrokerError), telemetry.stage("commit"):
        fail_after(clock, 3)

    assert value_of(registry, "plumbline_stage_duration_seconds_sum", "stage=observe") == pytest.approx(0.02)
    assert value_of(registry, "plumbline_stage_duration_seconds_bucket", "stage=observe", "le=0.01") == 0
    assert value_of(registry, "plumbline_stage_duration_seconds_bucket", "stage=observe", "le=0.025") == 1
    assert value_of(registry, "plumbline_stage_duration_seconds_sum", "stage=commit") == pytest.approx(3)
    assert value_of(registry, "plumbline_stage_duration_seconds_count", "stage=emit") == 0


def test_moments_are_absent_until_they_happened(telemetry, registry, clock):
    assert value_of(registry, "plumbline_last_poll_timestamp_seconds") is None
    assert value_of(registry, "plumbline_last_commit_timestamp_seconds") is None
    telemetry.polled()
    telemetry.committed(ok=False)

    assert value_of(registry, "plumbline_last_poll_timestamp_seconds") == clock.now()
    assert value_of(registry, "plumbline_last_commit_timestamp_seconds") is None

    telemetry.committed(ok=True)

    assert value_of(registry, "plumbline_last_commit_timestamp_seconds") == clock.now()
    assert value_of(registry, "plumbline_commits_total", "result=ok") == 1
    assert value_of(registry, "plumbline_commits_total", "result=error") == 1


def test_dead_letters_restores_and_errors_are_counted(telemetry, registry):
    telemetry.dead_letters(3, ok=True)
    telemetry.dead_letters(1, ok=False)
    telemetry.restored("other_digest")
    telemetry.kafka_error("produce")

    assert value_of(registry, "plumbline_dead_letters_total", "result=ok") == 3
    assert value_of(registry, "plumbline_dead_letters_total", "result=error") == 1
    assert value_of(registry, "plumbline_restores_total", "reason=other_digest") == 1
    assert value_of(registry, "plumbline_kafka_errors_total", "operation=produce") == 1


def test_ready_follows_health(telemetry, registry, clock):
    assert value_of(registry, "plumbline_ready") == 0
    telemetry.assigned([FIRST])
    telemetry.polled()
    assert value_of(registry, "plumbline_ready") == 1
    telemetry.observed("pumps", readings_of(NAMES, [0]), scores_of([1.0]), [])
    clock.seconds += 100
    telemetry.polled()
    clock.seconds += 100
    telemetry.polled()

    assert value_of(registry, "plumbline_ready") == 0
    assert "a commit has been due for 200 s" in telemetry.health.ready().reason

    telemetry.committed(ok=True)

    assert value_of(registry, "plumbline_ready") == 1


def test_detector_target_and_build_are_said(telemetry, registry):
    assert value_of(registry, "plumbline_target_exceedance_ratio", "detector=fans") == 1e-4
    digest = f"digest={PUMPS.digest}"
    assert value_of(registry, "plumbline_detector_info", "detector=pumps", "topic=readings", digest) == 1
    assert [
        labels for name, labels in scraped(registry) if name == "plumbline_build_info" and "version=0.1.0" in labels
    ]


def test_a_listed_series_is_drawn_with_forecast_band_score_and_bar(telemetry, registry):
    readings, scores = readings_of(NAMES, [0, 1, 2]), scores_of([2.0, 1.0, 4.0], alert=[False, False, True])
    readings.missing[2, 1] = True
    telemetry.observed("pumps", readings, scores, [])

    def of(name, *labels):
        return value_of(registry, f"plumbline_{name}", "detector=pumps", "series=pump-2", *labels)

    drawn = [of(f"channel_{which}", "channel=temp") for which in ("value", "expected", "lower", "upper")]
    assert drawn == [2, 10, 9, 11]
    assert of("channel_value", "channel=flow") is None  # missing in that reading, and its forecast stands
    assert of("channel_expected", "channel=flow") == 10
    assert (of("series_score_decades"), of("series_bar_decades"), of("series_alert")) == (4, 3, 1)
    assert value_of(registry, "plumbline_series_unlisted", "detector=pumps") == 1
    assert value_of(registry, "plumbline_series_unlisted", "detector=fans") == 0


def test_a_warming_series_has_no_forecast_and_no_score(telemetry, registry):
    telemetry.observed("pumps", readings_of(NAMES, [0]), scores_of([2.0]), [])
    telemetry.observed("pumps", readings_of(NAMES, [0]), scores_of([0.0], outcome=[Outcome.WARMING]), [])

    names = {name for name, labels in scraped(registry) if "series=pump-0" in labels}
    assert names == {"plumbline_channel_value", "plumbline_series_alert"}


def test_a_scrape_of_many_series_stays_small(telemetry, registry, rng):
    names = [f"sensor-{number:05d}" for number in range(10_000)]
    codes = np.arange(10_000)
    telemetry.observed("pumps", readings_of(names, codes), scores_of(rng.exponential(size=10_000)), [])

    assert len(generate_latest(registry)) < 200_000
    assert value_of(registry, "plumbline_series_unlisted", "detector=pumps") == 9_998
