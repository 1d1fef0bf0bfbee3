from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from pipeline.evaluation.verdict import OURS, Judged, judge, verdict


def series(name, label, score):
    exceeds = np.nan_to_num(score) > 2
    return Judged(name, label, {OURS: score}, exceeds, exceeds, exceeds, window=10, rows_per_day=None, target=0.01)


def test_every_outcome_has_its_name_and_no_report_holds_a_nan(rng):
    label, score = np.zeros(1000, bool), rng.normal(size=1000)
    label[300:320] = True
    given = [
        series("good", label, score + 5 * label),
        series("silent", label, np.full(1000, np.nan)),
        series("calm", label & False, score),
        series("broken", label | True, score),
        series("unknown", label[:0], score[:0]),
    ]
    judged = verdict(given, [judge(one) for one in given])
    outcomes = [one["outcome"] for one in judged["series"]]

    assert outcomes == ["judged", "no_scores", "all_normal", "all_anomalous", "no_labels"]
    assert "NaN" not in json.dumps(judged, allow_nan=False)
    assert judged["detectors"][OURS]["vus_pr"]["series"] == 2  # a series without a score counts as the lowest
    assert judged["series"][0]["at_bar"]["false_episodes_per_day"] is None


def test_an_event_is_found_by_what_exceeds_or_raises_and_not_by_an_incident_that_was_open():
    label, nothing = np.zeros(1000, bool), np.zeros(1000, bool)
    label[300:320] = True
    one = Judged("open", label, {OURS: np.ones(1000)}, nothing, ~nothing, nothing, 10, rows_per_day=None, target=0.01)
    again = np.arange(1000) == 305

    def alerts(each):
        judged = judge(each)["alerts"]
        return judged["events"], judged["found"], judged["recall"], judged["delay_median_rows"]

    assert alerts(one) == (1, 0, 0.0, None)
    assert alerts(replace(one, exceeds=again, finds=again)) == (1, 1, 1.0, 5.0)


def test_nab_is_handed_the_rows_above_the_bar_and_no_others():
    label, score = np.zeros(1000, bool), np.full(1000, 3.0)  # a stream that has drifted: rare for good
    label[400:500] = True
    bar = np.arange(1000) == 400
    one = Judged(
        "drifted", label, {OURS: score, "other": score}, bar, bar, bar, window=10, rows_per_day=None, target=0.01
    )
    judged = verdict([one], [judge(one)])

    assert judged["detectors"][OURS]["nab"]["score"] == 100
    assert judged["detectors"]["other"]["nab"]["score"] == 0
