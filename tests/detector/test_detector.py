"""A detector's digest: the same for the same detector, another for anything that decides a score."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detector.detector import Channel


def test_the_digest_is_64_hex_digits_and_is_the_same_every_time(one):
    again = replace(one.detector)

    assert len(bytes.fromhex(one.detector.digest)) == 32
    assert again.digest == one.detector.digest


def test_slots_and_figures_are_not_in_the_digest(one):
    other = replace(one.detector, slots={}, figures={"told": "to people"})

    assert other.digest == one.detector.digest


def altered(detector):
    """The detector, each with one thing changed that decides a score."""
    engine, (calibration,) = detector.engine, detector.calibrations
    layer = engine.layers[0]
    weight, bias = layer.weight.copy(), layer.bias.copy()
    weight[3, 5] = np.nextafter(weight[3, 5], np.float32(9))
    bias[-1] += 1e-3
    sample = calibration.sample.copy()
    sample[-1] += 1e-9
    yield replace(detector, engine=replace(engine, layers=(replace(layer, weight=weight),)))
    yield replace(detector, engine=replace(engine, layers=(replace(layer, bias=bias),)))
    yield replace(detector, engine=replace(engine, head_bias=engine.head_bias + 1))
    yield replace(detector, calibrations=(replace(calibration, sample=sample),))
    yield replace(detector, calibrations=(replace(calibration, high=calibration.high * 2),))
    yield replace(detector, calibrations=(replace(calibration, channel_scale=calibration.channel_scale * 2),))
    yield replace(detector, calibrations=(replace(calibration, band=calibration.band * 2),))
    yield replace(detector, calibrations=(replace(calibration, tail=calibration.tail * 2),))
    yield replace(detector, calibrations=(replace(calibration, step=calibration.step * 2),))
    yield replace(detector, calibrations=(calibration, calibration))
    yield replace(detector, channels=(Channel("other", "sensor"),))
    yield replace(detector, channels=(Channel("temp", "context"),))
    yield replace(detector, step=detector.step + 1)
    yield replace(detector, clock="index")
    yield replace(detector, regular=False)
    yield replace(detector, period=26)
    yield replace(detector, settings=replace(detector.settings, max_gap=11))
    yield replace(detector, settings=replace(detector.settings, warm_up=25))
    yield replace(detector, settings=replace(detector.settings, roles={"temp": "sensor"}))


def test_whatever_decides_a_score_is_in_the_digest(one):
    digests = [one.detector.digest, *(other.digest for other in altered(one.detector))]

    assert len(set(digests)) == len(digests) == 20


def test_a_detector_never_changes(one):
    with pytest.raises(AttributeError):
        one.detector.step = 7


def test_channels_series_and_roles_are_told(channels, fleet):
    assert channels.detector.names == ("temp", "flow", "valve")
    assert channels.detector.scored.tolist() == [True, True, False]
    assert fleet.detector.series == ("a", "b", "c")


def test_the_same_seed_gives_the_same_digest_and_another_one_another(one):
    from tests.fixtures import SETTINGS, fitted

    assert fitted(one.histories).digest == one.detector.digest
    assert fitted(one.histories, settings=replace(SETTINGS, seed=1)).digest != one.detector.digest
