"""Before a look: the question whether to spend a view, and why a picture is not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Button, Static

from tui.client.dialogs.base import ClientDialog
from tui.client.gallery import TileState, expiry_words, use_words
from tui.client.widgets.picture import Picture
from tui.common.wording import lasting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image
    from textual.widget import Widget

    from tui.client.gallery import Tile

LIMIT = (
    "The view is counted before the picture is shown, with your name and the time over it. Closing it clears it from "
    "this screen and from memory. Glimpse saves nothing, but a camera can always keep what is shown."
)
"""What is promised, and where the promise ends."""


class SpendViewDialog(ClientDialog[bool]):
    """Ask whether to spend a view of a tile; True for yes. Cancel is what Enter means at first."""

    ACCEPT = "Look"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,right", "app.focus_next", "Other button", id="spend.other", show=False),
    ]

    def __init__(self, tile: Tile, now: float) -> None:
        """Take the tile, and the time by which its rights expire, in seconds since 1970."""
        super().__init__()
        self._tile = tile
        self._now = now

    def heading(self) -> str:
        """Return the question."""
        return f"Look at “{self._tile.title}”?"

    def body(self) -> Iterable[Widget]:
        """Return whose it is, what it costs, and what is promised."""
        tile = self._tile
        yield Static(f"By {tile.owner} #{tile.image.owner} · {tile.image.words}", markup=False, classes="text muted")
        uses = use_words(tile)
        ends = expiry_words(tile, self._now)
        yield Static(
            f"{uses[0].upper()}{uses[1:]}{f'; {ends}' if ends else ''}.{self._lasts()}",
            markup=False,
            classes="text",
            id="spend-uses",
        )
        if tile.state is TileState.ON_HOLD:
            yield Static(
                f"It is on hold since the cloud was restored from a backup: until {tile.owner}'s device has confirmed"
                " these rights a look is refused, and costs nothing.",
                markup=False,
                classes="text",
                id="spend-hold",
            )
        yield Static(LIMIT, markup=False, classes="text muted", id="spend-limit")

    def _lasts(self) -> str:
        look_s = self._tile.image.look_s
        return "" if look_s is None else f" The picture closes by itself after {lasting(look_s)}."

    def result(self) -> bool:
        """Yes."""
        return True

    def on_mount(self) -> None:
        """Put the focus on the button that costs nothing."""
        self.query_one("#cancel", Button).focus()


class NoViewLeftDialog(ClientDialog[bool]):
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
