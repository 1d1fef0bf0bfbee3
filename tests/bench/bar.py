"""How the bar keeps its promise and how long it is blind: rules side by side on seeded streams, or on recorded ones.

.venv/bin/python tests/bench/bar.py [folder of .npz]

A recorded stream is an .npz of `fused` (N,), and where there are `outcome` (N,), `label` (N,), `calibration` (n,).
Streams run side by side, one column each; the loop is over readings. Numbers, not seconds: nothing here is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.detector.calibration import calibrate
from pipeline.records import Flags, Floats, Outcome, runs

COLUMNS = 40  # streams of each kind
EVENTS, EVENT_READINGS = 10, 20  # planted in a stream, and how long each lasts
HEIGHTS = (0.5, 1.0, 2.0)  # of planted events, in x, above the 1e-4 quantile of the whole stream
BLINDING = ((0.5, 1), (3.0, 1), (3.0, 20))  # in x above the start of the bar, and for how many readings


@dataclass(frozen=True)
class Rule:
    """One way to move the bar."""

    name: str
    boost: float = 2.0
    repay: bool = False  # sink by the promise times the last jump, so that each jump is gone after 1 / p readings
    margin: float | None = None  # a jump ends this many steps above the highest x seen, while there is room
    own: bool = False  # above the exceeding x instead
    least: float = 0.0  # steps that are repaid at least, though the last jump was smaller
    room: float = np.inf  # exceedances beyond the promise up to which jumps end early


RULES = (
    Rule("step 1, boost 2 (0002)"),
    Rule("no boost", boost=0.0),
    Rule("own x + .1, no limit", margin=0.1, own=True),
    Rule("highest + .1, no limit", margin=0.1),
    Rule("own x + .1, room 2", margin=0.1, own=True, room=2.0),
    Rule("highest + .5, room 2", margin=0.5, room=2.0),
    Rule("repay (0008)", repay=True),
    Rule("repay, highest + .5, room 2", repay=True, margin=0.5, room=2.0),
    Rule("repay a step at least", repay=True, least=1.0),
    Rule("the same, highest + .1, room 2", repay=True, least=1.0, margin=0.1, room=2.0),
    Rule("the same, highest + .5, room 2", repay=True, least=1.0, margin=0.5, room=2.0),
    Rule("the same, highest + .5, room 1", repay=True, least=1.0, margin=0.5, room=1.0),
    Rule("no boost, highest + .5, room 2", boost=0.0, margin=0.5, room=2.0),
)


def run(rule: Rule, x: Floats, p: float, start: Floats, step: Floats, floor: Floats) -> tuple[Flags, Floats]:
    """Which readings exceed and the bars they met, both (T, S), of x (T, S); the others are (S,)."""
    bar, size = start.copy(), np.zeros_like(start)
    owed, highest = np.zeros_like(start), start.copy()
    exceeds, bars = np.zeros(x.shape, bool), np.empty(x.shape)
    for t, now in enumerate(x):
        bars[t] = bar
        above = now > bar
        boosted = step * (1 + rule.boost / (1 + t / 200))
        sink = p * (np.where(size > 0, np.maximum(size, rule.least * step), step) if rule.repay else boosted)
        if above.any():
            exceeds[t] = above
            highest = np.where(above, np.maximum(highest, now), highest)
            jump = boosted
            if rule.margin is not None:
                end = (now if rule.own else highest) + rule.margin * step
                jump = np.where(owed <= rule.room, np.minimum(jump, np.maximum(end - bar, 0.0)), jump)
            size = np.where(above, jump, size)
            bar = np.where(above, bar + jump * (1 - p), bar - sink)
        else:
            bar = bar - sink
        bar = np.maximum(bar, floor)
        owed = np.maximum(owed + above - p, 0.0)
    return exceeds, bars


def errors(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return np.asarray(np.log(rng.exponential(1, shape) + 0.2))


def heavier(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return np.asarray(np.log(rng.exponential(1, shape) ** 1.5 + 0.2))


def drifting(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return errors(rng, shape) + np.linspace(0, 3, shape[0])[:, None]


def shifted(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return errors(rng, shape) + 2.0 * (np.arange(shape[0]) > shape[0] // 4)[:, None]


def correlated(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """AR(1) of .95 under the same marginal distribution."""
    from scipy.signal import lfilter
    from scipy.special import ndtr

    z = lfilter([np.sqrt(1 - 0.95**2)], [1, -0.95], rng.normal(size=shape), axis=0)
    return np.asarray(np.log(-np.log1p(-np.minimum(ndtr(z), 1 - 1e-12)) + 0.2))


def half(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Anomalous half of the time, in stretches of 500 readings."""
    return errors(rng, shape) + 2.5 * (np.arange(shape[0]) // 500 % 2)[:, None]


KINDS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Floats]] = {
    "like calibration": errors,
    "calibration of 34": errors,
    "heavier tail": heavier,
    "drift by 3": drifting,
    "level +2 for good": shifted,
    "AR(1) .95": correlated,
    "half anomalous": half,
}


