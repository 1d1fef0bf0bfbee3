"""How the processes of a benchmark run: side by side, one thread each."""

from __future__ import annotations

import os

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def one_thread_each() -> None:
    """Processes that are started from now on have one thread: they inherit it."""
    for pool in POOLS:
        os.environ[pool] = "1"
