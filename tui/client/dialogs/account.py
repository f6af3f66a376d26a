"""Who one is, and the way to keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui.client.dialogs.card import CardDialog
from tui.client.dialogs.export_identity import ExportIdentityDialog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.peer import Peer


class AccountDialog(CardDialog):
    """Shows the account of an open peer, to be copied and exported. It stays until it is closed."""

    HEADING = "Your account"
    ACCEPT = "Export…"
    CANCEL = "Close"
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "accept", "Export", id="account.export", tooltip="Write your key to a file, under a passphrase"),
    ]

    def __init__(self, peer: Peer) -> None:
        assert peer.me is not None, "the home is shown for registered accounts only"
        super().__init__(peer.me)
        self._peer = peer

    def body(self) -> Iterable[Widget]:
        """Return the card, and what an export is for."""
        yield from super().body()
        yield Static(
            "Others compare the fingerprint with you in another way, by telephone for instance. An export moves the "
            "account to another machine, and brings it back when this one is lost.",
            markup=False,
            classes="text muted",
        )
        if self._peer.status().other_device:
            yield Static(
                "Your account is signed in on another device too, which others reach. If that is not you, somebody has "
                "your keys.",
                markup=False,
                classes="text",
                id="other-device",
            )

    def action_accept(self) -> None:
        """Ask how to export; this dialog stays behind."""
        self.client.push_screen(ExportIdentityDialog(self._peer))
