import pytest

from pipeline.cli.since import moment_of, seconds_of
from pipeline.exceptions import SettingsError

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90min", 5400), ("36h", 129_600), ("14d", 1_209_600), ("8 w", 4_838_400)]
)
def test_a_length_of_time_is_a_number_and_a_unit(text, seconds):
    assert seconds_of(text, "--last") == seconds
    assert moment_of(text, "--since", NOW) == (NOW - seconds) * 1000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-11-14T22:13:20", 1_700_000_000_000),
        ("2023-11-14T22:13:20.5Z", 1_700_000_000_500),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000_000),
        ("2023-11-14", 1_699_920_000_000),
    ],
)
def test_a_time_is_utc_where_it_does_not_say(text, moment):
    assert moment_of(text, "--since", NOW) == moment


@pytest.mark.parametrize("text", ["14", "0d", "-1h", "d", "1y", ""])
def test_what_is_neither_is_refused_with_what_is_needed(text):
    with pytest.raises(SettingsError, match=f"--last is '{text}': a number and a unit are needed"):
        seconds_of(text, "--last")
    with pytest.raises(SettingsError, match=f"--since is '{text}': a length of time such as"):
        moment_of(text, "--since", NOW)
