"""How long the command takes to answer, beside an interpreter that does nothing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench.rows import Row, medians_ms, not_measured
from tests.databases import ROOT

ROUNDS = 9
GLIMPSE = Path(sys.executable).with_name("glimpse")
NO_SCREENS = "the monitor's screens are not there yet"


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
    ] + [
        not_measured("start to first paint of either screen", "empty Textual app", 1.3, NO_SCREENS, "at most"),
        not_measured("monitor at 5 Hz, 3 nodes: share of a core", "", 0.12, NO_SCREENS, "at most"),
        not_measured("idle client: share of a core", "", 0.01, NO_SCREENS, "at most"),
    ]


def runs(command: list[str]) -> Callable[[], object]:
    """Return a call that runs a command to its end."""
    return lambda: subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=60)
