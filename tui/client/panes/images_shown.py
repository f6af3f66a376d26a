"""What the tab `My images` shows: the images of one's own, and the current one with those who may look at it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from textual import on
from textual.containers import Center, Container, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from shared.errors import GlimpseError, Unavailable
from tui.client import debounce
from tui.client.panes.base import Pane
from tui.client.panes.image_details import ImageDetails, ImagesList, ViewersList
from tui.client.transfers import Transfers
from tui.common.rowlist import RowList
from tui.common.wording import plain
from tui.common.working import work
from tui.peer import events as peer_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image
    from textual.app import ComposeResult
    from textual.geometry import Size

    from tui.client.thumbnails import Thumbnails
    from tui.peer import Peer
    from tui.peer.models import MyImage, Viewer

_WIDE_FROM_CELLS: Final = 100
_PICTURE_FROM_CELLS: Final = 70
"""Below it, a picture beside the viewers would leave no room for their names and for the buttons."""
_TICK_S: Final = 10.0
"""How often ages are told anew, and transfers forgotten that broke off."""


class ImagesShown(Pane):
    """Shows one's own images, and the details of the current one. What is done with them is the sub-class's."""

    @dataclass
    class Looked(Message, bubble=False):
        """From the worker: the viewers of an image, None if they are not known for the `trouble` said."""

        image: str
        viewers: Sequence[Viewer] | None
        trouble: str = ""

    @dataclass
    class Pictured(Message, bubble=False):
        """From the worker: how an image looks."""

        image: str
        found: Image.Image | None

    def __init__(self, peer: Peer, thumbnails: Thumbnails) -> None:
        super().__init__(peer, thumbnails)
        self._transfers = Transfers(time.monotonic)
        self._viewers: dict[str, Sequence[Viewer]] = {}
        self._rows: Sequence[MyImage] | None = None
        """The images, the newest first; None until it is known what there is."""
        self._known: dict[str, MyImage] = {}
        """Images as the cloud told of them last."""
        self._ahead = ""
        """The image whose viewers were asked for before the tab is opened."""
        self._detailed = ""
        self._here = False
        self._to_choose = ""
        """An image that becomes the current one as soon as it is known here."""

    def contents(self) -> ComposeResult:
        """Compose the list, the details, and what is said instead of both where there is no image yet."""
        share = partial(self._transfers.share, sending=True)
        with Container(id="mine-split"):
            yield ImagesList(self.client.wall)
            yield ImageDetails(self.client.wall, share)
        with Vertical(id="mine-none"):
            yield Static("You have not encrypted a picture yet.", classes="title")
            yield Static(
                "A picture is sealed on this machine; a node hides it in a cover. Nobody sees it until you give views.",
                classes="muted",
            )
            with Center():
                yield Button("Encrypt a picture", id="mine-encrypt", variant="primary")
            yield Static("or drop a file on this window", classes="muted")

    def on_mount(self) -> None:
        """Keep ages true."""
        self.set_interval(_TICK_S, self._redraw)

    def fit(self, size: Size) -> None:
        """Put the details beside the list where there is room; where there is little, leave the picture out."""
        self.set_class(size.width >= _WIDE_FROM_CELLS, "-wide")
        self.set_class(size.width < _PICTURE_FROM_CELLS, "-tight")

    def take_focus(self) -> None:
        """Go to the list, or to the one thing to be done where there is no image."""
        nothing = self.query_one("#mine-none").display
        self.screen.set_focus(self.query_one("#mine-encrypt") if nothing else self.images)

    # --- What there is -----------------------------------------------------------------------------------------------
    @property
    def images(self) -> ImagesList:
        """The list of images."""
        return self.query_one(ImagesList)

    @property
    def viewers(self) -> ViewersList:
        """The list of those who may look at the current image."""
        return self.query_one(ViewersList)

    @property
    def details(self) -> ImageDetails:
        """What is shown of the current image."""
        return self.query_one(ImageDetails)

    async def fetch(self) -> Sequence[MyImage]:
        """Ask the peer for the images; at first show those on this machine."""
        if self._rows is None:
            self.post_message(self.Fetched(await self.peer.my_images(local=True)))
        return await self.peer.my_images(local=not self.online)

    def learn(self, found: Sequence[MyImage]) -> None:
        """Take the images. What the cloud told before stays while it is away."""
        self._known.update((image.image, image) for image in found if image.counted)
        together = {image.image: image for image in found} | self._known
        self._rows = sorted(together.values(), key=lambda image: -image.created)
        self.changed()

    def look_ahead(self) -> None:
        """Have the viewers and the picture found that are shown first."""
        if self._rows:
            newest = self._rows[0]
            self._ahead = newest.image
            work(self, partial(self._find_viewers, newest.image), group="viewers", exclusive=True)
            if newest.path is not None:
                work(self, partial(self._find_picture, newest.image), group="own-picture", exclusive=True)

    def paint(self) -> None:
        """Show the images, and the details of the current one; nothing until it is known what there is."""
        if self._rows is None:
            self.query_one("#mine-none").display = False
            return
        focused = self.screen.focused
        wants_focus = self._is_active and (focused is None or focused.id == "mine-encrypt")
        self.query_one("#mine-none").display = not self._rows
        self.query_one("#mine-split").display = bool(self._rows)
        self.images.set_rows(self._rows)
        if self._to_choose and self.images.select_key(self._to_choose):
            self._to_choose = ""
        if wants_focus:
            self.take_focus()
        self._tell_details(again=True)

    @property
    def _is_active(self) -> bool:
        return self.parent is not None and bool(self.parent.display)

    def heard(self, event: peer_events.Event) -> None:
        """Look again where an event is about one's own images; take note of what is on its way."""
        match event:
            case peer_events.CopyProgress(sending=True, grant=grant, done=done, total=total):
                self._transfers.hear(event)
                if done >= total:
                    self._transfers.end(grant)
                self.soon(self._redraw)
            case peer_events.CopyWaits(grant=grant):
                self._transfers.end(grant)
                self.load_soon()
            case (
                peer_events.CopyFetched()
                | peer_events.ViewSpentEvent()
                | peer_events.Delivered()
                | peer_events.Undeliverable()
                | peer_events.PictureAdopted()
                | peer_events.DirectoryRestored()
            ):
                self.load_soon()
            case _:
                pass

    def _redraw(self) -> None:
        if self.opened:
            self.images.redraw()
            self.viewers.redraw()

    # --- The image under the cursor ----------------------------------------------------------------------------------
    @property
    def current(self) -> MyImage | None:
        """The image that keys and buttons are about."""
        found: MyImage | None = self.images.current
        return found

    @on(RowList.Highlighted, "#mine-list")
    def _moved(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._tell_details(again=False)

    def _tell_details(self, *, again: bool) -> None:
        """Tell the details of the current image; `again` fetches its viewers anew even if it was current before."""
        image = self.current
        self.details.tell(image, self.client.zone)
        name = "" if image is None else image.image
        another, self._detailed = name != self._detailed, name
        here = image is not None and image.path is not None
        came, self._here = not another and here and not self._here, here
        if came:
            self.thumbnails.forget(name)
        if another or came:
            self.details.await_picture(image)
        if another:
            self.viewers.set_rows(self._viewers.get(name, ()))
            self.viewers.empty = "…" if name not in self._viewers else "Nobody yet.\nPress a to give somebody views."
        if image is None:
            return
        if (another and here) or came:
            work(self, partial(self._find_picture, name), group="own-picture", exclusive=True)
        known, self._ahead = name == self._ahead, ""
        if (another or again) and not known:
            work(self, partial(self._find_viewers, name), group="viewers", exclusive=True)

    async def _find_picture(self, image: str) -> None:
        if self.thumbnails.known("own", image) is None:
            await anyio.sleep(debounce.REST_S)
        self.post_message(self.Pictured(image, await self.thumbnails.own(image)))

    @on(Pictured)
    def _show_picture(self, message: Pictured) -> None:
        if message.image == self._detailed:
            self.details.show_picture(message.found)

    async def _find_viewers(self, image: str) -> None:
        if image not in self._viewers:
            await anyio.sleep(debounce.REST_S)
        try:
            self.post_message(self.Looked(image, await self.peer.viewers(image)))
        except Unavailable:
            self.post_message(self.Looked(image, None, "Who may look is known to the cloud, which is away."))
        except GlimpseError as error:
            self.post_message(self.Looked(image, None, str(error)))

    @on(Looked)
    def _show_viewers(self, message: Looked) -> None:
        if message.viewers is not None:
            self._viewers[message.image] = message.viewers
        elif message.image == self._ahead:
            self._ahead = ""  # they are asked for again, and the trouble is told, when the tab is opened
        if message.image != self._detailed:
            return
        self.viewers.empty = plain(message.trouble, 200) or "Nobody yet.\nPress a to give somebody views."
        if message.viewers is not None:
            self.viewers.set_rows(message.viewers)
