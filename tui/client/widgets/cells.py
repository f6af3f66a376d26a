"""How a picture lies in a terminal's cells: which cells it takes, and how many pixels each can show.

Kept apart from what draws them, so that screens start without numpy and Pillow.
"""

from enum import Enum
from typing import Final

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
