"""How long it takes from the command until there is something to see, beside a Textual program that does nothing.

Both run in a pseudo-terminal that answers what terminals are asked (attributes, size of a cell, synchronised output),
and take turns, so that whatever else the machine does hits them alike.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.rows import Row
from tests.databases import ROOT
from tui.commands.up import set_up

ROUNDS = 15
PATIENCE_S = 30.0
BAR = 1.3
COLUMNS, LINES = 80, 24
GLIMPSE = Path(sys.executable).with_name("glimpse")
EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("Glimpse")
Empty().run()
"""
FIRST = b"Glimpse"
FORM = b"What should others call you?"
FINDING = b"Looking for the nodes"
_ANSWERS = {
    re.compile(rb"\x1b\[c"): b"\x1b[?62;22c",
    re.compile(rb"\x1b\[16t"): b"\x1b[6;16;8t",
    re.compile(rb"\x1b\[\?2026\$p"): b"\x1b[?2026;2$y",
}


def rows() -> list[Row]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY)
        env = fresh_environment(Path(folder))
        place = set_up(Path(folder) / "cluster")
        place.close()  # nothing answers: only the screens are measured
        ways: dict[str, tuple[list[str], list[bytes]]] = {
            "empty": ([sys.executable, str(empty)], [FIRST]),
            "client": ([str(GLIMPSE), "client"], [FIRST, FORM]),
            "monitor": ([str(GLIMPSE), "monitor", "--cluster", str(place.file)], [FINDING]),
        }
        times: dict[str, list[list[float]]] = {name: [] for name in ways}
        for number in range(ROUNDS + 1):
            for name, (command, marks) in ways.items():
                took = times_to(command, marks, env)
                if number:  # the first turn fills caches
                    times[name].append(took)
    return [
        _row("client: start to first paint", times, "client", 0, BAR),
        _row("client: start to the field for a name", times, "client", 1, None),
        _row("monitor: start to first paint", times, "monitor", 0, BAR),
    ]


def _row(what: str, times: Mapping[str, Sequence[Sequence[float]]], way: str, mark: int, bar: float | None) -> Row:
    """Return the figure for a mark. The ratio is the median of those of one turn each: neighbours in time."""
    ours = [took[mark] for took in times[way]]
    empty = [took[0] for took in times["empty"]]
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, empty, strict=True))
    return Row(
        what, statistics.median(ours), "ms", "empty Textual app", statistics.median(empty), ratio, "at most", bar
    )


def fresh_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which nobody has used Glimpse yet, in a terminal with colours."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GLIMPSE", "TEXTUAL", "NO_COLOR"))}
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        env[f"XDG_{name}_HOME"] = str(folder / name.lower())
    return {**env, "HOME": str(folder), "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


def times_to(command: Sequence[str], marks: Sequence[bytes], env: Mapping[str, str]) -> list[float]:
    """Return the milliseconds from the start of a command until each text has been written, in this order."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=dict(env), cwd=ROOT
    ) as process:
        os.close(slave)
        try:
            return _watch(master, marks, began)
        finally:
            process.kill()
            process.wait(10)
            os.close(master)


def _watch(master: int, marks: Sequence[bytes], began: float) -> list[float]:
    seen, answered, found = b"", 0, []
    while len(found) < len(marks):
        ready, _, _ = select.select([master], [], [], max(0.0, began + PATIENCE_S - time.perf_counter()))
        data = os.read(master, 65_536) if ready else b""
        now = time.perf_counter()
        if not data:
            raise RuntimeError(f"{marks[len(found)]!r} was never shown; the end was {seen[-500:]!r}")
        seen += data
        for question, answer in _ANSWERS.items():
            for _ in question.finditer(seen, answered):
                os.write(master, answer)
        answered = len(seen)
        while len(found) < len(marks) and marks[len(found)] in seen:
            found.append(1000 * (now - began))
    return found


if __name__ == "__main__":
    for row in rows():
        print(row)
