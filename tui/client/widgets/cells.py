"""How a picture lies in a terminal's cells: which cells it takes, how they are drawn, and what was drawn of it.

Kept apart from what draws, so that screens start without numpy and Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from textual.strip import Strip

CELL_ASPECT: Final = 2.0
"""Height of a cell by its width, as nearly all terminals have it."""


class Mode(Enum):
    """How a cell shows pixels."""

    HALF = "half blocks"
    QUADRANT = "quadrant blocks"
    SHADES = "shades without colour"

    @property
    def pixels(self) -> tuple[int, int]:
        """The number of pixels in a cell: across, down."""
        return (1, 2) if self is Mode.HALF else (2, 2)


def fit(picture_size: tuple[int, int], room: tuple[int, int], cell_aspect: float = CELL_ASPECT) -> tuple[int, int]:
    """Return the columns and rows of cells that a picture of (width, height) pixels takes in `room`, at least 1 x 1.

    It is as large as it can be with its aspect kept, whatever its number of pixels.
    """
    width, height = picture_size
    columns, rows = room
    scale = min(columns / width, rows * cell_aspect / height)
    return (
        min(columns, max(1, round(width * scale))),
        min(rows, max(1, round(height * scale / cell_aspect))),
    )


ColorDepth = Literal["truecolor", "256"]
"""How many colours a terminal has."""


class BetweenStrip(Strip):
    """A row of a picture that stays what it is between blanks, where joining would make it a row of segments."""

    __slots__ = ()

    def between(self, before: Strip, after: Strip) -> Strip:
        """Return the row with strips beside it that were rendered before."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture is drawn: `dim` for one that cannot be opened now, `grey` where colours are not wanted."""

    mode: Mode = Mode.QUADRANT
    dim: bool = False
    grey: bool = False
    depth: ColorDepth = "truecolor"


@dataclass(frozen=True, slots=True, eq=False)
class Painting:
    """Strips of a picture, all `columns` cells long."""

    strips: tuple[Strip, ...]
    columns: int

    @property
    def rows(self) -> int:
        """Height in cells."""
        return len(self.strips)

    def release(self) -> None:
        """Give back what is held elsewhere for the strips: nothing, for cells."""
