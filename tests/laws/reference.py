"""The arithmetic of scoring once more, written from the definitions in words and not from the code.

One series, one reading at a time, plain floats; the forecast is torch's own `nn.LSTM` with the state carried. Slow, and
short enough to be held against the definitions line by line.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
from torch import nn

from pipeline.detector.detector import Detector
from pipeline.detector.engine import Engine

Values = Sequence[float | None]  # of the channels of one reading; None is missing
DAY, WEEK = 86_400_000_000, 604_800_000_000  # microseconds


@dataclass
class Network:
    """An LSTM and its head, with the state of one series."""

    lstm: nn.LSTM
    head: nn.Linear
    channels: int
    calendar: bool = False
    state: tuple[torch.Tensor, torch.Tensor] | None = None

    def step(self, z: Sequence[float], at: int) -> list[float]:
        """Read z, of the time `at`; the forecast of the next reading."""
        inputs = list(z)
        if self.calendar:
            day, week = 2 * math.pi * (at % DAY) / DAY, 2 * math.pi * (at % WEEK) / WEEK
            inputs += [math.sin(day), math.sin(week), math.cos(day), math.cos(week)]
        with torch.no_grad():
            read, self.state = self.lstm(torch.tensor([[inputs]], dtype=torch.float32), self.state)
            change = self.head(read[0, 0])[: self.channels].tolist()
        return [last + step for last, step in zip(z, change, strict=True)]


def network_of(engine: Engine, calendar: bool = False) -> Network:
    """Torch's network with the weights of an engine: its gates are i, f, o, g with the first three halved."""
    hidden, layers, channels = engine.hidden, len(engine.layers), engine.channels
    lstm = nn.LSTM(len(engine.layers[0].weight) - hidden, hidden, layers, batch_first=True)
    head = nn.Linear(hidden, len(engine.head_bias))
    with torch.no_grad():
        for number, layer in enumerate(engine.layers):
            weight, bias = torch.from_numpy(layer.weight.T.copy()), torch.from_numpy(layer.bias.copy())
            weight[: 3 * hidden] *= 2
            bias[: 3 * hidden] *= 2
            i, f, o, g = (slice(k * hidden, (k + 1) * hidden) for k in range(4))
            weight, bias = (torch.cat([whole[gate] for gate in (i, f, g, o)]) for whole in (weight, bias))
            width = weight.shape[1] - hidden
            getattr(lstm, f"weight_ih_l{number}").copy_(weight[:, :width])
            getattr(lstm, f"weight_hh_l{number}").copy_(weight[:, width:])
            getattr(lstm, f"bias_ih_l{number}").copy_(bias)
            getattr(lstm, f"bias_hh_l{number}").zero_()
        head.weight.copy_(torch.from_numpy(engine.head_weight.T.copy()))
        head.bias.copy_(torch.from_numpy(engine.head_bias.copy()))
    return Network(lstm, head, channels, calendar)


@dataclass
class Taken:
    """A reading as the tracking sees it."""

    outcome: str
    z: list[float] = field(default_factory=list)
    forecast: list[float] | None = None
    there: list[bool] = field(default_factory=list)  # scored and not missing
    further: list[float] = field(default_factory=list)  # errors of the line, the memory, the shapes, the components
    region: int = 0  # of the past that it came after
    since: int = 0  # readings since a reset, before it
    reset: bool = False


