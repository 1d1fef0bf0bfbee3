"""The monitor against a plain loop over single readings that was written from the definitions (reference.py)."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.monitor.monitor import Monitor
from pipeline.monitor.policy import FalseAlarms, Policy
from pipeline.records import Outcome
from tests.fixtures import SETTINGS, fitted
from tests.laws.reference import Errors, Judging, Looking, Normal, Tracking, calibrated, network_of, rows_of, said_of
from tests.streams import BEGIN, STEP, machine, series, stream, wave

PROBABILITY = 0.01
POLICY = Policy(FalseAlarms(probability=PROBABILITY))
ROWS = 1500


def troubled(calm, seed):
    """A series with random gaps, missing channels, late and double readings, and faults of every length."""
    rng = np.random.default_rng(seed)
    rows, channels = calm.values.shape
    spread = np.nanstd(calm.values, axis=0)
    odd = calm
    for start, length in ((150, 1), (400, 3), (700, 40), (1100, 8), (1330, 5)):
        odd = odd.with_values(slice(start, start + length), odd.values[start : start + length, 0] + 8 * spread[0])
    for channel in range(channels):
        odd = odd.without(np.flatnonzero(rng.random(rows) < 0.02), channel)
    odd = odd.without(np.flatnonzero(rng.random(rows) < 0.01))
    for row in rng.integers(20, rows - 100, 12):
        odd = odd.shifted(int(row), int(rng.integers(1, 10)))
    for row in (720, 1334):  # long gaps, the second in the middle of an incident
        odd = odd.shifted(row, 40)
    jitter = rng.integers(-STEP // 3, STEP // 3, rows)
    odd = replace(odd, at=odd.at + jitter)
    for row in rng.integers(20, rows - 100, 10).tolist():
        odd = odd.repeated(row, row) if row % 2 else odd.repeated(row - 3, row)
    return odd


@pytest.fixture(scope="module")
def calendar():
    """A detector that knows the time of day, learnt from ten minutes' steps over four days."""
    history = series("pump", wave(600, 3), BEGIN - 600 * STEP)
    return history, fitted([history], settings=replace(SETTINGS, calendar=True, layers=2, dropout=0.1))


def scene(kind, request):
    """The detector, its history, and what comes later."""
    if kind == "calendar":
        history, detector = request.getfixturevalue("calendar")
        return detector, history, troubled(series("pump", wave(ROWS, 3, first=600), BEGIN), 6)
    known = request.getfixturevalue(kind)
    history = known.histories[0]
    values = {"one": wave, "channels": machine}[kind](ROWS, first=len(history))
    return known.detector, history, troubled(series(history.name, values, BEGIN + len(history) * STEP), 5)


