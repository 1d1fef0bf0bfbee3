"""Odd spans are dropped and told, clean histories lose nothing, and what calibrates never reaches a weight."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import DataError
from pipeline.training.fit import finished, fitting
from pipeline.training.history import History, Parts, parts_of
from pipeline.training.loop import Progress
from pipeline.training.preparing import prepared
from pipeline.training.resume import decode, encode
from pipeline.training.trimming import Trimmed, joined, oddness
from tests.streams import series, wave

SETTINGS = FitSettings(hidden=8, steps=30, evaluate_every=10, batch=4, warm_up=16, device="cpu", trim=0.05)
ROWS = 1000


def history(values):
    made = series("pump", values)
    return History(made.name, made.at, made.values, made.missing)


def learning(values, settings=SETTINGS, resume=None):
    return fitting([history(values)], ["temp"], "time", settings, lambda: 0.0, resume)


def learnt(values, settings=SETTINGS, resume=None):
    """The detector of one history, and every progress of training on the way."""
    seen = []
    detector = finished(learning(values, settings, resume), seen.append)
    return detector, [step for step in seen if isinstance(step, Progress)]


def faulty():
    """A wave with a fault of ten readings in its train part."""
    values = wave(ROWS)
    values[400:410] += 30
    return values


def weights(detector):
    return {name: array.tobytes() for name, array in detector.engine.tensors().items()}


def test_a_fault_in_the_fit_part_is_dropped_and_told():
    told = learnt(faulty())[0].figures["trim"]
    at = history(faulty()).at
    (span,) = told["first_spans"]

    assert at[395] <= span["from"] <= at[400]
    assert at[409] <= span["to"] <= at[425]
    assert told["readings"] == span["readings"] <= 0.05 * told["of"]
    assert (told["spans"], told["odd_spans_left_in"], told["at_most"]) == (1, 0, 0.05)


def test_what_was_dropped_counts_for_nothing():
    dropped = np.zeros(ROWS, bool)
    dropped[400:410] = True
    (kept,), (clean,) = ([s.without(dropped) for s in prepared([history(v)], ["temp"])] for v in (faulty(), wave(ROWS)))

    assert (kept.mean, kept.spread, kept.period) == (clean.mean, clean.spread, clean.period)
    assert np.array_equal(kept.grid(10).z[kept.grid(10).present], clean.grid(10).z[clean.grid(10).present])
    assert not kept.grid(10).present[400:410].any()
    assert kept.history.at.tolist() == clean.history.at.tolist()


def test_one_huge_value_is_dropped_and_no_longer_rules_the_scale():
    values = wave(ROWS)
    values[500] = 1e300
    trimmed, blind = learnt(values)[0], learnt(values, replace(SETTINGS, trim=0.0))[0]

    assert trimmed.figures["trim"]["spans"] == 1
    assert [doubt["kind"] for doubt in blind.figures["doubts"]] == ["single"]
    assert trimmed.figures["doubts"] == []


def test_a_clean_history_loses_nothing_and_is_not_learnt_twice():
    trimmed, seen = learnt(wave(ROWS))
    plain, seen_plain = learnt(wave(ROWS), replace(SETTINGS, trim=0.0))

    assert trimmed.figures["trim"]["readings"] == 0
    assert weights(trimmed) == weights(plain)
    assert len(seen) == len(seen_plain)


def test_what_lasts_longer_than_the_share_stays():
    values = wave(ROWS)
    values[300:380] += np.random.default_rng(1).normal(0, 60, (80, 1))
    told = learnt(values, replace(SETTINGS, trim=0.01))[0].figures["trim"]

    assert told["readings"] <= 0.01 * told["of"]
    assert told["odd_spans_left_in"] >= 1


@pytest.mark.parametrize("trim", [0.0, 0.05])
def test_no_reading_that_calibrates_changes_a_weight_a_scaling_or_what_is_dropped(trim):
    first, other = faulty(), faulty()
    begin = parts_of(ROWS).calibration_begin
    other[begin:] = 500 * np.random.default_rng(2).normal(size=(ROWS - begin, 1))
    one, two = (learnt(values, replace(SETTINGS, trim=trim))[0] for values in (first, other))

    assert weights(one) == weights(two)
    assert (one.period, one.channels) == (two.period, two.channels)
    assert one.figures.get("trim") == two.figures.get("trim")
    assert one.digest != two.digest  # by the calibration alone


def test_parts_never_overlap():
    for rows in range(2, 3000):
        parts = parts_of(rows)
        assert parts.train_end <= parts.validation_begin <= parts.fit_end <= parts.calibration_begin <= rows
    with pytest.raises(DataError, match="the parts of the history overlap"):
        Parts(650, 650, 820, 800)


@pytest.mark.parametrize("stop_after", [1, 3, 4, 6])
def test_a_training_interrupted_in_either_fit_ends_as_if_it_had_never_stopped(stop_after):
    whole, seen = learnt(faulty())
    *_, last = islice(learning(faulty()), stop_after)
    resume = decode(encode(last.resume, "this"), "this")
    again, _ = learnt(faulty(), resume=resume)

    assert len(seen) == 6
    assert again.digest == whole.digest
    assert again.figures["trim"] == whole.figures["trim"]


def test_oddness_is_counted_in_robust_deviations_of_the_log_error():
    error = np.concatenate((np.exp(np.linspace(-1, 1, 201)), [np.exp(5.0), np.nan]))
    odd = oddness(error)
    level = np.log(error + 1e-6)[:-1]
    deviation = 1.4826 * np.median(np.abs(level - np.median(level)))

    assert odd[-2] == pytest.approx((5 - np.median(level)) / deviation, rel=1e-5)
    assert np.isnan(odd[-1])


def test_spans_close_together_are_one():
    assert joined([(0, 2), (12, 14), (25, 26)]) == [(0, 14), (25, 26)]
    assert joined([]) == []


def test_figures_of_nothing_are_nothing():
    (series_of_pump,) = prepared([history(wave(ROWS))], ["temp"])
    told = Trimmed((np.zeros(ROWS, bool),), 0).figures([series_of_pump], 0.02)

    assert (told["readings"], told["spans"], told["first_spans"]) == (0, 0, [])


@pytest.mark.parametrize("trim", [-0.01, 0.2, float("nan")])
def test_a_share_that_cannot_be_meant_is_refused(trim):
    with pytest.raises(ValueError, match=f"trim is {trim}: a share of the fit part"):
        FitSettings(trim=trim)
