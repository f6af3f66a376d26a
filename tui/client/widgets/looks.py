"""How pictures are drawn in the terminal that a program runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.client.widgets.cells import Mode
from tui.client.widgets.painting import Look

if TYPE_CHECKING:
    from textual.app import App


def look_of(app: App[Any], *, mode: Mode | None = None, dim: bool = False) -> Look:
    """Return the look of pictures in `mode`, as far as the terminal's colours allow it; shades where they do not.

    Without a mode it is the program's `picture_mode`, if it has one.
    """
    usual: Mode = getattr(app, "picture_mode", Mode.QUADRANT)
    colors = app.console.color_system
    if app.is_headless or colors == "truecolor":
        return Look(mode or usual, dim, app.no_color)
    if colors == "256":
        return Look(mode or usual, dim, app.no_color, "256")
    return Look(Mode.SHADES)
