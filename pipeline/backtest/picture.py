"""A series as a picture: what was read, what was expected, and where an incident was open.

The only place that knows matplotlib, with closeup.py. A long series is drawn by the lowest and highest value of every
column of pixels, so that no spike is lost and a million rows are quick. T rows, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from pipeline.backtest.pixels import Pixels
from pipeline.formats.times import moment
from pipeline.records import Clock, Flags, Floats, Ints, Outcome, Scores, Severity

Incident = tuple[int, int | None, Severity]  # start, end (None while it is open), severity

MOST_CHANNELS = 4
WIDTH, HEIGHT, DPI = 16.0, 9.0, 100  # inches, pixels per inch
HIGHEST_SCORE = 2.5  # bars: what lies beyond is drawn at the edge, or the bar would lie on the ground
LONGEST_NAME = 100  # characters
STRIP = 0.045  # of a panel's height: where the known anomalies are
LARGEST = 1e150  # of an axis: matplotlib computes with differences and ratios of its ends
FARTHEST = 2.0  # spans of the central readings: what lies beyond leaves the picture, or it would flatten the rest

# Ticks of years, months, days, hours, minutes, seconds; and of those among them that begin the next larger one.
MOMENTS = ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S.%f"]
ROUND_MOMENTS = ["", "%b %Y", "%d %b", "%d %b", "%H:%M", "%H:%M"]

# After Okabe and Ito, whose colours people with any colour vision tell apart.
READING, EXPECTED, BAND, SCORE, BAR = "#1b2733", "#0072b2", "#8ecbee", "#5b6b7c", "#0072b2"
WARNING, CRITICAL, EXCEEDS = "#f0a30a", "#c8401a", "#c8401a"
LABEL, WARMING, QUIET = "#3d4754", "#b8c0ca", "#6b7683"


def picture(
    series: str,
    at: Ints,
    values: Floats,
    missing: Flags,
    scores: Scores,
    channels: Sequence[str],
    clock: Clock,
    *,
    units: Sequence[str] | None = None,
    incidents: Sequence[Incident] = (),
    labels: Flags | None = None,
    chosen: Sequence[int] | None = None,
) -> Figure:
    """A panel for each channel, four at most, and one for the score; 1600 by 900 pixels, for the caller to save.

    at (T,), values and missing (T, C), scores and labels (T,) of the rows of this one series in the order in which they
    came; `chosen` are the channels to draw by position, the most important first: by default the first ones. ValueError
    where no reading is in order of time.
    """
    rows = np.isin(scores.outcome, [Outcome.SCORED, Outcome.WARMING, Outcome.MISSING])  # the others are out of order
    if not rows.any():
        raise ValueError(f"{series}: none of its {len(at)} readings can be drawn, all came late, twice or unreadable")
    late = int((~rows).sum())
    kept = rows if late else slice(None)  # a million rows are not copied in vain
    at, values, missing, scores = at[kept], values[kept], missing[kept], scores[kept]
    labels = None if labels is None else labels[kept]
    shown = list(range(len(channels)) if chosen is None else chosen)[:MOST_CHANNELS]
    pixels = Pixels(at, clock)

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    heights = [*([1.0] * len(shown)), 0.45 if len(shown) == 1 else 0.8]
    panels = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    spans = backdrop(pixels, at, scores, incidents, labels)
    legend: dict[str, Artist] = {}
    for panel, channel in zip(panels, shown, strict=False):
        legend |= draw_channel(panel, pixels, values[:, channel], ~missing[:, channel], scores, channel)
        unit = f" ({units[channel]})" if units and units[channel] else ""
        entitle(panel, shortened(channels[channel]) + unit)
    legend |= _draw_score(panels[-1], pixels, scores)
    for panel in panels:
        legend |= draw_spans(panel, spans)
        tidy(panel)
    tick(panels[-1], pixels, clock)
    head(figure, series, _summary(at, scores, incidents, labels, late, len(shown), clock), legend)
    return figure


def draw_channel(
    panel: Axes, pixels: Pixels, values: Floats, there: Flags, scores: Scores, channel: int
) -> dict[str, Artist]:
    """Readings over the band that they were expected in."""
    read, scored = pixels.points(there), pixels.points(scores.scored)
    low, high = read.extremes(values[there])
    floor, _ = scored.extremes(scores.lower[scores.scored, channel])
    _, ceiling = scored.extremes(scores.upper[scores.scored, channel])
    least, most = scored.extremes(scores.expected[scores.scored, channel])
    bottom, top = _limits(low, high, floor, ceiling)
    panel.set_ylim(bottom, top)
    panel.yaxis.set_major_locator(MaxNLocator(5))

    edges = (2 * bottom - top, 2 * top - bottom)  # far enough to leave the picture, near enough to be drawn
    band = panel.fill_between(
        scored.x, floor.clip(*edges), ceiling.clip(*edges), color=BAND, alpha=0.55, linewidth=0, zorder=2
    )
    middle = (least.clip(*edges) + most.clip(*edges)) / 2
    (expected,) = panel.plot(scored.x, middle, color=EXPECTED, linewidth=0.7, zorder=3)
    stroke = np.column_stack([low, high]).clip(*edges).reshape(-1)  # one line, down and up through every column
    (reading,) = panel.plot(np.repeat(read.x, 2), stroke, color=READING, linewidth=0.8, zorder=4)
    panel.plot(read.x[read.alone], high[read.alone].clip(*edges), ".", color=READING, markersize=4, zorder=4)
    legend: dict[str, Artist] = {"reading": reading}
    return legend | ({"expected": expected, "expected band (99 %)": band} if len(scored.x) else {})


def _draw_score(panel: Axes, pixels: Pixels, scores: Scores) -> dict[str, Artist]:
    """The rarest reading of every column of pixels, and the bar that it was held against."""
    scored, exceeds = scores.scored, scores.scored & scores.exceeds
    points = pixels.points(scored)
    _, score = points.extremes(scores.score[scored])
    bar, highest_bar = points.extremes(scores.bar[scored])
    tallest = float(np.nanmax(highest_bar, initial=2.0))
    top = 1.08 * min(float(np.nanmax(score, initial=tallest)), HIGHEST_SCORE * tallest)
    panel.set_ylim(0, top)
    entitle(panel, "score (decades of rarity)")
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))

    panel.fill_between(points.x, 0, score.clip(0, 2 * top), color=SCORE, alpha=0.25, linewidth=0, zorder=2)
    (line,) = panel.plot(points.x, score.clip(0, 2 * top), color=SCORE, linewidth=0.7, zorder=3)
    (held,) = panel.plot(points.x, bar.clip(0, 2 * top), color=BAR, linewidth=1.4, zorder=5)
    points = pixels.points(exceeds)
    _, score = points.extremes(scores.score[exceeds])
    (dots,) = panel.plot(points.x, score.clip(0, top), ".", color=EXCEEDS, markersize=8, zorder=6, clip_on=False)
    legend: dict[str, Artist] = {"score": line, "bar": held} if scored.any() else {}
    return legend | ({"exceeds": dots} if exceeds.any() else {})


class _Span(NamedTuple):
    """What is drawn behind every panel, from its lower edge up to `top` of its height."""

    name: str
    pieces: list[tuple[float, float]]  # left edge and width
    colour: str
    opacity: float
    hatch: str
    top: float


def backdrop(
    pixels: Pixels, at: Ints, scores: Scores, incidents: Sequence[Incident], labels: Flags | None
) -> list[_Span]:
    """All of them that there are, the later ones in front."""
    now = int(at[-1])  # where an open incident ends
    warming = pixels.runs(scores.outcome == Outcome.WARMING)
    spans = [_Span("not scored yet", warming, WARMING, 0.25, "///", 1.0)]
    looks: dict[Severity, tuple[str, float]] = {"warning": (WARNING, 0.3), "critical": (CRITICAL, 0.35)}
    for severity, (colour, opacity) in looks.items():
        chosen = [(start, now if end is None else end) for start, end, found in incidents if found == severity]
        pieces = pixels.spans(*np.array(chosen, np.int64).reshape(-1, 2).T)
        spans.append(_Span(f"incident, {severity}", pieces, colour, opacity, "", 1.0))
    if labels is not None:
        spans.append(_Span("known anomaly", pixels.runs(labels), LABEL, 0.8, "", STRIP))
    return [span for span in spans if span.pieces]


def draw_spans(panel: Axes, spans: Sequence[_Span]) -> dict[str, Artist]:
    """The spans of all panels behind this one."""
    legend: dict[str, Artist] = {}
    for span in spans:
        legend[span.name] = panel.broken_barh(
            span.pieces,
            (0.0, span.top),
            transform=panel.get_xaxis_transform(),
            facecolor=to_rgba(span.colour, span.opacity),
            edgecolor=span.colour,
            hatch=span.hatch,
            linewidth=0,
            zorder=1,
        )
    return legend


def _limits(low: Floats, high: Floats, floor: Floats, ceiling: Floats) -> tuple[float, float]:
    """What a panel shows: all readings, unless some lie so far off that the others would be a flat line."""
    if not len(low):
        return 0.0, 1.0
    bottom, top = float(np.nanmin(low)), float(np.nanmax(high))
    first, last = float(np.nanquantile(low, 0.01)), float(np.nanquantile(high, 0.99))
    if last > first:
        bottom, top = max(bottom, first - FARTHEST * (last - first)), min(top, last + FARTHEST * (last - first))
    if len(floor):
        bottom, top = min(bottom, float(np.nanquantile(floor, 0.05))), max(top, float(np.nanquantile(ceiling, 0.95)))
    bottom, top = max(bottom, -LARGEST), min(top, LARGEST)
    margin = 0.07 * (top - bottom) or 0.05 * abs(top) or 1.0
    return bottom - margin, top + margin


def tidy(panel: Axes) -> None:
    """Only what helps reading."""
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(WARMING)
    panel.tick_params(axis="y", colors=WARMING, labelcolor=LABEL, labelsize=10)
    panel.tick_params(axis="x", length=0)
    panel.grid(axis="y", color="#e5e8ec", linewidth=0.7, zorder=0)
    panel.set_axisbelow(True)


def entitle(panel: Axes, text: str) -> None:
    """What a panel shows, above it: a name at the side has no room."""
    panel.set_title(text, loc="left", fontsize=11, color=LABEL, pad=4, parse_math=False)


def tick(panel: Axes, pixels: Pixels, clock: Clock) -> None:
    """Moments that people read, and no more room than the data need."""
    margin = 4 * pixels.column
    panel.set_xlim(pixels.first - margin, pixels.last + margin)
    if clock == "time":
        locator = AutoDateLocator(minticks=6, maxticks=14)  # type: ignore[no-untyped-call]  # matplotlib's dates
        formatter = ConciseDateFormatter(  # type: ignore[no-untyped-call]  # have no types yet
            locator, formats=MOMENTS, zero_formats=ROUND_MOMENTS, show_offset=False
        )
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(formatter)
    else:
        panel.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.tick_params(axis="x", length=4, color=QUIET, labelcolor=LABEL, labelsize=10)
    panel.set_xlabel("time (UTC)" if clock == "time" else "sample", color=LABEL, fontsize=11)


def head(figure: Figure, series: str, summary: str, legend: dict[str, Artist]) -> None:
    """Title, counts and legend, above the panels."""
    left, panels = 0.05, len(figure.axes)
    figure.subplots_adjust(left=left, right=0.965, top=0.845, bottom=0.07, hspace=0.05 + 0.06 * panels)
    figure.text(left, 0.955, shortened(series), fontsize=17, fontweight="bold", color=READING, parse_math=False)
    figure.text(left, 0.922, summary, fontsize=12, color=LABEL, parse_math=False)
    figure.legend(
        list(legend.values()),
        list(legend),
        loc="upper left",
        bbox_to_anchor=(left - 0.006, 0.915),
        ncols=len(legend),
        frameon=False,
        fontsize=10,
        labelcolor=LABEL,
        handlelength=1.6,
        columnspacing=1.5,
    )


def _summary(
    at: Ints, scores: Scores, incidents: Sequence[Incident], labels: Flags | None, late: int, shown: int, clock: Clock
) -> str:
    """The counts in one line."""
    scored, critical = int(scores.scored.sum()), sum(severity == "critical" for _, _, severity in incidents)
    channels = scores.expected.shape[1]
    parts = [
        f"{_minute(at[0])} to {_minute(at[-1])}" if clock == "time" else f"samples {at[0]:,} to {at[-1]:,}",
        f"{_count(len(at), 'reading')}, {scored:,} scored" + (f", {late:,} late or duplicate left out" if late else ""),
        _count(len(incidents), "incident") + (f", {critical:,} critical" if critical else ""),
    ]
    if labels is not None:
        known = int(labels[0]) + int((labels[1:] & ~labels[:-1]).sum())
        parts.append("1 known anomaly" if known == 1 else f"{known:,} known anomalies")
    if shown < channels:
        parts.append(f"{shown} of {channels} channels shown")
    return "   ·   ".join(parts)


def _minute(at: int) -> str:
    return moment(int(at)).strftime("%Y-%m-%d %H:%M")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def shortened(name: str) -> str:
    """The end of a long name: in a path the part that differs."""
    return name if len(name) <= LONGEST_NAME else "…" + name[1 - LONGEST_NAME :]
