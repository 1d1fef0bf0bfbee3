"""What is told of a reading against the plain loop that was written from the definitions (reference.py)."""

import numpy as np
import pytest

from pipeline.backtest.explanation import explain
from pipeline.monitor.monitor import Monitor
from pipeline.records import Outcome
from tests.laws.reference import Judging, rows_of, said_of
from tests.laws.test_reference import POLICY, PROBABILITY, ROWS, plain, troubled
from tests.streams import BEGIN, STEP, machine, series, stream, wave

ROWS_TOLD = (0, 150, 151, 400, 430, 720, 1101, 1336, 1400, ROWS - 1)  # calm, in faults, after gaps, the first, the last


@pytest.mark.parametrize("kind", ["one", "channels"])
def test_every_number_of_an_explanation_is_that_of_the_definitions(kind, request):
    known = request.getfixturevalue(kind)
    history, detector = known.histories[0], known.detector
    values = {"one": wave, "channels": machine}[kind](ROWS, first=len(history))
    later = troubled(series(history.name, values, BEGIN + len(history) * STEP), 4)
    tracking, errors, normal = plain(detector, history[(~history.missing).any(axis=1)])
    judging = Judging(normal, PROBABILITY, detector.digest, later.name)
    start = judging.bar
    said = said_of(tracking, errors, judging, rows_of(later.at, later.values, later.missing))
    owners = {1: (0, 1, 1, 2, 3, 4), 2: (0, 0, 1, 2, 3)}[int(detector.scored.sum())]
    weights = [1 / (len(set(owners)) * owners.count(owner)) for owner in owners]

    for row in ROWS_TOLD:
        told, plainly = explain(detector, POLICY, stream(later), row), said[row]
        assert told.outcome.name == plainly.outcome
        if told.outcome != Outcome.SCORED:
            continue
        level = plainly.levels
        share = [w * x for w, x in zip(weights, level, strict=True)]
        before = said[:row]
        np.testing.assert_allclose([view.smoothed for view in told.views], plainly.smoothed, 1e-4, 1e-9)
        np.testing.assert_allclose([view.high for view in told.views], normal.high, 1e-4)
        np.testing.assert_allclose([view.level for view in told.views], level, 1e-4, 1e-9)
        np.testing.assert_allclose([view.weight for view in told.views], weights)
        np.testing.assert_allclose(
            [view.share for view in told.views], np.array(share) / (sum(share) or 1.0), 1e-3, 1e-9
        )
        np.testing.assert_allclose([told.x, told.bar_x, told.bar_start], [plainly.x, plainly.bar_x, start], 0, 1e-5)
        np.testing.assert_allclose([told.score, told.bar], [plainly.score, plainly.bar], 0, 1e-4)
        assert told.before.scored == sum(each.outcome == "SCORED" for each in before)
        assert told.before.exceeded == sum(each.exceeds for each in before)
        assert (told.before.incident is not None) == any(each.alert for each in before[-1:])
        assert (told.exceeds, told.after.incident is not None) == (plainly.exceeds, plainly.alert)
        for part in told.channels:
            if part.commons is not None:
                assert part.commons == pytest.approx(plainly.commons[part.position], rel=1e-3, abs=1e-4)
                assert part.deviation.expected == pytest.approx(plainly.expected[part.position], rel=1e-4)


def test_an_explanation_is_what_the_monitor_said_of_the_reading_among_all_others(fleet):
    """The series is replayed alone, in service it came among others: the numbers agree."""
    scores, alerts = Monitor(fleet.detector, fleet.policy).observe(fleet.later)
    for name in ("a", "c", "new"):
        rows = np.flatnonzero(fleet.later.series == list(fleet.later.names).index(name))
        for place in (5, 61, 124, len(rows) - 1):
            told = explain(fleet.detector, fleet.policy, fleet.later[rows], place)
            row = rows[place]
            events = [alert for alert in alerts if alert.series == name and alert.at == told.at]

            assert told.outcome == scores.outcome[row]
            np.testing.assert_allclose(
                [told.x, told.score, told.bar], [scores.fused[row], scores.score[row], scores.bar[row]], 0, 1e-6
            )
            assert told.exceeds == scores.exceeds[row]
            assert (told.after.incident is not None) == scores.alert[row]
            assert [(each.event, each.id) for each in told.events] == [(each.event, each.id) for each in events]
