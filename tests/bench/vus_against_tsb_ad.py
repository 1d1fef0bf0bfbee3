"""Our VUS-PR and window against TSB-AD 1.5: the largest difference and the ratio of speed.

Needs the environment of requirements/peers.txt; ours is run there too, for it takes little:
    PYTHONPATH=. DIR/bin/python tests/bench/vus_against_tsb_ad.py
"""

from __future__ import annotations

import time

import numpy as np
from TSB_AD.evaluation.basic_metrics import generate_curve
from TSB_AD.utils.slidingWindows import find_length_rank

from pipeline.evaluation.ranking import sliding_window_of, vus_pr

SEED = 0


def main() -> None:
    """Random series with events of all lengths, ties, events at both ends and close to each other."""
    random = np.random.default_rng(SEED)
    worst, ours_seconds, theirs_seconds, windows_differ, cases = 0.0, 0.0, 0.0, 0, 0
    for rows in (100, 249, 1000, 5000):
        for window in (0, 1, 5, 32, 125):
            if window >= rows:
                continue
            label = np.zeros(rows, bool)
            for start in random.integers(0, rows - 1, 6):
                label[start : start + random.integers(1, max(rows // 20, 2))] = True
            label[:2], label[-1] = window % 2 == 1, window % 5 == 0
            label[rows // 2] = False
            score = np.round(random.normal(size=rows) + label, 1 if window == 5 else 9)
            begun = time.perf_counter()
            ours = vus_pr(score, label, window)
            between = time.perf_counter()
            theirs = generate_curve(label.astype(int), score, window, "opt", 250)[-1]
            theirs_seconds += time.perf_counter() - between
            ours_seconds += between - begun
            worst = max(worst, abs(ours - theirs))
            series = np.sin(np.arange(rows) * 2 * np.pi / random.integers(5, 200)) + random.normal(size=rows) * 0.3
            windows_differ += sliding_window_of(series) != find_length_rank(series.reshape(-1, 1), rank=1)
            cases += 1
    print(
        f"{cases} cases, numpy {np.__version__}: largest difference {worst:.1e}, windows that differ {windows_differ}"
    )
    print(
        f"ours {ours_seconds:.2f} s, TSB-AD {theirs_seconds:.2f} s: {theirs_seconds / ours_seconds:.0f} times as fast"
    )
    label = random.random(1_000_000) < 0.0002
    begun = time.perf_counter()
    vus_pr(random.normal(size=len(label)), label, 125)
    print(f"a million rows, {label.sum()} events, window 125: {time.perf_counter() - begun:.2f} s")


if __name__ == "__main__":
    main()