class Looking:
    """The past of a series, and how far it is from what training saw; what was learnt is taken from the detector."""

    def __init__(self, detector: Detector) -> None:
        past, back = detector.past, detector.looking_back
        self.memory, self.components = back.memory.states.tolist(), back.components
        self.shapes = back.shape.states.tolist() if back.shape else []
        self.line = back.linear.weights.tolist() if back.linear else []
        self.reach, self.window = past.reach, past.window
        self.order, self.channels, self.scored = past.order, int(detector.scored.sum()), detector.scored.tolist()
        self.held, self.entered = legendre(self.reach, self.order)
        self.clear()

    def clear(self) -> None:
        self.states = [[0.0] * self.order for _ in range(self.channels)]
        self.recent: list[float] = []

    def push(self, z: Sequence[float]) -> None:
        """m <- A m + B z for each scored channel."""
        self.states = [
            [math.fsum(a * m for a, m in zip(row, state, strict=True)) + b * one for row, b in zip(*whole, strict=True)]
            for state, one, whole in zip(self.states, z, [(self.held, self.entered)] * len(z), strict=True)
        ]
        self.recent.append(z[0])

    def errors(self, since: int) -> list[float]:
        """Of the memory, the shapes and the components, with `since` readings since a reset."""
        if since < max(self.reach, self.window):
            return [0.0] * (3 if self.shapes else 2)
        state = [number for each in self.states for number in each]
        remembered = [sorted(math.dist(state, known) for known in self.memory)[:3]]
        if self.shapes:
            remembered.append(sorted(math.dist(state[1:], known) for known in self.shapes)[:3])
        past = self.recent[-self.window :] if self.window else state
        off = [p - m for p, m in zip(past, self.components.mean.tolist(), strict=True)]
        basis = self.components.basis.tolist()
        along = [math.fsum(o * row[k] for o, row in zip(off, basis, strict=True)) for k in range(len(basis[0]))]
        outside = [
            o - math.fsum(a * b for a, b in zip(along, row, strict=True)) for o, row in zip(off, basis, strict=True)
        ]
        squares = [o * o / c for o, c in zip(outside, self.components.common.tolist(), strict=True)]
        near = [math.fsum(nearest) / len(nearest) for nearest in remembered]
        return [*near, math.fsum(squares) / len(squares)]

    def off_the_line(self, z: Sequence[float], there: Sequence[bool], since: int) -> list[float]:
        """Of many scored channels, before z is read: how far each is from a sum of its state, on average."""
        if not self.line:
            return []
        if since < self.reach:
            return [0.0]
        mine = [pair for pair, scored in zip(zip(z, there, strict=True), self.scored, strict=True) if scored]
        counted = [
            abs(one - math.fsum(m * w for m, w in zip(state, weights, strict=True)))
            for (one, here), state, weights in zip(mine, self.states, self.line, strict=True)
            if here
        ]
        return [math.fsum(counted) / len(counted)]

    def region(self, since: int) -> int:
        """The nearest shape, with `since` readings since a reset; their number where the past is not full."""
        if since < max(self.reach, self.window):
            return len(self.shapes)
        distances = [math.dist(self.states[0][1:], known) for known in self.shapes]
        return distances.index(min(distances)) if distances else 0


def legendre(reach: int, order: int) -> tuple[list[list[float]], list[float]]:
    """A and B of the past, in coordinates divided by sqrt(2i + 1): the flow run through one reading in small steps.

    dm/dt = F m + G z with F_ij = (2i + 1) / reach (-1 if i < j else (-1)^(i - j + 1)) and
    G_i = (2i + 1) (-1)^i / reach, z held; by the series of the exponential of [[F, G], [0, 0]].
    """
    size = order + 1
    flow = [
        [Fraction((2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1)), reach) for j in range(order)]
        + [Fraction((2 * i + 1) * (-1) ** i, reach)]
        for i in range(order)
    ] + [[Fraction(0)] * size]
    small = np.array([[float(number) / 1024 for number in row] for row in flow])
    step, term = np.eye(size), np.eye(size)
    for power in range(1, 12):
        term = term @ small / power
        step = step + term
    for _ in range(10):  # 1024 small steps are one reading
        step = step @ step
    sizes = np.sqrt(2 * np.arange(order) + 1)
    return (step[:-1, :-1] * sizes[None] / sizes[:, None]).tolist(), (step[:-1, -1] / sizes).tolist()


SETTLED = 1000  # readings, docs/decisions/0007


