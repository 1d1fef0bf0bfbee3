"""The engine against torch's own LSTM with the same weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.predictor import Predictor
from pipeline.detector.calendar import CALENDAR_INPUTS, calendar_inputs
from pipeline.detector.engine import Engine, engine_of
from pipeline.detector.products import EVEN_ROWS
from pipeline.training.export import export
from tests.fixtures import SETTINGS, fitted
from tests.laws.reference import network_of
from tests.streams import BEGIN, STEP, machine, series

STEPS, HIDDEN, CHANNELS, HORIZON = 5000, 64, 2, 3


def predictor(layers, context=CALENDAR_INPUTS):
    """A network with the weights that torch begins with, and a head of some size."""
    torch.manual_seed(layers)
    network = Predictor(CHANNELS, context, HIDDEN, layers, horizon=HORIZON)
    torch.nn.init.normal_(network.head.weight)
    return network


def trained(layers):
    """The engine of a network that was really trained."""
    settings = replace(SETTINGS, hidden=HIDDEN, layers=layers, steps=100, calendar=True, horizon=HORIZON)
    history = series("mixer", machine(900)[:, :CHANNELS])
    return fitted([history], ("temp", "flow"), settings=settings).engine


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("weights", ["random", "trained"])
def test_h_stays_within_a_millionth_of_torch_over_5000_readings_with_the_calendar(layers, weights):
    engine = trained(layers) if weights == "trained" else export(predictor(layers))
    network = network_of(engine)
    rng = np.random.default_rng(0)
    z = np.clip(
        rng.normal(0, 1, (STEPS, CHANNELS)).cumsum(axis=0) * 0.05 + rng.normal(0, 1, (STEPS, CHANNELS)), -10, 10
    )
    context = calendar_inputs(BEGIN + STEP * np.arange(STEPS))
    inputs = np.concatenate((z.astype(np.float32), context), axis=1)
    with torch.no_grad():
        read, state = network.lstm(torch.from_numpy(inputs)[None])
        changes = network.head(read)[0, :, :CHANNELS].numpy()
    h, c = np.zeros((2, 1, layers, HIDDEN), np.float32)
    worst = worst_forecast = 0.0
    for step in range(STEPS):
        engine.step(inputs[step : step + 1], h, c)
        worst = max(worst, float(np.abs(h[0, -1] - read[0, step].numpy()).max()))
        forecast = engine.next_reading(z[step : step + 1], h)[0]
        worst_forecast = max(worst_forecast, float(np.abs(forecast - z[step] - changes[step]).max()))

    assert worst <= 1e-6
    assert worst_forecast <= 1e-5
    np.testing.assert_allclose(h[0], state[0][:, 0].numpy(), 0, 1e-6)
    np.testing.assert_allclose(c[0], state[1][:, 0].numpy(), 1e-5, 1e-5)


def test_all_readings_ahead_are_those_of_torch_and_the_first_is_the_one_that_is_scored():
    network = predictor(2)
    engine = export(network)
    rng = np.random.default_rng(1)
    inputs = rng.normal(0, 1, (4, 20, CHANNELS + CALENDAR_INPUTS)).astype(np.float32)
    with torch.no_grad():
        changes, _ = network(torch.from_numpy(inputs))
    h, c = np.zeros((2, 4, 2, HIDDEN), np.float32)
    for step in range(20):
        engine.step(inputs[:, step], h, c)
    z = inputs[:, -1, :CHANNELS].astype(float)
    ahead = engine.ahead(z, h)

    assert ahead.shape == (4, HORIZON, CHANNELS)
    np.testing.assert_allclose(ahead, z[:, None] + changes[:, -1].numpy(), 0, 1e-5)
    np.testing.assert_allclose(ahead[:, 0], engine.next_reading(z, h), 0, 1e-6)


@pytest.mark.parametrize("hidden", [16, 64])
@pytest.mark.parametrize("channels", [1, 3, 38])
def test_a_row_is_the_same_to_the_last_bit_however_many_are_computed_with_it(hidden, channels):
    torch.manual_seed(hidden)
    network = Predictor(channels, 0, hidden, 2, horizon=2)
    torch.nn.init.normal_(network.head.weight)
    engine = export(network)
    rng = np.random.default_rng(channels)
    inputs = rng.normal(0, 1, (70, channels)).astype(np.float32)
    h, c = rng.normal(0, 0.5, (2, 70, 2, hidden)).astype(np.float32)
    together = [part.copy() for part in (h, c)]
    engine.step(inputs, *together)
    forecast = engine.next_reading(inputs.astype(float), together[0])

    for first, last in ((0, 1), (5, 6), (3, 3 + EVEN_ROWS), (1, 14), (69, 70), (10, 43)):
        apart = [part[first:last].copy() for part in (h, c)]
        engine.step(inputs[first:last], *apart)

        assert apart[0].tobytes() == together[0][first:last].tobytes()
        assert apart[1].tobytes() == together[1][first:last].tobytes()
        assert (
            engine.next_reading(inputs[first:last].astype(float), apart[0]).tobytes() == forecast[first:last].tobytes()
        )


def test_no_series_makes_no_step():
    engine = export(predictor(1, context=0))
    h, c = np.zeros((2, 0, 1, HIDDEN), np.float32)
    engine.step(np.zeros((0, CHANNELS), np.float32), h, c)

    assert engine.next_reading(np.zeros((0, CHANNELS)), h).shape == (0, CHANNELS)


def test_stored_weights_make_the_same_engine():
    engine = export(predictor(2))
    again = engine_of(engine.tensors(), CHANNELS, CHANNELS + CALENDAR_INPUTS)

    assert again.tensors().keys() == engine.tensors().keys()
    for name, tensor in engine.tensors().items():
        assert again.tensors()[name] is tensor
    assert (again.hidden, again.horizon, len(again.layers)) == (HIDDEN, HORIZON, 2)


def refusal(change, channels=CHANNELS, inputs=CHANNELS):
    """What is said of weights that were changed."""
    tensors = dict(export(predictor(1, context=0)).tensors())
    if change:
        change(tensors)
    with pytest.raises((ValueError, KeyError)) as refused:
        engine_of(tensors, channels, inputs)
    return str(refused.value)


def test_weights_that_do_not_fit_are_refused():
    assert refusal(None, inputs=5) == ("layer 0 has a weight of shape (66, 256): 5 inputs do not fit it")
    assert refusal(lambda t: t.update({"layer.0.bias": np.zeros(255, np.float32)})).startswith("layer 0 has a weight")
    assert refusal(None, channels=4, inputs=2) == ("the head has shape (64, 6): 64 units and 4 channels do not fit it")
    assert "the head has shape (63, 6)" in refusal(lambda t: t.update({"head.weight": t["head.weight"][1:]}))
    assert "head.bias" in refusal(lambda t: t.pop("head.bias"))
    assert "the head has shape" in refusal(lambda t: [t.pop(name) for name in list(t) if name.startswith("layer")])


def test_an_engine_is_its_layers_and_its_head():
    engine = export(predictor(1, context=0))

    assert isinstance(engine, Engine)
    assert engine.layers[0].weight.shape == (CHANNELS + HIDDEN, 4 * HIDDEN)
    assert engine.layers[0].weight.dtype == engine.head_weight.dtype == np.float32
