"""What is shown of the request under the cursor: the picture, who and what, and what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Static

from tui.client.view_requests import RequestDecision, request_text, why_not
from tui.client.widgets.picture import Picture
from tui.peer.models import AskState

if TYPE_CHECKING:
    from datetime import tzinfo

    from PIL import Image
    from textual.app import ComposeResult

    from tui.client.view_requests import Ask

_STRIP_ROWS: Final = 8
"""Height of the details where they lie below the lists."""
_ROWS_WITHOUT: Final = 3
_ABSENT: Final = {True: "not on this machine", False: "no preview"}
"""What is said in place of the picture, by whether the request is incoming."""


class ViewRequestDetails(Container):
    """Shows one request. The pane tells it what, and hears its buttons (`#request-accept` and so on)."""

    def compose(self) -> ComposeResult:
        """Compose picture, facts and buttons."""
        with Vertical(id="request-told"):
            with VerticalScroll(id="request-facts", can_focus=False):
                yield Static("", markup=False)
            with Horizontal(id="request-actions"):
                yield Button("Accept", id="request-accept", variant="primary", compact=True)
                yield Button("Reject", id="request-reject", compact=True)
                yield Button("Withdraw", id="request-withdraw", compact=True)
                yield Button("Go to Peer images", id="request-go", variant="primary", compact=True)
        yield Picture(id="request-picture")

    def on_mount(self) -> None:
        """Keep the buttons out of the way of the keys, which do the same from the lists."""
        for button in self.query(Button):
            button.can_focus = False

    def on_resize(self) -> None:
        """Give the picture its place in the new size."""
        self._place_picture()

    def _place_picture(self) -> None:
        """Give a picture below the facts about as many rows as one of 3:2 needs, at most half of them."""
        picture, beside = self.query_one(Picture), self.size.height > _STRIP_ROWS
        rows = _ROWS_WITHOUT if picture.image is None else min(self.size.width // 3, self.size.height // 2)
        picture.styles.height = rows if beside else "1fr"

    def tell(self, ask: Ask | None, now: float, zone: tzinfo | None) -> None:
        """Say everything about a request; with None nothing."""
        self.set_class(ask is None, "-nothing")
        self.query_one("#request-facts Static", Static).update(Text() if ask is None else request_text(ask, now, zone))
        for action in RequestDecision:
            self.query_one(f"#request-{action}", Button).display = not why_not(ask, action)
        self.query_one("#request-go", Button).display = ask is not None and ask.request.state is AskState.RECEIVED

    def await_picture(self) -> None:
        """Show that the picture of another request is being looked for."""
        picture = self.query_one(Picture)
        picture.placeholder = ""
        picture.show(None)

    def show_picture(self, image: Image.Image | None, *, incoming: bool) -> None:
        """Show the picture that was found, or that there is none."""
        picture = self.query_one(Picture)
        picture.placeholder = _ABSENT[incoming]
        picture.show(image)
        self._place_picture()
