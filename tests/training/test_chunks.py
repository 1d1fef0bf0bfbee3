"""Chunks: every target is right, none lies outside its segment, and each chunk goes on where the last one ended."""

import numpy as np
import pytest
import torch

from pipeline.training.chunks import Chunks, Segment, rows_on

ROWS, CHANNELS, HORIZON = 300, 2, 3


@pytest.fixture
def z(rng):
    return rng.normal(size=(ROWS, CHANNELS)).astype(np.float32)


@pytest.fixture
def present(rng):
    return rng.random((ROWS, CHANNELS)) > 0.1


@pytest.fixture
def rows(z, present):
    count = np.arange(ROWS, dtype=np.float32)[:, None]  # as context: tells which row an input is
    return rows_on(torch.device("cpu"), z, present, count, HORIZON, longest_window=64)


def chunks_of(rows, segments, batch=4, chunk=16, carry=3, seed=0):
    return Chunks(rows, segments, batch, chunk, carry, torch.Generator().manual_seed(seed))


def test_targets_equal_a_plain_loop(rows, z, present):
    segments = [Segment(10, 90), Segment(90, 120), Segment(200, ROWS)]
    chunks = chunks_of(rows, segments)
    end = np.zeros(ROWS, int)
    for first, last, _ in segments:
        end[first:last] = last
    for _ in range(30):
        chunk = chunks.next()
        counted = 0
        for b in range(4):
            begin = int(chunk.inputs[b, 0, CHANNELS])
            for t in range(chunk.inputs.shape[1]):
                row = begin + t
                inside = row < end[begin]
                counted += row + 1 < end[begin]
                if inside:
                    np.testing.assert_array_equal(chunk.inputs[b, t, :CHANNELS], z[row])
                for ahead in range(HORIZON):
                    target = row + 1 + ahead
                    there = present[target] if target < end[begin] else np.zeros(CHANNELS, bool)
                    np.testing.assert_array_equal(chunk.mask[b, t, ahead], there)
                    if there.any():
                        np.testing.assert_array_equal(chunk.targets[b, t, ahead, there], (z[target] - z[row])[there])

        assert chunk.readings == counted


def test_a_chunk_begins_where_the_last_one_ended_until_it_is_fresh(rows):
    chunks = chunks_of(rows, [Segment(0, ROWS)], carry=3)
    begins, fresh = [], []
    for _ in range(9):
        chunk = chunks.next()
        begins.append(chunk.inputs[:, 0, CHANNELS])
        fresh.append(torch.zeros(4, dtype=torch.bool) if chunk.fresh is None else chunk.fresh)
    assert fresh[0].all()
    ran = torch.zeros(4)
    for before, after, anew in zip(begins, begins[1:], fresh[1:], strict=False):
        ran = torch.where(anew, 0, ran + 1)

        assert (ran < 3).all()
        assert torch.equal(after[~anew], before[~anew] + 16)


def test_segments_are_drawn_in_proportion_to_their_length(rows):
    chunks = chunks_of(rows, [Segment(0, 50), Segment(100, 250)], batch=256, chunk=8, carry=1)
    begins = torch.cat([chunks.next().inputs[:, 0, CHANNELS] for _ in range(20)])
    in_the_longer = ((begins >= 100).double().mean()).item()

    assert abs(in_the_longer - 0.75) < 0.03
    assert begins.min() == 0
    assert begins[begins >= 100].min() == 100
    assert begins.max() == 250 - 8 - 1


def test_many_short_segments_shorten_the_chunk(rows):
    segments = [Segment(first, first + 12) for first in range(0, ROWS - 12, 12)]
    chunks = chunks_of(rows, segments, batch=8, chunk=64)
    chunk = chunks.next()

    assert chunks.length == 11
    assert chunk.readings == 8 * 11
    assert chunks_of(rows, [Segment(5, 8)]).length == 8


def test_the_same_seed_draws_the_same_chunks(rows):
    one, same, other = (chunks_of(rows, [Segment(0, ROWS)], seed=seed) for seed in (1, 1, 2))
    first, second, third = ([c.next().inputs[:, 0, CHANNELS].tolist() for _ in range(6)] for c in (one, same, other))

    assert first == second
    assert first != third


def test_segments_without_a_next_reading_are_refused(rows):
    with pytest.raises(ValueError, match="two rows"):
        chunks_of(rows, [Segment(3, 4), Segment(9, 9)])
