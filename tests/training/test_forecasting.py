"""The predictor's course: the state really is carried, and validation is what a plain loop says."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.predictor import Predictor
from pipeline.training.chunks import Chunks, Segment, rows_on
from pipeline.training.forecasting import LONGEST_WINDOW, WARM_ROWS, ForecastCourse

ROWS, CHANNELS, HORIZON = 700, 2, 3


@pytest.fixture
def z(rng):
    return rng.normal(size=(ROWS, CHANNELS)).astype(np.float32)


@pytest.fixture
def network():
    network = Predictor(CHANNELS, 1, hidden=6, horizon=HORIZON)
    torch.nn.init.normal_(network.head.weight)
    return network


def course_of(network, z, train, validation, present=None, chunk=16):
    present = np.ones(z.shape, bool) if present is None else present
    rows = rows_on(torch.device("cpu"), z, present, np.zeros((len(z), 1), np.float32), HORIZON, LONGEST_WINDOW)
    chunks = Chunks(rows, train, batch=1, chunk=chunk, carry=4, generator=torch.Generator().manual_seed(0))
    return ForecastCourse(network, rows, chunks, validation)


def plain_loss(network, z, start, begin, limit, last):
    """Huber loss of the rows begin <= row < limit, read from start, no target from last on; its sum and count."""
    inputs = torch.from_numpy(np.concatenate((z, np.zeros((len(z), 1), np.float32)), axis=1))
    changes, _ = network(inputs[None, start:last])
    total, count = 0.0, 0
    for row in range(begin, limit):
        for ahead in range(1, HORIZON + 1):
            if row + ahead < last:
                target = torch.from_numpy(z[row + ahead] - z[row])
                total += F.huber_loss(changes[0, row - start, ahead - 1], target, reduction="sum").item()
                count += CHANNELS
    return total, count


def test_chunks_with_the_state_carried_cost_what_one_long_sequence_costs(network, z):
    course = course_of(network, z, [Segment(0, 600)], [Segment(650, ROWS)])
    with torch.no_grad():
        losses = [course.loss() for _ in range(4)]
    begin = int(course.state()["start"]) - 64  # carried four times from there
    total, count = plain_loss(network, z, begin, begin, begin + 64, ROWS)

    assert [readings for _, readings in losses] == [16] * 4
    assert sum(loss.item() for loss, _ in losses) / 4 == pytest.approx(total / count, rel=1e-5)


def test_a_fresh_chunk_begins_with_an_empty_state(network, z):
    course = course_of(network, z, [Segment(0, 17)], [Segment(100, 200)])  # every chunk is the same 16 rows, anew
    with torch.no_grad():
        first, second = course.loss()[0], course.loss()[0]

    assert torch.equal(first, second)


def test_no_gradient_flows_out_of_a_chunk(network, z):
    course = course_of(network, z, [Segment(0, 400)], [Segment(500, 600)])
    course.loss()

    assert not any(tensor.requires_grad for tensor in course.state().values())


def test_validation_equals_a_plain_loop_over_warmed_pieces(network, z):
    segments = [Segment(100, 130, warm=20), Segment(200, 600, warm=150), Segment(650, ROWS)]
    course = course_of(network, z, [Segment(0, 90)], segments)
    with torch.no_grad():
        found = course.validate()
        parts = [
            plain_loss(network, z, 80, 100, 130, 130),
            plain_loss(network, z, 200 - WARM_ROWS, 200, 456, 600),
            plain_loss(network, z, 456 - WARM_ROWS, 456, 600, 600),
            plain_loss(network, z, 650, 650, ROWS, ROWS),
        ]

    assert found == pytest.approx(sum(total for total, _ in parts) / sum(count for _, count in parts), rel=1e-5)


def test_missing_readings_are_no_targets(network, z):
    present = np.ones(z.shape, bool)
    present[30] = False
    spoilt = z.copy()
    spoilt[30] = 1e6  # reaches targets and inputs after it
    with torch.no_grad():
        clean = course_of(network, z, [Segment(0, 31)], [Segment(100, 200)], present, chunk=30).loss()[0]
        other = course_of(network, spoilt, [Segment(0, 31)], [Segment(100, 200)], present, chunk=30).loss()[0]

    assert torch.equal(clean, other)


def test_a_validation_part_without_two_rows_is_refused(network, z):
    with pytest.raises(ValueError, match="validate"):
        course_of(network, z, [Segment(0, 90)], [Segment(100, 101)])
