"""What every test shares: repeatable randomness, one thread, the data sets, and a list of what was skipped and why."""

from __future__ import annotations

import logging
import os
import sys
from collections import defaultdict
from pathlib import Path

import hypothesis
import numpy as np
import pytest

pytest_plugins = ["tests.kafka_fixtures", "tests.fixtures"]

# Broker, service and test share few cores. Set before numpy or torch start their pools; processes inherit it.
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(pool, "1")

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Whoever asks for the broker is a Kafka test; before others look at the marks."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(autouse=True)
def repeatable_networks():
    """Fresh networks start from the same weights in every run; torch is not imported for tests that do without."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def logging_as_before():
    """A command that sets up its log leaves the next test's log as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def rng():
    """A generator of its own for every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_folder():
    """The folder of the data sets."""
    named = os.environ.get("PLUMBLINE_DATA")
    if not named:
        pytest.skip("PLUMBLINE_DATA does not name the folder of the data sets")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"PLUMBLINE_DATA is {named}, and there is no such folder")
    return folder


def pytest_terminal_summary(terminalreporter):
    """Name the skipped tests under their reasons, last of all."""
    skipped = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped[reason.removeprefix("Skipped: ")].append(report.nodeid)
    if not skipped:
        return
    terminalreporter.section("skipped, and why")
    for reason, tests in sorted(skipped.items()):
        terminalreporter.write_line(f"{len(tests)} x {reason}")
        for test in tests:
            terminalreporter.write_line(f"    {test}")
