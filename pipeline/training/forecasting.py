"""The predictor's course: Huber loss on the changes ahead, the state carried from chunk to chunk.

The loop (loop.py) asks it for the loss of the next mini batch and for the validation loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.core import State, detached
from models.predictor import Predictor
from pipeline.training.chunks import Chunks, Rows, Segment

WARM_ROWS = 64  # before a piece of validation, for the state
PIECE_ROWS, MOST_PIECES = 256, 64  # validation reads pieces of so many rows, and no more of them, evenly spread
PIECES_AT_A_TIME = 16
LONGEST_WINDOW = WARM_ROWS + PIECE_ROWS  # rows that validation reads at a time


@dataclass(frozen=True, slots=True)
class Pieces:
    """P stretches of the validation part, read side by side."""

    start: Tensor  # (P,) the first row that is read
    begin: Tensor  # (P,) the first that counts
    limit: Tensor  # (P,) end of the rows that count
    last: Tensor  # (P,) end of the segment: no target lies beyond


class ForecastCourse:
    """Teaches a predictor to forecast the rows of the training segments; validated on segments of their own.

    ValueError where no validation segment has two rows.
    """

    def __init__(self, network: Predictor, rows: Rows, chunks: Chunks, validation: Sequence[Segment]) -> None:
        self._network = network
        self._rows = rows
        self._chunks = chunks
        self._state: State | None = None
        self._groups = pieces_of(validation, rows.inputs.device)

    def loss(self) -> tuple[Tensor, int]:
        """The mean Huber loss over the targets of the next chunks, and how many readings had one."""
        chunk = self._chunks.next()
        if self._state is not None and chunk.fresh is not None:
            self._state = _cleared(self._state, chunk.fresh)
        changes, state = self._network(chunk.inputs, self._state)
        self._state = detached(state)
        total, count = huber(changes, chunk.targets, chunk.mask)
        return total / count.clamp(min=1), chunk.readings

    def validate(self) -> float:
        """The mean Huber loss over the validation part, each piece with a state warmed by the rows before it."""
        device = self._rows.inputs.device
        total, count = torch.zeros((), device=device), torch.zeros((), device=device)
        for pieces in self._groups:
            length = int((pieces.limit - pieces.start).max())
            inputs, targets, mask = self._rows.windows(pieces.start, pieces.last, length)
            position = pieces.start[:, None] + torch.arange(length, device=device)
            counts = (position >= pieces.begin[:, None]) & (position < pieces.limit[:, None])  # (P, T)
            changes, _ = self._network(inputs)
            part, targets_in_part = huber(changes, targets, mask & counts[..., None, None])
            total += part
            count += targets_in_part
        return (total / count).item()

    def state(self) -> dict[str, Tensor]:
        """Where the chunks stand, and the network's state there."""
        carried = {} if self._state is None else {"h": self._state[0], "c": self._state[1]}
        return self._chunks.state() | carried

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self._chunks.restore(state)
        self._state = (state["h"], state["c"]) if "h" in state else None


def huber(changes: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the Huber loss where the mask is set, and how many targets those are; all (B, T, horizon, C)."""
    counted = torch.where(mask, targets, changes.detach())  # what does not count is met exactly: no loss, no gradient
    return F.huber_loss(changes, counted, reduction="sum"), mask.sum()


def pieces_of(validation: Sequence[Segment], device: torch.device) -> list[Pieces]:
    """The validation segments cut into pieces, in groups of similar length; ValueError where no row has a next."""
    rows = [
        (
            max(begin - WARM_ROWS, segment.first - segment.warm),
            begin,
            min(begin + PIECE_ROWS, segment.last),
            segment.last,
        )
        for segment in validation
        for begin in range(segment.first, segment.last - 1, PIECE_ROWS)
    ]
    if not rows:
        raise ValueError("no segment to validate on has two rows")
    if len(rows) > MOST_PIECES:
        rows = [rows[place * len(rows) // MOST_PIECES] for place in range(MOST_PIECES)]
    rows.sort(key=lambda row: row[2] - row[0])
    groups = [rows[place : place + PIECES_AT_A_TIME] for place in range(0, len(rows), PIECES_AT_A_TIME)]
    return [Pieces(*torch.tensor(group, device=device).unbind(1)) for group in groups]


def _cleared(state: State, fresh: Tensor) -> State:
    """The state, zero for the chunks that begin anew."""
    kept = ~fresh[:, None]  # (B, 1)
    return state[0] * kept, state[1] * kept
