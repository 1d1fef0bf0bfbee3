"""Every other configuration beside ours on the series that both have: baselines, peers on a subset, FAST by FULL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tests.bench.quality.scoring import OURS
from tests.bench.quality.tables import Measured, interval, number, order, table


def pairs(measured: Iterable[Measured]) -> list[dict[str, Any]]:
    """VUS-PR of ours and of each other configuration on the same series, by data set, mode and list.

    Of a series the mean over the seeds that there are. The difference is the other's less ours; its interval is a
    bootstrap over series of their differences.
    """
    values: dict[tuple[str, str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for each in measured:
        if each.vus_pr is not None:
            group = (each.config, each.mode, each.dataset, "on" if each.on_list else "off")
            values[group][each.series].append(each.vus_pr)
    found = []
    for group in sorted((group for group in values if group[0] != OURS), key=order):
        config, mode, dataset, listed = group
        theirs, ours = values[group], values.get((OURS, mode, dataset, listed), {})
        common = sorted(set(theirs) & set(ours))
        if not common:
            continue
        own, other = ([float(np.mean(side[series])) for series in common] for side in (ours, theirs))
        difference = [b - a for a, b in zip(own, other, strict=True)]
        found.append(
            {
                "config": config,
                "mode": mode,
                "dataset": dataset,
                "list": listed,
                "series": len(common),
                "vus_pr": float(np.mean(other)),
                "ours": float(np.mean(own)),
                "difference": float(np.mean(difference)),
                "difference_95": interval(difference, common),
            }
        )
    return found


def beside_ours(found: Sequence[dict[str, Any]]) -> str:
    """The same as a table in Markdown."""
    rows = [
        [
            *(each[name] for name in ("list", "mode", "dataset", "config")),
            str(each["series"]),
            number(each["vus_pr"], 3),
            number(each["ours"], 3),
            f"{each['difference']:+.3f}",
            "[{:+.3f}, {:+.3f}]".format(*each["difference_95"]),
        ]
        for each in found
    ]
    head = ["list", "mode", "set", "detector", "series of both", "VUS-PR", OURS, "difference", "95 %"]
    return f"## Beside {OURS} on the same series, VUS-PR\n\n{table(head, rows)}\n"
