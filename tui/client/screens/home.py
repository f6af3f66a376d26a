"""The home of an open peer: four tabs, the header, the offline banner. It hears the peer and tells the tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import anyio
import anyio.to_thread
from textual import on
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Tab, TabbedContent

from shared.errors import GlimpseError, InvalidInput, Unavailable
from tui.client.announcing import announcement, set_aside
from tui.client.client_app import client_of
from tui.client.dialogs.confirm import ConfirmDialog
from tui.client.messages import ConnectionChanged, Happened, Noticed, PeerEvent, TroubleArose, Waiting
from tui.client.panes.base import Pane
from tui.client.panes.my_images import MyImagesPane
from tui.client.panes.peer_images import PeerImagesPane
from tui.client.panes.requests import ViewRequestsPane
from tui.client.panes.users import UsersPane
from tui.client.thumbnails import Thumbnails
from tui.client.widgets.status_lines import NoticeStrip, OfflineBanner, StatusHeader
from tui.common.compositor import FaithfulCompositor
from tui.common.footer import Footer
from tui.common.settings import complaints
from tui.common.tab_contents import StillTabPane
from tui.common.wording import counted, plain
from tui.common.working import work
from tui.peer.events import DirectoryRestored, ImageReceived

if TYPE_CHECKING:
    from pathlib import PurePath

    from textual.app import ComposeResult
    from textual.events import Click

    from tui.client.client_app import ClientApp
    from tui.peer import Peer
    from tui.peer.models import PeerStatus

_STYLES = ("users", "requests", "peer_images", "my_images", "viewer")
"""What the tabs, their dialogs and the viewer need."""
_LOOK_S = 1.0
"""How often the header reads the peer's status, which sends nothing."""
_SIGN_IN_AGAIN_S = 2.0
_MAX_COMPLAINT_CELLS = 300
_MAX_NOTICE_CELLS = 600
PANES: Final[tuple[type[Pane], ...]] = (UsersPane, ViewRequestsPane, PeerImagesPane, MyImagesPane)


