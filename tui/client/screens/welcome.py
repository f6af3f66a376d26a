"""The first screen: who has a profile on this machine, and does the cluster answer. It is painted before all else."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Static

from shared.errors import GlimpseError, PassphraseNeeded, WrongPassphrase
from tui.client.client_app import client_of
from tui.client.messages import Entered, Listed, Locked, Made, Nameless, Reached, Stayed
from tui.client.widgets.status_lines import ClusterLine, StatusHeader
from tui.common.footer import Footer
from tui.common.starting import painted
from tui.common.wording import plain
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.app import ComposeResult
    from textual.message import Message

    from tui.client.client_app import ClientApp
    from tui.client.entering import Entering, OpenedProfile
    from tui.client.ports import Reach
    from tui.client.widgets.newcomer import Newcomer
    from tui.client.widgets.profile_list import ProfileList
    from tui.peer import Peer
    from tui.peer.profiles import ProfileSummary

_AGAIN_S = 3.0
"""Pause between two tries while no node answers."""
_STILL_S = 15.0
"""Pause between two tries while they do."""
_MAX_TROUBLE_CELLS = 600


class Welcome(Screen[None]):
    """Leads to an open peer that has an account, and hands it to the client.

    `profiles` is None until they are known; `busy` says what is under way, `trouble` what could not be done.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New account", id="welcome.new", tooltip="Make another account on this machine"),
        Binding("i", "restore", "Import", id="welcome.import", tooltip="Bring an account here from its export"),
        Binding("j", "join", "Join", id="welcome.join", tooltip="Use the cluster that an invitation leads to"),
        Binding("r,f5", "retry", "Try again", id="welcome.retry", tooltip="Ask the nodes again whether they are there"),
        Binding("escape", "stop", "Stop", id="welcome.stop", tooltip="Break off what is under way"),
    ]

    profiles: reactive[Sequence[ProfileSummary] | None] = reactive(None, init=False)
    reach: reactive[Reach | None] = reactive(None, init=False)
    busy: reactive[str] = reactive("", init=False)
    trouble: reactive[str] = reactive("", init=False)

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._entering: Entering

    @property
    def client(self) -> ClientApp:
        """The program that this screen belongs to."""
        return client_of(self)

    def _is_over(self) -> bool:
        """Whether the client is being left: what comes in then opens nothing any more."""
        return self.client.leaving or not self.is_attached

    def compose(self) -> ComposeResult:
        """Compose the frame; what stands in it depends on the profiles."""
        yield StatusHeader()
        with Vertical(id="welcome"):
            yield Vertical(id="welcome-place")
            yield Static("", id="welcome-busy", markup=False, classes="muted")
            yield Static("", id="welcome-trouble", markup=False)
        yield ClusterLine(id="welcome-cluster", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Paint first; then open the profile that was asked for, or see which ones there are."""
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        from tui.client.entering import Entering

        painted()
        self._entering = Entering(self.client.host)
        profile = self.client.profile
        if profile:
            self._open_profile(profile)
            self._begin_watch()
        else:
            self._list()  # the nodes are asked when the field for a name is there: asking them imports a lot

    def on_screen_suspend(self) -> None:
        """Ask the nodes nothing while something else is in front."""
        self.workers.cancel_group(self, "watch")

    def on_screen_resume(self) -> None:
        """Ask again."""
        if self._begun:
            self._watch()

    def _begin_watch(self) -> None:
        if not self._begun:
            self._begun = True
            self._watch()

    # --- The cluster -------------------------------------------------------------------------------------------------
    def _watch(self) -> None:
        work(self, self._look, group="watch", exclusive=True)

    async def _look(self) -> None:
        while True:
            reach = await self.client.host.reach()
            self.post_message(Reached(reach))
            await asyncio.sleep(_STILL_S if reach.reachable else _AGAIN_S)

    @on(Reached)
    def _reached(self, message: Reached) -> None:
        self.reach = message.reach

    def watch_reach(self, reach: Reach | None) -> None:
        """Show how the nodes answer."""
        line = self.query_one(ClusterLine)
        line.place = self.client.host.cluster
        line.reach = reach

    def _why_not(self) -> str:
        """Return why nobody can register now, as far as is known."""
        if self.reach is None or self.reach.reachable:
            return ""
        return "Registering needs the cluster: try again when a node answers. What you typed stays here."

    @on(ClusterLine.Asked)
    def action_retry(self) -> None:
        """Ask the nodes again, now."""
        self.reach = None
        self._watch()

    # --- The profiles ------------------------------------------------------------------------------------------------
    def _list(self) -> None:
        work(self, self._find_profiles, group="profiles", exclusive=True)

    async def _find_profiles(self) -> None:
        self.post_message(Listed(await self.client.host.profiles()))

    @on(Listed)
    async def _listed(self, message: Listed) -> None:
        if self._is_over():
            return
        self.profiles = message.profiles
        from tui.client.widgets.newcomer import Newcomer
        from tui.client.widgets.profile_list import ProfileList

        wanted = ProfileList if message.profiles else Newcomer
        if not isinstance(self._content, wanted):
            place = self.query_one("#welcome-place")
            await place.remove_children()
            if self._is_over():
                return
            await place.mount(wanted())
            if self._is_over():
                return
        if isinstance(self._content, ProfileList):
            self._content.set_profiles(message.profiles)
        self._show_busy()
        self.call_after_refresh(self._begin_watch)

    @property
    def _content(self) -> Newcomer | ProfileList | None:
        found = self.query_one("#welcome-place").children
        return cast("Newcomer | ProfileList", found[0]) if found else None

    # --- Ways to an open peer ----------------------------------------------------------------------------------------
    def _enter(self, say: str, profile: str, call: Callable[[str | None], Awaitable[Message]]) -> None:
        """Do what leads to an open peer, in a worker. What failed is shown; nothing that was typed is lost.

        `call` takes the passphrase of the profile, which it needs where that is locked.
        """
        self.trouble, self.busy = "", say
        work(self, partial(self._do, profile, call), group="enter", exclusive=True)

    async def _do(self, profile: str, call: Callable[[str | None], Awaitable[Message]]) -> None:
        try:
            self.post_message(await call(None))
        except PassphraseNeeded:
            self.post_message(Locked(profile, call))
        except WrongPassphrase as error:
            self.post_message(Locked(profile, call, str(error)))
        except GlimpseError as error:
            self.post_message(Stayed(str(error)))

    @on(Locked)
    def _ask_passphrase(self, message: Locked) -> None:
        if self._is_over():
            return
        from tui.client.dialogs.unlock import UnlockDialog

        self.busy = ""
        self.app.push_screen(UnlockDialog(message.profile, message.go_on, message.trouble), self._unlocked)

    def _unlocked(self, found: Message | None) -> None:
        self.post_message(Stayed() if found is None else found)

    def _open_profile(self, profile: str) -> None:
        self._enter(f"Opening {profile}…", profile, partial(self._open, profile))

    async def _open(self, profile: str, passphrase: str | None) -> Message:
        peer = await self._entering.open(profile, passphrase)
        return Nameless(profile, passphrase) if peer is None else await self._ready(peer)

    async def _create(self, name: str, passphrase: str | None) -> Message:
        return Made(await self._entering.create(name, passphrase), restored=False)

    async def _enter_restored(self, restored: OpenedProfile, passphrase: str | None) -> Message:
        return Made(await self._entering.enter_as(restored.profile, restored.name, passphrase), restored=True)

    async def _ready(self, peer: Peer, _passphrase: str | None = None) -> Message:
        # The four tabs bring Pillow and numpy along: a moment that the screen should not freeze for.
        await asyncio.to_thread(import_module, "tui.client.screens.home")
        return Entered(peer)

    @on(Nameless)
    def _ask_name(self, message: Nameless) -> None:
        if self._is_over():
            return
        from tui.client.dialogs.register import RegisterDialog

        self.busy = ""
        make: Callable[[str], Awaitable[Peer]] = self._entering.create
        if message.profile:
            make = partial(self._entering.enter_as, message.profile, passphrase=message.passphrase)
        self.app.push_screen(RegisterDialog(make, self._why_not, profile=message.profile), self._registered)

    def _registered(self, peer: Peer | None) -> None:
        self.post_message(Stayed() if peer is None else Made(peer, restored=False))

    def _ask_export(self, profile: str | None) -> None:
        from tui.client.dialogs.import_identity import ImportIdentityDialog

        self.app.push_screen(ImportIdentityDialog(self._entering, profile=profile), self._restored)

    def _restored(self, restored: OpenedProfile | None) -> None:
        if restored is None:
            self.post_message(Stayed())
            return
        self.profiles = None  # there is one that the list does not have yet
        say = f"Looking for the account of {restored.profile}…"
        self._enter(say, restored.profile, partial(self._enter_restored, restored))

    @on(Made)
    def _made(self, message: Made) -> None:
        """Show the account, and offer to export it."""
        from tui.client.dialogs.account import RegisteredDialog

        me = message.peer.me
        if self._is_over() or me is None:
            return
        self.busy = ""
        dialog = RegisteredDialog(me, restored=message.restored, locked=message.peer.status().locked)
        self.app.push_screen(dialog, partial(self._introduced, message.peer))

    def _introduced(self, peer: Peer, wants_export: bool | None) -> None:
        from tui.client.dialogs.export_identity import ExportIdentityDialog

        if wants_export:
            self.app.push_screen(ExportIdentityDialog(peer), lambda _place: self._introduced(peer, wants_export=False))
        else:
            self._enter("", "", partial(self._ready, peer))

    @on(Entered)
    def _entered(self, message: Entered) -> None:
        if not self._is_over():
            self.busy = ""
            self.client.enter(message.peer)

    @on(Stayed)
    def _stayed(self, message: Stayed) -> None:
        if self._is_over():
            return
        self.busy, self.trouble = "", message.trouble
        if self.profiles is None or self.profiles:
            self._list()

    def watch_busy(self) -> None:
        """Show what is under way."""
        self._show_busy()

    def watch_trouble(self, trouble: str) -> None:
        """Show what could not be done."""
        self.query_one("#welcome-trouble", Static).update(plain(trouble, _MAX_TROUBLE_CELLS))

    def _show_busy(self) -> None:
        self.query_one("#welcome-busy", Static).update(self.busy)
        content = self._content
        if content is not None:
            content.disabled = bool(self.busy)
            if not self.busy and self.is_current:
                content.take_focus()
        self.refresh_bindings()

    # --- What the person does ----------------------------------------------------------------------------------------
    def on_newcomer_create(self, message: Newcomer.Create) -> None:
        """Make an account for whoever has none yet."""
        if trouble := self._why_not():
            self.trouble = trouble
            self._watch()
        else:
            self._enter("Registering…", message.name, partial(self._create, message.name))

    def on_newcomer_restore(self) -> None:
        """Bring an account here."""
        self.action_restore()

    def on_newcomer_join(self) -> None:
        """Take an invitation."""
        self.action_join()

    def on_profile_list_chosen(self, message: ProfileList.Chosen) -> None:
        """Open a profile, or bring back its key."""
        profile = message.profile
        if profile.key_lost:
            self._ask_export(profile.name)
        else:
            self._open_profile(profile.name)

    def on_profile_list_new(self) -> None:
        """Make another account."""
        self.action_new()

    def on_profile_list_restore(self) -> None:
        """Bring an account here."""
        self.action_restore()

    def action_new(self) -> None:
        """Make another account."""
        self.post_message(Nameless())

    def action_restore(self) -> None:
        """Bring an account here from its export."""
        self._ask_export(None)

    def action_join(self) -> None:
        """Take an invitation: it leads to a cluster."""
        from tui.client.dialogs.join import JoinDialog

        self.app.push_screen(JoinDialog(self.client.host.join), self._joined)

    def _joined(self, joined: bool | None) -> None:
        if joined:
            self.trouble, self.reach = "", None  # the nodes of the other cluster are asked when this screen is back
        self.post_message(Stayed())

    def action_stop(self) -> None:
        """Break off what is under way; nothing that was typed is lost."""
        self.workers.cancel_group(self, "enter")
        self.post_message(Stayed())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer what can be done now."""
        if action == "stop":
            return bool(self.busy)
        if action == "new":
            return not self.busy and bool(self.profiles)
        if action in ("restore", "join"):
            return not self.busy and self.profiles is not None
        return True
