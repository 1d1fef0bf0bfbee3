"""What a history cannot teach is told, sober and by exact rules; nothing is refused for it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.detector.detector import Channel
from pipeline.training.doubts import Doubt, correlation, doubts_of, follows_the_day, single_share, slow_share
from pipeline.training.history import History
from pipeline.training.preparing import prepared
from tests.streams import series

HOUR = 3_600_000_000
ROLES = (Channel("temp", "sensor"),)


def kinds(values, step, clock="time"):
    made = series("pump", np.asarray(values, float), step=step)
    history = History(made.name, made.at, made.values, made.missing)
    return [doubt.kind for doubt in doubts_of(prepared([history], ["temp"]), ROLES, clock)]


def noise(rows):
    return np.random.default_rng(0).normal(size=rows)


def daily(rows, step):
    return 5 * np.sin(np.arange(rows) * step / (24 * HOUR) * 2 * np.pi) + noise(rows)


@pytest.mark.parametrize(
    ("values", "step", "found"),
    [
        (noise(150), HOUR // 4, ["day"]),
        (noise(191), HOUR // 4, ["day"]),
        (noise(192), HOUR // 4, []),  # two days to the reading, and nothing follows the day
        (daily(24 * 13, HOUR), HOUR, ["week"]),
        (daily(24 * 14, HOUR), HOUR, []),
        (noise(24 * 13), HOUR, []),
        (noise(150), 24 * HOUR, []),  # a reading a day knows no time of day
    ],
)
def test_a_clock_shorter_than_two_days_or_two_weeks_is_doubted_where_it_matters(values, step, found):
    assert kinds(values, step) == found


@pytest.mark.parametrize(
    ("cycles", "found"), [(0.8, ["slow"]), (1.0, ["slow"]), (1.5, ["slow"]), (2.0, []), (3.0, []), (40.0, [])]
)
def test_a_swing_that_was_seen_less_than_twice_is_doubted_on_any_clock(cycles, found):
    rows = 1000
    fit_rows = 768
    values = np.sin(np.arange(rows) / fit_rows * cycles * 2 * np.pi) + 0.1 * noise(rows)

    assert kinds(values, 1, "index") == found


def test_one_reading_that_makes_the_variance_is_doubted():
    values = noise(400)
    values[50] = 1e300

    assert kinds(values, 1, "index") == ["single"]
    assert kinds(noise(400), 1, "index") == []
    assert kinds(np.full(400, 20.0), 1, "index") == []


def test_shares_and_correlations_are_those_of_their_definitions():
    z = noise(64)[:, None]
    time = np.linspace(-1, 1, 64)
    straight = z[:, 0] - np.polyval(np.polyfit(time, z[:, 0], 1), time)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(65), np.arange(64)) / 128)
    power = np.abs(waves @ straight) ** 2

    assert slow_share(z) == pytest.approx(power[1:4].sum() / power[1:].sum())
    assert correlation(z, 3) == pytest.approx(np.corrcoef(z[:-3, 0], z[3:, 0])[0, 1])
    assert correlation(z, 64) == 0
    assert single_share(np.array([[0.0], [0.0], [3.0], [4.0], [0.0]]), np.ones((5, 1), bool)) == pytest.approx(16 / 25)
    assert slow_share(np.zeros((64, 1))) == 0
    assert follows_the_day(daily(24 * 5, HOUR)[:, None], HOUR)
    assert not follows_the_day(np.cumsum(noise(24 * 5))[:, None], HOUR)


def test_many_series_are_told_by_the_first_of_them():
    words = Doubt("slow", tuple(f"p{n}" for n in range(15))).words

    assert words.startswith("p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 and 3 more: much of what changes")
