"""`python -m tests.fuzz [--minutes M] [--target NAME ...] [--jobs N]`: fuzz the parsers, guided by the code they reach.

The minutes are shared among the targets. What was found is kept, with the interesting inputs, in the folder `.fuzz`:
the next run goes on from there. An input that found something belongs into `tests/fuzz/found/NAME`, where `make test`
runs it from then on. Needs atheris, which `make fuzz` installs.
"""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import FOUND
from tests.fuzz.targets import TARGETS

WORK = Path(".fuzz")
_STATISTIC = re.compile(r"stat::(\w+):\s+(\d+)")


@dataclass(frozen=True)
class Outcome:
    """What became of one target."""

    name: str
    calls: int
    inputs: int
    found: list[Path]
    log: Path

    def __str__(self) -> str:
        said = f"found {', '.join(map(str, self.found))}; see {self.log}" if self.found else "nothing found"
        return f"{self.name:<10} {self.calls:>10} calls {self.inputs:>6} inputs kept  {said}"


def fuzz(name: str, seconds: int) -> Outcome:
    """Fuzz one target in a process of its own."""
    corpus, seeds, folder = (WORK / name / part for part in ("corpus", "seeds", "found"))
    for place in (corpus, seeds, folder, FOUND / name):
        place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (seeds / str(number)).write_bytes(seed)
    before = set(folder.iterdir())
    log = WORK / name / "log"
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(seconds), str(folder), str(corpus), str(seeds)]
    with log.open("wb") as out:
        code = subprocess.run([*command, str(FOUND / name)], stdout=out, stderr=out, check=False).returncode
    statistics = dict(_STATISTIC.findall(log.read_text(errors="replace")))
    found = sorted(set(folder.iterdir()) - before)
    if code and not found:
        found = [log]
    return Outcome(name, int(statistics.get("number_of_executed_units", 0)), len(list(corpus.iterdir())), found, log)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="in all, of one processor [60]")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="repeat for several [all]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once [one a core]")
    chosen = parser.parse_args()
    names = chosen.target or list(TARGETS)
    seconds = max(1, round(60 * chosen.minutes / len(names)))
    outcomes = []
    with ThreadPoolExecutor(chosen.jobs) as pool:
        for outcome in pool.map(lambda name: fuzz(name, seconds), names):
            outcomes.append(outcome)
            print(outcome, flush=True)
    return 1 if any(outcome.found for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
