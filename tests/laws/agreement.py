"""When two runs say the same: outcomes, decisions and alerts exactly, scores within 1e-5.

Another batch size changes the last bits of a float, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.monitor.monitor import Monitor
from pipeline.records import Alert, Readings, Scores, joined

TOLERANCE = 1e-5
EXACT = ("outcome", "exceeds", "alert")
CLOSE = ("score", "bar", "fused")
IN_UNITS = ("expected", "lower", "upper")
Said = tuple[Scores, list[Alert]]


def assert_agree(one: Said, other: Said) -> None:
    """Fail where two runs over the same readings differ."""
    for name in EXACT:
        np.testing.assert_array_equal(getattr(one[0], name), getattr(other[0], name), name)
    for name in CLOSE:
        np.testing.assert_allclose(getattr(one[0], name), getattr(other[0], name), 0, TOLERANCE, err_msg=name)
    for name in IN_UNITS:
        a, b = getattr(one[0], name), getattr(other[0], name)
        np.testing.assert_allclose(a, b, 1e-5, 1e-5 * float(np.abs(a).max(initial=1.0)), err_msg=name)
    assert_alerts_agree(one[1], other[1])


def assert_alerts_agree(one: Sequence[Alert], other: Sequence[Alert]) -> None:
    """Fail where two runs raised, updated or cleared other incidents; numbers within the tolerance."""
    assert [without_numbers(alert) for alert in one] == [without_numbers(alert) for alert in other]
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose((a.score, a.bar), (b.score, b.bar), 0, TOLERANCE)
        assert abs(a.one_in - b.one_in) <= 1 + 1e-4 * a.one_in
        ours, theirs = ({c.channel: c for c in alert.channels} for alert in (a, b))
        assert list(ours) == list(theirs)
        for name, mine in ours.items():
            for part in ("value", "expected", "lower", "upper", "contribution"):
                x, y = getattr(mine, part), getattr(theirs[name], part)
                assert (x is None) == (y is None)
                assert x is None or np.isclose(x, y, 1e-5, 1e-5)


def without_numbers(alert: Alert) -> Alert:
    """What must be equal to the letter."""
    return replace(alert, score=0.0, bar=0.0, one_in=0, channels=())


def observed(monitor: Monitor, readings: Readings, cuts: Sequence[int] = ()) -> Said:
    """What a monitor says of readings that come in pieces, cut before these rows."""
    return collected(monitor.observe, np.split(np.arange(len(readings)), sorted(cuts)), readings)


def collected(observe: Callable[[Readings], Said], pieces: Sequence[np.ndarray], readings: Readings) -> Said:
    """What is said of these rows, piece by piece, as of one run."""
    said = [observe(readings[rows]) for rows in pieces]
    return joined([scores for scores, _ in said]), [alert for _, alerts in said for alert in alerts]
