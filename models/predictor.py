"""The encoder/predictor: readings in, at every step the next ones out.

    readings (B, T, C) and context (B, T, K) --- encoder (LSTM core) ---> (B, T, H)
                                             --- head (linear) ---------> changes (B, T, horizon, C)

The forecast made after reading z[t] of the one h steps later is z[t] + changes[t, h - 1], in scaled units.
B batch, T time, C channels, K further inputs (the calendar), H hidden units.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.core import LSTMCore, State


class Predictor(nn.Module):
    """Forecasts the next `horizon` readings of every channel as changes from the last; untrained, no change at all."""

    def __init__(
        self,
        channels: int,
        context: int = 0,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
        horizon: int = 10,
    ) -> None:
        super().__init__()
        self.channels, self.context, self.horizon = channels, context, horizon
        self.core = LSTMCore(channels + context, hidden, layers, dropout)
        self.head = nn.Linear(hidden, horizon * channels)
        nn.init.zeros_(self.head.weight)  # training starts from "as the last reading", which is hard to beat
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map inputs (B, T, C + K) and state to changes (B, T, horizon, C) and the state after the last input."""
        encoded: Tensor
        encoded, state = self.core(inputs, state)
        changes: Tensor = self.head(encoded)  # (B, T, horizon * C)
        return changes.view(*changes.shape[:2], self.horizon, self.channels), state
