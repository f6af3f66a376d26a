"""Rows of cells as Textual's strips, without an object for every cell.

A photograph of 200 x 60 cells has nearly as many pairs of colours. A segment with a style for each would be some 70 000
objects, made at every step of a zoom; the full garbage collection that follows stops the event loop for longer than all
else here. So a row keeps its escape codes as one text, and makes segments only where someone asks for them: for a line
of text laid over it, a dialog in front of it, or a screenshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.client.widgets.cells import BetweenStrip, ColorDepth

Pixels = NDArray[np.uint8]

_SPACE: Final = ord(" ")
_CUBE_LEVELS: Final = np.array([0, 95, 135, 175, 215, 255], dtype=np.int32)
"""The six levels of each channel in the colour cube of xterm's palette, whose first colour is 16."""
_FIRST_CUBE_COLOR: Final = 16
_FIRST_GREY: Final = 232
_GREYS: Final = 24
"""Greys of the palette: 8, 18, ... 238."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A picture as characters: `glyphs` is (rows, columns) of code points; colours are (rows, columns, 3) or None."""

    glyphs: NDArray[np.uint32]
    foreground: Pixels | None
    background: Pixels | None


class CellStrip(BetweenStrip):
    """A row of a picture: runs of neighbours that look alike, and the escape codes that draw them."""

    __slots__ = ("_after", "_before", "_made", "_runs")

    def __init__(self, runs: Runs, before: Strip | None = None, after: Strip | None = None) -> None:
        """Make a row, with strips beside it that were rendered before."""
        self._made: list[Segment] | None = None
        self._runs = runs
        self._before = before
        self._after = after
        beside = [strip for strip in (before, after) if strip is not None]
        super().__init__((), runs.columns + sum(strip.cell_length for strip in beside))
        left, right = (strip._render_cache or "" if strip is not None else "" for strip in (before, after))  # noqa: SLF001
        self._render_cache = f"{left}{runs.codes}{right}"

    # `Strip.join` reads these two attributes of the strips it is given, whatever a subclass says when it is iterated or
    # rendered. tests/tui/test_textual.py says when that has changed.
    @property
    def _segments(self) -> list[Segment]:
        if self._made is None:
            self._made = [*(self._before or ()), *self._runs.segments(), *(self._after or ())]
        return self._made

    @_segments.setter
    def _segments(self, _nothing: list[Segment]) -> None:
        """Take the empty list that the base class sets while it is made."""

    @property
    def is_made(self) -> bool:
        """Whether segments had to be made."""
        return self._made is not None

    def between(self, before: Strip, after: Strip) -> CellStrip:
        """Return the row with strips beside it that were rendered before."""
        return CellStrip(self._runs, before, after)


class Runs:
    """Runs of cells that look alike: their text, and where each starts with which ink and paper."""

    __slots__ = ("_depth", "_inks", "_papers", "_starts", "_text", "codes")

    def __init__(self, text: str, starts: list[int], inks: list[int], papers: list[int], depth: ColorDepth) -> None:
        self._text = text
        self._starts = starts
        self._inks = inks
        self._papers = papers
        self._depth = depth
        code = _true_color_codes if depth == "truecolor" else _palette_codes
        self.codes = "".join(
            f"\x1b[{code(ink, paper)}m{piece}" for piece, ink, paper in zip(self._pieces(), inks, papers, strict=True)
        ) + ("\x1b[0m" if starts else "")

    @property
    def columns(self) -> int:
        """Number of cells."""
        return len(self._text)

    def segments(self) -> list[Segment]:
        """Make a segment for each run."""
        color = _true_color if self._depth == "truecolor" else Color.from_ansi
        looks = zip(self._pieces(), self._inks, self._papers, strict=True)
        return [Segment(piece, Style(color=color(ink), bgcolor=color(paper))) for piece, ink, paper in looks]

    def _pieces(self) -> list[str]:
        bounds = [*self._starts, len(self._text)]
        return [self._text[start:end] for start, end in pairwise(bounds)]


def to_strips(cells: Cells, depth: ColorDepth = "truecolor") -> list[Strip]:
    """Return a strip for each row. With 256 colours the nearest of xterm's palette are taken."""
    if cells.foreground is None or cells.background is None:
        return [_plain_strip(_text(row)) for row in cells.glyphs]
    numbered = _packed if depth == "truecolor" else nearest_in_palette
    rows = zip(cells.glyphs, numbered(cells.foreground), numbered(cells.background), strict=True)
    return [_strip(glyphs, inks, papers, depth) for glyphs, inks, papers in rows]


def nearest_in_palette(colors: Pixels) -> NDArray[np.int32]:
    """Return the numbers of the colours of xterm's palette that come nearest to (rows, columns, 3) ones."""
    aimed = colors.astype(np.int32)
    steps = np.where(aimed < 48, 0, np.where(aimed < 115, 1, (aimed - 35) // 40))
    cube = _FIRST_CUBE_COLOR + 36 * steps[..., 0] + 6 * steps[..., 1] + steps[..., 2]
    grey_steps = ((aimed.sum(axis=2) - 9) // 30).clip(0, _GREYS - 1)
    cube_error = ((_CUBE_LEVELS[steps] - aimed) ** 2).sum(axis=2)
    grey_error = ((8 + 10 * grey_steps[..., None] - aimed) ** 2).sum(axis=2)
    nearest: NDArray[np.int32] = np.where(grey_error < cube_error, _FIRST_GREY + grey_steps, cube).astype(np.int32)
    return nearest


def _strip(glyphs: NDArray[np.uint32], inks: NDArray[np.int32], papers: NDArray[np.int32], depth: ColorDepth) -> Strip:
    # The ink of a blank is not seen, so that it must not part what looks alike.
    inks = np.where(glyphs == _SPACE, 0, inks)
    changes = (inks[1:] != inks[:-1]) | (papers[1:] != papers[:-1])
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    return CellStrip(Runs(_text(glyphs), starts.tolist(), inks[starts].tolist(), papers[starts].tolist(), depth))


def _plain_strip(text: str) -> Strip:
    return Strip([Segment(text, Style())], len(text))


def _true_color_codes(ink: int, paper: int) -> str:
    return f"38;2;{ink >> 16};{ink >> 8 & 0xFF};{ink & 0xFF};48;2;{paper >> 16};{paper >> 8 & 0xFF};{paper & 0xFF}"


def _palette_codes(ink: int, paper: int) -> str:
    return f"38;5;{ink};48;5;{paper}"


def _true_color(packed: int) -> Color:
    return Color.from_rgb(packed >> 16, packed >> 8 & 0xFF, packed & 0xFF)


def _packed(colors: Pixels) -> NDArray[np.int32]:
    wide = colors.astype(np.int32)
    packed: NDArray[np.int32] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def _text(glyphs: NDArray[np.uint32]) -> str:
    return glyphs.astype("<u4").tobytes().decode("utf-32-le")
