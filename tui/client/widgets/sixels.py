"""Rows of a picture in Sixel, DEC's way of sending pixels (VT330/VT340 Graphics Programming, chapter 14).

Each row of cells is a picture of its own. So a row can be drawn again without the others, and a part of one where a
dialog or a message covers the rest, which is what Textual asks of every line.
"""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Final

from PIL import Image
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.client.widgets.cells import BetweenStrip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual_image.renderable._protocol import ImageRenderable

_COLORS: Final = 256
_COLOR_DEFINITION: Final = re.compile(r"#(\d+);2;\d+;\d+;\d+")
_SAVE_CURSOR, _RESTORE_CURSOR = "\x1b7", "\x1b8"


def sixel_strips(image: Image.Image, cells: tuple[int, int], drawn_by: Callable[..., ImageRenderable]) -> list[Strip]:
    """Return a strip for each row of (columns, rows) cells of a picture in as many pixels as they have. For threads.

    The colours are chosen for the whole picture: rows with colours of their own would show where they meet.
    """
    columns, rows = cells
    paletted = image.quantize(_COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    height = image.height // rows
    parts = [paletted.crop((0, row * height, image.width, (row + 1) * height)) for row in range(rows)]
    return [SixelStrip(part, columns, drawn_by, _codes(part, columns, drawn_by)) for part in parts]


def drawn(renderable: ImageRenderable, cells: tuple[int, int]) -> list[Segment]:
    """Return what textual-image draws a picture with in (columns, rows) of cells."""
    console = Console(file=StringIO(), width=cells[0], height=cells[1], legacy_windows=False)
    return [part for part in renderable.__rich_console__(console, console.options) if isinstance(part, Segment)]


class SixelStrip(BetweenStrip):
    """A row of a picture that draws its pixels, and draws fewer of them where a part of it is taken."""

    __slots__ = ("_after", "_before", "_codes", "_columns", "_drawn_by", "_image")

    def __init__(
        self,
        image: Image.Image,
        columns: int,
        drawn_by: Callable[..., ImageRenderable],
        codes: str,
        before: Strip | None = None,
        after: Strip | None = None,
    ) -> None:
        """Make a row from its pixels and the codes that draw them, with strips beside it."""
        self._image = image
        self._columns = columns
        self._drawn_by = drawn_by
        self._codes = codes
        self._before = before or Strip([], 0)
        self._after = after or Strip([], 0)
        blank = Segment(" " * columns, next((segment.style for segment in self._before), Style()))
        super().__init__([*self._before, blank, *self._after])

    def between(self, before: Strip, after: Strip) -> Strip:
        """Return the row with strips beside it that were rendered before."""
        return SixelStrip(self._image, self._columns, self._drawn_by, self._codes, before, after)

    def render(self, console: Console) -> str:
        """Return the codes of the row."""
        return f"{self._before.render(console)}{self._codes}{self._after.render(console)}"

    def crop(self, start: int, end: int | None = None) -> Strip:
        """Return the cells from `start` up to `end`."""
        start, end = max(0, start), min(self.cell_length, self.cell_length if end is None else end)
        if (start, end) == (0, self.cell_length):
            return self
        left = self._before.cell_length
        first, last = max(0, start - left), min(self._columns, end - left)
        before, after = (
            self._before.crop(start, end),
            self._after.crop(start - left - self._columns, end - left - self._columns),
        )
        if first >= last:
            return Strip.join([before, after])
        width = self._image.width // self._columns
        part = self._image.crop((first * width, 0, last * width, self._image.height))
        codes = _codes(part, last - first, self._drawn_by)
        return SixelStrip(part, last - first, self._drawn_by, codes, before, after)

    def divide(self, cuts: Iterable[int]) -> list[Strip]:
        """Return the parts that end at the cuts."""
        ends = [cut for cut in cuts if cut <= self.cell_length]
        return [self.crop(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _codes(image: Image.Image, columns: int, drawn_by: Callable[..., ImageRenderable]) -> str:
    """Return what draws a row at the cursor, and then steps over it."""
    segments = drawn(drawn_by(image, width=columns, height=1), (columns, 1))
    pixels = next(text for text, _, _ in segments if text.startswith("\x1bP"))
    return f"{_SAVE_CURSOR}{_defined_first(pixels)}{_RESTORE_CURSOR}\x1b[{columns}C"


def _defined_first(sixel: str) -> str:
    """Return the same picture with all colours defined before they are selected.

    Where a colour is first used it is defined and selected at once, of which xterm does only the first.
    """
    header, body = sixel[: sixel.index("#")], sixel[sixel.index("#") :]
    definitions = "".join(match.group(0) for match in _COLOR_DEFINITION.finditer(body))
    selections = _COLOR_DEFINITION.sub(r"#\1", body)
    return f"{header}{definitions}{selections}"
