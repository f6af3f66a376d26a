"""Giving somebody views of an image who has not asked: whom, how many, until when, how long each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import anyio
from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input, Static

from shared.errors import GlimpseError
from tui.client import debounce, sharing
from tui.client.dialogs.base import ActionDialog
from tui.client.dialogs.rights import RightsForm, read_rights, rights_fields
from tui.client.widgets.views_field import ViewsField
from tui.common.rowlist import Column, RowList
from tui.common.wording import plain, until
from tui.common.working import work
from tui.peer.models import Sent, User, UserPage, Viewer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from textual.widget import Widget

    from tui.peer import Peer
    from tui.peer.models import MyImage

_MAX_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class GivenViews:
    """Views that were given, or wait to be."""

    name: str
    account: int
    views: int
    sent: Sent


class AddViewerDialog(ActionDialog[GivenViews]):
    """Look for a person by name or id, and give views. `viewers` are those who have rights already."""

    HEADING = "Add a viewer"
    ACCEPT = "Give views"
    DOING = "Giving…"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", id="add.up", show=False),
        Binding("down", "move(1)", "Down", id="add.down", show=False),
        Binding("slash", "find", "Find", id="add.find", show=False),
    ]

    @dataclass
    class Found(Message, bubble=False):
        """From the worker: who was found, or why nobody could be looked for."""

        page: UserPage | None
        trouble: str = ""

    def __init__(self, peer: Peer, image: MyImage, viewers: Sequence[Viewer]) -> None:
        super().__init__()
        self._peer = peer
        self._image = image
        self._viewers = list(viewers)

    def heading(self) -> str:
        """Return what is given."""
        return f"Give views of “{plain(self._image.title, 40)}”"

    def body(self) -> Iterable[Widget]:
        """Return the search, who was found, and what is given."""
        yield Input(
            placeholder="Name or id of a person",
            id="add-find",
            max_length=_MAX_CHARS,
            compact=True,
            select_on_focus=False,
        )
        yield RowList(
            (Column("name", "Name"), Column("id", "Id", 7, align="right"), Column("words", "Fingerprint", flex=2)),
            key=lambda user: str(user.account),
            cells=lambda user: (user.name, f"#{user.account}", user.words),
            empty="Looking…",
            id="add-people",
        )
        yield Static("", id="add-told", classes="text muted", markup=False)
        yield from rights_fields("add", RightsForm(3, None), self.client.zone)

    def on_mount(self) -> None:
        """Begin with the search; show those online meanwhile."""
        self.query_one("#add-find", Input).focus()
        self._search("", 0.0)

    # --- Whom --------------------------------------------------------------------------------------------------------
    @on(Input.Changed, "#add-find")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._search(event.value.strip(), debounce.TYPING_S)

    def _search(self, text: str, rest_s: float) -> None:
        work(self, partial(self._find, text, rest_s), group="search", exclusive=True)

    async def _find(self, text: str, rest_s: float) -> None:
        await anyio.sleep(rest_s)
        try:
            self.post_message(self.Found(await self._peer.users(text.removeprefix("#"))))
        except GlimpseError as error:
            self.post_message(self.Found(None, str(error)))

    @on(Found)
    def _show(self, message: Found) -> None:
        people = self.query_one(RowList)
        me = self._peer.me
        found = [] if message.page is None else [u for u in message.page.rows if me is None or u.account != me.account]
        people.empty = plain(message.trouble, 200) or "Nobody of that name."
        people.set_rows(found)
        self._tell()

    @on(RowList.Highlighted)
    @on(ViewsField.Changed)
    def _tell(self) -> None:
        """Say who is chosen, and what that person has already."""
        user = self._chosen
        told = keeps = ""
        if user is not None:
            rights = sharing.standing(self._viewers, user.account)
            if rights is None:
                stands = (
                    "has no rights on it yet; compare the fingerprint if you give to this person for the first time"
                )
            else:
                lasts = until(rights.expires, self._peer.now())
                stands = f"has {sharing.left(rights)} left, {lasts}: this adds to them"
                keeps = sharing.keeps_look(rights)
            told = f"{plain(user.words)}\n{sharing.person(user.name, user.account)} {stands}.{keeps}"
        self.query_one("#add-told", Static).update(told)

    @property
    def _chosen(self) -> User | None:
        found: User | None = self.query_one(RowList).current
        return found

    # --- Moving about ------------------------------------------------------------------------------------------------
    @on(Input.Submitted, "#add-find")
    def _searched(self, event: Input.Submitted) -> None:
        """Go on to the number: Enter on a name must not give anything yet."""
        event.stop()
        event.prevent_default()
        self.query_one(ViewsField).focus_number()

    @on(RowList.Selected)
    def _selected(self) -> None:
        self.query_one(ViewsField).focus_number()

    def action_move(self, by: int) -> None:
        """Move the cursor of the list while one types."""
        self.query_one(RowList).action_cursor(by)

    def action_find(self) -> None:
        """Go to the search."""
        self.query_one("#add-find", Input).focus()

    # --- The grant ---------------------------------------------------------------------------------------------------
    def action(self) -> Callable[[], Awaitable[GivenViews]] | None:
        """Return the grant, None after complaining about the fields."""
        user = self._chosen
        if user is None:
            self.complain("Choose who may look: type a name, then move to the person.")
            return None
        try:
            rights = read_rights(self, self._peer.now(), self.client.zone)
            sharing.need_date(sharing.standing(self._viewers, user.account), rights.expires, self._peer.now())
        except ValueError as error:
            self.complain(str(error))
            return None
        return partial(self._give, user, rights)

    async def _give(self, user: User, rights: RightsForm) -> GivenViews:
        sent = await self._peer.grant(
            self._image.image, user.account, rights.views, expires=rights.expires, look_s=rights.look_s
        )
        return GivenViews(user.name, user.account, rights.views, sent)
