"""Torch weights as the engine's: what was trained becomes what runs."""

from __future__ import annotations

import numpy as np
import torch

from models.predictor import Predictor
from pipeline.detector.engine import Engine, Layer
from pipeline.records import Singles


def export(network: Predictor) -> Engine:
    """The engine with the weights of a trained network."""
    layers = tuple(_layer(network.core.lstm, index) for index in range(network.core.lstm.num_layers))
    head_weight = np.ascontiguousarray(_array(network.head.weight).T)
    return Engine(layers, head_weight, _array(network.head.bias), network.channels)


def _layer(lstm: torch.nn.LSTM, index: int) -> Layer:
    """One layer: torch's gates input, forget, candidate, output with two biases, to the engine's order and one bias."""
    incoming, recurrent = _array(getattr(lstm, f"weight_ih_l{index}")), _array(getattr(lstm, f"weight_hh_l{index}"))
    bias = _array(getattr(lstm, f"bias_ih_l{index}")) + _array(getattr(lstm, f"bias_hh_l{index}"))
    size = len(bias) // 4
    order = np.r_[0 : 2 * size, 3 * size : 4 * size, 2 * size : 3 * size]
    halved = np.repeat(np.array([0.5, 0.5, 0.5, 1.0], np.float32), size)  # sigmoid by tanh of one half
    weight = np.concatenate((incoming, recurrent), axis=1)[order].T * halved  # (D + H, 4H)
    return Layer(np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(bias[order] * halved, np.float32))


def _array(parameter: torch.Tensor) -> Singles:
    """A copy: the network may be trained further."""
    return np.array(parameter.detach().cpu().float().numpy())
