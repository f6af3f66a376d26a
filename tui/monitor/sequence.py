"""The lines of a sequence chart: a lane for each node, time going down. What they say is told by other modules.

A line says which lanes it touches, in which of a few tones, and what is to be read beside it; nothing of a screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SHORT_GAP_S: Final = 0.05
LONG_GAP_S: Final = 0.5


class Tone(StrEnum):
    """What a colour stands for."""

    PLAIN = "plain"
    MUTED = "muted"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    PRIMARY = "primary"
    ACCENT = "accent"
    SECONDARY = "secondary"


class Lane(StrEnum):
    """What a node is at some moment, as its lane shows it."""

    FOLLOWS = "follows"
    LEADS = "leads"
    ELECTS = "looks for a leader"
    LOST = "knows of no leader"
    DEAF = "is deaf"
    SILENT = "says nothing"


@dataclass(frozen=True, slots=True)
class SequenceMark:
    """A glyph on a lane."""

    place: int
    glyph: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message from one lane to others."""

    sender: int
    arrived: tuple[int, ...]
    lost: tuple[int, ...]
    on_its_way: tuple[int, ...]
    tone: Tone


Pieces = tuple[tuple[str, Tone], ...]


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line. `at` in seconds of the monitor's clock; None for a line that only lets time pass."""

    at: float | None
    pieces: Pieces
    """What is said beside the lanes."""
    marks: tuple[SequenceMark, ...] = ()
    arrow: Arrow | None = None
    lanes: tuple[Lane, ...] = ()
    """What each node is when the line begins, by place."""


def with_gaps(lines: Sequence[ChartLine], room: int) -> tuple[ChartLine, ...]:
    """Return the lines with blank ones between them where time passes, if all of that fits into so many."""
    spread: list[ChartLine] = []
    for line in lines:
        before = spread[-1].at if spread else None
        passed = 0.0 if before is None or line.at is None else line.at - before
        blanks = (passed >= SHORT_GAP_S) + (passed >= LONG_GAP_S)
        spread += [*[ChartLine(None, (), lanes=line.lanes)] * blanks, line]
    if len(spread) <= room:
        return tuple(spread)
    told = lines if len(lines) <= room else [line for line in lines if line.at is not None]
    return tuple(told)
