"""One picture, as large and as sharp as the terminal can, for as long as somebody looks at it."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import anyio.to_thread
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Button, Static

from shared.errors import UnusableImage
from tui.client.wording import plain, views
from tui.widgets.decoding import full
from tui.widgets.graphics import picture_widget
from tui.widgets.key_line import KeyLine
from tui.widgets.working import work
from tui.widgets.zooming import ZoomablePicture

if TYPE_CHECKING:
    from PIL import Image
    from textual.app import ComposeResult

    from tui.client.app import GlimpseClient
    from tui.peer import Peer
    from tui.peer.models import View

_TICK_S = 1.0
_OPENING = "opening…"


class Viewer(Screen[None]):
    """Shows a view, with the name of who looks and the time over it.

    `person` says whose picture it is; `left` is the views left, None for a picture of one's own. Where text cannot be
    written over pixels, the name and the time of opening stand in the pixels, and the going time below the picture.

    The bytes are dropped as soon as they are decoded, the pixels when the screen closes.
    """

    CSS_CLASSES = "viewer"
    KEEPS_NOTHING: ClassVar[bool] = True
    """The program offers no picture of this screen."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close", id="viewer.close", tooltip="Close the picture, and clear it from memory"),
    ]

    class Decoded(Message, bubble=False):
        """From the worker: the pixels, or why there are none."""

        def __init__(self, image: Image.Image | None, reason: str = "") -> None:
            super().__init__()
            self.image = image
            self.reason = reason

    def __init__(self, peer: Peer, view: View, *, person: str, left: int | None) -> None:
        super().__init__()
        self._name = "" if peer.me is None else plain(peer.me.name, 48)
        self._title = plain(view.title, 80) or "untitled"
        self._person = plain(person, 48)
        self._left = left
        self._revoked = False
        self._view: View | None = view

    @property
    def client(self) -> GlimpseClient:
        """The program that this screen belongs to."""
        return cast("GlimpseClient", self.app)

    @property
    def picture(self) -> ZoomablePicture:
        """The widget that shows it."""
        return self.query_one(ZoomablePicture)

    def compose(self) -> ComposeResult:
        """Compose the line above the picture, the picture, the footer."""
        with Horizontal(id="viewer-bar"):
            yield Static(self._title, id="viewer-title", markup=False)
            yield Static(self._whose(), id="viewer-person", markup=False)
            yield Static(self._views_left(), id="viewer-left", markup=False)
            yield Button("Close", id="viewer-close", compact=True)
        yield picture_widget(self.client.graphics, id="viewer-picture")
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin to decode; the clock over the picture goes from now on."""
        self.picture.placeholder = _OPENING
        self.picture.focus()
        self.tick()
        self.set_interval(_TICK_S, self.tick)
        view, self._view = self._view, None
        if view is not None:
            text = self._watermark() if self.picture.TEXT_BELOW else ""
            work(self, partial(self._decode, view.data, text), group="decode")

    async def _decode(self, data: bytes, text: str) -> None:
        try:
            image = await anyio.to_thread.run_sync(_decoded, data, text)
        except UnusableImage as error:
            self.post_message(self.Decoded(None, str(error)))
        else:
            self.post_message(self.Decoded(image))

    def on_viewer_decoded(self, message: Decoded) -> None:
        """Show the pixels, or say that what the owner sealed is no picture."""
        if message.image is not None:
            self.picture.show(message.image)
        else:
            self.picture.placeholder = f"{self._not_a_picture()} {message.reason}"

    def _not_a_picture(self) -> str:
        if self._left is None:
            return "This cannot be shown."
        return f"What {self._person} shared cannot be shown; ask {self._person} about it."

    def tick(self) -> None:
        """Put the name and the present time over the picture."""
        self.picture.overlay = (self._watermark(),)

    def _watermark(self) -> str:
        now = datetime.fromtimestamp(self.client.wall(), self.client.zone).strftime("%Y-%m-%d %H:%M:%S")
        return f"{self._name} · {now}" if self._name else now

    def _whose(self) -> str:
        return "your own" if self._left is None else f"by {self._person}"

    def _views_left(self) -> str:
        if self._left is None:
            return "opens free"
        if self._revoked:
            return "revoked; this was the last look"
        return f"{views(self._left)} left" if self._left else "that was the last view"

    def rights_changed(self, left: int, *, revoked: bool) -> None:
        """Show what is left now that the owner changed it. What is on the screen stays: that view is spent."""
        self._left, self._revoked = left, revoked
        for shown in self.query("#viewer-left").results(Static):  # it may come before the screen is composed
            shown.update(self._views_left())

    # --- Closing -----------------------------------------------------------------------------------------------------
    @on(Button.Pressed, "#viewer-close")
    def action_close(self) -> None:
        """Clear the picture from screen and memory, and go."""
        self._clear()
        self.dismiss(None)

    def on_unmount(self) -> None:
        """Clear it too where the program closes."""
        self._clear()

    def _clear(self) -> None:
        self._view = None
        self.workers.cancel_node(self)
        for picture in self.query(ZoomablePicture):
            picture.clear()


def _decoded(data: bytes, text: str) -> Image.Image:
    """Return the pixels, with a text in them unless it is empty. Raises `UnusableImage`."""
    image = full(data)
    if text:
        from tui.client.stamping import stamp

        stamp(image, text)
    return image