def streams(p: float, seed: int) -> tuple[Floats, Flags, Floats, Floats, Floats, Floats]:
    """x (T, S), events (T, S), start, step and floor (S,), and the height of the events in each column (S,)."""
    rng = np.random.default_rng(seed)
    T, S = int(max(10 / p, 10_000)), COLUMNS * len(KINDS)
    x = np.concatenate([kind(rng, (T, COLUMNS)) for kind in KINDS.values()], axis=1)
    sizes = np.repeat([34 if "34" in name else 2000 for name in KINDS], COLUMNS)
    fitted = [calibrate(*[np.ones(1)] * 3, np.ones((2, 1)), errors(rng, (n, 1))[:, 0]) for n in sizes]
    start = np.array([calibration.start_of_bar(p) for calibration in fitted])
    events = np.zeros((T, S), bool)
    heights = np.resize(HEIGHTS, S)
    level = np.array([np.quantile(x[:, s], 1 - 1e-4) for s in range(S)])  # of the stream as it is by then
    for begin in np.linspace(T * 0.05, T * 0.95, EVENTS).astype(int):
        events[begin : begin + EVENT_READINGS] = True
    calm = np.repeat(["half" not in name for name in KINDS], COLUMNS)
    events &= calm
    x = np.where(events, level + heights + 0.1 * rng.normal(size=x.shape), x)
    return x, events, start, np.array([c.step for c in fitted]), np.array([c.floor for c in fitted]), heights


def found(exceeds: Flags, events: Flags) -> Floats:
    """The share of planted events in which a reading exceeds, (S,)."""
    begins = runs(events.any(axis=1))[:, 0]
    hit = [exceeds[begin : begin + EVENT_READINGS].any(axis=0) for begin in begins]
    return np.mean(hit, axis=0)


def blind(rule: Rule, p: float, above: float, lasting: int) -> int:
    """Readings until x one step above the start exceeds again, after an incident early on an otherwise calm stream."""
    T = int(6 / p)
    x = np.full((T, 1), -1.6)
    x[50 : 50 + lasting] = 1.0 + above
    _, bars = run(rule, x, p, np.array([1.0]), np.array([1.0]), np.array([0.5]))
    under = np.flatnonzero(bars[50 + lasting :, 0] < 2.0)
    return int(under[0]) if len(under) else T


def table(p: float, seed: int = 0) -> None:
    """Every rule on every kind of stream at one promise."""
    x, events, start, step, floor, heights = streams(p, seed)
    kinds = np.repeat(np.arange(len(KINDS)), COLUMNS)
    print(f"\n## p = {p:g}, {len(x):,} readings, {COLUMNS} streams of each kind; mean ratio / share within twice")
    print("| rule | " + " | ".join(KINDS) + " | recall +.5 / +1 / +2 | blind after x of +.5 / of +3 / 20 of +3 |")
    print("|---" * (len(KINDS) + 3) + "|")
    for rule in RULES:
        exceeds, _ = run(rule, x, p, start, step, floor)
        ratio = (exceeds & ~events).sum(axis=0) / (~events).sum(axis=0) / p
        cells = [f"{ratio[kinds == k].mean():.2f} / {(ratio[kinds == k] <= 2).mean():.2f}" for k in range(len(KINDS))]
        recall, planted = found(exceeds, events), events.any(axis=0)
        by = " / ".join(f"{recall[planted & (heights == height)].mean():.2f}" for height in HEIGHTS)
        after = " / ".join(f"{blind(rule, p, above, lasting):,}" for above, lasting in BLINDING)
        print(f"| {rule.name} | " + " | ".join(cells) + f" | {by} | {after} |", flush=True)


def recorded(folder: Path, p: float) -> None:
    """Every rule on recorded streams: the ratio away from labels, and the labelled stretches in which one exceeds."""
    streams_, labels, fitted = [], [], []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            taken = dict(file)
        scored = taken["outcome"] == Outcome.SCORED if "outcome" in taken else np.ones(len(taken["fused"]), bool)
        x = taken["fused"][scored]
        streams_.append(x)
        labels.append(taken["label"][scored].astype(bool) if "label" in taken else np.zeros(len(x), bool))
        sample = taken.get("calibration", x[: len(x) // 5])
        fitted.append(calibrate(*[np.ones(1)] * 3, np.ones((2, 1)), sample))
    side_by_side = np.full((max(map(len, streams_)), len(streams_)), -np.inf)  # below every bar after its end
    for column, x in enumerate(streams_):
        side_by_side[: len(x), column] = x
    first = [np.array(each) for each in zip(*((f.start_of_bar(p), f.step, f.floor) for f in fitted), strict=True)]
    print(f"\n## {folder.name}, p = {p:g}, series of 10 / p normal readings or more; the others pooled")
    print("| rule | series | within twice | median ratio | ratio of the others | labelled stretches found |")
    print("|---" * 6 + "|")
    for rule in RULES:
        exceeds = run(rule, side_by_side, p, *first)[0]
        ratios, few, hits = [], [], []
        for column, label in enumerate(labels):
            mine = exceeds[: len(label), column]
            normal = ~(np.convolve(label, np.ones(201), "same")[: len(label)] > 0)  # 100 readings from a label
            (ratios if normal.sum() >= 10 / p else few).append(mine[normal] / p)
            hits += [bool(mine[begin:end].any()) for begin, end in runs(label).tolist()]
        own = np.array([each.mean() for each in ratios])
        figures = (own <= 2, own, np.concatenate([*few, np.zeros(0)]), np.array(hits))
        mean, middle, pooled, recall = (
            f"{value(each):.2f}" if len(each) else "-"
            for value, each in zip((np.mean, np.median, np.mean, np.mean), figures, strict=True)
        )
        print(f"| {rule.name} | {len(own)} | {mean} | {middle} | {pooled} | {recall} |", flush=True)


if __name__ == "__main__":
    for promise in (1e-2, 1e-3, 1e-4):
        if len(sys.argv) > 1:
            recorded(Path(sys.argv[1]), promise)
        else:
            table(promise)
