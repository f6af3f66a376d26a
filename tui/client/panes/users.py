"""The tab `Users`: who is registered, who is online, and what they offer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio
from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from shared.errors import GlimpseError, Unavailable
from tui.client import debounce, reached
from tui.client.dialogs.request import RequestForm, RequestViewsDialog
from tui.client.messages import Happened, TroubleArose
from tui.client.panes.base import Pane
from tui.client.panes.person import PersonPanel
from tui.client.user_directory import (
    UserDirectory,
    last_seen,
    order_by_name,
    order_by_presence,
    pages_to_come,
    reach_the_away,
)
from tui.common.rowlist import Column, RowList
from tui.common.wording import ago, counted, plain, views
from tui.common.working import work
from tui.peer.events import Delivered, ImageReceived, KeyChanged, RequestAnswered, Undeliverable
from tui.peer.models import User, UserPage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.geometry import Size

    from tui.client.thumbnails import Thumbnails
    from tui.peer import Peer
    from tui.peer.models import OfferedImage, Sent

LOOK_S: Final = 15.0
"""How often it is asked who is online, while the tab is seen."""
_PRESENCE_PAGES: Final = 10
_SEARCH_PAGES: Final = 3
_MAX_FILTER_CHARS: Final = 64
BESIDE_FROM_CELLS: Final = 106
"""Width from which the person stands beside the list, not below it."""


class Finder(Input):
    """Where one types whom to find; Enter and the down key lead into the list."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("down", "submit", "To the list", show=False)]

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Return whether a key is text here; the library does not know that the slash is."""
        return key == "slash" or super().check_consume_key(key, character)


class UsersPane(Pane):
    """The list of users with its filter, and the person under its cursor. The home begins with it."""

    TAB = "users"
    TAB_TITLE = "Users"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="users.filter", tooltip="Find by name, id or fingerprint"),
        Binding("r", "request", "Request", id="users.request", tooltip="Ask for views of the chosen picture"),
        Binding("c", "copy_id", "Copy id", id="users.copy_id", show=False, tooltip="Copy the id of the person"),
        Binding(
            "w",
            "copy_words",
            "Copy fingerprint",
            id="users.copy_words",
            show=False,
            tooltip="Copy the fingerprint words of the person",
        ),
        Binding("escape", "back", "Back", id="users.back", show=False, tooltip="To the list; there, clear the filter"),
    ]

    @dataclass
    class Page(Message, bubble=False):
        """A later page of everybody."""

        page: UserPage

    @dataclass
    class Filled(Message, bubble=False):
        """No more pages come; `whole` if all were asked for."""

        whole: bool

    @dataclass
    class Searched(Message, bubble=False):
        """What the cloud found for a filter."""

        pages: Sequence[UserPage]

    @dataclass
    class Asked(Message, bubble=False):
        """The peer is no longer at it, whatever came of it."""

        image: str

    @dataclass
    class Requested(Message, bubble=False):
        """A request is on disk, or with the cloud already."""

        sent: Sent
        offer: OfferedImage
        owner: User
        form: RequestForm

    def __init__(self, peer: Peer, thumbnails: Thumbnails) -> None:
        super().__init__(peer, thumbnails, opened=True)
        self._directory = UserDirectory(None if peer.me is None else peer.me.account)
        self._told_at: float | None = None
        self._trouble = ""
        self._filling = False
        self._filled_for = -1
        self._warned: set[int] = set()

    @property
    def people(self) -> RowList[User]:
        """The list of users."""
        return self.query_one("#users-list", RowList)

    @property
    def finder(self) -> Finder:
        """Where one types whom to find."""
        return self.query_one(Finder)

    @property
    def person(self) -> PersonPanel:
        """The person under the cursor."""
        return self.query_one(PersonPanel)

    def contents(self) -> ComposeResult:
        """Compose filter, list and person."""
        with Horizontal(id="users-bar"):
            yield Finder(
                placeholder="/ to find by name, id or fingerprint",
                max_length=_MAX_FILTER_CHARS,
                compact=True,
                id="users-filter",
                select_on_focus=False,
            )
            yield Static("", id="users-summary", markup=False)
        with Container(id="users-split", classes="split"):
            yield RowList(
                (
                    Column("presence", "", 1),
                    Column("name", "Name"),
                    Column("id", "Id", 6, align="right"),
                    Column("words", "Fingerprint", flex=2, hide_below=90),
                    Column("images", "Images", 8, align="right", descending_first=True),
                    Column("seen", "Last seen", 11, hide_below=50, descending_first=True),
                ),
                key=lambda user: str(user.account),
                cells=self._cells,
                sort=("presence", False),
                id="users-list",
                sort_keys={
                    "presence": order_by_presence,
                    "name": order_by_name,
                    "id": lambda user: user.account,
                    "images": lambda user: user.images,
                    "seen": last_seen,
                },
            )
            yield PersonPanel(self.peer, self.thumbnails)

    def on_mount(self) -> None:
        """Look again from time to time."""
        self.set_interval(LOOK_S, self._look_again)

    def when_opened(self) -> None:
        """Begin with the list."""
        self.take_focus()
        super().when_opened()

    def fit(self, size: Size) -> None:
        """Put the person beside the list, or below it."""
        self.set_class(size.width < BESIDE_FROM_CELLS, "-narrow")

    def take_focus(self) -> None:
        """Go to the list."""
        self.screen.set_focus(self.people)

    # --- Who is there ------------------------------------------------------------------------------------------------
    def load(self) -> None:
        """Look at everything again, now."""
        self.person.look_again()
        super().load()

    def _look_again(self) -> None:
        """Look who is there, while that is seen; what they offer is asked when it is wanted."""
        if self.online and self.is_on_screen:
            super().load()

    async def fetch(self) -> tuple[Sequence[UserPage], str]:
        """Return the first pages: one at first, then so many as tell who is online; and why there are none."""
        if not self.online:
            return (), "Waiting for the cloud."
        most = _PRESENCE_PAGES if len(self._directory) else 1
        pages: list[UserPage] = []
        try:
            while len(pages) < most and not reach_the_away(pages):
                pages.append(await self.peer.users(page=len(pages)))
                if not pages[-1].rows:
                    break
        except Unavailable as error:
            return pages, str(error)
        return pages, ""

    def learn(self, found: Any) -> None:
        """Take the first pages, and ask for the rest if there is one."""
        pages, self._trouble = found
        self._directory.merge_first(pages)
        if pages:
            self._told_at = self.client.wall()
            self._fill(pages[0])
        self.paint()
        if self.finder.value:
            self._search()

    def _fill(self, first: UserPage) -> None:
        """Ask for all other pages, one after another, unless that was done for so many people already."""
        if not self._filling and not self._directory.complete and first.total != self._filled_for:
            self._filling, self._filled_for = True, first.total
            work(self, partial(self._ask_for_rest, first), group="people")

    async def _ask_for_rest(self, first: UserPage) -> None:
        whole = False
        try:
            for number in pages_to_come(first):
                page = await self.peer.users(page=number)
                self.post_message(self.Page(page))
                if not page.rows:
                    break
            whole = True
        except Unavailable:
            pass  # The next look asks again.
        except GlimpseError as error:
            self.post_message(TroubleArose(error))
        finally:
            self.post_message(self.Filled(whole))

    @on(Page)
    def _take_page(self, message: Page) -> None:
        self._directory.merge(message.page)
        self.soon(self.paint)

    @on(Filled)
    def _no_more_pages(self, message: Filled) -> None:
        self._filling = False
        if not message.whole:
            self._filled_for = -1
        self.paint()

    # --- The filter --------------------------------------------------------------------------------------------------
    @on(Input.Changed, "#users-filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.paint()
        self._search()

    def _search(self) -> None:
        """Look for the filter's text in the cloud too, where not everybody is known here."""
        text = self.finder.value.strip().removeprefix("#")
        if text and self.online and not self._directory.complete:
            work(self, partial(self._ask_for, text), group="search", exclusive=True)

    async def _ask_for(self, text: str) -> None:
        await anyio.sleep(debounce.TYPING_S)
        pages: list[UserPage] = []
        try:
            while len(pages) < _SEARCH_PAGES:
                pages.append(await self.peer.users(text, page=len(pages)))
                if not pages[-1].rows or sum(len(page.rows) for page in pages) >= pages[-1].total:
                    break
        except Unavailable:
            return  # What is known here is shown, and the summary tells of the cloud.
        except GlimpseError as error:
            self.post_message(TroubleArose(error))
            return
        self.post_message(self.Searched(pages))

    @on(Searched)
    def _take_found(self, message: Searched) -> None:
        for page in message.pages:
            self._directory.found(page)
        self.paint()

    @on(Input.Submitted, "#users-filter")
    def _filter_done(self, event: Input.Submitted) -> None:
        event.stop()
        self.take_focus()

    # --- Painting ----------------------------------------------------------------------------------------------------
    def paint(self) -> None:
        """Show who matches, and what is known of the person under the cursor."""
        rows = self._directory.matching(self.finder.value)
        self.people.empty = self._nobody()
        self.people.set_rows(rows)
        self._show_person()
        self.query_one("#users-summary", Static).update(self._summary(len(rows)))

    def _nobody(self) -> str:
        if len(self._directory):
            return f"Nobody matches “{plain(self.finder.value, 40)}”.\nEscape clears the filter."
        if self._trouble:
            return f"{self._trouble}\nWho is there is shown as soon as it answers."
        if self._told_at is None:
            return "Asking who is there…"
        return "Nobody else is registered yet.\nOthers join with: glimpse client --cluster FILE"

    def _summary(self, shown: int) -> Text:
        summary = Text(no_wrap=True, overflow="ellipsis", justify="right", style="dim")
        if self._told_at is None or not len(self._directory):
            return summary
        everybody = counted(self._directory.total, "person", "people")
        summary.append(f"{counted(shown, 'of', 'of')} {everybody}" if self.finder.value else everybody)
        if self._trouble:
            summary.append(f" as of {ago(self._told_at, self.client.wall())}")
        else:
            summary.append(f", {self._directory.online} online")
        if self._filling:
            summary.append(" …")
        return summary

    def _cells(self, user: User) -> tuple[str | Text, ...]:
        changed = user.account in self._warned
        return (
            Text("!", "bold red") if changed else Text("●", "green") if user.online else Text("○", "dim"),
            plain(user.name, 80) or Text("no name", "dim"),
            Text(str(user.account), "dim"),
            Text(plain(user.words, 80), "dim"),
            str(user.images) if user.images else Text("–", "dim"),
            _now(user) if user.online else Text(ago(user.last_seen, self.client.wall()), "dim"),
        )

    @on(RowList.Highlighted, "#users-list")
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._show_person()

    def _show_person(self) -> None:
        user = self.people.current
        self.person.show_person(user, warned=user is not None and user.account in self._warned)

    # --- What happens ------------------------------------------------------------------------------------------------
    def heard(self, event: Any) -> None:
        """Mark who shows another key; see how one's own requests stand."""
        match event:
            case KeyChanged(account=account):
                self._warned.add(account)
                self.paint()
            case RequestAnswered() | ImageReceived() | Delivered() | Undeliverable():
                self.person.look_again()

    # --- Actions -----------------------------------------------------------------------------------------------------
    def action_filter(self) -> None:
        """Go to the filter, at once: what is typed next belongs there."""
        self.screen.set_focus(self.finder)

    def action_back(self) -> None:
        """Go back to the list; from there, clear the filter."""
        if self.finder.has_focus or self.people.has_focus:
            self.finder.value = ""
        self.take_focus()

    @on(RowList.Selected, "#users-list")
    def _to_pictures(self, event: RowList.Selected) -> None:
        event.stop()
        self.person.offers.focus()

    # A key may come before the word that the cursor moved: it is about whom the cursor is on, not about whom the panel
    # still shows.
    def action_request(self) -> None:
        """Ask for views of the chosen picture."""
        self._show_person()
        self.person.want()

    def action_copy_id(self) -> None:
        """Copy the id of the person under the cursor."""
        self._show_person()
        self.person.copy_id()

    def action_copy_words(self) -> None:
        """Copy the fingerprint of the person under the cursor."""
        self._show_person()
        self.person.copy_words()

    @on(PersonPanel.Wanted)
    def _ask_how_many(self, message: PersonPanel.Wanted) -> None:
        message.stop()
        dialog = RequestViewsDialog(message.offer, message.owner, asked=message.asked)
        self.app.push_screen(dialog, partial(self._request, message.offer, message.owner))

    def _request(self, offer: OfferedImage, owner: User, form: RequestForm | None) -> None:
        if form is not None:
            self.person.begin_asking(offer.image)
            self.attempt(partial(self._ask, offer.image, form), lambda sent: self.Requested(sent, offer, owner, form))

    async def _ask(self, image: str, form: RequestForm) -> Sent:
        try:
            return await self.peer.request(image, form.views, note=form.note)
        finally:
            self.post_message(self.Asked(image))

    @on(Asked)
    def _asked(self, message: Asked) -> None:
        self.person.end_asking(message.image)

    @on(Requested)
    def _requested(self, message: Requested) -> None:
        asked = f"Asked {plain(message.owner.name, 40)} for {views(message.form.views)}"
        if message.sent.delivered:
            self.client.tell(f"{asked} of “{plain(message.offer.title, 40)}”.")
        else:
            self.client.tell(f"{asked}: the request waits in the outbox until the cloud answers.")
        self.post_message(Happened("requested"))


def _now(user: User) -> str:
    """Return that somebody is online, and how pictures go to them where that is known: `now, via n2`."""
    return f"now, {reached.short(user.reached)}" if user.reached else "now"
