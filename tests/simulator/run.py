"""Run schedules: `python -m tests.simulator.run --seeds 0 1000`, or one with what happened: `--seeds 7 8 --trace`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from typing import get_args

from tests.service.small import small_detector
from tests.simulator.process import Keeping
from tests.simulator.schedule import Schedule


def main() -> int:
    """Exit code 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 200), metavar=("FIRST", "END"))
    parser.add_argument("--keeping", nargs="+", choices=get_args(Keeping), default=get_args(Keeping))
    parser.add_argument("--trace", action="store_true", help="tell what happened")
    options = parser.parse_args()
    logging.getLogger("plumbline").setLevel(logging.INFO if options.trace else logging.CRITICAL)
    detector, broken, began = small_detector(), 0, time.perf_counter()
    for keeping in options.keeping:
        for seed in range(*options.seeds):
            schedule = Schedule(seed, detector, keeping)
            try:
                schedule.run()
            except AssertionError as error:
                broken += 1
                print(f"{keeping} seed {seed}: {str(error)[:400]}")
            if options.trace:
                print("\n".join(schedule.trace))
    count = len(options.keeping) * (options.seeds[1] - options.seeds[0])
    print(f"{count} schedules, {broken} broken, {time.perf_counter() - began:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
