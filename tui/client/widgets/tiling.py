"""Where the tiles of a gallery stand. Pure arithmetic, in terminal cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

EDGE: Final = 1
"""Blank cells before the first tile and after the last."""
GAP: Final = 2
"""Blank cells between two tiles of a row; the cursor may paint one of them on either side of a tile."""
TEXT_ROWS: Final = 3
"""Lines of text below the picture of a tile."""
_BETWEEN_ROWS: Final = 1
_LEAST: Final = ((130, 36), (100, 28), (0, 22))
"""Least widths of tiles, each from a width on: with more room there are larger tiles, not only more of them."""
_PICTURE_ROWS: Final = (4, 14)
_CELLS_A_ROW: Final = 4
"""Width of a picture by its height in cells: two to one on a screen."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """`count` tiles in rows of equal size, for a place `width` cells wide."""

    width: int
    count: int

    @property
    def columns(self) -> int:
        """Tiles in a row, at least one."""
        least = next(least for width, least in _LEAST if self.width >= width)
        return max(1, (self.width - 2 * EDGE + GAP) // (least + GAP))

    @property
    def tile_width(self) -> int:
        """Width of a tile, the cursor's margins not counted."""
        return max(1, (self.width - 2 * EDGE - GAP * (self.columns - 1)) // self.columns)

    @property
    def picture_rows(self) -> int:
        """Height of a tile's picture."""
        low, high = _PICTURE_ROWS
        return min(max(low, round(self.tile_width / _CELLS_A_ROW)), high)

    @property
    def pitch(self) -> int:
        """Lines from one row of tiles to the next."""
        return self.picture_rows + TEXT_ROWS + _BETWEEN_ROWS

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.count // self.columns)

    @property
    def height(self) -> int:
        """Lines of all rows."""
        return max(0, self.rows * self.pitch - _BETWEEN_ROWS)

    def left(self, column: int) -> int:
        """Return the cell at which the tiles of a column begin."""
        return EDGE + column * (self.tile_width + GAP)

    def top(self, index: int) -> int:
        """Return the line at which a tile begins."""
        return index // self.columns * self.pitch

    def row(self, line: int) -> range:
        """Return the indices of the tiles that a line belongs to."""
        first = line // self.pitch * self.columns
        return range(min(first, self.count), min(first + self.columns, self.count))

    def inner(self, line: int) -> int:
        """Return the number of a line within its row of tiles."""
        return line % self.pitch

    def at(self, x: int, line: int) -> int | None:
        """Return the index of the tile that covers a cell, None where there is none."""
        if self.inner(line) >= self.pitch - _BETWEEN_ROWS or line < 0:
            return None
        for column, index in enumerate(self.row(line)):
            if self.left(column) - 1 <= x <= self.left(column) + self.tile_width:
                return index
        return None

    def seen(self, top: int, height: int) -> range:
        """Return the indices of the tiles that lines `top` to `top + height` show any of."""
        if height <= 0 or not self.count:
            return range(0)
        first = max(0, top) // self.pitch * self.columns
        last = (max(0, top) + height - 1) // self.pitch * self.columns + self.columns
        return range(min(first, self.count), min(last, self.count))
