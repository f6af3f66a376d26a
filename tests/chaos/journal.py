"""The journal of a run: one line of JSON for everything asked, answered and done, in order, only ever appended to.

An effect counts as acknowledged from the line that says so, never before. Kinds of lines:

    begin    somebody is about to be asked for something (`op`, `who`, arguments)
    ack      it was acknowledged (`of` is the line of its begin; what was answered)
    refused  it was refused, and the caller was told so (`code`, `text`)
    unknown  nobody knows: the process died, or the answer was that the cloud is away
    event    a peer told something by itself
    fault    something was done to the program
    stuck    something did not end in time
    broken   something at the end cannot be read at all
    note     the harness's own words
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `n` counts from 1; `at` is seconds since the run began."""

    n: int
    at: float
    kind: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        facts = " ".join(f"{name}={_short(value)}" for name, value in self.facts.items())
        return f"{self.n:>6} {self.at:8.2f} {self.kind:<7} {facts}"


@dataclass(frozen=True, slots=True)
class Effect:
    """Something asked for, with how it ended: the line of its begin and, if there is one, of its end."""

    begin: Line
    end: Line | None

    @property
    def op(self) -> str:
        """What was asked for."""
        return str(self.begin.facts["op"])

    @property
    def who(self) -> str:
        """Who asked."""
        return str(self.begin.facts["who"])

    @property
    def state(self) -> str:
        """`ack`, `refused` or `unknown`."""
        return "unknown" if self.end is None else self.end.kind

    @property
    def ended(self) -> int:
        """Number of the line at which it ended; beyond all lines where it never did."""
        return 1 << 60 if self.end is None else self.end.n

    def asked(self, name: str) -> Any:
        """Return an argument."""
        return self.begin.facts.get(name)

    def told(self, name: str) -> Any:
        """Return a part of the answer, None where there was none."""
        return None if self.end is None else self.end.facts.get(name)


class Journal:
    """An open journal. Every line is handed to the system before the call returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[Line] = []
        self._file = path.open("x", encoding="utf-8")
        self._began = time.monotonic()

    def write(self, kind: str, **facts: Any) -> int:
        """Append a line and return its number."""
        line = Line(len(self.lines) + 1, round(self.clock(), 3), kind, facts)
        self.lines.append(line)
        self._file.write(json.dumps({"n": line.n, "at": line.at, "kind": kind, **facts}) + "\n")
        self._file.flush()
        return line.n

    def clock(self) -> float:
        """Seconds since the run began, as the lines tell them."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_journal(path: Path) -> list[Line]:
    """Return the lines of a journal that an earlier run left."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        facts = json.loads(text)
        lines.append(Line(facts.pop("n"), facts.pop("at"), facts.pop("kind"), facts))
    return lines


def effects(lines: Iterable[Line]) -> Iterator[Effect]:
    """Return everything that was asked for, in the order in which it was."""
    begun: dict[int, Line] = {}
    ended: dict[int, Line] = {}
    for line in lines:
        if line.kind == "begin":
            begun[line.n] = line
        elif line.kind in ("ack", "refused", "unknown"):
            ended[line.facts["of"]] = line
    for number, line in begun.items():
        yield Effect(line, ended.get(number))


def _short(value: Any) -> str:
    text = str(value)
    return text[:8] if len(text) == 32 and text.isalnum() else text