class Tracking:
    """Where a series stands: scaling, forecast, last time."""

    def __init__(self, network, scored, step, regular=True, scaling=None, warm_up=64, max_gap=10, looking=None):
        self.looking: Looking | None = looking
        self.network, self.scored, self.step, self.regular = network, scored, step, regular
        self.scaling, self.warm_up, self.max_gap = scaling, warm_up, max_gap
        self.gathered: list[Values] = []
        self.last: int | None = None
        self.before_gap: int | None = None
        self.behind = 0
        self.forecast: list[float] | None = None
        self.since = 0

    def take(self, at: int, values: Values) -> Taken:
        """What becomes of a reading."""
        back = self.came_back(at, values)
        if self.last is not None and at < self.last and not back:
            return Taken("LATE")
        if self.last is not None and at == self.last:
            return Taken("DUPLICATE")
        if all(v is None for v, scored in zip(values, self.scored, strict=True) if scored):
            return Taken("MISSING")
        gap = self.last is not None and not back and self.steps(self.last, at) > self.max_gap
        if gap and (self.before_gap is None or self.since >= self.warm_up):
            self.before_gap = self.last
        if self.scaling is None:
            self.gather(values)
            self.last = at
            return Taken("WARMING")
        reset = self.forget() if back else self.bridge(at)
        self.last = at
        known = self.forecast
        z = []
        for channel, value in enumerate(values):
            mean, deviation = self.scaling[0][channel], self.scaling[1][channel]
            own = known[channel] if known is not None else 0.0
            z.append(min(max(own if value is None else (value - mean) / deviation, -10.0), 10.0))
        there = [scored and v is not None for v, scored in zip(values, self.scored, strict=True)]
        outcome = "SCORED" if self.since >= self.warm_up else "WARMING"
        region = self.looking.region(self.since) if self.looking else 0
        further = self.looking.off_the_line(z, there, self.since) if self.looking else []
        self.forecast = self.step_on(z, at)
        self.since += 1
        further += self.looking.errors(self.since) if self.looking else []
        taken = Taken(outcome, z, known, there, further, region, self.since - 1, reset)
        if 0 < len(self.gathered) < SETTLED:
            self.gather(values)
        return taken

    def gather(self, values: Values) -> None:
        """Mean and deviation of a new series, over its first readings; each of them moves both."""
        self.gathered.append(values)
        if len(self.gathered) < self.warm_up:
            return
        means, deviations = [], []
        for channel in range(len(values)):
            seen = [reading[channel] for reading in self.gathered if reading[channel] is not None]
            mean = math.fsum(seen) / len(seen) if seen else 0.0
            variance = math.fsum((v - mean) ** 2 for v in seen) / len(seen) if seen else 0.0
            means.append(mean)
            deviations.append(math.sqrt(variance) if max(seen, default=0) > min(seen, default=0) else 1.0)
        self.scaling = (means, deviations)

    def bridge(self, at: int) -> bool:
        """Run d - 1 steps on the own forecast, or reset; whether it was a reset."""
        if self.last is None or self.forecast is None or not self.regular:
            return False
        distance = self.steps(self.last, at)
        if distance > self.max_gap:
            return self.forget()
        for missing in range(1, distance):
            self.forecast = self.step_on(self.forecast, self.last + missing * self.step)
        return False

    def steps(self, last: int, at: int) -> int:
        """From one time to a later one, rounded half up."""
        return max(1, math.floor((at - last) / self.step + 0.5)) if self.regular else 1

    def forget(self) -> bool:
        """Begin anew."""
        self.network.state, self.forecast, self.since = None, None, 0
        if self.looking:
            self.looking.clear()
        return True

    def came_back(self, at: int, values: Values) -> bool:
        """Whether a third reading in a row comes from within the gap before the last one, which is young."""
        there = any(v is not None for v, scored in zip(values, self.scored, strict=True) if scored)
        within = self.last is not None and self.before_gap is not None and self.before_gap < at < self.last
        if not (within and there and self.since < self.warm_up and self.steps(at, self.last) > self.max_gap):
            self.behind = 0
            return False
        self.behind += 1
        if self.behind < 3:
            return False
        self.before_gap, self.behind = None, 0
        return True

    def step_on(self, z: Sequence[float], at: int) -> list[float]:
        """The network and the past read z; the forecast of the next reading."""
        if self.looking:
            self.looking.push([one for one, scored in zip(z, self.scored, strict=True) if scored])
        return self.network.step(z, at)


