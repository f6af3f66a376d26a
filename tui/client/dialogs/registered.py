"""The account that has just been made or found, and the offer to keep it safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Button, Static

from tui.client.dialogs.card import CardDialog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.peer.models import Me

LOST_WITHOUT_EXPORT = (
    "Your account is a key that lies on this machine only. Nobody can give it back to you: a lost profile without an "
    "export is a lost account."
)
_FOUND_AGAIN = "The export was read: this profile has your account again."


class RegisteredDialog(CardDialog):
    """Shows the new account; True for the wish to export it now. `restored`: it came from an export."""

    ACCEPT = "Export now"
    CANCEL = "Later"

    def __init__(self, me: Me, *, restored: bool = False) -> None:
        super().__init__(me)
        self._restored = restored

    def heading(self) -> str:
        """Return what happened."""
        return "Welcome back" if self._restored else "Your account is ready"

    def body(self) -> Iterable[Widget]:
        """Return the card, and why an export matters."""
        yield from super().body()
        yield Static(_FOUND_AGAIN if self._restored else LOST_WITHOUT_EXPORT, markup=False, classes="text")

    def on_mount(self) -> None:
        """Offer the export first; what was just read from one needs none."""
        accept, cancel = self.query_one("#accept", Button), self.query_one("#cancel", Button)
        if self._restored:
            cancel.label, cancel.variant, accept.variant = "Go on", "primary", "default"
            accept.label = "Export again"
        (cancel if self._restored else accept).focus()
