"""`python -m tests.hostile [--attack NAME ...] [--rate R] [--rest S]`: each attack, and an honest person beside it.

Prints what that person met before, during and after, in one run. What must hold is asserted by `test_attacks`; these
are figures, and say something only on a quiet machine.
"""

import argparse
import tempfile
from pathlib import Path

import anyio
from PIL import Image

from tests.hostile.attacks import ATTACKS
from tests.hostile.honest import course, running


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__.partition("\n")[0])
    parser.add_argument("--attack", action="append", choices=sorted(ATTACKS), help="repeat for several [all]")
    parser.add_argument("--rate", type=float, default=10_000.0, help="floods per second, over all nodes [10000]")
    parser.add_argument("--rest", type=float, default=60.0, help="seconds before the nodes are looked at again [60]")
    chosen = parser.parse_args()
    for name in chosen.attack or ATTACKS:
        with tempfile.TemporaryDirectory(prefix="glimpse-hostile-") as place:
            folder = Path(place)
            picture = folder / "picture.jpg"
            Image.effect_mandelbrot((320, 200), (-2, -1, 1, 1), 60).save(picture, quality=80)
            with running(folder / "cloud") as cluster:
                found = anyio.run(
                    lambda cluster=cluster, folder=folder, picture=picture, name=name: course(
                        cluster, folder, picture, ATTACKS[name], per_s=chosen.rate, rest_s=chosen.rest
                    )
                )
        print(f"{name}:", *found.lines(), sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