class HomeScreen(Screen[None]):
    """One signed-in account. `waiting` is the number of items that its outbox holds."""

    CSS_PATH: ClassVar[list[str | PurePath]] = [f"../../styles/{name}.tcss" for name in _STYLES]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "tab('users')", "Users", id="tab.users", show=False, tooltip="Who is there, and what they offer"),
        Binding(
            "2", "tab('requests')", "Requests", id="tab.requests", show=False, tooltip="Who asks, and whom you ask"
        ),
        Binding("3", "tab('peer-images')", "Peer images", id="tab.peer_images", show=False, tooltip="What you may see"),
        Binding("4", "tab('my-images')", "My images", id="tab.my_images", show=False, tooltip="What others may see"),
        Binding("o", "outbox", "Outbox", id="home.outbox", show=False, tooltip="What still waits for the cloud"),
        Binding("f5", "reload", "Reload", id="home.reload", show=False, tooltip="Ask the cloud again"),
        Binding("y", "read_notice", "Read", id="home.notice", show=False, tooltip="Put away the notice above the tabs"),
        Binding(
            "i", "account", "Account", id="home.account", show=False, tooltip="Your id, fingerprint, passphrase, export"
        ),
    ]

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._compositor = FaithfulCompositor()
        self.peer = peer
        self.waiting = 0
        thumbnails = Thumbnails(peer)
        self.panes = tuple(pane(peer, thumbnails) for pane in PANES)
        """The four tabs' contents."""
        self._last: PeerStatus | None = None

    @property
    def client(self) -> ClientApp:
        """The program that this screen belongs to."""
        return client_of(self)

    def compose(self) -> ComposeResult:
        """Compose header, banner, tabs, the guided path if there is one, footer."""
        yield StatusHeader()
        yield OfflineBanner()
        yield NoticeStrip()
        with TabbedContent(id="tabs"):
            for pane in self.panes:
                with StillTabPane(pane.TAB_TITLE, id=pane.TAB):
                    yield pane
        if self.client.guide is not None:
            from tui.client.widgets.guide import GuideStrip

            yield GuideStrip(self.client.guide)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to listen, sign in, and look at the cloud's state from time to time."""
        work(self, self._listen, group="listen")
        work(self, self._sign_in, group="sign-in")
        work(self, self._check_settings)
        work(self, self._find_notice, group="notice")
        work(self, self._check_store)
        self.set_interval(_LOOK_S, self._look)
        self._look()

    # --- The peer ----------------------------------------------------------------------------------------------------
    async def _listen(self) -> None:
        with self.peer.subscribe() as events:
            async for event in events:
                self.post_message(PeerEvent(event))

    async def _sign_in(self) -> None:
        """Sign in, and go on trying while the cloud is away."""
        while not self.peer.status().signed_in:
            try:
                await self.peer.sign_in()
            except Unavailable:
                await anyio.sleep(_SIGN_IN_AGAIN_S)
            except GlimpseError as error:
                self.post_message(TroubleArose(error))
                return
        self.post_message(ConnectionChanged(self.peer.status()))

    async def _find_notice(self) -> None:
        """Look for what was told after a restore of the cloud and has not been read, perhaps in an earlier session."""
        self.post_message(Noticed(await self.peer.restored_notice()))

    def on_noticed(self, message: Noticed) -> None:
        """Show it above the tabs."""
        self.query_one(NoticeStrip).notice = plain(message.text, _MAX_NOTICE_CELLS)

    def on_notice_strip_read(self, _message: NoticeStrip.Read) -> None:
        """Put it away."""
        self.action_read_notice()

    def action_read_notice(self) -> None:
        """Put the notice away for good."""
        if self.query_one(NoticeStrip).notice:
            self.query_one(NoticeStrip).notice = ""
            work(self, self.peer.read_restored_notice, group="notice")

    async def _check_settings(self) -> None:
        """Say what of a person's settings could not be heeded."""
        from tui.common.keys import CLIENT_PACKAGES

        settings = self.client.settings
        for said in await anyio.to_thread.run_sync(
            complaints, "client", settings.theme, self.app.available_themes, settings.keys, CLIENT_PACKAGES
        ):
            self._complain(said)

    async def _check_store(self) -> None:
        """Say what in the profile could not be read when it was opened."""
        count = self.peer.status().set_aside
        troubles = await self.peer.troubles() if count else []
        if troubles:
            said = set_aside(count, f"{troubles[0].what} ({troubles[0].reason})")
            self.app.notify(said, title="Set aside", severity="warning", markup=False, timeout=8)

    def _complain(self, text: str) -> None:
        self.post_message(TroubleArose(InvalidInput(plain(text, _MAX_COMPLAINT_CELLS))))

    def _look(self) -> None:
        status = self.peer.status()
        self.query_one(StatusHeader).status = status
        self.waiting = status.outbox
        banner = self.query_one(OfflineBanner)
        banner.waiting = status.outbox
        banner.trouble = plain(status.trouble or status.cloud_trouble, _MAX_COMPLAINT_CELLS)
        banner.away = self._last is not None and not status.cloud_reachable
        if self._last is None or (status.signed_in, status.cloud_reachable) != (
            self._last.signed_in,
            self._last.cloud_reachable,
        ):
            self._tell_panes(status)
        elif status.outbox != self._last.outbox:
            for pane in self.panes:
                pane.outbox_changed()
        self._last = status

    def _tell_panes(self, status: PeerStatus) -> None:
        for pane in self.panes:
            pane.post_message(ConnectionChanged(status))

    def on_connection_changed(self, _message: ConnectionChanged) -> None:
        """Show the new status at once."""
        self._look()

    def on_peer_event(self, message: PeerEvent) -> None:
        """Say what happened, and tell the tabs."""
        said = announcement(message.event)
        if said is not None:
            in_sight = isinstance(message.event, DirectoryRestored) and self.app.screen is self
            if not in_sight:  # what came of a restore is read above the tabs
                self.app.notify(
                    said.text, title=said.title, severity=said.severity, markup=False, timeout=8 if said.bell else 5
                )
            if said.bell:
                self.app.bell()
        if isinstance(message.event, ImageReceived):
            self.post_message(Happened("received"))
        if isinstance(message.event, DirectoryRestored):
            self.post_message(Noticed(message.event.text))
        self._look()
        for pane in self.panes:
            pane.post_message(PeerEvent(message.event))

    def on_waiting(self, message: Waiting) -> None:
        """Show on a tab how much in it waits."""
        title = next(pane.TAB_TITLE for pane in PANES if message.pane == pane.TAB)
        label = f"{title} ({message.count})" if message.count else title
        self.query_one("#tabs", TabbedContent).get_tab(message.pane).label = label

    def on_click(self, event: Click) -> None:
        """Move the focus into a tab that is clicked."""
        if isinstance(event.widget, Tab):
            self.call_after_refresh(self._go_into_tab)

    async def _go_into_tab(self) -> None:
        pane = self._pane_of(self.query_one("#tabs", TabbedContent).active)
        if await pane.open():
            pane.take_focus()

    @on(TabbedContent.TabActivated)
    async def _activated(self, message: TabbedContent.TabActivated) -> None:
        """Show what is in a tab that was chosen with the mouse or in the row of tabs; after a key it is there."""
        await self._pane_of(message.tabbed_content.active).open()

    def _pane_of(self, tab: str) -> Pane:
        return next(pane for pane in self.panes if tab == pane.TAB)

    # --- Actions -----------------------------------------------------------------------------------------------------
    async def action_tab(self, name: str) -> None:
        """Go to a tab. Keys that come meanwhile wait until it is there, so they are about what is seen then."""
        pane = self._pane_of(name)
        if await pane.open():
            self.query_one("#tabs", TabbedContent).active = name
            pane.take_focus()

    def action_reload(self) -> None:
        """Ask the cloud again."""
        for pane in self.panes:
            pane.load()

    def action_outbox(self) -> None:
        """Show what waits."""
        from tui.client.dialogs.outbox import OutboxDialog

        self.app.push_screen(OutboxDialog(self.peer))

    def action_account(self) -> None:
        """Show who one is, and the way to keep it."""
        from tui.client.dialogs.account import AccountDialog

        self.app.push_screen(AccountDialog(self.peer))

    async def may_leave(self) -> bool:
        """Return whether to close, asked of the person only if something still waits. Must run in a worker."""
        self.waiting = len(await self.peer.outbox())
        if not self.waiting:
            return True
        question = ConfirmDialog(
            "Quit?",
            f"{counted(self.waiting, 'item')} still {'waits' if self.waiting == 1 else 'wait'} for the cloud. Nothing "
            "is lost: what waits goes out the next time you sign in.",
            "Quit",
            safe=True,
        )
        yes: bool | None = await self.app.push_screen_wait(question)
        return bool(yes)
