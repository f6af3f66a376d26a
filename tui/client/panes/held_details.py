"""What is known of the held image under the cursor, and what may be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from tui.client import reached
from tui.client.client_app import client_of
from tui.client.gallery import TileState, asked_words, expiry_words, reason, state_words, use_words
from tui.common.wording import moment, views

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tui.client.client_app import ClientApp
    from tui.client.gallery import Tile


class HeldDetails(Vertical):
    """The side of the gallery: its text, and the buttons `held-look`, `held-more` and `held-copy`."""

    def compose(self) -> ComposeResult:
        """Compose text and buttons."""
        yield Static("", id="held-text", markup=False)
        with Horizontal(id="held-buttons"):
            yield Button("Look", id="held-look", variant="primary", compact=True, tooltip="Asks before a view is spent")
            yield Button("Ask for more", id="held-more", compact=True, tooltip="Ask the owner for more views")
            yield Button("Copy id", id="held-copy", compact=True, tooltip="Copy the image id")

    def show(self, tile: Tile | None, now: float) -> None:
        """Show a tile, or nothing, at a moment of the clock by which rights expire, in seconds since 1970."""
        self.set_class(tile is None, "-empty")
        if tile is None:
            return
        self.query_one("#held-text", Static).update(self._text(tile, now))
        self.query_one("#held-look", Button).disabled = not tile.may_try or tile.opening

    def _text(self, tile: Tile, now: float) -> Text:
        client = client_of(self)
        image = tile.image
        text = Text()
        text.append(f"{tile.title}\n", "bold")
        text.append(f"by {tile.owner} #{image.owner}\n{image.words}\n")
        text.append(f"pictures come {reached.whole(image.reached)}\n\n" if image.reached else "\n", "dim")
        text.append(f"{standing_words(tile, now)}\n", "bold")
        if image.expires is not None and tile.state not in (TileState.EXPIRED, TileState.REVOKED):
            text.append(f"until {moment(image.expires, client.zone)}\n", "dim")
        if tile.state is not TileState.OPEN:
            text.append(f"\n{reason(tile, client.zone)}\n")
        if asked := asked_words(tile):
            text.append(f"\n{asked}\n")
        text.append(f"\n{image.image}", "dim")
        return text


def standing_words(tile: Tile, now: float) -> str:
    """Return a tile's state in full: `3 of 5 views left, expires in 2 d`."""
    state = state_words(tile)
    if tile.state is TileState.OPEN and not tile.opening:
        state = f"{tile.image.left} of {views(tile.image.granted)} left"
    ends = expiry_words(tile, now)
    return f"{state}, {ends}" if ends else state


class HeldLine(Vertical):
    """The same below the gallery, where there is no room for a side: whose it is, how it stands."""

    def compose(self) -> ComposeResult:
        """Compose the two texts."""
        yield Static("", id="held-who", markup=False)
        yield Static("", id="held-what", markup=False)

    def show(self, tile: Tile | None, now: float, *, online: bool) -> None:
        """Show a tile, or nothing, as `HeldDetails.show` does."""
        self.set_class(tile is None, "-empty")
        if tile is None:
            return
        client = client_of(self)
        path = f", {reached.whole(tile.image.reached)}" if tile.image.reached else ""
        who = f"“{tile.title}” by {tile.owner} #{tile.image.owner}{path} · {tile.image.words}"
        what = f"{_what(tile, client, now, online=online)} {asked_words(tile)}".rstrip()
        self.query_one("#held-who", Static).update(who)
        self.query_one("#held-what", Static).update(what)


def _what(tile: Tile, client: ClientApp, now: float, *, online: bool) -> str:
    if tile.opening:
        return "opening…"
    if tile.state is not TileState.OPEN:
        return reason(tile, client.zone)
    standing = standing_words(tile, now)
    return f"{standing}. A look {use_words(tile)}." if online else f"{standing}. Views need the cloud, which is away."
