"""The neighbourhood of a reading as a picture."""

import io

import numpy as np
import pytest

from pipeline.backtest.closeup import closeup, incidents
from pipeline.backtest.explanation import explain
from pipeline.backtest.verdict import verdict
from pipeline.monitor.policy import FalseAlarms, Policy
from tests.fixtures import unmoved
from tests.streams import BEGIN, STEP, series, stream

POLICY = Policy(FalseAlarms(probability=0.01))


def told(later, row):
    return explain(unmoved(), POLICY, stream(later), row)


def calm(rows=400):
    return series("pump", np.random.default_rng(0).normal(0, 0.1, (rows, 2)), BEGIN)


def png(figure):
    stored = io.BytesIO()
    figure.savefig(stored)
    return stored.getvalue()


def test_a_picture_has_the_channels_the_levels_and_x_with_its_bar():
    explained = told(calm().with_values(300, 9.0, 1), 300)
    figure = closeup(explained, verdict(explained))
    flow, temp, levels, fused = figure.axes
    x = np.concatenate([line.get_ydata() for line in fused.lines[:1]])

    assert [panel.get_title(loc="left") for panel in (flow, temp)] == ["flow", "temp"]
    assert [text.get_text() for text in levels.get_legend().get_texts()] == [
        "prediction, 5 readings",
        "prediction, 20 readings",
        "99 % of calibration",
    ]
    assert x.max() == pytest.approx(explained.near.parts.fused.max())
    assert {"x", "bar", "exceeds", "this reading", "incident, critical"} <= {
        text.get_text() for text in figure.legends[0].get_texts()
    }
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("row", [0, 5, 100, 399, 61, 62])
def test_every_reading_can_be_drawn(row):
    """Row 61 is late, row 62 a duplicate."""
    explained = told(calm().repeated(20, 60).repeated(60, 61), row)

    assert png(closeup(explained, "$" * 300))


def test_an_incident_that_was_open_all_the_while_is_drawn():
    later = calm(800).with_values(slice(100, 800), 30.0 * (-1.0) ** np.arange(700))
    explained = explain(unmoved(), Policy(POLICY.false_alarms, clear_after=1000), stream(later), 600)

    assert incidents(explained) == [(BEGIN + 100 * STEP, None, "critical")]
    assert png(closeup(explained, verdict(explained)))
