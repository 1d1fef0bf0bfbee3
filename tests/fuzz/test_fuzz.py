"""Decoders under random bytes: a few in every run, for a minute each where the fuzzer is installed (`make fuzz`)."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

SECONDS = int(os.environ.get("PLUMBLINE_FUZZ_SECONDS", "60"))
ROOT = Path(__file__).parents[2]
FOUND = {path.name: path for path in sorted((Path(__file__).parent / "found").glob("*"))}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_examples_and_what_is_cut_from_them(name):
    target = TARGETS[name]
    for seed in target.seeds:
        for end in range(0, len(seed) + 1, 1 + len(seed) // 200):
            target.read(seed[:end])


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_any_bytes(name):
    pieces = st.one_of(st.binary(max_size=30), st.sampled_from(TARGETS[name].seeds))

    @given(st.lists(pieces, max_size=4).map(b"".join))
    def any_bytes(data):
        TARGETS[name].read(data)

    any_bytes()


@pytest.mark.parametrize("name", FOUND)
def test_what_the_fuzzer_found_once_is_taken(name):
    TARGETS[name.partition("-")[0]].read(FOUND[name].read_bytes())


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_under_the_fuzzer(name, tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: `make fuzz` does it, where there is a wheel for this Python")
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(SECONDS), "--folder", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout[-2_000:] + run.stderr[-6_000:]
    assert int(re.findall(r"Done (\d+) runs", run.stderr)[-1]) > 1_000
