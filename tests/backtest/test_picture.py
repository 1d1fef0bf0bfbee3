from __future__ import annotations

import io

import numpy as np
import pytest

from pipeline.backtest.picture import picture
from pipeline.records import Outcome, Scores

NOON = 1_387_214_700_000_000  # 2013-12-16T17:25:00Z
MINUTE = 60_000_000


class Series:
    """Columns of one series as the monitor would give them, to be altered before they are drawn."""

    def __init__(self, rows, channels=1, clock="time"):
        self.at = NOON + MINUTE * np.arange(rows) if clock == "time" else np.arange(rows)
        self.clock = clock
        self.channels = [f"channel {number}" for number in range(channels)]
        expected = np.sin(np.arange(rows) / 50)[:, None] * 10.0 ** np.arange(channels)
        self.values = expected + 0.1
        self.missing = np.zeros((rows, channels), bool)
        self.outcome = np.full(rows, Outcome.SCORED, np.uint8)
        self.score = np.abs(np.sin(np.arange(rows)))
        bar, nothing = np.full(rows, 3.0), np.zeros(rows, bool)
        self.scores = Scores(
            self.outcome, self.score, bar, nothing.copy(), nothing, expected, expected - 1, expected + 1, nothing * 0.0
        )

    def draw(self, **options):
        return picture(
            "plant/pump-7", self.at, self.values, self.missing, self.scores, self.channels, self.clock, **options
        )


def texts(figure):
    """Everything written above the panels, and the legend's names."""
    return [text.get_text() for text in figure.texts], [text.get_text() for text in figure.legends[0].get_texts()]


def names(figure):
    return [panel.get_title(loc="left") for panel in figure.axes]


def png(figure):
    """The picture's bytes; drawing is where a bad text or number would fail."""
    stored = io.BytesIO()
    figure.savefig(stored)
    return stored.getvalue()


def line(figure, name, panel=0):
    """The heights of the line of that name in the legend, without gaps."""
    handles = dict(zip(texts(figure)[1], figure.legends[0].legend_handles, strict=True))
    colour = handles[name].get_color()
    lines = [found for found in figure.axes[panel].lines if found.get_color() == colour]
    return lines[0].get_xdata(), lines[0].get_ydata()


def test_a_picture_says_what_it_shows():
    series = Series(300)
    series.outcome[:64] = Outcome.WARMING
    series.outcome[200] = Outcome.DUPLICATE
    series.scores.exceeds[250] = True
    labels = np.zeros(300, bool)
    labels[240:260] = labels[280:] = True
    incidents = [(int(series.at[250]), int(series.at[255]), "critical"), (int(series.at[290]), None, "warning")]
    figure = series.draw(units=["°C"], incidents=incidents, labels=labels)

    (title, summary), legend = texts(figure)
    assert title == "plant/pump-7"
    assert summary.split("   ·   ") == [
        "2013-12-16 17:25 to 2013-12-16 22:24",
        "299 readings, 235 scored, 1 late or duplicate left out",
        "2 incidents, 1 critical",
        "2 known anomalies",
    ]
    assert names(figure) == ["channel 0 (°C)", "score (decades of rarity)"]
    assert legend == [
        "reading",
        "expected",
        "expected band (99 %)",
        "score",
        "bar",
        "exceeds",
        "not scored yet",
        "incident, warning",
        "incident, critical",
        "known anomaly",
    ]
    assert png(figure).startswith(b"\x89PNG")
    assert (figure.get_size_inches() * figure.dpi).tolist() == [1600, 900]


def test_what_is_not_there_is_not_in_the_legend():
    series = Series(50, clock="index")
    series.outcome[:] = Outcome.WARMING
    figure = series.draw()

    assert texts(figure)[0][1] == "samples 0 to 49   ·   50 readings, 0 scored   ·   0 incidents"
    assert texts(figure)[1] == ["reading", "not scored yet"]
    assert png(figure)


def test_a_spike_of_one_reading_in_a_long_series_is_drawn():
    series = Series(200_000)
    series.values[123_456, 0] = 3.5
    series.score[123_456] = 4.5
    figure = series.draw()

    x, heights = line(figure, "reading")
    assert len(x) < 4_000
    assert heights.max() == 3.5
    assert x[heights.argmax()] == pytest.approx(series.at[123_456] / 86_400e6, abs=0.2)
    assert line(figure, "score", panel=1)[1].max() == 4.5
    assert figure.axes[0].get_ylim()[1] > 3.5


def test_one_absurd_reading_does_not_flatten_the_others():
    series = Series(5_000, clock="index")
    series.values[2_000], series.values[3_000], series.score[2_000] = 1e300, -1.7e308, 300.0
    figure = series.draw()
    bottom, top = figure.axes[0].get_ylim()

    heights = line(figure, "reading")[1]
    assert -10 < bottom < -1 < 1 < top < 10
    assert heights.max() > top  # it leaves the picture
    assert heights.min() < bottom
    assert 3 < figure.axes[1].get_ylim()[1] < 10
    assert png(figure)


def test_the_chosen_channels_are_drawn_in_their_order():
    series = Series(100, channels=7)

    assert names(series.draw(chosen=[5, 2]))[:-1] == ["channel 5", "channel 2"]
    assert names(series.draw())[:-1] == ["channel 0", "channel 1", "channel 2", "channel 3"]
    assert "4 of 7 channels shown" in texts(series.draw())[0][1]
    assert "channels shown" not in texts(Series(100, channels=4).draw())[0][1]


def test_readings_out_of_order_are_left_out():
    series = Series(100, clock="index")
    series.at[50], series.outcome[50] = 10, Outcome.LATE
    x, _ = line(series.draw(), "reading")

    assert len(x) == 2 * 99
    assert (np.diff(x) >= 0).all()


def test_missing_readings_leave_the_line_open():
    series = Series(100, clock="index")
    series.missing[40:60] = True
    series.values[40:60] = 99.0  # means nothing where it is missing
    x, heights = line(series.draw(), "reading")

    assert np.isnan(heights).any()
    assert not ((x >= 40) & (x < 60)).any()
    assert np.nanmax(heights) < 2


def test_names_are_written_as_they_are():
    series = Series(100)
    series.channels = ["$a_{$"]
    figure = picture(
        "$" + "x" * 200, series.at, series.values, series.missing, series.scores, series.channels, "time", units=["$"]
    )

    assert png(figure)
    assert names(figure)[0] == "$a_{$ ($)"
    assert texts(figure)[0][0] == "…" + "x" * 99


@pytest.mark.parametrize("clock", ["time", "index"])
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_very_short_series_can_be_drawn(rows, clock):
    series = Series(rows, clock=clock)
    labels = np.ones(rows, bool)

    assert png(series.draw(incidents=[(int(series.at[0]), None, "critical")], labels=labels))


def test_a_channel_that_is_never_there_has_an_empty_panel():
    series = Series(100, channels=2)
    series.missing[:, 1] = True
    series.values[:, 1] = np.nan

    assert png(series.draw())


def test_a_series_that_cannot_be_drawn_is_refused():
    series = Series(3)
    series.outcome[:] = Outcome.LATE

    with pytest.raises(ValueError, match="plant/pump-7: none of its 3 readings can be drawn"):
        series.draw()
