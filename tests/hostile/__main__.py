"""`python -m tests.hostile [--attack NAME ...] [--rate R] [--rest S]`: each attack, and an honest person beside it.

Prints what that person met before, during and after, in one run, and which bars hold. The figures say something only on
a quiet machine; with `--strict` the exit code is 1 where a bar does not hold.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import anyio
from PIL import Image

from tests.hostile.attacks import ATTACKS
from tests.hostile.honest import course, running
from tests.hostile.intruder import Target

_CHEAP = 300


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.partition("\n")[0])
    parser.add_argument("--attack", action="append", choices=sorted(ATTACKS), help="repeat for several [all]")
    parser.add_argument("--rate", type=float, default=10_000.0, help="floods per second, over all nodes [10000]")
    parser.add_argument("--rest", type=float, default=60.0, help="seconds before the nodes are looked at again [60]")
    parser.add_argument("--pictures", type=int, default=25, help="large ones at once [25]")
    parser.add_argument("--strict", action="store_true", help="fail where a bar does not hold")
    chosen = parser.parse_args()
    held = True
    for name in chosen.attack or ATTACKS:
        with tempfile.TemporaryDirectory(prefix="glimpse-hostile-") as place:
            folder = Path(place)
            picture = folder / "picture.jpg"
            Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 60).save(picture, quality=80)
            with running(folder / "cloud") as cluster:
                target = Target(cluster.folder, chosen.rate, pictures=chosen.pictures)
                run = partial(course, cluster, folder, picture, ATTACKS[name], target)
                found = anyio.run(partial(run, rest_s=chosen.rest, cheap=_CHEAP, warm_up=True))
        bars = found.bars(ATTACKS[name])
        held = held and all(bar.holds for bar in bars)
        print(f"{name}:", *found.lines(), *(bar.line() for bar in bars), sep="\n  ", flush=True)
    if chosen.strict and not held:
        sys.exit(1)


if __name__ == "__main__":
    main()