@dataclass
class Normal:
    """What is normal, as the fit part and the calibration part say."""

    channel_scale: list[float]
    regional: list[float]  # how many times the usual in each region of the past
    high: list[float]  # the 99 % quantile of each smoothed error
    sample: list[float]  # x, ascending
    band: list[tuple[float, float]]

    @property
    def tail(self) -> float:
        """The mean of the exponential tail fitted to the top tenth, at least .3 / ln 50."""
        top = max(math.ceil(len(self.sample) / 10), 1)
        return max(math.fsum(x - self.sample[-top - 1] for x in self.sample[-top:]) / top, 0.3 / math.log(50))


def quantile(numbers: Sequence[float], share: float) -> float:
    """Linear between the ranks."""
    ordered = sorted(numbers)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


class Errors:
    """The smoothed errors and x of them: prediction, |z| and shapes where one channel is scored, memory, components."""

    def __init__(self, scored: Sequence[bool], period: int, warm_up: int) -> None:
        self.warm_up = warm_up
        self.many = sum(scored) > 1
        self.spans = [5, 20, 20] if self.many else [min(period, 128), 1, min(period, 128)]
        self.smoothed: list[float] | None = None
        self.habit: list[float] = []
        self.levels: list[float] = []  # of the last reading, as far as they are beyond the habit of their view

    def take(self, taken: Taken, channel_scale: Sequence[float], regional: Sequence[float]) -> list[float] | None:
        """The smoothed errors after this reading; None where it has no forecast."""
        if taken.forecast is None:
            return None
        weighted = [
            (z - f) ** 2 / s / regional[taken.region]
            for z, f, s, there in zip(taken.z, taken.forecast, channel_scale, taken.there, strict=True)
            if there
        ]
        own = [abs(z) for z, there in zip(taken.z, taken.there, strict=True) if there]
        prediction, level = math.fsum(weighted) / len(weighted), math.fsum(own) / len(own)
        errors = ([prediction] * 2 if self.many else [prediction, level, level]) + taken.further
        spans = (self.spans + [1] * len(errors))[: len(errors)]
        settled = max(taken.since - self.warm_up // 2 + 1, 1)  # a mean at first, from the middle of the warm-up on
        before = self.smoothed or errors
        self.smoothed = [
            s + max(2 / (span + 1), 1 / settled) * (e - s) for s, e, span in zip(before, errors, spans, strict=True)
        ]
        return list(self.smoothed)

    def fused(self, smoothed: Sequence[float], high: Sequence[float]) -> float:
        """x = log(F + .2), F the mean over views of the mean over spans of the softened levels.

        Where many channels are scored, .6 of the view's habit, an EWMA of span 1,000, is taken off before.
        """
        level = softened(smoothed, high)
        if self.many:
            views = [(level[0] + level[1]) / 2, *level[2:]]
        else:
            views = [level[0], (level[1] + level[2]) / 2, *level[3:]]
        if self.many:
            habit = self.habit or [0.0] * len(views)
            self.habit = [h + 2 / 1001 * (v - h) for h, v in zip(habit, views, strict=True)]
            beyond = [max(v - 0.6 * h, 0.0) for v, h in zip(views, habit, strict=True)]
            heard = [b / v if v > 0 else 0.0 for b, v in zip(beyond, views, strict=True)]
            level = [one * part for one, part in zip(level, [heard[0], *heard], strict=True)]
            views = beyond
        self.levels = level
        return math.log(math.fsum(views) / len(views) + 0.2)


def softened(smoothed: Sequence[float], high: Sequence[float]) -> list[float]:
    """The level of each smoothed error."""
    return [
        0.3 * math.log(1 + math.exp(math.log((e + 0.001) / (q + 0.001)) / 0.3))
        for e, q in zip(smoothed, high, strict=True)
    ]


def decades(x: float, sample: Sequence[float], tail: float) -> float:
    """log10((n + 1) / k) at the k-th largest, linear in x between, 0 below the smallest, an exponential tail above."""
    n = len(sample)

    def rarity(value: float) -> float:
        return math.log10((n + 1) / sum(each >= value for each in sample))

    if x < sample[0]:
        return 0.0
    if x > sample[-1]:
        return math.log10(n + 1) + (x - sample[-1]) / tail / math.log(10)
    if x in sample:
        return rarity(x)
    below, above = max(v for v in sample if v < x), min(v for v in sample if v > x)
    upper = sum(each >= above for each in sample)  # ranks of a tied value: the rarest of them borders on what is above
    low, high = math.log10((n + 1) / (upper + 1)), math.log10((n + 1) / upper)
    return low + (x - below) / (above - below) * (high - low)


def calibrated(
    tracking: Tracking, history: Sequence[tuple[int, Values]], fit_end: int, begin: int, period: int
) -> Normal:
    """What the rows from `begin` on say of a history that is run from its first row, and those before `fit_end`."""
    scored = tracking.scored
    taken = [tracking.take(at, values) for at, values in history]
    kept = [row >= begin and each.outcome == "SCORED" for row, each in enumerate(taken)]
    learnt = [each for row, each in enumerate(taken) if row < fit_end and each.outcome == "SCORED"]
    residuals = residuals_of(len(scored), [each for each, keep in zip(taken, kept, strict=True) if keep])
    means = [math.fsum(r * r for r in c) / len(c) if c else 1.0 for c in residuals_of(len(scored), learnt)]
    typical = quantile([m for m, s in zip(means, scored, strict=True) if s], 0.5)
    floor = max(typical / 10, 1e-6)
    scale = [max(m, floor) if s else 1.0 for m, s in zip(means, scored, strict=True)]
    regional = regions_of(tracking, learnt)
    errors = Errors(scored, period, tracking.warm_up)
    smoothed = [errors.take(each, scale, regional) for each in taken]
    mine = [each for each, keep in zip(smoothed, kept, strict=True) if keep]
    high = [quantile([each[k] for each in mine], 0.99) for k in range(len(mine[0]))]
    if sum(scored) > 1:  # no more than was common in the fit part
        before = [
            s for row, (s, t) in enumerate(zip(smoothed, taken, strict=True)) if row < fit_end and t.outcome == "SCORED"
        ]
        common = [quantile([each[k] for each in before], 0.99) for k in range(len(high))]
        high = [min(h, c) if c > 0 else h for h, c in zip(high, common, strict=True)]
    band = [(quantile(c, 0.005), quantile(c, 0.995)) if c else (0.0, 0.0) for c in residuals]
    said = [None if each is None else errors.fused(each, high) for each in smoothed]
    return Normal(scale, regional, high, sorted(x for x, keep in zip(said, kept, strict=True) if keep), band)


def residuals_of(channels: int, taken: Sequence[Taken]) -> list[list[float]]:
    """The residuals of each channel where it was scored and there."""
    residuals: list[list[float]] = [[] for _ in range(channels)]
    for each in taken:
        for channel, there in enumerate(each.there):
            if there:
                residuals[channel].append(each.z[channel] - each.forecast[channel])
    return residuals


def regions_of(tracking: Tracking, learnt: Sequence[Taken]) -> list[float]:
    """The mean squared residual of the fit part in each region, in units of that of all; 20 usual ones are put in."""
    count = len(tracking.looking.shapes)
    squares = [
        math.fsum((z - f) ** 2 for z, f, t in zip(each.z, each.forecast, each.there, strict=True) if t)
        / sum(each.there)
        for each in learnt
    ]
    most = quantile(squares, 0.999)
    usual, regional = math.fsum(min(square, most) for square in squares) / len(squares), []
    for region in range(count):
        mine = [square for square, each in zip(squares, learnt, strict=True) if each.region == region]
        regional.append(max((math.fsum(mine) / usual + 20) / (len(mine) + 20), 0.05))
    return [*regional, 1.0]


@dataclass
class Said:
    """What is said of one reading."""

    outcome: str
    x: float = 0.0
    score: float = 0.0
    bar: float = 0.0
    exceeds: bool = False
    alert: bool = False
    expected: list[float] | None = None
    smoothed: list[float] | None = None
    commons: list[float] | None = None  # residuals in roots of the mean squared ones of calibration
    bar_x: float = 0.0
    levels: list[float] | None = None


class Judging:
    """The bar, and one incident at a time."""

    def __init__(self, normal: Normal, probability: float, digest: str, series: str, clear_after: int = 3) -> None:
        self.normal, self.p, self.name = normal, probability, f"{digest}|{series}"
        n = len(normal.sample)
        self.floor = quantile(normal.sample, 0.95)
        self.size = max(quantile(normal.sample, 0.99) - quantile(normal.sample, 0.5), 0.3)
        self.bar = max(normal.sample[min(math.ceil((1 - probability) * (n + 1)), n) - 1], self.floor)
        self.jump = self.size  # the step of the last exceedance; until the first, the plain one
        self.scored, self.clear_after = 0, clear_after
        self.open: dict[str, object] | None = None
        self.events: list[dict[str, object]] = []

    def take(self, at: int, x: float) -> tuple[float, float, bool]:
        """Score, bar and whether the reading exceeds; the bar moves on, and so does the incident."""
        score = decades(x, self.normal.sample, self.normal.tail)
        bar = decades(self.bar, self.normal.sample, self.normal.tail)
        exceeds = x > self.bar
        if exceeds:
            self.jump = self.size * (1 + 2 / (1 + self.scored / 200))
        moved = self.bar + self.jump * (1 - self.p if exceeds else -self.p)
        self.bar, self.scored = max(moved, self.floor), self.scored + 1
        self.follow(at, score, bar, exceeds)
        return score, bar, exceeds

    def follow(self, at: int, score: float, bar: float, exceeds: bool) -> None:
        """Raise, follow or clear."""
        if self.open is None:
            if exceeds:
                name = hashlib.sha256(f"{self.name}|{at}".encode()).hexdigest()[:16]
                severity = "critical" if score >= bar + 1 else "warning"
                self.open = {"id": name, "start": at, "bar": bar, "peak": score, "peak_at": at, "calm": 0}
                self.open["severity"] = severity
                self.say("raised", at)
            return
        incident = self.open
        if score > incident["peak"]:
            incident["peak"], incident["peak_at"] = score, at
        calm = score < max(incident["bar"] - 1, incident["bar"] / 2)
        incident["calm"] = incident["calm"] + 1 if calm else 0
        if incident["calm"] == self.clear_after:
            self.close(at, "calm")
        elif score >= incident["bar"] + 1 and incident["severity"] == "warning":
            incident["severity"] = "critical"
            self.say("updated", at)

    def close(self, at: int, why: str) -> None:
        if self.open is not None:
            self.say("cleared", at, why)
            self.open = None

    def say(self, event: str, at: int, closing: str | None = None) -> None:
        told = {key: self.open[key] for key in ("id", "start", "peak_at", "severity", "bar", "peak")}
        self.events.append({"event": event, "at": at, "closing": closing, **told})


def said_of(tracking: Tracking, errors: Errors, judging: Judging, rows: Sequence[tuple[int, Values]]) -> list[Said]:
    """What is said of readings that follow; the events are in `judging`."""
    normal, said = judging.normal, []
    for at, values in rows:
        taken = tracking.take(at, values)
        if taken.reset:
            judging.close(at, "gap")
        smoothed = errors.take(taken, normal.channel_scale, normal.regional)
        x = None if smoothed is None else errors.fused(smoothed, normal.high)
        if taken.outcome != "SCORED":
            said.append(Said(taken.outcome, alert=judging.open is not None))
            continue
        bar_x = judging.bar
        score, bar, exceeds = judging.take(at, x)
        commons = [
            abs(z - f) / math.sqrt(s * normal.regional[taken.region])
            for z, f, s in zip(taken.z, taken.forecast, normal.channel_scale, strict=True)
        ]
        means, deviations = tracking.scaling
        expected = [f * d + m for f, m, d in zip(taken.forecast, means, deviations, strict=True)]
        alert = judging.open is not None
        said.append(Said("SCORED", x, score, bar, exceeds, alert, expected, smoothed, commons, bar_x, errors.levels))
    return said


def rows_of(at: np.ndarray, values: np.ndarray, missing: np.ndarray) -> list[tuple[int, Values]]:
    """Columns as rows of plain numbers."""
    return [
        (int(t), [None if gone else float(v) for v, gone in zip(row, absent, strict=True)])
        for t, row, absent in zip(at, values, missing, strict=True)
    ]
