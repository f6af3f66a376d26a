"""Pictures drawn in cells as the terminal allows, so that painting a line of them is looking it up.

What draws them is imported when it is first needed, in a thread: screens start without numpy and Pillow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.client.widgets.cells import Look, Mode, Painting

if TYPE_CHECKING:
    from PIL import Image
    from textual.app import App

    from tui.client.widgets.viewport import Box


def look_of(app: App[Any], *, dim: bool = False) -> Look:
    """Return how pictures are drawn: in the program's `picture_mode`, in shades where the terminal lacks colours."""
    mode: Mode = getattr(app, "picture_mode", Mode.QUADRANT)
    colors = app.console.color_system
    if app.is_headless or colors == "truecolor":
        return Look(mode, dim, app.no_color)
    if colors == "256":
        return Look(mode, dim, app.no_color, "256")
    return Look(Mode.SHADES)


def paint(image: Image.Image, part: Box, cells: tuple[int, int], look: Look) -> Painting:
    """Return a part of a picture as (columns, rows) of cells. Slow for large pictures; for threads."""
    from tui.client.widgets import drawing

    return drawing.paint(image, part, cells, look)
