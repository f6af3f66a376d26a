"""What the four tabs have in common: they ask the peer in workers, know what these tell, and show it once opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.message import Message

from shared.errors import GlimpseError
from tui.client import debounce
from tui.client.client_app import client_of
from tui.client.messages import ConnectionChanged, PeerEvent, TroubleArose
from tui.common.tab_contents import TabContents
from tui.common.working import work

if TYPE_CHECKING:
    from tui.client.client_app import ClientApp
    from tui.client.thumbnails import Thumbnails
    from tui.peer import Peer

T = TypeVar("T")


class Pane(TabContents):
    """One tab of the home screen. Sub-classes say what they `fetch`, what they `learn` of it, and how they `paint` it.

    A tab that nobody has opened yet fetches, hears and counts as the others do; it only paints nothing.
    """

    @dataclass
    class Fetched(Message, bubble=False):
        """What `fetch` returned."""

        found: Any

    @dataclass
    class Said(Message, bubble=False):
        """What came of something that the peer was asked to do, for a toast."""

        text: str

    TAB: ClassVar[str]
    """The id of the tab; the pane has the same with `-pane` after it."""
    TAB_TITLE: ClassVar[str]

    def __init__(self, peer: Peer, thumbnails: Thumbnails, *, opened: bool = False) -> None:
        super().__init__(id=f"{self.TAB}-pane", opened=opened)
        self.peer = peer
        self.thumbnails = thumbnails
        self._soon: set[Callable[[], None]] = set()

    @property
    def client(self) -> ClientApp:
        """The program that this pane belongs to."""
        return client_of(self)

    @property
    def online(self) -> bool:
        """Whether the peer is signed in and hears the cloud: otherwise only what is on this machine is shown."""
        status = self.peer.status()
        return status.signed_in and status.cloud_reachable

    # --- For sub-classes ---------------------------------------------------------------------------------------------
    async def fetch(self) -> Any:
        """Ask the peer for what this pane shows. Runs in a worker; must not touch widgets."""
        raise NotImplementedError

    def learn(self, found: Any) -> None:
        """Take what `fetch` found; call `changed` to have it shown."""
        raise NotImplementedError

    def paint(self) -> None:
        """Show what is known. Called only while the widgets of `contents` are there."""
        raise NotImplementedError

    def heard(self, event: Any) -> None:
        """React to an event of the peer; the default does nothing."""

    def connection_changed(self) -> None:
        """Load again, because the cloud went away or came back."""
        self.load()

    def outbox_changed(self) -> None:
        """React to another number of items in the outbox; the default does nothing."""

    def take_focus(self) -> None:
        """Put the focus where a person who comes to this tab wants it; the default leaves it."""

    def look_ahead(self) -> None:
        """Have fetched what a tab that nobody has opened yet will show first; the default does nothing.

        What it fetches is there when the tab is opened, also where the cloud has gone away by then.
        """

    # --- Showing -----------------------------------------------------------------------------------------------------
    def changed(self) -> None:
        """Show what is known now; a tab that nobody has opened yet does so when it is opened."""
        if self.opened:
            self.paint()
        else:
            self.look_ahead()

    def when_opened(self) -> None:
        """Show what is known."""
        self.paint()

    # --- Workers -----------------------------------------------------------------------------------------------------
    def load(self) -> None:
        """Fetch again, now; a fetch under way is dropped."""
        work(self, self._fetch, group=f"load-{self.id}", exclusive=True)

    def load_soon(self) -> None:
        """Fetch again in a moment, once for all calls until then."""
        self.soon(self.load, debounce.TOGETHER_S)

    def soon(self, call: Callable[[], None], delay_s: float | None = None) -> None:
        """Have `call` called after a delay, by default `PAINT_S`, once for all that ask for it until then."""
        if call not in self._soon:
            self._soon.add(call)
            self.set_timer(debounce.PAINT_S if delay_s is None else delay_s, partial(self._call_now, call))

    def _call_now(self, call: Callable[[], None]) -> None:
        self._soon.discard(call)
        call()

    def attempt(self, call: Callable[[], Awaitable[T]], then: Callable[[T], Message | None] | None = None) -> None:
        """Call the peer in a worker. `then` makes a message of the result; an error is shown as a toast."""
        work(self, partial(self._attempt, call, then), group="attempts")

    async def _fetch(self) -> None:
        try:
            found = await self.fetch()
        except GlimpseError as error:
            self.post_message(TroubleArose(error))
        else:
            self.post_message(self.Fetched(found))

    async def _attempt(self, call: Callable[[], Awaitable[T]], then: Callable[[T], Message | None] | None) -> None:
        try:
            result = await call()
        except GlimpseError as error:
            self.post_message(TroubleArose(error))
            return
        message = None if then is None else then(result)
        if message is not None:
            self.post_message(message)

    # --- Messages ----------------------------------------------------------------------------------------------------
    def on_pane_fetched(self, message: Fetched) -> None:
        """Take what a worker brought."""
        self.learn(message.found)

    def on_peer_event(self, message: PeerEvent) -> None:
        """Hand an event of the peer on."""
        self.heard(message.event)

    def on_connection_changed(self, _message: ConnectionChanged) -> None:
        """Tell the sub-class."""
        self.connection_changed()
