"""The dialog that asks for views of somebody's image: how many, and a note to the owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.widgets import Input, Label, Static

from shared.config import MAX_NOTE_CHARS
from shared.text import clean
from tui.client.widgets.views_field import ViewsField
from tui.common.dialog import Dialog
from tui.common.wording import plain, size
from tui.peer.models import AskState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.peer.models import OfferedImage, User

USUAL_VIEWS = 3
_STANDING = {
    AskState.QUEUED: "You asked for it already; that request waits in the outbox (o).",
    AskState.PENDING: "You asked for it already; the owner has not answered yet.",
    AskState.ACCEPTED: "The owner has accepted already: this asks for more views.",
    AskState.RECEIVED: "You hold this image already: this asks for more views.",
    AskState.REJECTED: "The owner has rejected a request for it before.",
}


@dataclass(frozen=True, slots=True)
class RequestForm:
    """What a person asks for: so many views, with a note that may be empty."""

    views: int
    note: str


class RequestViewsDialog(Dialog[RequestForm]):
    """Asks how many views of an image are wanted. `asked` is how an earlier request for it stands, None for none."""

    HEADING = "Request views"
    ACCEPT = "Request"

    def __init__(self, offer: OfferedImage, owner: User, *, asked: AskState | None = None) -> None:
        super().__init__()
        self._offer = offer
        self._owner = owner
        self._asked = asked

    def body(self) -> Iterable[Widget]:
        """Return what is asked for and of whom, then the fields."""
        yield Static(self._about(), id="request-about", markup=False, classes="text")
        if self._asked in _STANDING:
            yield Static(_STANDING[self._asked], id="request-standing", markup=False, classes="text")
        yield Label("Views", classes="field")
        yield ViewsField(USUAL_VIEWS, id="request-views")
        yield Label("Note to the owner (may stay empty)", classes="field")
        yield Input(placeholder="Who you are, why you ask", max_length=MAX_NOTE_CHARS, compact=True, id="request-note")

    def on_mount(self) -> None:
        """Begin with the number."""
        self.query_one(ViewsField).focus_number()

    def result(self) -> RequestForm | None:
        """Return the wish, once the number is one."""
        try:
            views = self.query_one(ViewsField).value()
        except ValueError as error:
            self.complain(str(error))
            self.query_one(ViewsField).focus_number()
            return None
        # What is pasted may hold what a note must not.
        note = clean(self.query_one("#request-note", Input).value.strip(), max_chars=MAX_NOTE_CHARS)
        return RequestForm(views, note)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()

    def _about(self) -> Text:
        offer, owner = self._offer, self._owner
        about = Text().append(plain(offer.title, 56) or "untitled", "bold")
        about.append(f"\n{plain(offer.format, 8)}, {offer.width} x {offer.height}, {size(offer.size)}", "dim")
        about.append(f"\nof {plain(owner.name, 40)} #{owner.account}\n")
        about.append(plain(owner.words, 80), "dim")
        return about
