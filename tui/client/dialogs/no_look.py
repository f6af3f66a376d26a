"""Why a picture is not shown, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Button, Static

from tui.client.widgets.picture import Picture
from tui.common.dialog import Dialog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image
    from textual.widget import Widget

    from tui.client.gallery import Tile


class NoViewLeftDialog(Dialog[bool]):
    """Show the dimmed cover and a reason. True where the person goes on to ask for more.

    `ask` is what the button for that says; empty where asking does not help.
    """

    ACCEPT = "Ask for more"
    CANCEL = "Close"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "accept", "Ask for more", id="no_look.more", tooltip="Ask the owner for more views"),
        Binding("left,right", "app.focus_next", "Other button", id="no_look.other", show=False),
    ]

    def __init__(self, tile: Tile, text: str, *, heading: str, cover: Image.Image | None, ask: str) -> None:
        super().__init__()
        self._tile = tile
        self._text = text
        self._heading = heading
        self._image = cover
        self._ask = ask

    def heading(self) -> str:
        """Return what is the matter."""
        return self._heading

    def body(self) -> Iterable[Widget]:
        """Return the cover, which picture it is about, and the reason."""
        yield Picture(id="no-look-cover")
        tile = self._tile
        yield Static(
            f"“{tile.title}” by {tile.owner} #{tile.image.owner} · {tile.image.words}",
            markup=False,
            classes="text muted",
        )
        yield Static(self._text, markup=False, classes="text", id="no-look-reason")

    def result(self) -> bool:
        """Go on to ask for more."""
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to ask for more only where that helps."""
        return bool(self._ask) if action == "accept" else super().check_action(action, parameters)

    def on_mount(self) -> None:
        """Show the cover; the focus is on the button that closes."""
        accept = self.query_one("#accept", Button)
        accept.label = self._ask
        accept.display = bool(self._ask)
        self.query_one("#cancel", Button).focus()
        cover = self.query_one("#no-look-cover", Picture)
        cover.display = self._image is not None
        cover.show(self._image, dim=True)
