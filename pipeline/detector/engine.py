"""The network in numpy: states and readings in, states and forecasts out.

`nn.LSTM` (models/core.py) is the definition; the engine runs the same weights without torch, one reading a series at a
time with the state carried. A differential test holds the two together: h within 1e-6 after 5,000 steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.detector.products import even, product
from pipeline.records import Floats, Singles


@dataclass(frozen=True, slots=True)
class Layer:
    """One LSTM layer with D inputs and H units; gates in the order input, forget, output, candidate.

    The columns of the first three gates are halved, so that one tanh serves all: sigmoid(a) = tanh(a / 2) / 2 + 1/2.
    """

    weight: Singles  # (D + H, 4H): one matrix product over [input, h]
    bias: Singles  # (4H,)

    @property
    def hidden(self) -> int:
        return len(self.bias) // 4


@dataclass(frozen=True, slots=True)
class Engine:
    """L layers and the forecast head, for C channels and K further inputs of the calendar."""

    layers: tuple[Layer, ...]
    head_weight: Singles  # (H, horizon * C), the nearest reading first
    head_bias: Singles  # (horizon * C,)
    channels: int  # C
    _next_weight: Singles = field(init=False, repr=False)  # (H, C filled up to a multiple of 16)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_next_weight", even(self.head_weight[:, : self.channels]))

    @property
    def hidden(self) -> int:
        return self.layers[0].hidden

    @property
    def horizon(self) -> int:
        return len(self.head_bias) // self.channels

    def step(self, inputs: Singles, h: Singles, c: Singles) -> None:
        """Advance n series by one reading, in place: inputs (n, C + K), h and c (n, L, H)."""
        below = inputs
        for index, layer in enumerate(self.layers):
            size = layer.hidden
            gates = product((below, h[:, index]), layer.weight)  # (n, 4H)
            gates += layer.bias
            np.tanh(gates, out=gates)
            gates[:, : 3 * size] *= 0.5
            gates[:, : 3 * size] += 0.5
            cell = gates[:, size : 2 * size] * c[:, index] + gates[:, :size] * gates[:, 3 * size :]
            c[:, index] = cell
            below = gates[:, 2 * size : 3 * size] * np.tanh(cell)
            h[:, index] = below

    def next_reading(self, z: Floats, h: Singles) -> Floats:
        """The forecast of the next reading, (n, C), from the last one z (n, C) and the state h (n, L, H) after it."""
        size = self.channels
        change = product((h[:, -1],), self._next_weight)[:, :size] + self.head_bias[:size]
        return z + change

    def ahead(self, z: Floats, h: Singles) -> Floats:
        """The forecast of the next `horizon` readings, (n, horizon, C), for a picture of what is to come."""
        change = h[:, -1] @ self.head_weight + self.head_bias
        return z[:, None, :] + change.reshape(len(z), self.horizon, self.channels)

    def tensors(self) -> dict[str, Singles]:
        """The weights by name, as they are stored."""
        named = {"head.weight": self.head_weight, "head.bias": self.head_bias}
        for index, layer in enumerate(self.layers):
            named |= {f"layer.{index}.weight": layer.weight, f"layer.{index}.bias": layer.bias}
        return named


def engine_of(tensors: Mapping[str, Singles], channels: int, inputs: int) -> Engine:
    """The engine of stored weights; ValueError where a shape does not fit the C channels and C + K inputs."""
    layers = []
    width = inputs
    for index in range(sum(name.startswith("layer.") for name in tensors) // 2):
        layer = Layer(tensors[f"layer.{index}.weight"], tensors[f"layer.{index}.bias"])
        if layer.weight.shape != (width + layer.hidden, 4 * layer.hidden) or layer.bias.shape != (4 * layer.hidden,):
            raise ValueError(f"layer {index} has a weight of shape {layer.weight.shape}: {width} inputs do not fit it")
        width = layer.hidden
        layers.append(layer)
    head_weight, head_bias = tensors["head.weight"], tensors["head.bias"]
    if not layers or head_weight.shape != (width, len(head_bias)) or len(head_bias) % channels or not len(head_bias):
        raise ValueError(f"the head has shape {head_weight.shape}: {width} units and {channels} channels do not fit it")
    return Engine(tuple(layers), head_weight, head_bias, channels)
