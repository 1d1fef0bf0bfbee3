"""The neighbourhood of one reading as a picture: values in their band, the level of every view, x and its bar.

Drawn with the brushes of picture.py. N readings of the neighbourhood, n of them in order of time, K smoothed errors.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.backtest import picture as brush
from pipeline.backtest.explanation import Explanation
from pipeline.backtest.pixels import Pixels
from pipeline.backtest.trace import of_scores
from pipeline.detector.fusion import SOFTNESS
from pipeline.records import Floats, Ints, Outcome, Scores

MOST_CHANNELS = 2  # those with the largest share: the levels need room
LONGEST_SENTENCE = 175  # letters: as wide as the picture
IN_ORDER = [Outcome.SCORED, Outcome.WARMING, Outcome.MISSING]
# Of the views, after Okabe and Ito; those beyond begin again.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b6b7c")


def closeup(explained: Explanation, sentence: str) -> Figure:
    """1600 by 900 pixels, for the caller to save; ValueError where no reading of the neighbourhood is in order."""
    near = explained.near
    rows = np.flatnonzero(np.isin(near.scores.outcome, IN_ORDER))  # (n,)
    if not len(rows):
        raise ValueError(f"{explained.series}: no reading near the one explained can be drawn, all came late or twice")
    readings, scores = near.readings[rows], near.scores[rows]
    shown = [part for part in explained.channels if part.scored][:MOST_CHANNELS]
    pixels = Pixels(readings.at, explained.clock)

    figure = Figure(figsize=(brush.WIDTH, brush.HEIGHT), dpi=brush.DPI, facecolor="white")
    FigureCanvasAgg(figure)
    heights = [*([1.0] * len(shown)), 0.8, 0.7]
    panels = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    legend: dict[str, Artist] = {}
    for panel, part in zip(panels, shown, strict=False):
        values, there = readings.values[:, part.position], ~readings.missing[:, part.position]
        legend |= brush.draw_channel(panel, pixels, values, there, scores, part.position)
        unit = f" ({part.deviation.unit})" if part.deviation.unit else ""
        brush.entitle(panel, brush.shortened(part.deviation.channel) + unit)
    _draw_levels(panels[-2], pixels, near.parts.softened[rows], scores, explained)
    legend |= _draw_fused(panels[-1], pixels, near.parts.fused[rows], near.parts.bar[rows], scores)
    behind = brush.backdrop(pixels, readings.at, scores, incidents(explained), None)
    for panel in panels:
        legend |= brush.draw_spans(panel, behind)
        legend |= _draw_mark(panel, pixels, readings.at, explained.at)
        brush.tidy(panel)
    brush.tick(panels[-1], pixels, explained.clock)
    brush.head(figure, explained.series, _cut(sentence), legend)
    return figure


def incidents(explained: Explanation) -> list[brush.Incident]:
    """The incidents of the neighbourhood, the one included that was open all the while."""
    found: dict[int, brush.Incident] = {}
    for alert in of_scores(explained.near.alerts):
        found[alert.start] = (alert.start, alert.end, alert.severity)
    running = explained.after.incident
    if running is not None and running.start not in found:
        found[running.start] = (running.start, None, "critical" if running.critical else "warning")
    return list(found.values())


def _draw_levels(panel: Axes, pixels: Pixels, softened: Floats, scores: Scores, explained: Explanation) -> None:
    """A line for each of the K smoothed errors (n, K), and where the 99 % quantile of calibration lies."""
    brush.entitle(panel, "level of each view")
    points = pixels.points(scores.scored)
    names = [f"{view.view}, {view.span} reading{'s' * (view.span != 1)}" for view in explained.views]
    for column, colour in zip(range(softened.shape[1]), COLOURS * softened.shape[1], strict=False):
        _, level = points.extremes(softened[scores.scored, column])
        panel.plot(points.x, level, color=colour, linewidth=1.2, zorder=4, label=names[column])
    common = SOFTNESS * math.log(2)  # of an error equal to its quantile
    panel.axhline(common, color=brush.QUIET, linewidth=0.9, linestyle=":", zorder=3, label="99 % of calibration")
    panel.set_ylim(bottom=0)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    if len(points.x):
        panel.legend(loc="upper left", ncols=4, frameon=False, fontsize=9, labelcolor=brush.LABEL)


def _draw_fused(panel: Axes, pixels: Pixels, fused: Floats, bar: Floats, scores: Scores) -> dict[str, Artist]:
    """x (n,), the bar (n,) that it was held against, and a dot where it exceeds."""
    brush.entitle(panel, "x, the fused error")
    scored, exceeds = scores.scored, scores.scored & scores.exceeds
    points = pixels.points(scored)
    _, height = points.extremes(fused[scored])
    _, held = points.extremes(bar[scored])
    (line,) = panel.plot(points.x, height, color=brush.SCORE, linewidth=1.0, zorder=3)
    (bars,) = panel.plot(points.x, held, color=brush.BAR, linewidth=1.4, zorder=5)
    points = pixels.points(exceeds)
    _, height = points.extremes(fused[exceeds])
    (dots,) = panel.plot(points.x, height, ".", color=brush.EXCEEDS, markersize=8, zorder=6, clip_on=False)
    panel.yaxis.set_major_locator(MaxNLocator(4))
    legend: dict[str, Artist] = {"x": line, "bar": bars} if scored.any() else {}
    return legend | ({"exceeds": dots} if exceeds.any() else {})


def _draw_mark(panel: Axes, pixels: Pixels, at: Ints, explained_at: int) -> dict[str, Artist]:
    """A line at the reading; none where it is so late that it lies outside."""
    if not at[0] <= explained_at <= at[-1]:
        return {}
    moment = np.array([explained_at])
    ((left, width),) = pixels.spans(moment, moment)
    return {"this reading": panel.axvline(left + width / 2, color=brush.READING, linewidth=1.0, linestyle="--")}


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= LONGEST_SENTENCE else sentence[: LONGEST_SENTENCE - 1] + "…"
