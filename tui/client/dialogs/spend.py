"""The question before a view is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Button, Static

from tui.client.gallery import TileState, expiry_words, use_words
from tui.common.dialog import Dialog
from tui.common.wording import lasting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.client.gallery import Tile

LIMIT = (
    "The view is counted before the picture is shown, with your name and the time over it. Closing it clears it from "
    "this screen and from memory. Glimpse saves nothing, but a camera can always keep what is shown."
)
"""What is promised, and where the promise ends."""


class SpendViewDialog(Dialog[bool]):
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
