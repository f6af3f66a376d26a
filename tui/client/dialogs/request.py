"""Requests for views: the dialogs that make one, ask for more views, and show all of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Input, Label, Static

from shared.config import MAX_NOTE_CHARS
from shared.text import clean
from tui.client.dialogs.base import ClientDialog
from tui.client.gallery import TileState, asked_words
from tui.client.view_requests import request_text
from tui.client.widgets.views_field import ViewsField
from tui.common.wording import plain, size
from tui.peer.models import AskState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.client.gallery import Tile
    from tui.client.view_requests import Ask
    from tui.peer.models import OfferedImage, User

_USUAL_VIEWS: Final = 3
_STANDING: Final = {
    AskState.QUEUED: "You asked for it already; that request waits in the outbox (o).",
    AskState.PENDING: "You asked for it already; the owner has not answered yet.",
    AskState.ACCEPTED: "The owner has accepted already: this asks for more views.",
    AskState.RECEIVED: "You hold this image already: this asks for more views.",
    AskState.REJECTED: "The owner has rejected a request for it before.",
}
_SEND_AGAIN: Final = "The image file no longer opens here; please send it again."


@dataclass(frozen=True, slots=True)
class RequestForm:
    """What a person asks for: so many views, with a note that may be empty."""

    views: int
    note: str


class _RequestDialog(ClientDialog[RequestForm]):
    """Asks for a number of views and a note. Sub-classes say in `about` whose image it is."""

    PREFIX: ClassVar[str]
    """What the ids of the fields begin with."""

    def body(self) -> Iterable[Widget]:
        """Return what is asked for and of whom, then the fields."""
        yield from self.about()
        yield Label("Views", classes="field")
        yield ViewsField(_USUAL_VIEWS, id=f"{self.PREFIX}-views")
        yield Label("Note to the owner (may stay empty)", classes="field")
        yield self.note()

    def about(self) -> Iterable[Widget]:
        """Return what is asked for, and of whom."""
        raise NotImplementedError

    def note(self) -> Input:
        """Return the field for the note."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Begin with the number."""
        self.query_one(ViewsField).focus_number()

    def result(self) -> RequestForm | None:
        """Return what was filled in; None after complaining about the number."""
        field = self.query_one(ViewsField)
        try:
            views = field.value()
        except ValueError as error:
            self.complain(str(error))
            field.focus_number()
            return None
        # What is pasted may hold what a note must not.
        note = self.query_one(f"#{self.PREFIX}-note", Input).value.strip()
        return RequestForm(views, clean(note, max_chars=MAX_NOTE_CHARS))


class RequestViewsDialog(_RequestDialog):
    """Asks how many views of an image are wanted. `asked` is how an earlier request for it stands, None for none."""

    HEADING = "Request views"
    ACCEPT = "Request"
    PREFIX = "request"

    def __init__(self, offer: OfferedImage, owner: User, *, asked: AskState | None = None) -> None:
        super().__init__()
        self._offer = offer
        self._owner = owner
        self._asked = asked

    def about(self) -> Iterable[Widget]:
        """Return the image and its owner, and how an earlier request stands."""
        offer, owner = self._offer, self._owner
        about = Text().append(plain(offer.title, 56) or "untitled", "bold")
        about.append(f"\n{plain(offer.format, 8)}, {offer.width} x {offer.height}, {size(offer.size)}", "dim")
        about.append(f"\nof {plain(owner.name, 40)} #{owner.account}\n")
        about.append(plain(owner.words, 80), "dim")
        yield Static(about, id="request-about", markup=False, classes="text")
        if self._asked in _STANDING:
            yield Static(_STANDING[self._asked], id="request-standing", markup=False, classes="text")

    def note(self) -> Input:
        """Return the field for the note."""
        return Input(placeholder="Who you are, why you ask", max_length=MAX_NOTE_CHARS, compact=True, id="request-note")


class AskForMoreDialog(_RequestDialog):
    """Asks how many more views of a tile's image are wanted, and takes a note to its owner."""

    HEADING = "Ask for more views"
    ACCEPT = "Ask"
    PREFIX = "more"

    def __init__(self, tile: Tile) -> None:
        super().__init__()
        self._tile = tile

    def about(self) -> Iterable[Widget]:
        """Return the image and its owner, and what was asked for already."""
        tile = self._tile
        yield Static(f"“{tile.title}” by {tile.owner} #{tile.image.owner}", markup=False, classes="text")
        yield Static(tile.image.words, markup=False, classes="text muted")
        if asked := asked_words(tile):
            yield Static(f"{asked} This asks once more.", markup=False, classes="text", id="more-asked")

    def note(self) -> Input:
        """Return the field for the note, which asks for the file where it does not open."""
        return Input(
            _SEND_AGAIN if self._tile.state is TileState.DAMAGED else "",
            placeholder="Why you ask",
            max_length=MAX_NOTE_CHARS,
            compact=True,
            id="more-note",
            select_on_focus=False,
        )


class RequestShownDialog(ClientDialog[bool]):
    """Shows all of one request, with its long note and its ids; there is nothing to decide in it."""

    ACCEPT = "Close"
    CANCEL = ""

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def heading(self) -> str:
        """Say which way the request goes."""
        return "Request to you" if self._ask.incoming else "Your request"

    def body(self) -> Iterable[Widget]:
        """Return what is known of it."""
        text = request_text(self._ask, self.client.wall(), self.client.zone)
        text.append(f"\n\nrequest {self._ask.request.request_id}", style="dim")
        text.append(f"\nimage   {self._ask.request.image}", style="dim")
        with VerticalScroll(id="request-shown", can_focus=False):
            yield Static(text, markup=False)

    def result(self) -> bool:
        """Done."""
        return True
