"""Histories that cannot be used are refused by name; odd ones are learnt in spite of what is odd."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import DataError
from pipeline.formats.frames import readings_of
from pipeline.monitor.monitor import Monitor
from pipeline.records import Outcome
from pipeline.training.fit import fit
from pipeline.training.history import parts_of

SETTINGS = FitSettings(hidden=8, steps=20, evaluate_every=10, warm_up=24, device="cpu")


def frame(values, **columns):
    times = pd.date_range("2024-01-01", periods=len(values), freq="5min")
    return pd.DataFrame({"timestamp": times, "temp": values, **columns})


def wave(rows):
    return 20 + np.sin(np.arange(rows) / 6) + np.random.default_rng(0).normal(0, 0.1, rows)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (frame(wave(0)), ""),
        (frame(wave(1)), "pump has 1 readings in order; at least 100 are needed"),
        (frame(wave(99)), "pump has 99 readings in order; at least 100 are needed"),
        (frame(np.full(200, np.nan)), "pump has 0 readings in order; at least 100 are needed"),
        (frame(wave(200)).drop(columns="temp"), "no channel"),
        (frame(wave(200)).drop(columns="timestamp"), "no column 'timestamp'"),
        (frame(wave(200), note="hot"), "column 'note' is not numeric"),
        (frame(np.where(np.arange(200) == 7, np.inf, wave(200))), "row 7 of the frame is no reading: temp is infinite"),
    ],
)
def test_a_history_that_cannot_be_used_is_refused_by_name(broken, said):
    with pytest.raises(DataError) as refused:
        fit(broken, settings=SETTINGS, name="pump")

    assert said in str(refused.value)


def test_a_hundred_readings_are_enough():
    detector = fit(frame(wave(100)), settings=SETTINGS, name="pump")

    assert detector.series == ("pump",)
    assert len(detector.calibrations[0].sample) == 20


def test_the_parts_are_65_15_and_20_of_a_hundred_with_gaps_off_the_earlier_ones():
    assert [parts_of(1000).train_end, parts_of(1000).validation_begin] == [650 - 32, 650]
    assert [parts_of(1000).fit_end, parts_of(1000).calibration_begin] == [800 - 32, 800]
    assert [parts_of(200).train_end, parts_of(200).fit_end] == [130 - 16, 160 - 16]


def test_a_constant_series_that_then_moves_scores_high_and_raises():
    detector = fit(frame(np.full(400, 20.0)), settings=SETTINGS, name="pump")
    later = frame(np.concatenate((np.full(50, 20.0), np.full(20, 21.0))))
    later["timestamp"] += pd.Timedelta(minutes=5 * 400)
    scores, alerts = Monitor(detector).observe(readings_of(later, detector.names, series="pump"))

    assert (scores.outcome == Outcome.SCORED).all()
    assert scores.score[:50].max() < 1 < scores.score[50]
    assert alerts[0].event == "raised"


def test_huge_values_do_not_poison_the_state():
    detector = fit(frame(wave(400)), settings=SETTINGS, name="pump")
    values = wave(300)
    values[50] = 1e300
    later = frame(values)
    later["timestamp"] += pd.Timedelta(minutes=5 * 400)
    scores, _ = Monitor(detector).observe(readings_of(later, detector.names, series="pump"))

    assert np.isfinite(scores.score).all()
    assert scores.exceeds[50]
    assert scores.score[250:].max() < scores.score[50]


def test_a_huge_value_in_the_history_is_no_reason_to_fail():
    values = wave(400)
    values[50] = 1e300
    detector = fit(frame(values), settings=SETTINGS, name="pump")

    assert all(np.isfinite(array).all() for _, array in detector.arrays())


def test_a_channel_of_two_values_is_context_unless_nothing_else_is_there():
    valve = (np.arange(400) // 50 % 2).astype(float)
    roles = [c.role for c in fit(frame(wave(400), valve=valve), settings=SETTINGS).channels]

    assert roles == ["sensor", "context"]
    assert [channel.role for channel in fit(frame(valve), settings=SETTINGS).channels] == ["sensor"]


def test_a_short_series_only_lends_itself_to_the_network():
    long, short = frame(wave(400), series="long"), frame(wave(60), series="short")
    detector = fit(pd.concat([long, short]), settings=SETTINGS)

    assert detector.series == ("long",)
    assert detector.figures["short_series"] == ["short"]


def test_equal_seeds_give_equal_detectors_and_others_do_not():
    digests = [fit(frame(wave(400)), settings=FitSettings(hidden=8, steps=20, seed=s)).digest for s in (1, 1, 2)]

    assert digests[0] == digests[1] != digests[2]
