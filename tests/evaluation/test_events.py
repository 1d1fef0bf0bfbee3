from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.events import affiliation_precision_recall, best_f1, event_quality, found_at_the_top


def flags(text):
    return np.array([mark == "#" for mark in text], bool)


def plain_affiliation(label, flagged, cells=40):
    """Huet et al. by counting small cells: each cell of a row stands for its middle."""
    place = (np.arange(len(label) * cells) + 0.5) / cells
    marked, said = np.repeat(label, cells), np.repeat(flagged, cells)
    run = np.cumsum(np.diff(marked.astype(int), prepend=0) == 1)
    middles = [place[marked & (run == k)] for k in range(1, run.max() + 1)]
    nearest = np.argmin([np.abs(place[:, None] - m).min(axis=1) for m in middles], axis=0)
    precisions, recalls = [], []
    for k, event in enumerate(middles):
        zone = place[nearest == k]
        mine = place[(nearest == k) & said]
        away = np.array([np.abs(x - event).min() for x in zone])
        if len(mine):
            precisions.append(np.mean([(away >= np.abs(x - event).min() - 1e-9).mean() for x in mine]))
        recalls.append(
            np.mean([(np.abs(zone - y) >= np.abs(mine - y).min()).mean() for y in event]) if len(mine) else 0
        )
    return np.mean(precisions), np.mean(recalls)


@pytest.mark.parametrize("seed", range(5))
def test_affiliation_equals_counting_small_cells(seed):
    random = np.random.default_rng(seed)
    label, said = flags("..###.........#....####."), random.random(24) < 0.2
    said[4 * seed] = True

    assert affiliation_precision_recall(label, said) == pytest.approx(plain_affiliation(label, said), abs=0.03)


def test_flags_on_the_events_alone_are_perfect():
    label = flags("..##....##..")

    assert affiliation_precision_recall(label, label) == pytest.approx((1.0, 1.0))
    assert affiliation_precision_recall(label, ~label | label)[1] == pytest.approx(1.0)
    assert affiliation_precision_recall(label, flags("............")) == (None, 0.0)
    assert affiliation_precision_recall(flags("...."), flags("..#.")) == (None, None)


def test_events_and_episodes_are_counted_exactly():
    figures = event_quality(flags("....##..####"), flags("##..#....#.#"), rows_per_day=24)

    assert (figures.events, figures.found, figures.recall) == (2, 2, 1.0)
    assert figures.precision == 3 / 4
    assert figures.f1 == pytest.approx(2 * 0.75 / 1.75)
    assert figures.achieved_rate == 2 / 6
    assert figures.chance_recall == pytest.approx(np.mean([1 - (4 / 6) ** 2, 1 - (4 / 6) ** 4]))
    assert (figures.delay_median_rows, figures.delay_90_rows) == (0.5, 0.9)
    assert (figures.false_episodes, figures.false_episodes_per_day) == (1, 4.0)
    assert figures.false_episodes_per_10000 == pytest.approx(10_000 / 6)


def test_an_incident_that_was_open_before_an_event_is_no_detection_of_it():
    label, alert = flags("....###..##..#"), flags("############.#")
    figures = event_quality(label, alert, finds=flags("#........#...#"))
    open_before = event_quality(label, alert, finds=flags("#............."))

    assert (figures.events, figures.found, figures.precision) == (3, 2, 1.0)
    assert (figures.delay_median_rows, figures.false_episodes) == (0.0, 0)
    assert (open_before.found, open_before.precision, open_before.f1) == (0, 0.0, 0.0)
    assert (open_before.delay_median_rows, open_before.false_episodes) == (None, 2)


@pytest.mark.parametrize("label", ["....", "####"])
def test_what_means_nothing_is_none(label):
    figures = event_quality(flags(label), flags("...."))

    assert figures.precision is None
    assert figures.delay_median_rows is None
    assert best_f1(np.arange(4.0), flags(label)) is None


def test_best_f1_passes_equal_scores_together():
    assert best_f1(np.array([1.0, 3.0, 3.0, np.nan]), flags(".#..")) == pytest.approx(2 / 3)
    assert best_f1(np.array([1.0, 3.0, 2.0, np.nan]), flags(".##.")) == 1.0


@pytest.mark.parametrize("share", [1.0, 0.136, 0.05, 0.0])
def test_best_f1_is_that_of_a_plain_sweep(rng, share):
    label, score = rng.random(300) < 0.2, np.round(rng.random(300), 1)
    plain = [0.0]
    for threshold in np.unique(score):
        above = score >= threshold
        if (above & ~label).sum() <= share * (~label).sum():
            plain.append(2 * (above & label).sum() / (above.sum() + label.sum()))

    assert best_f1(score, label, share) == pytest.approx(max(plain))


def test_the_top_score_is_found_within_a_hundred_rows():
    label = np.zeros(1000, bool)
    label[500:510] = True

    assert found_at_the_top(np.eye(1000)[400], label) is True
    assert found_at_the_top(np.eye(1000)[609], label) is True
    assert found_at_the_top(np.eye(1000)[610], label) is False
    assert found_at_the_top(np.full(1000, np.nan), label) is None
