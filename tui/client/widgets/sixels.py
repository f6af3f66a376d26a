"""Rows of a picture in Sixel, DEC's way of sending pixels (VT330/VT340 Graphics Programming, chapter 14).

Each row of cells is a picture of its own. So a row can be drawn again without the others, and a part of one where a
dialog or a message covers the rest, which is what Textual asks of every line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.client.widgets.cells import BetweenStrip

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLORS: Final = 256
_BAND: Final = 6
"""Rows of pixels that one line of Sixel draws."""
_SAVE_CURSOR, _RESTORE_CURSOR = "\x1b7", "\x1b8"


def sixel_strips(image: Image.Image, cells: tuple[int, int]) -> list[Strip]:
    """Return a strip for each row of (columns, rows) cells of a picture in as many pixels as they have. For threads.

    The colours are chosen for the whole picture: rows with colours of their own would show where they meet.
    """
    columns, rows = cells
    paletted = image.quantize(_COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    height = image.height // rows
    parts = [paletted.crop((0, row * height, image.width, (row + 1) * height)) for row in range(rows)]
    return [SixelStrip(part, columns) for part in parts]


class SixelStrip(BetweenStrip):
    """A row of a picture that draws its pixels, and draws fewer of them where a part of it is taken."""

    __slots__ = ("_after", "_before", "_codes", "_columns", "_image")

    def __init__(
        self,
        image: Image.Image,
        columns: int,
        before: Strip | None = None,
        after: Strip | None = None,
        codes: str | None = None,
    ) -> None:
        """Make a row from its pixels, with strips beside it; `codes` if what draws them is known already."""
        self._image = image
        self._columns = columns
        self._codes = _codes(image, columns) if codes is None else codes
        self._before = before or Strip([], 0)
        self._after = after or Strip([], 0)
        blank = Segment(" " * columns, next((segment.style for segment in self._before), Style()))
        super().__init__([*self._before, blank, *self._after])

    def between(self, before: Strip, after: Strip) -> Strip:
        """Return the row with strips beside it that were rendered before."""
        return SixelStrip(self._image, self._columns, before, after, self._codes)

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
        return SixelStrip(part, last - first, before, after)

    def divide(self, cuts: Iterable[int]) -> list[Strip]:
        """Return the parts that end at the cuts."""
        ends = [cut for cut in cuts if cut <= self.cell_length]
        return [self.crop(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _codes(image: Image.Image, columns: int) -> str:
    """Return what draws a row at the cursor, and then steps over it."""
    return f"{_SAVE_CURSOR}{encoded(image)}{_RESTORE_CURSOR}\x1b[{columns}C"


def encoded(image: Image.Image) -> str:
    """Return a picture with a palette in Sixel. All colours are defined before the first is selected.

    A definition selects its colour too, says the VT340's manual; xterm does not select it.
    """
    palette = np.array(image.getpalette(), dtype=np.int32).reshape(-1, 3)
    pixels = np.asarray(image)
    shares = (palette * 100 + 127) // 255  # in percent, as Sixel has them
    used = np.flatnonzero(np.bincount(pixels.ravel())).tolist()
    definitions = "".join(f"#{color};2;{';'.join(map(str, shares[color].tolist()))}" for color in used)
    bands = (_band(pixels[top : top + _BAND]) for top in range(0, image.height, _BAND))
    # 1 for the second parameter: a pixel that no band sets stays as it is.
    return f'\x1bP0;1;0q"1;1;{image.width};{image.height}{definitions}{"-".join(bands)}\x1b\\'


def _band(pixels: NDArray[np.uint8]) -> str:
    """Return up to six rows of pixels: for each colour its number and the columns it has, one character for each."""
    width = pixels.shape[1]
    colors, index = np.unique(pixels, return_inverse=True)
    bits = np.zeros((len(colors), width), dtype=np.int32)
    for row, in_row in enumerate(index.reshape(pixels.shape)):
        bits[in_row, np.arange(width)] += 1 << row
    changes = np.flatnonzero(np.diff(bits, axis=1, prepend=-1))  # a column of another value, or the first one
    values = bits.ravel()[changes].tolist()
    lengths = np.diff(changes, append=bits.size).tolist()
    runs = list(map(_run, values, lengths))
    firsts = np.searchsorted(changes, np.arange(len(colors) + 1) * width).tolist()
    lines = []
    for color, first, end in zip(colors.tolist(), firsts, firsts[1:], strict=False):
        end -= values[end - 1] == 0  # blanks at the end of a line draw nothing
        lines.append(f"#{color}{''.join(runs[first:end])}")
    return "$".join(lines)


def _run(value: int, length: int) -> str:
    """Return so many columns with the same pixels: the character of `value`, counted where that is shorter."""
    character = chr(value + 63)
    return character * length if length < 4 else f"!{length}{character}"
