"""One picture, as large and as sharp as the terminal can, for as long as somebody looks at it and may."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Button, Static

from shared.decoding.cancelling import cancellable
from shared.errors import DecodedTooSlowly, GlimpseError, Unavailable, UnusableImage
from tui.client.client_app import client_of
from tui.client.widgets.zooming import ZoomablePicture
from tui.common.footer import Footer
from tui.common.wording import lasting, plain, views
from tui.common.working import work

if TYPE_CHECKING:
    from PIL import Image
    from textual.app import ComposeResult

    from tui.client.client_app import ClientApp
    from tui.client.widgets.graphics import Graphics
    from tui.peer import Peer
    from tui.peer.events import RightsUpdated
    from tui.peer.models import View

log = logging.getLogger(__name__)

_TICK_S = 1.0
_COUNTED_DOWN_S = 3600.0
"""The end of a look is counted down from here on; what lies further ahead concerns nobody yet."""
_OPENING = "opening…"


class ViewerScreen(Screen[None]):
    """Shows a view, with the name of who looks and the time over it.

    `person` says whose picture it is; `left` is the views left, None for a picture of one's own. Where text cannot be
    written over pixels, the name and the time of opening stand in the pixels, and the going time below the picture.

    The bytes are dropped as soon as it is known whether they decode, the pixels when the screen closes or the look
    ends: when the owner takes the right back, at its expiry, and after the seconds that the owner set for one look. The
    reason stands where the picture was. However it ends, the peer is told how long the picture was shown.
    """

    KEEPS_NOTHING: ClassVar[bool] = True
    """The program offers no picture of this screen."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close", id="viewer.close", tooltip="Close the picture, and clear it from memory"),
        Binding("r", "again", "Try again", id="viewer.again", tooltip="Open the picture once more, for no other view"),
    ]

    @dataclass
    class Decoded(Message, bubble=False):
        """From the worker: the pixels, or why there are none; and the view, if another attempt may bring them."""

        image: Image.Image | None
        reason: str = ""
        again: View | None = None

    def __init__(self, peer: Peer, view: View, *, person: str, left: int | None) -> None:
        super().__init__()
        self._peer = peer
        self._looker = "" if peer.me is None else plain(peer.me.name, 48)
        self._title = plain(view.title, 80) or "untitled"
        self._person = plain(person, 48)
        self._left = left
        self._view: View | None = view
        self._view_id = view.view_id
        self._look_s = view.look_s
        self._expires = view.expires
        self._shown_at: float | None = None
        """When the picture came to be seen, by `clock`."""
        self._ended_at: float | None = None
        self._over = ""
        """Why the look has ended; empty while it goes on."""
        self._reported = False
        self._image_id = view.image
        self._failure = ""
        """Why the picture cannot be shown; empty while it may be."""
        self._outcome_known = False
        """Whether the picture was shown, or could not be, in time or at all."""

    @property
    def client(self) -> ClientApp:
        """The program that this screen belongs to."""
        return client_of(self)

    @property
    def picture(self) -> ZoomablePicture:
        """The widget that shows it."""
        return self.query_one(ZoomablePicture)

    def clock(self) -> float:
        """Return seconds that never go back: nobody looks longer by setting a clock."""
        return time.monotonic()

    def compose(self) -> ComposeResult:
        """Compose the line above the picture, the picture, the footer."""
        with Horizontal(id="viewer-bar"):
            yield Static(self._title, id="viewer-title", markup=False)
            yield Static(self._whose(), id="viewer-person", markup=False)
            yield Static(self._views_left(), id="viewer-left", markup=False)
            yield Button("Close", id="viewer-close", compact=True)
        yield picture_widget(self.client.graphics, id="viewer-picture")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to decode; the clock over the picture goes from now on."""
        self.picture.placeholder = self._over or _OPENING
        self.picture.focus()
        self.tick()
        self.set_interval(_TICK_S, self.tick)
        self._open()

    def _open(self) -> None:
        view, self._view = self._view, None
        if view is not None and not self._over:
            text = self._watermark() if self.picture.TEXT_BELOW else ""
            work(self, partial(self._decode, view, text), group="decode")

    async def _decode(self, view: View, text: str) -> None:
        try:
            image = await cancellable(_decoded, view.data, text)
        except (DecodedTooSlowly, Unavailable) as error:
            self.post_message(self.Decoded(None, str(error), view))
        except UnusableImage as error:
            self.post_message(self.Decoded(None, str(error)))
        else:
            self.post_message(self.Decoded(image))

    @on(Decoded)
    def _show_decoded(self, message: Decoded) -> None:
        """Show the pixels, or say that what the owner sealed is no picture, or that it takes too long."""
        if self._over:
            return
        self._outcome_known = True
        if message.image is not None:
            self._shown_at = self.clock()
            self.picture.show(message.image)
            self._watch_the_end()
        elif message.again is not None:
            self._view = message.again
            self.picture.placeholder = f"This could not be shown yet; press r to try again. {message.reason}"
        else:
            self._failure = message.reason
            self.picture.placeholder = f"{self._not_a_picture()} {message.reason}"
            work(self.app, self.report, group="look-ended")
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer another attempt only where one may help."""
        if action == "again":
            return self._view is not None and self.is_mounted and not self._over
        return super().check_action(action, parameters)

    def action_again(self) -> None:
        """Open the picture once more; the view is counted already."""
        self.picture.placeholder = _OPENING
        self._open()
        self.refresh_bindings()

    def _not_a_picture(self) -> str:
        if self._left is None:
            return "This cannot be shown."
        return f"What {self._person} shared cannot be shown; ask {self._person} about it."

    def tick(self) -> None:
        """Put the name and the present time over the picture; end the look when its time is over."""
        self.picture.overlay = (self._watermark(),)
        if (reason := self._time_is_over()) and not self._over:
            self.end(reason)
        self._show_standing()

    # --- The end of a look -------------------------------------------------------------------------------------------
    def _remaining(self) -> float | None:
        """Return the seconds until the look ends by itself, None where it does not."""
        ends = []
        if self._look_s is not None:
            ends.append(self._look_s - self._lasted())
        if self._expires is not None:
            ends.append(self._expires - self._peer.now())
        return min(ends, default=None)

    def _lasted(self) -> float:
        if self._shown_at is None:
            return 0.0
        return (self.clock() if self._ended_at is None else self._ended_at) - self._shown_at

    def _time_is_over(self) -> str:
        if self._look_s is not None and self._lasted() >= self._look_s:
            return f"This look has lasted the {lasting(self._look_s)} that {self._person} allows for one."
        if self._expires is not None and self._peer.now() >= self._expires:
            return f"The time to look at this image is over; ask {self._person} for more."
        return ""

    def _watch_the_end(self) -> None:
        """Have the clock looked at when the look ends, not up to a second later."""
        remaining = self._remaining()
        if remaining is not None and remaining < _COUNTED_DOWN_S:
            self.set_timer(max(remaining, 0.0) + 0.01, self.tick)

    def end(self, reason: str) -> None:
        """Clear the picture from screen and memory, say why, and tell the peer; the screen stays until it is closed."""
        self._over = reason
        self._clear()
        for picture in self.query(ZoomablePicture):  # it may come before the screen is composed
            picture.placeholder = reason
        self._show_standing()
        work(self.app, self.report, group="look-ended")

    async def report(self) -> None:
        """Tell the peer how long the picture was shown, or that it could not be, once.

        Without effect for one of one's own, and for one that was closed before it was known whether it can be shown.
        """
        if self._view_id is None or self._reported or not self._outcome_known:
            return
        self._reported = True
        try:
            if self._failure:
                await self._peer.look_failed(self._image_id, self._view_id, self._failure)
            else:
                await self._peer.look_ended(self._view_id, self._lasted())
        except GlimpseError as error:
            log.warning("the length of a look was not noted", extra={"reason": str(error)})

    def _watermark(self) -> str:
        now = datetime.fromtimestamp(self.client.wall(), self.client.zone).strftime("%Y-%m-%d %H:%M:%S")
        return f"{self._looker} · {now}" if self._looker else now

    def _whose(self) -> str:
        return "your own" if self._left is None else f"by {self._person}"

    def _views_left(self) -> str:
        if self._left is None:
            return "opens free"
        if self._over:
            return "the look has ended"
        remaining = self._remaining()
        ends = "" if remaining is None or remaining >= _COUNTED_DOWN_S else f"{_clock_words(remaining)} · "
        return ends + (f"{views(self._left)} left" if self._left else "that was the last view")

    def _show_standing(self) -> None:
        for shown in self.query("#viewer-left").results(Static):  # it may come before the screen is composed
            shown.update(self._views_left())

    def rights_changed(self, event: RightsUpdated) -> None:
        """Take over what the owner changed. A revocation ends the look; a lower number does not: this view is spent."""
        self._left, self._expires, self._look_s = event.left, event.expires, event.look_s
        if event.revoked and not self._over:
            self.end(f"{self._person} has taken back the right to look at this image.")
            return
        if self.is_mounted and not self._over:
            self.tick()
            self._watch_the_end()
        self._show_standing()

    # --- Closing -----------------------------------------------------------------------------------------------------
    @on(Button.Pressed, "#viewer-close")
    def action_close(self) -> None:
        """Clear the picture from screen and memory, and go."""
        self._clear()
        work(self.app, self.report, group="look-ended")
        self.dismiss(None)

    def on_unmount(self) -> None:
        """Clear it too where the program closes."""
        self._clear()

    def _clear(self) -> None:
        self._view = None
        if self._ended_at is None:
            self._ended_at = self.clock()
        self.workers.cancel_node(self)
        for picture in self.query(ZoomablePicture):
            picture.clear()


def picture_widget(graphics: Graphics | None, *, id: str) -> ZoomablePicture:  # noqa: A002 - Textual's name for it
    """Return a widget to look at a picture with: in true pixels where there are any, in cells elsewhere."""
    if graphics is None:
        return ZoomablePicture(id=id)
    from tui.client.widgets.pixels import PixelPicture

    return PixelPicture(graphics, id=id)


def _clock_words(seconds: float) -> str:
    """Return a time that runs down as a watch shows it: `0:27`, `12:00`."""
    whole = math.ceil(max(seconds, 0.0))
    return f"{whole // 60}:{whole % 60:02}"


def _decoded(data: bytes, text: str) -> Image.Image:
    """Return the pixels, with a text in them unless it is empty. Raises `UnusableImage`."""
    from tui.client.widgets.decoding import full, stamp

    image = full(data)
    if text:
        stamp(image, text)
    return image
