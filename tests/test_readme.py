"""The README's library example runs as it stands."""

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
