"""The two answers to a request: yes, with how many views until when, or no, with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label, Static

from shared.config import MAX_NOTE_CHARS
from shared.errors import GlimpseError
from shared.text import is_clean
from tui.client import sharing
from tui.client.dialogs.base import ClientDialog
from tui.client.dialogs.rights import RightsForm, read_rights, rights_fields
from tui.client.widgets.picture import Picture
from tui.client.widgets.views_field import ViewsField
from tui.common.wording import plain, until, views
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image
    from textual import events
    from textual.widget import Widget

    from tui.client.thumbnails import Thumbnails
    from tui.client.view_requests import Ask
    from tui.peer import Peer
    from tui.peer.models import Viewer

_NAME_CELLS: Final = 16
"""Room for a name inside a sentence; the whole of it stands above."""
_TALL_FROM_ROWS: Final = 32


class AcceptDialog(ClientDialog[RightsForm]):
    """Asks what a request is accepted with. `first`: nothing was accepted of this person before.

    The picture and the rights that the person has already are looked up while the dialog is open.
    """

    HEADING = "Accept this request?"
    ACCEPT = "Accept"

    @dataclass
    class Looked(Message, bubble=False):
        """What the picture shows; None where it is not on this machine."""

        image: Image.Image | None

    @dataclass
    class Standing(Message, bubble=False):
        """What rights the person has on the image already."""

        viewer: Viewer | None

    def __init__(self, ask: Ask, peer: Peer, thumbnails: Thumbnails, *, first: bool) -> None:
        super().__init__()
        self._ask = ask
        self._peer = peer
        self._thumbnails = thumbnails
        self._first = first
        self._standing: Viewer | None = None

    def body(self) -> Iterable[Widget]:
        """Return who and what, the fingerprint, the fields, and what they mean."""
        with Horizontal(id="accept-asked"):
            yield Picture(id="accept-picture")
            yield Static(self._asked(), id="accept-facts", markup=False)
        yield Vertical(*self._fingerprint(), id="accept-person", classes="-first" if self._first else "")
        asked_for = RightsForm(self._ask.request.views, None)
        yield from rights_fields("accept", asked_for, self.client.zone, labels=("Views", "Expires", "A look"))
        yield Static("", id="accept-meaning", markup=False, classes="text")

    def _asked(self) -> Text:
        ask = self._ask
        text = Text(ask.person, style="bold")
        text.append(f"\nasks for {views(ask.request.views)} of “{ask.title}”", style="not bold")
        if ask.note:
            text.append(f"\n“{ask.note}”", style="not bold dim")
        return text

    def _fingerprint(self) -> Iterable[Widget]:
        words = plain(self._ask.request.words)
        if self._first:
            yield Static(
                "First yes to this person: compare the words by telephone or face to face. If they differ, it is"
                " somebody else."
            )
        yield Static(words, id="accept-words", markup=False)

    def on_mount(self) -> None:
        """Begin at the number of views, and look up what is not known yet."""
        self.query_one(Picture).placeholder = ""
        self.query_one(ViewsField).focus_number()
        self._say_meaning()
        work(self, self._look, group="accept-picture")
        work(self, self._look_up, group="accept-standing")

    async def _look(self) -> None:
        self.post_message(self.Looked(await self._thumbnails.own(self._ask.request.image)))

    async def _look_up(self) -> None:
        row = self._ask.request
        try:
            viewers = await self._peer.viewers(row.image)
        except GlimpseError:
            return  # The answer does not depend on it: the views are added to whatever stands.
        self.post_message(
            self.Standing(next((one for one in viewers if one.account == row.person and not one.revoked), None))
        )

    @on(Looked)
    def _show(self, message: Looked) -> None:
        picture = self.query_one(Picture)
        picture.placeholder = "not on this machine"
        picture.show(message.image)

    @on(Standing)
    def _stand(self, message: Standing) -> None:
        self._standing = message.viewer
        self._say_meaning()

    @on(ViewsField.Changed)
    def _say_meaning(self) -> None:
        try:
            number = self.query_one(ViewsField).value()
        except ValueError:
            number = 0
        name, standing = plain(self._ask.name, _NAME_CELLS), self._standing
        if standing is None:
            meaning = f"{name} may look at the picture {_times(number)}; every look is counted."
        else:
            ends = until(standing.expires, self._peer.now())
            keeps = "choose a new expiry" if sharing.is_over(standing, self._peer.now()) else "never keeps that"
            meaning = (
                f"Adds {views(number)} to the {standing.left} of {standing.granted} that {name} has left"
                f" ({ends}; {keeps}).{sharing.keeps_look(standing)}"
            )
        self.query_one("#accept-meaning", Static).update(f"{meaning} You can change or revoke this in My images.")

    def on_resize(self, event: events.Resize) -> None:
        """Give the picture more rows where the terminal has them."""
        self.set_class(event.size.height >= _TALL_FROM_ROWS, "-tall")

    def result(self) -> RightsForm | None:
        """Return the fields; None after complaining about them."""
        try:
            rights = read_rights(self, self._peer.now(), self.client.zone)
            sharing.need_date(self._standing, rights.expires, self._peer.now())
        except ValueError as error:
            self.complain(str(error))
            return None
        return rights


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


class RejectDialog(ClientDialog[str]):
    """Asks for the reason of a rejection; the result is empty where none was given."""

    HEADING = "Reject this request?"
    ACCEPT = "Reject"

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def body(self) -> Iterable[Widget]:
        """Return what is rejected, and the field for the reason."""
        ask = self._ask
        yield Static(
            f"{ask.person} asks for {views(ask.request.views)} of “{ask.title}”.", markup=False, classes="text"
        )
        yield Label("Reason (the other side reads it)", id="reject-label")
        yield Input(id="reject-reason", placeholder="optional", max_length=MAX_NOTE_CHARS)

    def on_mount(self) -> None:
        """Begin at the reason."""
        self.query_one("#reject-reason", Input).focus()

    def result(self) -> str | None:
        """Return the reason; None after complaining about one that may not be sent."""
        reason = self.query_one("#reject-reason", Input).value.strip()
        if not is_clean(reason):
            self.complain("The reason holds characters that control a terminal; type it without them.")
            return None
        return reason
