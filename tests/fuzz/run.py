"""One target under bytes that a coverage-guided fuzzer makes, for so many seconds.

python -m tests.fuzz.run line_protocol --seconds 60 --folder /tmp/fuzz: what it has found to be interesting stays in the
folder, and so does the input that failed; the exit code is not 0 then, and the input is given to `--replay`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn


def main() -> None:
    """Read the arguments, and fuzz or replay."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", help="of tests/fuzz/targets.py")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--replay", type=Path)
    asked = parser.parse_args()
    if asked.replay is None:
        fuzz(asked.target, asked.seconds, asked.folder)
    from tests.fuzz.targets import TARGETS

    TARGETS[asked.target].read(asked.replay.read_bytes())


def fuzz(name: str, seconds: int, folder: Path) -> NoReturn:
    """Never returns: libFuzzer ends the process."""
    import atheris  # here: not every Python has it, and a replay does without

    with atheris.instrument_imports(include=["pipeline.formats", "pipeline.monitor.snapshot", "pipeline.settings"]):
        from tests.fuzz.targets import TARGETS
    corpus = folder / f"corpus-{name}"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=10", "-rss_limit_mb=4096", "-seed=1"]
    found = [f"-artifact_prefix={folder}/{name}-"]
    atheris.Setup([sys.argv[0], *limits, *found, str(corpus)], TARGETS[name].read)
    atheris.Fuzz()
    raise AssertionError("libFuzzer ends the process")


if __name__ == "__main__":
    main()
