"""The LSTM that every network here stands on: sequence and state in, sequence and state out.

    x (B, T, D), state --- LSTM, L layers ---> (B, T, H), state

B batch, T time, D inputs, H hidden units, L layers.
"""

from __future__ import annotations

from torch import Tensor, nn

State = tuple[Tensor, Tensor]  # h and c, each (L, B, H)


class LSTMCore(nn.Module):
    """An LSTM that keeps nothing between calls: cut a sequence anywhere, hand the state on, and nothing changes."""

    def __init__(self, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0  # dropout is between layers: one layer has none
        self.lstm = nn.LSTM(inputs, hidden, layers, batch_first=True, dropout=between)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map (B, T, D) and the state before it, zeros where there is none, to (B, T, H) and the state after it."""
        result: tuple[Tensor, State] = self.lstm(x, state)
        return result


def detached(state: State) -> State:
    """The same state, through which no gradient flows back."""
    return state[0].detach(), state[1].detach()
