"""A picture in the true pixels of a terminal that has the Kitty graphics protocol or Sixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from tui.client.widgets.cells import Look, Painting
from tui.client.widgets.drawing import resized, toned
from tui.client.widgets.kitty import MAX_CELLS, KittyPicture
from tui.client.widgets.sixels import sixel_strips
from tui.client.widgets.viewport import Box
from tui.client.widgets.zooming import ZoomablePicture

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events

    from tui.client.widgets.graphics import Graphics

_MAX_SENT_PX: Final = 1_500_000
"""More pixels are not sent to a terminal that scales what it gets: a picture would take seconds over a slow line."""


@dataclass(frozen=True, slots=True, eq=False)
class KittyPainting(Painting):
    """Strips that make the terminal show a picture which was sent to it."""

    sent: KittyPicture

    def release(self) -> None:
        """Have the terminal forget the picture."""
        self.sent.forget()


class PixelPicture(ZoomablePicture):
    """Shows pixels instead of cells. The overlay stands below the picture: text cannot be written over pixels."""

    TEXT_BELOW = True

    def __init__(
        self,
        graphics: Graphics,
        *,
        id: str | None = None,  # noqa: A002 - the name that every widget of Textual takes
    ) -> None:
        super().__init__(id=id)
        self._graphics = graphics

    @property
    def cell_aspect(self) -> float:
        """Height of a cell by its width, as the terminal says."""
        width, height = self._graphics.cell_px
        return height / width

    @property
    def room(self) -> tuple[int, int]:
        """Columns and rows of cells that the picture may take."""
        columns, rows = super().room
        return min(columns, MAX_CELLS), min(rows, MAX_CELLS)

    @property
    def box_px(self) -> tuple[int, int]:
        """Width and height in pixels beyond which a picture shows no more detail at the present size."""
        columns, rows = self.room
        return max(1, columns * self._graphics.cell_px[0]), max(1, rows * self._graphics.cell_px[1])

    def painter(self, image: Image.Image) -> Callable[[], Painting]:
        """Return what the thread is to do."""
        part, cells = self.view(image)
        return partial(paint_pixels, image, part, cells, self._graphics, Look(dim=self.dimmed))

    def on_resize(self, event: events.Resize) -> None:
        """Build for the new size. Pixels cannot be cut as cells can, so that the old ones go at once."""
        self.drop_painting()
        super().on_resize(event)


def paint_pixels(image: Image.Image, part: Box, cells: tuple[int, int], graphics: Graphics, look: Look) -> Painting:
    """Return a part of a picture as strips for (columns, rows) of cells. Slow, and writes to the terminal; for threads.

    Only as many pixels as the cells have are handed on.
    """
    columns, rows = cells
    size = (columns * graphics.cell_px[0], rows * graphics.cell_px[1])
    if graphics.protocol == "kitty":
        scale = min(1.0, (_MAX_SENT_PX / (size[0] * size[1])) ** 0.5)
        size = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    small = Image.fromarray(toned(np.asarray(resized(image, part, size)), look))
    if graphics.protocol == "kitty":
        sent = KittyPicture(small, cells)
        return KittyPainting(sent.strips, columns, sent)
    return Painting(tuple(sixel_strips(small, cells)), columns)
