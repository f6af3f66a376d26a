"""The way back from a locked profile to one that opens by itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from tui.client.dialogs.base import ActionDialog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget

    from tui.peer import Peer


class RemovePassphraseDialog(ActionDialog[bool]):
    """Ask for the present passphrase, and remove it."""

    HEADING = "Remove the passphrase"
    ACCEPT = "Remove"
    DOING = "Decrypting…"
    DANGEROUS = True

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer

    def body(self) -> Iterable[Widget]:
        """Return what it means, and the field."""
        yield Static(
            "Your keys lie on this machine in clear afterwards: whoever can read the files of this profile is you.",
            markup=False,
            classes="text",
        )
        yield Horizontal(Label("Present"), Input(password=True, id="present"), classes="row")

    def action(self) -> Callable[[], Awaitable[bool]] | None:
        """Return the removal."""
        present = self.query_one("#present", Input)
        if present.value:
            return partial(self._remove, present.value)
        present.focus()
        self.complain("Type the present passphrase first.")
        return None

    async def _remove(self, present: str) -> bool:
        await self._peer.remove_passphrase(present)
        return True

    @on(ActionDialog.Done)
    def _tell(self) -> None:
        self.client.tell("This profile has no passphrase any more.", title="Not locked", warning=True)
