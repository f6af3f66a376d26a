"""A picture that can be looked at closely: keys and mouse zoom into its full resolution and move about in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.reactive import reactive

from tui.client.widgets.cells import CELL_ASPECT
from tui.client.widgets.picture import Picture
from tui.client.widgets.viewport import ZOOMS, Box, Viewport

if TYPE_CHECKING:
    from PIL import Image

_KEY_STEP: Final = 0.2
"""By which share of what is to be seen a key moves the window."""
_MOVING: Final = Binding.Group("Move", compact=True)


class ZoomablePicture(Picture, can_focus=True):
    """Holds all pixels of a picture, and shows the part asked for as sharp as cells can."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign", "zoom(1)", "Closer", id="picture.closer", key_display="+"),
        Binding("minus,underscore", "zoom(-1)", "Further", id="picture.further", key_display="-"),
        Binding("0", "whole", "Whole", id="picture.whole", tooltip="The whole picture"),
        Binding("left,h", "move(-1, 0)", "Left", id="picture.left", key_display="←", group=_MOVING),
        Binding("down,j", "move(0, 1)", "Down", id="picture.down", key_display="↓", group=_MOVING),
        Binding("up,k", "move(0, -1)", "Up", id="picture.up", key_display="↑", group=_MOVING),
        Binding("right,l", "move(1, 0)", "Right", id="picture.right", key_display="→", group=_MOVING),
    ]

    viewport: reactive[Viewport] = reactive(Viewport(), repaint=False, bindings=True)
    """What is to be seen of the picture."""

    _grip: Offset | None = None
    """Where the mouse holds the picture, on the screen."""

    def show(self, image: Image.Image | None, *, dim: bool = False) -> None:
        """Show the whole of a picture of any size, or with None nothing. What was shown is dropped."""
        self.set_reactive(ZoomablePicture.viewport, Viewport(cell_aspect=self.cell_aspect))
        super().show(image, dim=dim)
        if self.is_attached:
            self.refresh_bindings()

    def view(self, image: Image.Image) -> tuple[Box, tuple[int, int]]:
        """Return the window on the picture and its size in cells."""
        return self.viewport.window(image.size, self.room)

    @property
    def cell_aspect(self) -> float:
        """Height of a cell by its width."""
        return CELL_ASPECT

    def watch_viewport(self) -> None:
        """Build what is to be seen now; until then the old part stays."""
        self.build()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what would change nothing."""
        if action not in ("zoom", "move", "whole"):
            return super().check_action(action, parameters)
        if self.image is None:
            return None
        if action == "zoom":
            limit = ZOOMS[-1] if parameters == (1,) else ZOOMS[0]
            return None if self.viewport.zoom == limit else True
        return None if self.viewport.zoom == ZOOMS[0] else True

    def action_zoom(self, steps: int) -> None:
        """Go closer to the middle, or further away from it."""
        self._zoom_at(steps, (0.5, 0.5))

    def action_whole(self) -> None:
        """Show the whole picture again."""
        self.viewport = Viewport(cell_aspect=self.cell_aspect)

    def action_move(self, x: int, y: int) -> None:
        """Move the window by a step."""
        self._move(x * _KEY_STEP, y * _KEY_STEP)

    # --- Mouse -------------------------------------------------------------------------------------------------------
    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go closer to what lies under the mouse."""
        event.stop()
        self._zoom_at(1, self._point(event))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go further away from what lies under the mouse."""
        event.stop()
        self._zoom_at(-1, self._point(event))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the picture."""
        if self.image is not None and event.button == 1:
            self._grip = event.screen_offset
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Draw the picture along while the mouse holds it."""
        if self._grip is None or self.image is None:
            return
        _, (columns, rows) = self.view(self.image)
        moved = event.screen_offset - self._grip
        self._grip = event.screen_offset
        self._move(-moved.x / columns, -moved.y / rows)

    def on_mouse_up(self, _event: events.MouseUp) -> None:
        """Let go of the picture."""
        self._grip = None
        self.release_mouse()

    def _point(self, event: events.MouseEvent) -> tuple[float, float]:
        """Return where the mouse is, as shares of the part that is to be seen."""
        offset = event.get_content_offset(self)
        if offset is None or self.image is None:
            return 0.5, 0.5
        _, (columns, rows) = self.view(self.image)
        width, height = self.room
        x = (offset.x + 0.5 - (width - columns) // 2) / columns
        y = (offset.y + 0.5 - (height - rows) // 2) / rows
        return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)

    def _zoom_at(self, steps: int, point: tuple[float, float]) -> None:
        if self.image is not None and 0 not in self.room:
            self.viewport = self.viewport.zoomed_at(steps, point, self.image.size, self.room)

    def _move(self, x: float, y: float) -> None:
        if self.image is not None and 0 not in self.room:
            self.viewport = self.viewport.moved(x, y, self.image.size, self.room)
