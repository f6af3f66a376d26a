"""What is known of one person: who that is, what they offer, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from rich.text import Text
from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from shared.errors import GlimpseError, Unavailable
from tui.client import debounce, reached
from tui.client.client_app import client_of
from tui.client.messages import TroubleArose
from tui.client.widgets.picture import Picture
from tui.common.rowlist import Column, RowList
from tui.common.wording import ago, plain, size
from tui.common.working import work
from tui.peer.models import AskState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL.Image import Image
    from textual.app import ComposeResult

    from tui.client.client_app import ClientApp
    from tui.client.thumbnails import Thumbnails
    from tui.peer import Peer
    from tui.peer.models import OfferedImage, User

_MOST_PAGES: Final = 5
"""Pages of one person's images that are asked for."""
_ASKED_WORDS: Final = {
    AskState.QUEUED: "queued",
    AskState.PENDING: "asked",
    AskState.ACCEPTED: "accepted",
    AskState.REJECTED: "rejected",
    AskState.RECEIVED: "held",
}
_NOBODY: Final = "Choose somebody to see what they offer."


class PersonPanel(Vertical):
    """Details of the person under the cursor of the list of users."""

    @dataclass
    class Wanted(Message):
        """Views of an offered image are wanted. `asked` is how an earlier request for it stands."""

        offer: OfferedImage
        owner: User
        asked: AskState | None

    @dataclass
    class Told(Message, bubble=False):
        """What a person offers, and how one's own requests stand, by image; `trouble` where the cloud said nothing."""

        account: int
        offers: Sequence[OfferedImage]
        asked: Mapping[str, AskState]
        trouble: str = ""

    @dataclass
    class Seen(Message, bubble=False):
        """The preview of an image, None where there is none."""

        image: str
        preview: Image | None

    def __init__(self, peer: Peer, thumbnails: Thumbnails) -> None:
        super().__init__(id="users-person", classes="side")
        self._peer = peer
        self._thumbnails = thumbnails
        self._asked: Mapping[str, AskState] = {}
        self._asking: set[str] = set()
        self._told_of: int | None = None
        self._wanted_when_told = False
        self.user: User | None = None
        self.warned = False

    @property
    def client(self) -> ClientApp:
        """The program that this panel belongs to."""
        return client_of(self)

    @property
    def offers(self) -> RowList[OfferedImage]:
        """The list of what the person offers."""
        return self.query_one("#person-offers", RowList)

    def compose(self) -> ComposeResult:
        """Compose who, what, how it looks, and what may be done."""
        yield Static(_NOBODY, id="person-who", markup=False)
        with Horizontal(id="person-pictures"):
            yield RowList(
                (
                    Column("title", "Picture"),
                    Column("pixels", "Pixels", 11, align="right", hide_below=56),
                    Column("size", "Size", 7, align="right", hide_below=28),
                    Column("asked", "", 8, hide_below=36),
                ),
                key=lambda offer: offer.image,
                cells=self._cells,
                id="person-offers",
            )
            yield Picture()
        with Horizontal(id="person-actions"):
            yield Button("Request", id="person-request", compact=True, variant="primary", tooltip="Ask for views of it")
            yield Button("Copy id", id="person-copy-id", compact=True)
            yield Button("Copy words", id="person-copy-words", compact=True)

    def on_mount(self) -> None:
        """Begin with nobody."""
        self.query_one(Picture).placeholder = ""
        self.show_person(None)

    # --- Who ---------------------------------------------------------------------------------------------------------
    def show_person(self, user: User | None, *, warned: bool = False) -> None:
        """Show somebody; `warned` if they show another key than before. Only somebody else makes it ask the cloud."""
        before, self.user, self.warned = self.user, user, warned
        self.query_one("#person-who", Static).update(Text(_NOBODY, "dim") if user is None else self._who(user))
        self.set_class(user is None, "-nobody")
        if user is None:
            self._empty("")
        elif before is None or user.account != before.account:
            self._empty("Asking…" if user.images else "Offers no pictures.")
            if user.images:
                self.look_again()
        elif user.images != before.images:
            self.look_again()

    def _who(self, user: User) -> Text:
        shown = Text().append(plain(user.name, 40) or "no name", "bold")
        shown.append(f"  #{user.account}  ")
        if user.online:
            shown.append("● online", "green")
        else:
            seen = "never signed in" if user.last_seen is None else f"seen {ago(user.last_seen, self.client.wall())}"
            shown.append(f"○ away, {seen}", "dim")
        if user.reached:
            shown.append(f", pictures go {reached.whole(user.reached)}", "dim")
        shown.append(f"\n{plain(user.words, 80)}", "dim")
        if self.warned:
            shown.append(
                "\nShows another key than before: it may be somebody else. Ask that person in another way.",
                "red",
            )
        return shown

    # --- What --------------------------------------------------------------------------------------------------------
    def look_again(self) -> None:
        """Ask what the person offers, once the cursor rests."""
        if self.user is not None:
            work(self, partial(self._look, self.user), group="offers", exclusive=True)

    async def _look(self, user: User) -> None:
        if self._told_of != user.account:
            await anyio.sleep(debounce.REST_S)
        offers: list[OfferedImage] = []
        asked: dict[str, AskState] = {}
        try:
            asked = await self._requests()
            for number in range(_MOST_PAGES):
                page = await self._peer.images_of(user.account, page=number)
                offers += page
                if not page or len(offers) >= user.images:
                    break
        except Unavailable as error:
            self.post_message(self.Told(user.account, offers, asked, str(error)))
        except GlimpseError as error:
            self.post_message(TroubleArose(error))
        else:
            self.post_message(self.Told(user.account, offers, asked))

    async def _requests(self) -> dict[str, AskState]:
        """Return how the last request for each image stands, asking nobody."""
        outgoing = (await self._peer.requests(local=True)).outgoing
        return {request.image: request.state for request in reversed(outgoing)}

    @on(Told)
    def _show_offers(self, message: Told) -> None:
        if self.user is None or message.account != self.user.account:
            return
        self._told_of = message.account
        self._asked = message.asked
        self.offers.empty = message.trouble or "Offers no pictures."
        self.offers.set_rows(message.offers)
        if self._wanted_when_told:
            self.want()

    def _empty(self, text: str) -> None:
        """Show nothing but this text."""
        self._told_of, self._wanted_when_told = None, False
        self.offers.empty = text
        self.offers.set_rows([])

    def _cells(self, offer: OfferedImage) -> tuple[str | Text, ...]:
        state = self._asked.get(offer.image)
        asked = "" if state is None else _ASKED_WORDS.get(state, "")
        return (
            plain(offer.title, 80) or Text("untitled", "dim"),
            Text(f"{offer.width} x {offer.height}", "dim"),
            Text(size(offer.size), "dim"),
            "asking…" if offer.image in self._asking else asked,
        )

    def begin_asking(self, image: str) -> None:
        """Show that a request is on its way: without the cloud it takes a while until it is known to wait."""
        self._asking.add(image)
        self.offers.redraw()

    def end_asking(self, image: str) -> None:
        """Show what has become of it."""
        self._asking.discard(image)
        self.offers.redraw()
        self.look_again()

    # --- How it looks ------------------------------------------------------------------------------------------------
    @on(RowList.Highlighted, "#person-offers")
    def _show_preview(self, event: RowList.Highlighted) -> None:
        event.stop()
        picture, offer = self.query_one(Picture), event.row
        known = None if offer is None else self._thumbnails.known("preview", offer.image)
        picture.show(known)
        picture.placeholder = "" if offer is None else "loading…" if offer.has_preview else "no preview"
        self.query_one("#person-request", Button).disabled = offer is None
        if offer is not None and offer.has_preview and known is None:
            work(self, partial(self._load_preview, offer.image), group="preview", exclusive=True)

    async def _load_preview(self, image: str) -> None:
        self.post_message(self.Seen(image, await self._thumbnails.preview(image)))

    @on(Seen)
    def _show_seen(self, message: Seen) -> None:
        offer = self.offers.current
        if offer is not None and offer.image == message.image:
            picture = self.query_one(Picture)
            picture.placeholder = "no preview"
            picture.show(message.preview)

    # --- What may be done --------------------------------------------------------------------------------------------
    @on(RowList.Selected, "#person-offers")
    @on(Button.Pressed, "#person-request")
    def want(self) -> None:
        """Say that views of the image under the cursor are wanted, or as soon as it is known what there is."""
        offer, user = self.offers.current, self.user
        self._wanted_when_told = False
        if user is None:
            self.client.tell("Choose somebody in the list first.")
        elif offer is not None:
            self.post_message(self.Wanted(offer, user, self._asked.get(offer.image)))
        elif user.images and self._told_of != user.account:
            self._wanted_when_told = True
        else:
            self.client.tell(f"{plain(user.name, 40)} offers no pictures.")

    @on(Button.Pressed, "#person-copy-id")
    def copy_id(self) -> None:
        """Copy the person's id."""
        if self.user is not None:
            self.client.copy(str(self.user.account), "Id")

    @on(Button.Pressed, "#person-copy-words")
    def copy_words(self) -> None:
        """Copy the person's fingerprint words."""
        if self.user is not None:
            self.client.copy(self.user.words, "Fingerprint")
