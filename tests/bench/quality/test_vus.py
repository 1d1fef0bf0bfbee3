"""VUS-PR against a plain loop over windows, thresholds and rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.quality.vus import sliding_window_of, vus_pr


def plain(score, labels, window):
    """TSB-AD's definition, threshold by threshold."""
    rows = len(score)
    runs, row = [], 0
    while row < rows:
        if labels[row]:
            end = row
            while end + 1 < rows and labels[end + 1]:
                end += 1
            runs.append((row, end))
            row = end
        row += 1
    thresholds = sorted(score, reverse=True)
    thresholds = [thresholds[int(index)] for index in np.linspace(0, rows - 1, 250)]
    areas = []
    for size in range(window + 1):
        half = size // 2
        extended = [float(label) for label in labels]
        for begin, end in runs:
            for distance in range(1, half + 1):
                for place in (begin - distance, end + distance):
                    if 0 <= place < rows:
                        extended[place] += (1 - distance / size) ** 0.5
        extended = [min(value, 1.0) for value in extended]
        spans = [[max(runs[0][0] - half, 0), runs[0][1]]]
        for begin, end in runs[1:]:
            if spans[-1][1] + half < begin - half:
                spans.append([begin - half, end])
            spans[-1][1] = end
        area, before = 0.0, 0.0
        for threshold in thresholds:
            above = [value >= threshold for value in score]
            mass = sum(value for value, hit in zip(extended, above, strict=True) if hit)
            outside = sum(v for v, hit, label in zip(extended, above, labels, strict=True) if hit and not label)
            positive = (sum(labels) + sum(labels) + outside) / 2
            found = sum(any(above[max(a, 0) : b + half + 1]) for a, b in spans) / len(spans)
            reached = min(mass / positive, 1.0) * found
            area += (reached - before) * mass / sum(above)
            before = reached
        areas.append(area)
    return sum(areas) / len(areas)


@pytest.mark.parametrize("spans", [[(60, 90)], [(0, 5), (40, 41), (46, 60), (295, 300)], [(100, 110), (112, 120)]])
@pytest.mark.parametrize("window", [0, 1, 7, 24])
@pytest.mark.parametrize("digits", [1, 6])
def test_vus_pr_is_that_of_a_plain_loop(rng, spans, window, digits):
    labels = np.zeros(300, np.uint8)
    for begin, end in spans:
        labels[begin:end] = 1
    score = np.round(rng.random(300) + 0.4 * labels, digits)  # one digit: many ties

    assert vus_pr(score, labels, window) == pytest.approx(plain(score.tolist(), labels.tolist(), window), abs=1e-12)


def test_the_window_is_the_period():
    rows = np.arange(3000)

    assert sliding_window_of(np.sin(2 * np.pi * rows / 50)[:, None]) == 50
    assert sliding_window_of(np.zeros((3000, 2))) == 125
    assert sliding_window_of(rows[:, None].astype(float)) == 125
