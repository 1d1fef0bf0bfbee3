"""What the views that look back learn of a history: states worth remembering, and components.

States and windows come from the fit part of every series, in scaled units and thinned evenly over all of them; only how
large each coordinate's residual commonly is comes from the calibration part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import expm

from pipeline.detector.detector import LookingBack
from pipeline.detector.past import Past
from pipeline.detector.views import Components, Linear, Memory, shapes
from pipeline.records import Flags, Floats, Ints, Singles
from pipeline.training.history import Grid, parts_of
from pipeline.training.preparing import Fitted

ORDER, ORDER_OF_MANY = 16, 4  # numbers a channel
SHORTEST_REACH, REACH_OF_MANY = 32, 16  # readings; with one scored channel it is half a period, and no less
LONGEST_WINDOW = 256  # readings
REMEMBERED, CANDIDATES = 256, 20_000  # states kept in memory, and looked at to choose them
FOR_COMPONENTS, EXPLAINED, MOST_COMPONENTS = 1500, 0.95, 64  # pasts, share of their variance, and a limit
FULL_SHARE = 0.1  # of the rows of the calibration parts, in which the past is full; below, no view looks back
PENALTY = 1e-3  # of the ridge, for each row
FLOOR = 0.1  # of the typical coordinate: the least that a residual is commonly

Pairs = tuple[Floats, Floats, Flags]  # states (n, C d), the rows after them (n, C), and whether these are present


def look_back(fitted: Sequence[Fitted], scored: Flags, period: int, max_gap: int) -> LookingBack | None:
    """The past of a detector with these scored channels (C,) and this period, and what is common in it.

    None where hardly a stretch fills it: an error that is always 0 in calibration would say that nothing is common.
    """
    many = int(scored.sum()) > 1
    shortest = min(parts_of(len(series.history)).fit_end for series in fitted)
    past = _past(many, period, shortest // 3)
    grids = [series.grid(max_gap) for series in fitted]
    lengths = [
        int(grid.position[parts_of(len(s.history)).fit_end - 1]) + 1 for s, grid in zip(fitted, grids, strict=True)
    ]
    ages = [_age(grid, series) for grid, series in zip(grids, fitted, strict=True)]
    states, full = _states(past, grids, scored), [age >= past.longest for age in ages]
    of_fit = [state[:end][ok[:end]] for state, ok, end in zip(states, full, lengths, strict=True)]
    later = [state[end:][ok[end:]] for state, ok, end in zip(states, full, lengths, strict=True)]
    candidates, rows = thinned(of_fit, CANDIDATES), sum(len(state) for state in states) - sum(lengths)
    if len(candidates) < 2 or sum(len(state) for state in later) < FULL_SHARE * rows:
        return None
    memory = Memory(farthest_first(candidates, REMEMBERED), past.reach)
    if many:
        components = _components(thinned(of_fit, FOR_COMPONENTS), thinned(later, CANDIDATES), past.reach)
        pairs = [
            _pairs(grid, state[:end], ok[:end], scored)
            for grid, state, ok, end in zip(grids, states, full, lengths, strict=True)
        ]
        return LookingBack(past, memory, components, linear=line_of(pairs, past.order))
    shape = shapes(farthest_first(candidates[:, 1:], REMEMBERED), past.reach)
    windows = [
        _windows(grid.z[:end, scored][:, 0], past.window, age[:end])
        for grid, end, age in zip(grids, lengths, ages, strict=True)
    ]
    return LookingBack(past, memory, _components(thinned(windows, FOR_COMPONENTS), None, past.window), shape)


def legendre(reach: int, order: int) -> tuple[Floats, Floats]:
    """The recurrence m <- m A + z B, A (d, d) and B (d,), of a state that stands for the last `reach` readings.

    Voelker, Kajic and Eliasmith 2019, equation 2, held over one reading exactly (zero-order hold). Coordinate i is
    divided by sqrt(2i + 1), after which the distance of two states is that of the readings they stand for.
    """
    i, j = np.meshgrid(np.arange(order), np.arange(order), indexing="ij")
    flow = (2 * i + 1) / reach * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    entry = (2 * np.arange(order) + 1) * (-1.0) ** np.arange(order) / reach
    held: Floats = expm(flow)
    entered = np.linalg.solve(flow, (held - np.eye(order)) @ entry)
    size = np.sqrt(2 * np.arange(order) + 1.0)
    return (held * size[None, :] / size[:, None]).T, entered / size


def farthest_first(points: Floats, count: int) -> Floats:
    """At most `count` of the points (n, F), each the farthest from those before it (Gonzalez 1985).

    The first is the farthest from the mean; there are fewer where the rest are equal to one that was taken.
    """
    chosen = [int(np.argmax(((points - points.mean(axis=0)) ** 2).sum(axis=1)))]
    nearest = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(points)):
        farthest = int(np.argmax(nearest))
        if nearest[farthest] <= 0:
            break
        chosen.append(farthest)
        nearest = np.minimum(nearest, ((points - points[farthest]) ** 2).sum(axis=1))
    return points[chosen]


def line_of(pairs: Sequence[Pairs], order: int) -> Linear:
    """The ridge that forecasts each channel from the d coefficients of its own state, over all pairs together."""
    states, z, present = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    states = states.reshape(*z.shape, order)
    weighed = states * present[..., None]
    gram = np.einsum("ncd,nce->cde", weighed, states)
    count = np.maximum(present.sum(axis=0), 1)
    gram += PENALTY * count[:, None, None] * np.eye(order)
    weights: Floats = np.linalg.solve(gram, np.einsum("ncd,nc->cd", weighed, z)[..., None])[..., 0]
    return Linear(weights)


def thinned(parts: Sequence[Floats | Singles], count: int) -> Floats:
    """At most `count` rows of all parts together, evenly spread, (n, F)."""
    total = sum(len(part) for part in parts)
    if not total:
        return np.zeros((0, parts[0].shape[1]))
    places = np.arange(total) if total <= count else np.linspace(0, total - 1, count).astype(np.int64)
    begins = np.cumsum([0] + [len(part) for part in parts])
    rows = [
        part[places[(places >= begin) & (places < begin + len(part))] - begin]
        for part, begin in zip(parts, begins.tolist(), strict=False)
    ]
    return np.concatenate(rows).astype(np.float64)


def _past(many: bool, period: int, longest: int) -> Past:
    """How the past is kept; no part of it is longer than a third of the shortest fit part."""
    reach = max(min(REACH_OF_MANY if many else max(period // 2, SHORTEST_REACH), longest), 2)
    transition, entry = legendre(reach, min(ORDER_OF_MANY if many else ORDER, reach))
    window = 0 if many else max(min(2 * period, LONGEST_WINDOW, longest), 2)
    return Past(transition.astype(np.float32), entry.astype(np.float32), reach, window)


def _states(past: Past, grids: Sequence[Grid], scored: Flags) -> list[Singles]:
    """The state at every row of every series, (R, F) each, run side by side."""
    lengths = np.array([len(grid.z) for grid in grids])
    channels = int(scored.sum())
    state = np.zeros((len(grids), channels, past.order), np.float32)
    states = [np.zeros((length, channels * past.order), np.float32) for length in lengths.tolist()]
    begins = [np.isin(np.arange(len(grid.z)), grid.begins) for grid in grids]
    for row in range(int(lengths.max())):
        running = np.flatnonzero(lengths > row)
        state[running[[bool(begins[index][row]) for index in running.tolist()]]] = 0
        z = np.stack([grids[index].z[row, scored] for index in running.tolist()]).astype(np.float32)
        state[running] = past.step(state[running], z)
        for index in running.tolist():
            states[index][row] = state[index].ravel()
    return states


def _age(grid: Grid, series: Fitted) -> Ints:
    """The rows since the last long gap, or since the last one that was trimmed, the row itself included, (R,).

    A trimmed row is not present: the value that stands for it is none to remember.
    """
    row = np.arange(len(grid.z))
    begins = np.unique(np.concatenate((grid.begins, grid.position[series.trimmed_rows] + 1)))
    age: Ints = row - begins[np.searchsorted(begins, row, side="right") - 1] + 1
    age[grid.position[series.trimmed_rows]] = 0
    return age


def _windows(z: Floats, width: int, age: Ints) -> Floats:
    """The windows of readings (R,) that hold neither a long gap nor a trimmed row, (n, W)."""
    if len(z) < width:
        return np.zeros((0, width))
    return sliding_window_view(z, width)[age[width - 1 :] >= width]


def _pairs(grid: Grid, states: Singles, full: Flags, scored: Flags) -> Pairs:
    """Full states (n, C d) of a series, the row after each, (n, C), and which of its channels are present, (n, C)."""
    before = np.flatnonzero(full[:-1] & full[1:])  # full only so long after a stretch began: of one stretch
    after = before + 1
    return states[before].astype(np.float64), grid.z[after][:, scored], grid.present[after][:, scored]


def _components(pasts: Floats, later: Floats | None, length: int) -> Components:
    """The components of pasts (n, F) of so many readings, and the size of each coordinate's residual in later ones."""
    mean = pasts.mean(axis=0) if len(pasts) else np.zeros(pasts.shape[1])
    _, sizes, directions = np.linalg.svd(pasts - mean, full_matrices=False)
    variance = sizes**2
    count = 1
    if variance.sum() > 0:
        count = min(int(np.searchsorted(np.cumsum(variance) / variance.sum(), EXPLAINED)) + 1, MOST_COMPONENTS)
    basis = np.ascontiguousarray(directions[:count].T)
    if later is None or not len(later):
        return Components(mean, basis, np.ones(len(mean)), length)
    outside = later - mean
    common = ((outside - outside @ basis @ basis.T) ** 2).mean(axis=0)
    return Components(mean, basis, np.maximum(common, max(FLOOR * float(np.median(common)), 1e-6)), length)
