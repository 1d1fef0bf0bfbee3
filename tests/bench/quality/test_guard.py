"""A few short series keep their figures."""

from __future__ import annotations

import pytest

from tests.bench.quality.guard import WATCHED, expected, figures_of, watched, worse
from tests.bench.quality.tuning_list import on_list


@pytest.mark.slow
@pytest.mark.parametrize("dataset", WATCHED)
def test_no_figure_of_a_watched_series_is_worse_than_committed(data_folder, dataset):
    if not (data_folder / dataset).is_dir():
        pytest.skip(f"PLUMBLINE_DATA has no {dataset}")
    entry = next(entry for entry in watched(data_folder) if entry.dataset == dataset)

    assert worse(figures_of(entry), expected()[f"{dataset} {entry.series}"]) == []


def test_the_watched_series_are_on_the_tuning_list():
    assert all(on_list(dataset, series) for dataset, series in WATCHED.items())


def test_only_what_is_worse_by_more_than_the_margin_is_complained_of():
    was = {"vus_pr": 0.5, "auc_pr": None, "false_alarms": 0.01}

    assert worse({"vus_pr": 0.46, "auc_pr": 0.1, "false_alarms": 0.019}, was) == []
    assert worse({"vus_pr": 0.9, "auc_pr": 0.1, "false_alarms": 0.0}, was) == []
    assert len(worse({"vus_pr": 0.44, "auc_pr": 0.1, "false_alarms": 0.021}, was)) == 2
    assert len(worse({"vus_pr": None, "auc_pr": None, "false_alarms": None}, was)) == 2
