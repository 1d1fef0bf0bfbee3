"""The predictor: shapes, causality, and what it says before it has learnt anything."""

import torch

from models.predictor import Predictor


def test_untrained_it_forecasts_the_last_reading():
    network = Predictor(channels=3, context=2, hidden=8, horizon=4)
    changes, _ = network(torch.randn(2, 7, 5))

    assert changes.shape == (2, 7, 4, 3)
    assert not changes.any()


def test_a_forecast_uses_nothing_later_than_its_reading():
    network = _with_a_head(Predictor(channels=2, hidden=8, layers=2, horizon=3))
    x = torch.randn(1, 10, 2)
    altered = x.clone()
    altered[:, 6:] = 1e3
    changes, _ = network(x)
    others, _ = network(altered)

    torch.testing.assert_close(changes[:, :6], others[:, :6], atol=1e-6, rtol=0)
    assert not torch.allclose(changes[:, 6:], others[:, 6:])


def test_the_head_gives_the_nearest_reading_first_and_channels_within():
    network = _with_a_head(Predictor(channels=2, hidden=4, horizon=3))
    x = torch.randn(1, 5, 2)
    encoded, _ = network.core(x)
    flat = encoded[0, -1] @ network.head.weight.T + network.head.bias
    changes, _ = network(x)

    for ahead in range(3):
        for channel in range(2):
            torch.testing.assert_close(changes[0, -1, ahead, channel], flat[2 * ahead + channel])


def _with_a_head(network):
    torch.nn.init.normal_(network.head.weight)
    return network
