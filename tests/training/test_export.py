"""Trained weights become the engine's, and nothing is lost on the way."""

import numpy as np
import torch

from models.predictor import Predictor
from pipeline.detector.products import EVEN_COLUMNS
from pipeline.training.export import export
from tests.laws.reference import network_of


def test_export_taken_back_gives_torchs_weights():
    network = Predictor(3, 4, hidden=8, layers=2, horizon=5)
    torch.nn.init.normal_(network.head.weight)
    back = network_of(export(network))
    for layer in (0, 1):
        for kind in ("weight_ih", "weight_hh"):
            name = f"{kind}_l{layer}"
            np.testing.assert_allclose(
                getattr(back.lstm, name).detach(), getattr(network.core.lstm, name).detach(), 1e-6, 1e-8
            )
        bias = getattr(network.core.lstm, f"bias_ih_l{layer}") + getattr(network.core.lstm, f"bias_hh_l{layer}")
        np.testing.assert_allclose(getattr(back.lstm, f"bias_ih_l{layer}").detach(), bias.detach(), 1e-6, 1e-8)

    np.testing.assert_array_equal(back.head.weight.detach(), network.head.weight.detach())
    np.testing.assert_array_equal(back.head.bias.detach(), network.head.bias.detach())


def test_export_is_a_copy_that_further_training_does_not_reach():
    network = Predictor(1, hidden=4, horizon=2)
    engine = export(network)
    before = {name: tensor.copy() for name, tensor in engine.tensors().items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)

    for name, tensor in engine.tensors().items():
        np.testing.assert_array_equal(tensor, before[name], name)


def test_weights_are_single_floats_in_one_piece():
    for tensor in export(Predictor(2, hidden=8, layers=2)).tensors().values():
        assert tensor.dtype == np.float32
        assert tensor.flags.c_contiguous


def test_a_detector_with_more_channels_than_fill_a_block_forecasts_them_all():
    channels = EVEN_COLUMNS + 1
    network = Predictor(channels, hidden=8, horizon=1)
    with torch.no_grad():
        network.head.bias.copy_(torch.arange(channels) + 1.0)
    engine = export(network)
    forecast = engine.next_reading(np.zeros((1, channels)), np.zeros((1, 1, 8), np.float32))

    np.testing.assert_array_equal(forecast[0], np.arange(channels) + 1.0)