def plain(detector, history):
    """The reference as it stands at the end of the history, with the calibration that it found itself."""
    first = slice(0, len(history) * 80 // 100 - 32)
    fit = history[first]
    means = [float(np.nanmean(fit.values[:, c])) for c in range(fit.values.shape[1])]
    deviations = [float(np.nanstd(fit.values[:, c])) for c in range(fit.values.shape[1])]
    settings = detector.settings
    scored = [channel.role == "sensor" for channel in detector.channels]
    network = network_of(detector.engine, settings.calendar)
    limits = (settings.warm_up, settings.max_gap)
    tracking = Tracking(network, scored, STEP, True, (means, deviations), *limits, Looking(detector))
    rows = rows_of(history.at, history.values, history.missing)
    errors = Errors(scored, detector.period, detector.settings.warm_up)
    normal = calibrated(tracking, rows, first.stop, len(rows) * 80 // 100, detector.period)
    network = network_of(detector.engine, settings.calendar)
    tracking = Tracking(network, scored, STEP, True, (means, deviations), *limits, Looking(detector))
    errors = Errors(scored, detector.period, detector.settings.warm_up)
    for at, values in rows:
        smoothed = errors.take(tracking.take(at, values), normal.channel_scale, normal.regional)
        if smoothed is not None:
            errors.fused(smoothed, normal.high)
    return tracking, errors, normal


@pytest.mark.parametrize("kind", ["one", "channels"])
def test_a_clock_that_jumps_and_comes_back_is_that_of_the_definitions(kind, request):
    detector, history, later = scene(kind, request)
    history = history[(~history.missing).any(axis=1)]
    at = later.at.copy()
    at[50:52] += 10_000 * STEP
    at[53] += 20_000 * STEP
    later = replace(later, at=at)
    tracking, errors, normal = plain(detector, history)
    judging = Judging(normal, PROBABILITY, detector.digest, later.name)
    said = said_of(tracking, errors, judging, rows_of(later.at, later.values, later.missing))
    scores, _ = Monitor(detector, POLICY).observe(stream(later))
    found = [Outcome(outcome).name for outcome in scores.outcome]

    assert found == [each.outcome for each in said]
    assert found.count("LATE") < 20
    np.testing.assert_allclose(scores.score, [each.score for each in said], 0, 2e-4)
    np.testing.assert_array_equal(scores.alert, [each.alert for each in said])


@pytest.mark.parametrize("kind", ["one", "channels", "calendar"])
def test_calibration_and_scores_are_those_of_the_definitions(kind, request):
    detector, history, later = scene(kind, request)
    history = history[(~history.missing).any(axis=1)]
    tracking, errors, normal = plain(detector, history)
    judging = Judging(normal, PROBABILITY, detector.digest, later.name)
    said = said_of(tracking, errors, judging, rows_of(later.at, later.values, later.missing))
    scores, alerts = Monitor(detector, POLICY).observe(stream(later))
    scored = scores.scored

    (calibration,) = detector.calibrations
    np.testing.assert_allclose(calibration.channel_scale, normal.channel_scale, 1e-4)
    np.testing.assert_allclose(calibration.regional, normal.regional, 1e-4)
    np.testing.assert_allclose(calibration.high, normal.high, 1e-4)
    np.testing.assert_allclose(calibration.sample, normal.sample, 0, 1e-5)
    np.testing.assert_allclose(
        calibration.band[:, detector.scored].T, np.array(normal.band)[detector.scored], 1e-4, 1e-6
    )
    np.testing.assert_allclose(calibration.tail, normal.tail, 1e-5)
    assert [Outcome(outcome).name for outcome in scores.outcome] == [each.outcome for each in said]
    np.testing.assert_allclose(scores.fused, [each.x for each in said], 0, 1e-5)  # the past is single precision
    np.testing.assert_allclose(scores.score, [each.score for each in said], 0, 2e-4)
    np.testing.assert_allclose(scores.bar, [each.bar for each in said], 0, 2e-4)
    np.testing.assert_array_equal(scores.exceeds, [each.exceeds for each in said])
    np.testing.assert_array_equal(scores.alert, [each.alert for each in said])
    expected = np.array([each.expected for each in said if each.expected])
    np.testing.assert_allclose(scores.expected[scored], expected, 1e-5, 1e-5)
    assert [told(alert) for alert in alerts] == [
        tuple(event[key] for key in ("event", "at", "id", "start", "peak_at", "severity", "closing"))
        for event in judging.events
    ]
    np.testing.assert_allclose([alert.score for alert in alerts], [event["peak"] for event in judging.events], 0, 2e-4)
    np.testing.assert_allclose([alert.bar for alert in alerts], [event["bar"] for event in judging.events], 0, 2e-4)
    assert Counter(alert.event for alert in alerts)["raised"] >= 4
    assert np.abs(scores.score - scores.bar)[scored].min() > 1e-3


def told(alert):
    """What must be equal to the letter."""
    return alert.event, alert.at, alert.id, alert.start, alert.peak_at, alert.severity, alert.closing


def test_a_series_never_seen_is_gathered_warmed_and_scored_as_defined(fleet):
    detector = fleet.detector
    pooled = detector.calibrations[0]
    later = troubled(series("new", wave(ROWS, 8, mean=0.5, size=1e-3), BEGIN), 6)
    settings, scored = detector.settings, [True]
    tracking = Tracking(network_of(detector.engine), scored, detector.step, warm_up=24, max_gap=settings.max_gap)
    tracking.looking = Looking(detector)
    normal = Normal(
        *(list(part) for part in (pooled.channel_scale, pooled.regional, pooled.high, pooled.sample)), band=[]
    )
    judging = Judging(normal, PROBABILITY, detector.digest, "new")
    said = said_of(
        tracking,
        Errors(scored, detector.period, detector.settings.warm_up),
        judging,
        rows_of(later.at, later.values, later.missing),
    )
    scores, alerts = Monitor(detector, POLICY).observe(stream(later))

    assert [Outcome(outcome).name for outcome in scores.outcome] == [each.outcome for each in said]
    np.testing.assert_allclose(scores.fused, [each.x for each in said], 0, 1e-5)  # the past is single precision
    np.testing.assert_allclose(scores.score, [each.score for each in said], 0, 5e-4)  # of 2,144 errors some almost tie
    np.testing.assert_array_equal(scores.alert, [each.alert for each in said])
    assert [told(alert) for alert in alerts] == [
        tuple(event[key] for key in ("event", "at", "id", "start", "peak_at", "severity", "closing"))
        for event in judging.events
    ]
    assert alerts
