"""Anomalies that are made: one is put into a part that is known to be normal, so that its label is known as well.

Of a training part of ucr the first half is learnt, and into the second half one anomaly of one of eight kinds is put,
half a period to two long. No test row is read. Series and kind decide all that is drawn: a case is the same every time.

W rows of one channel, T rows of a half. Kinds see their window in units of the first half: less its mean, by its
standard deviation.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.ranking import sliding_window_of
from pipeline.records import Floats

# Number of the training part by its signal. Of ucr's training parts off the tuning list with 6,000 to 60,000 rows, one
# of each signal: no distorted or noisy copy of another, and of those with one name but for digits that share a stretch
# of readings, the first by number. Names do not always tell: ECG1 shares with ECG2, ECG3 with ECG4, PowerDemand1 with
# the third Italianpowerdemand. Leads of one heart are signals of their own; of equal names the first stands for all.
SIGNALS = {
    "1sddb40": "109",
    "ECG1": "119",
    "ECG3": "121",
    "Lab2Cmac011215EPG4": "148",
    "PowerDemand1": "152",
    "apneaecg2": "163",
    "gaitHunt1": "170",
    "ltstdbs30791AI": "178",
    "ltstdbs30791AS": "179",
    "ltstdbs30791ES": "180",
    "park3m": "181",
    "resperation10": "184",
    "s20101mML2": "192",
    "s20101m": "193",
    "sddb49": "194",
    "sel840mECG1": "195",
    "sel840mECG2": "196",
    "tiltAPB2": "198",
    "CHARISfive": "201",
    "Fantasia": "209",
    "Italianpowerdemand": "210",
    "STAFFIIIDatabase": "213",
    "mit14157longtermecg": "233",
    "tilt12755mtable": "247",
}
LEAST = 0.1  # root mean square of a change in units; a smaller one is none, and another place is drawn
PLACES = 1000  # that are tried
SAME = 1e-9  # units: a row that moves by no more, by rounding, is not changed

Kind = Callable[[Floats, int, np.random.Generator], Floats]  # window (W,) and period in rows to another window (W,)


def noise(window: Floats, period: int, generator: np.random.Generator) -> Floats:
    """White noise on top, of .1 to .5 units."""
    return window + generator.normal(0.0, generator.uniform(0.1, 0.5), len(window))


def reversal(window: Floats, period: int, generator: np.random.Generator) -> Floats:
    """The readings from the last to the first."""
    return window[::-1]


def time_warp(window: Floats, period: int, generator: np.random.Generator) -> Floats:
    """Time that runs faster and then slower, or the other way round, by 30 to 80 %, and is right again at the end."""
    swing = generator.choice((-1, 1)) * generator.uniform(0.3, 0.8)
    last = len(window) - 1
    rows = np.arange(len(window))
    return np.interp(rows + swing * last / (2 * np.pi) * np.sin(2 * np.pi * rows / last), rows, window)


def amplitude(window: Floats, period: int, generator: np.random.Generator) -> Floats:
    """The swing about the window's own mean times .35 to .71, or 1.41 to 2.83."""
    factor = 2.0 ** (generator.choice((-1, 1)) * generator.uniform(0.5, 1.5))
    return window.mean() + factor * (window - window.mean())


def smoothing(window: Floats, period: int, generator: np.random.Generator) -> Floats:
    """The mean over .1 to .4 periods about each reading; beyond its ends the window stands still."""
    half = max(1, round(period * generator.uniform(0.1, 0.4) / 2))
    return np.convolve(np.pad(window, half, mode="edge"), np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")


def standstill(window: Floats, period: int, generator: np.random.Generator) -> Floats:
    """The first reading again and again."""
    return np.full(len(window), window[0])


def shift_of_level(window: Floats, period: int, generator: np.random.Generator) -> Floats:
    """All readings higher, or lower, by .3 to 1.5 units."""
    return window + generator.choice((-1, 1)) * generator.uniform(0.3, 1.5)


def another_phase(window: Floats, period: int, generator: np.random.Generator) -> Floats:
    """The readings turned by a quarter to three quarters of a period, or of the window where that is shorter."""
    return np.roll(window, round(min(period, len(window)) * generator.uniform(0.25, 0.75)))


KINDS: dict[str, Kind] = {
    "noise": noise,
    "reversal": reversal,
    "time_warp": time_warp,
    "amplitude": amplitude,
    "smoothing": smoothing,
    "standstill": standstill,
    "shift_of_level": shift_of_level,
    "another_phase": another_phase,
}


def with_anomaly(learnt: Floats, judged: Floats, signal: str, kind: str) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """The second half (T,) with one anomaly of a kind in it, and labels (T,): 1 from the first changed row to the last.

    The period is TSB-AD's of the first half, 125 rows where it finds none. ValueError where either half gives no place.
    """
    generator = np.random.default_rng(zlib.crc32(f"{signal}/{kind}".encode()))
    period, centre, unit = sliding_window_of(learnt), learnt.mean(), learnt.std()
    margin = longest = 2 * period  # rows, the margin normal ones before and behind
    if unit == 0 or len(judged) < 2 * margin + longest:
        raise ValueError(
            f"{signal}/{kind}: {len(judged)} rows of period {period} after a half of standard deviation {unit:g} have "
            f"no place for an anomaly; at least {2 * margin + longest} rows after readings that change are needed"
        )
    for _ in range(PLACES):
        rows = int(generator.integers(max(2, period // 2), longest, endpoint=True))
        begin = int(generator.integers(margin, len(judged) - margin - rows, endpoint=True))
        window = (judged[begin : begin + rows] - centre) / unit
        changed = KINDS[kind](window, period, generator)
        if np.sqrt(np.mean((changed - window) ** 2)) >= LEAST:
            break
    else:
        raise ValueError(
            f"{signal}/{kind}: at {PLACES} places the readings change by less than {LEAST} standard deviations"
        )
    different = np.flatnonzero(np.abs(changed - window) > SAME)
    found, labels = judged.copy(), np.zeros(len(judged), np.uint8)
    found[begin + different] = centre + unit * changed[different]
    labels[begin + different[0] : begin + different[-1] + 1] = 1
    return found, labels
