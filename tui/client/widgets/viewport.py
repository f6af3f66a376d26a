"""Which part of a picture is to be seen: arithmetic of zooming and panning, for any way of drawing it."""

from dataclasses import dataclass, replace
from typing import Final

from tui.client.widgets.cells import CELL_ASPECT, fit

Box = tuple[float, float, float, float]
"""A part of a picture in its pixels: left, top, right, bottom."""

ZOOMS: Final = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Steps of zoom. At 1 the whole picture fits."""


@dataclass(frozen=True, slots=True)
class Viewport:
    """A zoom and the point in the middle, as shares of the picture's width and height."""

    zoom: float = 1.0
    x: float = 0.5
    y: float = 0.5
    cell_aspect: float = CELL_ASPECT
    """Height of a cell by its width."""

    def window(self, size: tuple[int, int], room: tuple[int, int]) -> tuple[Box, tuple[int, int]]:
        """Return the part to be seen of a picture of (width, height) pixels, and the (columns, rows) that it takes.

        The more it is zoomed in, the more of `room` is used; the part never reaches beyond the picture.
        """
        across, down = self.shares(size, room)
        left = min(max(self.x - across / 2, 0.0), 1 - across)
        top = min(max(self.y - down / 2, 0.0), 1 - down)
        width, height = size
        return (
            (left * width, top * height, min(width, (left + across) * width), min(height, (top + down) * height)),
            self._cells(size, room),
        )

    def shares(self, size: tuple[int, int], room: tuple[int, int]) -> tuple[float, float]:
        """Return which share of the picture's width and of its height is to be seen."""
        columns, rows = self._cells(size, room)
        all_columns, all_rows = self._all_cells(size, room)
        return columns / all_columns, rows / all_rows

    def zoomed(self, steps: int) -> "Viewport":
        """Return the same point nearer by a number of steps, or further away by a negative one."""
        index = min(max(ZOOMS.index(self.zoom) + steps, 0), len(ZOOMS) - 1)
        return replace(self, zoom=ZOOMS[index])

    def moved(self, x: float, y: float, size: tuple[int, int], room: tuple[int, int]) -> "Viewport":
        """Return the window moved by shares of what it shows, no further than to the picture's edges."""
        across, down = self.shares(size, room)
        return replace(
            self,
            x=min(max(self.x + x * across, across / 2), 1 - across / 2),
            y=min(max(self.y + y * down, down / 2), 1 - down / 2),
        )

    def zoomed_at(
        self, steps: int, point: tuple[float, float], size: tuple[int, int], room: tuple[int, int]
    ) -> "Viewport":
        """Return the window zoomed so that what lies at `point`, shares of the window, stays where it is."""
        across, down = self.shares(size, room)
        nearer = self.zoomed(steps)
        new_across, new_down = nearer.shares(size, room)
        x = self.x + (point[0] - 0.5) * (across - new_across)
        y = self.y + (point[1] - 0.5) * (down - new_down)
        return replace(nearer, x=x, y=y).moved(0, 0, size, room)

    def _cells(self, size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
        columns, rows = self._all_cells(size, room)
        return min(columns, room[0]), min(rows, room[1])

    def _all_cells(self, size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
        """Return the cells that the whole picture would take at this zoom."""
        return fit(size, (round(room[0] * self.zoom), round(room[1] * self.zoom)), self.cell_aspect)
