"""What a thread makes of a picture for a widget: strips for one size, so that drawing a line is looking it up.

What makes them is imported when it is first needed, in that thread: screens start without numpy and Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.strip import Strip

from tui.client.widgets.cells import Mode

if TYPE_CHECKING:
    from PIL import Image

    from tui.client.widgets.viewport import Box

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


def paint(image: Image.Image, part: Box, cells: tuple[int, int], look: Look) -> Painting:
    """Return a part of a picture as (columns, rows) of cells. Slow for large pictures; for threads."""
    from tui.client.widgets import drawing

    return drawing.paint(image, part, cells, look)
