"""The README's library examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_ten_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    rng = np.random.default_rng(0)
    values = 20 + 5 * np.sin(np.arange(6000) / 20) + rng.normal(0, 0.2, 6000)
    values[5800:5810] += 30
    times = pd.date_range("2024-01-01", periods=6000, freq="5min")
    pd.DataFrame({"timestamp": times, "temp": values}).to_parquet(tmp_path / "pump-7.parquet")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})

    assert "event='raised'" in capsys.readouterr().out


@pytest.mark.slow
def test_the_estimator_of_the_readme_finds_what_is_odd():
    code = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[1]
    X = 20 + 5 * np.sin(np.arange(6000) / 20) + np.random.default_rng(0).normal(0, 0.2, 6000)
    X[5800:5810] += 30
    names = {"X": X[:, None]}
    exec(compile(code, "README.md", "exec"), names)

    assert names["outliers"][5800]
    assert names["outliers"][:5800].mean() < 0.002
