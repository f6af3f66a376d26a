"""A passphrase for one's own profile: the first one, or another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from tui.client.dialogs.base import ActionDialog
from tui.client.widgets.new_passphrase import NewPassphrase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget

    from tui.peer import Peer


class SetPassphraseDialog(ActionDialog[bool]):
    """Ask for a passphrase, twice, and for the present one if there is one; lock the profile by it."""

    ACCEPT = "Lock"
    DOING = "Encrypting…"

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer
        self._is_locked = peer.status().locked

    def heading(self) -> str:
        """Return which of both it is."""
        return "Change the passphrase" if self._is_locked else "Lock this profile"

    def body(self) -> Iterable[Widget]:
        """Return what it does, and the fields."""
        yield Static(
            "Your keys are encrypted on this machine and open by the passphrase only. Nobody can give you a forgotten "
            "one: keep an export of your account.",
            markup=False,
            classes="text",
        )
        if self._is_locked:
            yield Horizontal(Label("Present"), Input(password=True, id="present"), classes="row")
        label = "New" if self._is_locked else "Passphrase"
        yield NewPassphrase("profile", "Type the new passphrase.", label=label)

    def action(self) -> Callable[[], Awaitable[bool]] | None:
        """Return the change."""
        fields = self.query_one(NewPassphrase)
        present = self.query_one("#present", Input).value if self._is_locked else None
        if present == "":
            self.complain("Type the present passphrase first.")
        elif trouble := fields.trouble():
            self.complain(trouble)
        else:
            return partial(self._set, fields.value, present)
        return None

    async def _set(self, new: str, present: str | None) -> bool:
        await self._peer.set_passphrase(new, old=present)
        return True

    @on(ActionDialog.Done)
    def _tell(self) -> None:
        self.client.tell("This profile opens by the new passphrase only.", title="Locked")
