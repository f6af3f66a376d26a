"""The tab `Peer images`: what others have granted, and looking at it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from shared.errors import DamagedStego, GlimpseError, Unavailable, ViewRefused
from tui.client.dialogs.look import NoViewLeftDialog, SpendViewDialog
from tui.client.dialogs.request import AskForMoreDialog
from tui.client.dialogs.viewer import ViewerScreen
from tui.client.gallery import (
    GalleryOrder,
    GallerySession,
    Tile,
    TileState,
    heading_words,
    latest,
    reason,
    short_expiry,
    state_words,
)
from tui.client.messages import Happened, Waiting
from tui.client.panes.base import Pane
from tui.client.panes.held_details import HeldDetails, HeldLine
from tui.client.thumbnails import Covers, Thumbnails
from tui.client.widgets.face import Face
from tui.client.widgets.gallery import Gallery
from tui.common.wording import plain, views
from tui.common.working import work
from tui.peer.events import CopyProgress, ImageReceived, RightsUpdated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.geometry import Size

    from tui.client.dialogs.request import RequestForm
    from tui.peer import Peer
    from tui.peer.models import PeerImage, Sent, View

_WIDE: Final = 100
_CLOCK_S: Final = 30.0
"""How often times to expiry are said anew."""
_REASON_CELLS: Final = 400
_EMPTY: Final = "Nobody has shared a picture with you yet.\n\nGo to Users (1), choose somebody, and ask for one with r."
_AWAY: Final = "Views need the cloud, and it does not answer now. Nothing was spent; look again when it is back."
_HEADINGS: Final = {
    TileState.OPEN: "It did not open",
    TileState.NOT_HERE: "Not here yet",
    TileState.SPENT: "No views left",
    TileState.EXPIRED: "Expired",
    TileState.REVOKED: "Revoked",
    TileState.DAMAGED: "The image does not open",
    TileState.ON_HOLD: "On hold",
}


class PeerImagesPane(Pane):
    """A gallery of covers. Of dialogs, looks and the viewer one is under way at most, so nothing is spent twice."""

    TAB = "peer-images"
    TAB_TITLE = "Peer images"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "look", "Look", id="peer_images.look", tooltip="Look at the picture; asks before it costs"),
        Binding("m", "more", "Ask for more", id="peer_images.more", tooltip="Ask the owner for more views"),
        Binding("s", "sort", "Sort", id="peer_images.sort", tooltip="By age, owner, title or expiry"),
        Binding("c", "copy_id", "Copy id", id="peer_images.copy", tooltip="Copy the image id"),
    ]

    @dataclass
    class Opened(Message, bubble=False):
        """A view was counted, and here it is."""

        tile: Tile
        view: View

    @dataclass
    class NotOpened(Message, bubble=False):
        """A look was refused or failed."""

        tile: Tile
        error: GlimpseError

    @dataclass
    class Asked(Message, bubble=False):
        """More views were asked for."""

        tile: Tile
        form: RequestForm
        sent: Sent

    def __init__(self, peer: Peer, thumbnails: Thumbnails) -> None:
        super().__init__(peer, thumbnails)
        self._covers = Covers(thumbnails)
        self._session = GallerySession()
        self._held: Sequence[PeerImage] = ()
        self._tiles: dict[str, Tile] = {}
        self._order = GalleryOrder.NEWEST
        self._busy = False
        self._viewer: tuple[str, ViewerScreen] | None = None
        """The grant by which an image is looked at, and the screen that shows it."""

    def contents(self) -> ComposeResult:
        """Compose gallery and details: beside it where there is room, otherwise below it."""
        with Horizontal(classes="split"):
            with Vertical(id="held-main"):
                yield Static("", id="held-heading", classes="muted", markup=False)
                yield Gallery(self._covers.get, empty=_EMPTY, id="gallery")
            yield HeldDetails(id="held-side", classes="side")
        yield HeldLine(id="held-line")

    def on_mount(self) -> None:
        """Keep times true."""
        self.set_interval(_CLOCK_S, self._arrange)

    def fit(self, size: Size) -> None:
        """Put the details where there is room."""
        self.set_class(size.width >= _WIDE, "-wide")

    @property
    def gallery(self) -> Gallery:
        """The tiles."""
        return self.query_one(Gallery)

    @property
    def tile(self) -> Tile | None:
        """The tile under the cursor."""
        key = self.gallery.current
        return None if key is None else self._tiles.get(key)

    def take_focus(self) -> None:
        """Put the focus on the gallery."""
        self.screen.set_focus(self.gallery)

    # --- What is held ------------------------------------------------------------------------------------------------
    async def fetch(self) -> list[PeerImage]:
        """Ask the peer what is held; that asks nobody else."""
        return await self.peer.peer_images()

    def learn(self, found: Any) -> None:
        """Take what is held."""
        self._held = latest(found)
        self._arrange()

    def heard(self, event: Any) -> None:
        """Take what arrives, comes nearer, or changes."""
        changed = self._session.heard(event)
        if isinstance(event, RightsUpdated) and self._viewer is not None and self._viewer[0] == event.grant:
            self._viewer[1].rights_changed(event)
        if isinstance(event, ImageReceived):
            self._covers.forget(event.image)
            for gallery in self.query(Gallery):  # none before the tab is opened
                gallery.forget(event.image)
        if isinstance(event, CopyProgress):
            self._hear_progress(event.grant)
        elif changed:
            self.load_soon()

    def _hear_progress(self, grant: str) -> None:
        for image in self._held:
            if image.grant == grant:
                tile = self._session.tile(image, self.peer.now())
                self._tiles[tile.key] = tile
                if self.opened:
                    self.gallery.set_face(self._face(tile))
                    self._show_details()

    def _arrange(self) -> None:
        """Put what is held into the badge and the tiles."""
        tiles = self._session.tiles(self._held, self._order, self.peer.now())
        self._tiles = {tile.key: tile for tile in tiles}
        self.post_message(Waiting(self.TAB, sum(tile.new for tile in tiles)))
        self.changed()

    def paint(self) -> None:
        """Show the tiles, and the details of the one under the cursor."""
        tiles = list(self._tiles.values())
        self.gallery.set_faces([self._face(tile) for tile in tiles])
        self.query_one("#held-heading", Static).update(heading_words(tiles, self._order))
        self._show_details()
        self.refresh_bindings()

    def _face(self, tile: Tile) -> Face:
        ends = short_expiry(tile, self.peer.now())
        return Face(
            tile.key,
            tile.title,
            f"by {tile.owner}",
            f"{state_words(tile)}, {ends}" if ends else state_words(tile),
            badge="opening…" if tile.opening else "new" if tile.new else "",
            dim=not tile.may_try,
            share=tile.received,
        )

    @on(Gallery.Highlighted)
    def _show_details(self) -> None:
        tile = self.tile
        self.query_one(HeldDetails).show(tile, self.peer.now())
        self.query_one(HeldLine).show(tile, self.peer.now(), online=self.online)

    # --- Looking -----------------------------------------------------------------------------------------------------
    @on(Gallery.Selected)
    @on(Button.Pressed, "#held-look")
    def action_look(self) -> None:
        """Ask whether to spend a view; say why not where that cannot be."""
        tile = self.tile
        if tile is None or self._busy:
            return
        if not tile.may_try:
            self._explain(tile, reason(tile, self.client.zone))
        elif not self.online:
            self._explain(tile, _AWAY, heading="Views need the cloud", ask="")
        else:
            self._busy = True
            self.app.push_screen(SpendViewDialog(tile, self.peer.now()), partial(self._answered, tile))

    def _answered(self, tile: Tile, yes: bool | None) -> None:
        if not yes:
            self._busy = False
            return
        self._session.opening = tile.key
        self._arrange()
        work(self, partial(self._open, tile), group="view")

    async def _open(self, tile: Tile) -> None:
        try:
            view = await self.peer.view(tile.key)
        except GlimpseError as error:
            self.post_message(self.NotOpened(tile, error))
        else:
            self.post_message(self.Opened(tile, view))

    @on(Opened)
    def _show_view(self, message: Opened) -> None:
        """Show the picture."""
        view = message.view
        self._session.opening = None
        self._session.opened(message.tile.key)
        self._arrange()
        viewer = ViewerScreen(self.peer, view, person=message.tile.owner, left=view.left)
        self._viewer = message.tile.image.grant, viewer
        self.app.push_screen(viewer, self._looked)
        if view.unwritten:
            self.client.tell(view.unwritten, title="Not written down", warning=True)

    def _looked(self, _result: None) -> None:
        self._busy = False
        self._viewer = None
        self.load()
        self.app.post_message(Happened("viewed"))

    @on(NotOpened)
    def _say_why_not(self, message: NotOpened) -> None:
        """Remember and say why."""
        tile, error = message.tile, message.error
        self._busy = False
        self._session.opening = None
        self._session.refused(tile.key, error)
        self._arrange()
        self.load()
        now = self._tiles.get(tile.key, tile)
        text = plain(str(error), _REASON_CELLS)
        if isinstance(error, Unavailable):
            self._explain(now, text, heading="Views need the cloud", ask="")
        else:
            helps = isinstance(error, ViewRefused | DamagedStego) and not now.may_try
            self._explain(now, text, ask=None if helps else "")

    def _explain(self, tile: Tile, text: str, *, heading: str = "", ask: str | None = None) -> None:
        self._busy = True
        usual = {TileState.NOT_HERE: "", TileState.DAMAGED: ""}.get(tile.state, "Ask for more")
        dialog = NoViewLeftDialog(
            tile,
            text,
            heading=heading or _HEADINGS[tile.state],
            cover=self._covers.known(tile.key),
            ask=usual if ask is None else ask,
        )
        self.app.push_screen(dialog, partial(self._explained, tile))

    def _explained(self, tile: Tile, more: bool | None) -> None:
        self._busy = False
        if more:
            self._ask_more(tile)

    # --- Asking for more ---------------------------------------------------------------------------------------------
    @on(Button.Pressed, "#held-more")
    def action_more(self) -> None:
        """Ask the owner for more views."""
        tile = self.tile
        if tile is not None and not self._busy:
            self._ask_more(tile)

    def _ask_more(self, tile: Tile) -> None:
        self._busy = True
        self.app.push_screen(AskForMoreDialog(tile), partial(self._more_wanted, tile))

    def _more_wanted(self, tile: Tile, form: RequestForm | None) -> None:
        self._busy = False
        if form is not None:
            self.attempt(
                partial(self.peer.request_more, tile.key, form.views, note=form.note),
                partial(self.Asked, tile, form),
            )

    @on(Asked)
    def _say_asked(self, message: Asked) -> None:
        """Say where the request is."""
        tile, form = message.tile, message.form
        self._session.asked(tile.key, form.views)
        self._arrange()
        asked = f"{views(form.views)} of “{tile.title}”"
        if message.sent.delivered:
            self.client.tell(f"Asked {tile.owner} for {asked}.")
        else:
            self.client.tell(
                f"The cloud is away: the request for {asked} waits in the outbox and goes out by itself.", warning=True
            )
        self.app.post_message(Happened("asked"))

    # --- The rest ----------------------------------------------------------------------------------------------------
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what needs a tile where there is none."""
        if action in ("look", "more", "sort", "copy_id") and not self._tiles:
            return None
        return super().check_action(action, parameters)

    def action_sort(self) -> None:
        """Go on to the next order."""
        self._order = self._order.next
        self._arrange()

    @on(Button.Pressed, "#held-copy")
    def action_copy_id(self) -> None:
        """Copy the id of the image under the cursor."""
        if (tile := self.tile) is not None:
            self.client.copy(tile.key, "Image id")
