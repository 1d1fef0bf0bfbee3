"""Contiguous chunks of a history, drawn at random and carried on: what truncated backpropagation learns from.

All rows of all series lie one after the other in one tensor on the device. A chunk is a window of it by view
(`unfold`); the one copy is the gather of B windows into a mini batch. N rows, C channels, K context columns, B chunks
side by side, T readings in a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.records import Flags, Singles

SHORTEST_CHUNK = 8  # readings; short histories shorten the chunk down to this


class Segment(NamedTuple):
    """Rows of one series without a long gap between them: first <= row < last."""

    first: int
    last: int
    warm: int = 0  # rows directly before `first` that belong with it: they may warm a state, and are no targets


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows that a network may see, on its device, and windows on them."""

    inputs: Tensor  # (N, C + K) float32, scaled readings and context
    present: Tensor  # (N, C) bool: a reading that is not present is no target
    horizon: int

    def windows(self, starts: Tensor, limits: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs (B, T, C + K), targets (B, T, horizon, C) and which of them count, for windows of `length` rows.

        A target is the change from the reading at its position; those at rows from `limits` (B,) on do not count.
        Windows may reach beyond the last row, by what `rows_on` left room for.
        """
        channels, span = self.present.shape[1], length + self.horizon
        inputs = self.inputs.unfold(0, span, 1)[starts]  # (B, C + K, span)
        present = self.present.unfold(0, span, 1)[starts]  # (B, C, span)
        position = starts[:, None] + torch.arange(span, device=starts.device)  # (B, span)
        counts = present & (position < limits[:, None])[:, None]
        z = inputs[:, :channels]
        ahead = z[..., 1:].unfold(-1, self.horizon, 1)  # (B, C, T, horizon)
        targets = ahead - z[..., :length, None]
        mask = counts[..., 1:].unfold(-1, self.horizon, 1)
        return inputs[..., :length].transpose(1, 2), targets.permute(0, 2, 3, 1), mask.permute(0, 2, 3, 1)


def rows_on(
    device: torch.device, z: Singles, present: Flags, context: Singles, horizon: int, longest_window: int
) -> Rows:
    """Scaled readings (N, C), whether each is present, and context (N, K), on the device.

    Rows that are never targets follow the last, so that a window of up to `longest_window` rows fits anywhere.
    """
    spare = longest_window + horizon
    inputs = np.zeros((len(z) + spare, z.shape[1] + context.shape[1]), np.float32)
    inputs[: len(z)] = np.concatenate((z, context), axis=1)
    there = np.concatenate((present, np.zeros((spare, present.shape[1]), bool)))
    return Rows(torch.from_numpy(inputs).to(device), torch.from_numpy(there).to(device), horizon)


class Chunk(NamedTuple):
    """One mini batch."""

    inputs: Tensor  # (B, T, C + K)
    targets: Tensor  # (B, T, horizon, C) changes from the reading at the same position
    mask: Tensor  # (B, T, horizon, C) which targets count
    fresh: Tensor | None  # (B,) which chunks begin at a new place, where the state begins at zero; None: not one
    readings: int  # positions with a target


class Chunks:
    """B chunks side by side without end; each is carried on `carry` times or to its segment's end, then begins anew.

    Beginnings are drawn evenly over all positions of all segments that leave room for a chunk, or where a segment is
    shorter, at its first row. Draws come from `generator` alone.
    """

    def __init__(
        self, rows: Rows, segments: Sequence[Segment], batch: int, chunk: int, carry: int, generator: torch.Generator
    ) -> None:
        usable = [segment for segment in segments if segment.last - segment.first > 1]  # one row has no next
        if not usable:
            raise ValueError("no segment to learn from has two rows")
        self._rows = rows
        self._first = torch.tensor([segment.first for segment in usable])
        self._last = torch.tensor([segment.last for segment in usable])
        lengths = self._last - self._first
        self.length = max(min(chunk, int(lengths.max()) - 1), SHORTEST_CHUNK)
        self._weights = lengths.double()
        self._places = (lengths - self.length).clamp(min=1)
        self._carry = carry
        self._generator = generator
        self._start = torch.zeros(batch, dtype=torch.int64)  # of the next chunk
        self._limit = torch.zeros(batch, dtype=torch.int64)  # end of its segment
        self._left = torch.zeros(batch, dtype=torch.int64)  # times that it is still carried on

    def next(self) -> Chunk:
        """The chunks that follow the last ones, or begin anew."""
        fresh = (self._left == 0) | (self._start >= self._limit - 1)
        some = bool(fresh.any())
        if some:
            self._begin(fresh)
        device = self._rows.inputs.device
        starts, limits = self._start.to(device), self._limit.to(device)
        inputs, targets, mask = self._rows.windows(starts, limits, self.length)
        readings = int((self._limit - 1 - self._start).clamp(max=self.length).sum())
        self._start = self._start + self.length
        self._left = self._left - 1
        return Chunk(inputs, targets, mask, fresh.to(device) if some else None, readings)

    def _begin(self, fresh: Tensor) -> None:
        """Draw a new place for the chunks that are at an end."""
        count = int(fresh.sum())
        chosen = torch.multinomial(self._weights, count, replacement=True, generator=self._generator)
        offset = torch.rand(count, generator=self._generator, dtype=torch.float64) * self._places[chosen]
        self._start[fresh] = self._first[chosen] + offset.long()
        self._limit[fresh] = self._last[chosen]
        self._left[fresh] = self._carry

    def state(self) -> dict[str, Tensor]:
        """Where every chunk stands."""
        return {"start": self._start, "limit": self._limit, "left": self._left}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self._start, self._limit, self._left = (state[name].cpu() for name in ("start", "limit", "left"))
