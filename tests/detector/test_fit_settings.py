"""Settings that make no sense are refused where they are made."""

import pytest

from pipeline.detector.fit_settings import FitSettings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": 0}, "hidden is 0: at least 1 is needed"),
        ({"warm_up": -3}, "warm_up is -3: at least 1 is needed"),
        ({"max_gap": 0}, "max_gap is 0: at least 1 is needed"),
        ({"chunk": 7}, "chunk is 7: gradients through fewer than 8 readings learn no dynamics"),
        ({"dropout": 1.0}, "dropout is 1.0: a share from 0 up to, not including, 1 is needed"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0: a positive number is needed"),
        ({"learning_rate": float("nan")}, "learning_rate is nan: a positive number is needed"),
    ],
)
def test_impossible_settings_are_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match="is") as refused:
        FitSettings(**wrong)

    assert str(refused.value) == message


def test_the_defaults_are_those_of_the_design():
    settings = FitSettings()

    assert (settings.horizon, settings.warm_up, settings.max_gap, settings.calendar) == (10, 64, 10, False)
