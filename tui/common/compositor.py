"""A way round a fault of Textual: widgets that are never told their new size.

Textual's compositor compares each layout with the last map of the screen. It makes a map also for whoever asks where a
widget is while a layout is due; the layout then finds nothing changed, and sends no `Resize`. Nothing public is in
between, so the screens of this program have their compositor replaced. tests/tui/test_textual.py says when Textual has
mended this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual._compositor import Compositor

if TYPE_CHECKING:
    from textual._compositor import CompositorMap, ReflowResult
    from textual.geometry import Size
    from textual.widget import Widget


class FaithfulCompositor(Compositor):
    """Compares each layout with the layout before it."""

    def __init__(self) -> None:
        super().__init__()
        self._laid_out: CompositorMap = {}

    def reflow(self, parent: Widget, size: Size) -> ReflowResult:
        """Lay out anew; return which widgets came, went and have another size since this was called last."""
        self._full_map = self._laid_out
        result = super().reflow(parent, size)
        self._laid_out = self._full_map
        return result

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._laid_out = {}
