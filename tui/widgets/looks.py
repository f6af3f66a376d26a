"""How pictures are drawn in the terminal that a program runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.widgets.cells import Mode
from tui.widgets.painting import Look

if TYPE_CHECKING:
    from textual.app import App


def look_of(app: App[Any], *, mode: Mode = Mode.QUADRANT, dim: bool = False) -> Look:
    """Return the look of pictures in `mode`, as far as the terminal's colours allow it; shades where they do not."""
    colors = app.console.color_system
    if app.is_headless or colors == "truecolor":
        return Look(mode, dim, app.no_color)
    if colors == "256":
        return Look(mode, dim, app.no_color, "256")
    return Look(Mode.SHADES)
