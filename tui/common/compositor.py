"""A compositor that forgets no change of size.

Textual's compares each layout with the last map of the screen it made, also with one made in passing, for whoever asked
where a widget is while a layout was due. Then nothing seems to have changed, and no widget is told its new size.
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
