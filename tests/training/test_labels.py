"""From labelled readings nothing is learnt, and labels that cannot be meant are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.detector.fit_settings import FitSettings
from pipeline.exceptions import DataError
from pipeline.training.fit import fit
from pipeline.training.history import History
from pipeline.training.labels import labelled
from tests.streams import series, wave

SETTINGS = FitSettings(hidden=4, steps=10, evaluate_every=5, batch=4, warm_up=8, device="cpu")


def history(rows=300):
    made = series("pump", wave(rows))
    return History(made.name, made.at, made.values, made.missing)


def frame(values, labels):
    times = pd.date_range("2024-01-01", periods=len(values), freq="5min")
    return pd.DataFrame({"timestamp": times, "temp": values[:, 0], "fault": labels})


@pytest.mark.parametrize("rows", [slice(100, 104), slice(100, 130), slice(540, 560), slice(590, 600)])
def test_what_a_labelled_reading_was_changes_nothing(rows):
    labels = np.zeros(600)
    labels[rows] = 1
    odd = wave(600)
    odd[rows] = 1e6
    learnt = fit(frame(odd, labels), settings=SETTINGS, label="fault")

    assert learnt.digest == fit(frame(wave(600), labels), settings=SETTINGS, label="fault").digest
    assert learnt.names == ("temp",)
    assert learnt.figures["labelled"] == rows.stop - rows.start
    assert learnt.figures["left_out"] == 0


def test_a_labelled_reading_is_as_if_it_had_not_come():
    labels = np.zeros(600)
    labels[200:230] = 1
    gone = frame(wave(600), labels).drop(index=range(200, 230))

    assert (
        fit(frame(wave(600), labels), settings=SETTINGS, label="fault").digest
        == fit(gone, settings=SETTINGS, label="fault").digest
    )


def test_an_unknown_label_is_no_anomaly():
    labels = np.zeros(600)
    labels[5:50] = np.nan
    plain = fit(frame(wave(600), labels).drop(columns="fault"), settings=SETTINGS)

    assert fit(frame(wave(600), labels), settings=SETTINGS, label="fault").digest == plain.digest


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros(299), "pump: 300 readings have labels of shape (299,): give one label a reading"),
        (np.zeros((300, 2)), "pump: 300 readings have labels of shape (300, 2): give one label a reading"),
        (np.where(np.arange(300) == 7, 2.0, 0.0), "pump: reading 7 has the label 2: 1 is an anomaly, 0 is none"),
        (np.where(np.arange(300) == 7, -1.0, 0.0), "pump: reading 7 has the label -1: 1 is an anomaly, 0 is none"),
        (np.where(np.arange(300) == 7, np.inf, 0.0), "pump: reading 7 has the label inf: 1 is an anomaly, 0 is none"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(labels, said):
    with pytest.raises(DataError) as refused:
        labelled(history(), labels)

    assert str(refused.value).startswith(said)


def test_a_history_of_anomalies_alone_is_refused_and_says_so():
    with pytest.raises(DataError, match="has 60 readings in order besides 540 labelled ones; at least 100 are needed"):
        fit(frame(wave(600), np.arange(600) >= 60), settings=SETTINGS, label="fault")
