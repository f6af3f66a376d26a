"""More seeds of the simulated cloud than the suite has time for: `python -m tests.sim --seeds N [--first F]`.

`--world paths` is about two peers behind address translators instead.
"""

import argparse
import os
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.sim.chaos import storm
from tests.sim.paths import journey

_SEEDS_PER_JOB = 50
WORLDS = {"cloud": storm, "paths": journey}


def broken(world: str, seeds: range) -> list[tuple[int, str]]:
    """Run these seeds; return those that went wrong, and how."""
    found = []
    for seed in seeds:
        try:
            WORLDS[world](seed)
        except Exception:  # noqa: BLE001 - a defect of any kind is what is looked for
            found.append((seed, traceback.format_exc(limit=-4)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds on all cores; return the exit code, 1 if any of them went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="F", help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="J")
    parser.add_argument("--world", choices=WORLDS, default="cloud", help="what is simulated")
    options = parser.parse_args(arguments)
    end = options.first + options.seeds
    jobs = [range(start, min(start + _SEEDS_PER_JOB, end)) for start in range(options.first, end, _SEEDS_PER_JOB)]
    began, wrong = time.monotonic(), 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for found in pool.map(partial(broken, options.world), jobs):
            for seed, how in found:
                wrong += 1
                print(f"seed {seed}: {how}", flush=True)
    print(
        f"{options.seeds} seeds of the simulated {options.world} in {time.monotonic() - began:.0f} s,"
        f" {wrong} went wrong"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
