"""How long the command takes to answer, beside an interpreter that does nothing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.rows import Row, medians_ms
from tests.databases import ROOT

ROUNDS = 9
GLIMPSE = Path(sys.executable).with_name("glimpse")


def rows() -> list[Row]:
    """Measure all of it."""
    python = [sys.executable, "-c", "pass"]
    ways = {
        "nothing": python,
        "glimpse --version": [str(GLIMPSE), "--version"],
        "glimpse --help": [str(GLIMPSE), "--help"],
    }
    times = medians_ms({name: runs(command) for name, command in ways.items()}, ROUNDS)
    return [
        Row(name, times[name], "ms", "python -c pass", times["nothing"], times[name] / times["nothing"], "at most")
        for name in list(ways)[1:]
    ]


def runs(command: list[str]) -> Callable[[], object]:
    """Return a call that runs a command to its end."""
    return lambda: subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=60)
