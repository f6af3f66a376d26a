"""One's own account: name, id and fingerprint words to be copied, and the way to keep it safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Label, Static

from tui.client.dialogs.base import ClientDialog
from tui.client.dialogs.export_identity import ExportIdentityDialog
from tui.client.dialogs.remove_passphrase import RemovePassphraseDialog
from tui.client.dialogs.set_passphrase import SetPassphraseDialog
from tui.common.wording import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.peer import Peer
    from tui.peer.models import Me

LOST_WITHOUT_EXPORT = (
    "Your account is a key that lies on this machine only. Nobody can give it back to you: a lost profile without an "
    "export is a lost account."
)
_FOUND_AGAIN = (
    "The export was read: this profile has your account again. The passphrase of the export does not lock the profile; "
    "to lock it, press i and then p at home."
)
_FOUND_LOCKED = "The export was read: this profile has your account again, and is locked by its own passphrase."
_LOCKED = "Set: keys encrypted"
_NOT_LOCKED = "Not set: keys in clear"


class CardDialog(ClientDialog[bool]):
    """Shows an account. Sub-classes add to `body` what it is shown for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy_id", "Copy id", id="account.copy_id", tooltip="Copy the id of your account"),
        Binding("w", "copy_words", "Copy words", id="account.copy_words", tooltip="Copy the words of your fingerprint"),
    ]

    def __init__(self, me: Me) -> None:
        super().__init__()
        self.me = me

    def body(self) -> Iterable[Widget]:
        """Return the card."""
        me = self.me
        yield _line("Name", Text(plain(me.name, 48), style="bold"))
        yield _line("Id", Text(f"#{me.account}", style="bold"), Button("Copy id", id="copy-id", compact=True))
        yield _line("Fingerprint", Text(plain(me.words, 120)), Button("Copy words", id="copy-words", compact=True))

    def result(self) -> bool:
        """Yes."""
        return True

    @on(Button.Pressed, "#copy-id")
    def action_copy_id(self) -> None:
        """Copy the id."""
        self.client.copy(str(self.me.account), "Id")

    @on(Button.Pressed, "#copy-words")
    def action_copy_words(self) -> None:
        """Copy the words."""
        self.client.copy(self.me.words, "Fingerprint")


class AccountDialog(CardDialog):
    """Shows the account of an open peer, to be copied and exported. It stays until it is closed."""

    HEADING = "Your account"
    ACCEPT = "Export…"
    CANCEL = "Close"
    AUTO_FOCUS = "#cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "accept", "Export", id="account.export", tooltip="Write your key to a file, under a passphrase"),
        Binding(
            "p",
            "set_passphrase",
            "Passphrase",
            id="account.passphrase",
            tooltip="Set or change the passphrase of this profile",
        ),
        Binding(
            "x", "remove_passphrase", "Unlock", id="account.unlock", tooltip="Remove the passphrase of this profile"
        ),
    ]

    def __init__(self, peer: Peer) -> None:
        assert peer.me is not None, "the home is shown for registered accounts only"
        super().__init__(peer.me)
        self._peer = peer

    def body(self) -> Iterable[Widget]:
        """Return the card, and what an export is for."""
        yield from super().body()
        yield Horizontal(
            Label("Passphrase", classes="muted"),
            Static("", id="locked", markup=False, classes="value"),
            Button("Set…", id="set-passphrase", compact=True),
            Button("Remove…", id="remove-passphrase", compact=True),
            classes="card-line",
        )
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

    def on_mount(self) -> None:
        """Say whether there is a passphrase."""
        self._show_passphrase()

    def _show_passphrase(self, _changed: bool | None = None) -> None:
        is_locked = self._peer.status().locked
        self.query_one("#locked", Static).update(_LOCKED if is_locked else _NOT_LOCKED)
        self.query_one("#set-passphrase", Button).label = "Change…" if is_locked else "Set…"
        self.query_one("#remove-passphrase", Button).display = is_locked
        self.refresh_bindings()

    def action_accept(self) -> None:
        """Ask how to export; this dialog stays behind."""
        self.app.push_screen(ExportIdentityDialog(self._peer))

    @on(Button.Pressed, "#set-passphrase")
    def action_set_passphrase(self) -> None:
        """Ask for a passphrase."""
        self.app.push_screen(SetPassphraseDialog(self._peer), self._show_passphrase)

    @on(Button.Pressed, "#remove-passphrase")
    def action_remove_passphrase(self) -> None:
        """Ask whether to remove it."""
        self.app.push_screen(RemovePassphraseDialog(self._peer), self._show_passphrase)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer to remove a passphrase where there is one."""
        return action != "remove_passphrase" or self._peer.status().locked


class RegisteredDialog(CardDialog):
    """Shows the new account; True to export it now. `restored`: it came from an export, into a profile that is `locked`
    or is not."""

    ACCEPT = "Export now"
    CANCEL = "Later"

    def __init__(self, me: Me, *, restored: bool = False, locked: bool = False) -> None:
        super().__init__(me)
        self._restored = restored
        self._locked = locked

    def heading(self) -> str:
        """Return what happened."""
        return "Welcome back" if self._restored else "Your account is ready"

    def body(self) -> Iterable[Widget]:
        """Return the card, and why an export matters."""
        yield from super().body()
        found = _FOUND_LOCKED if self._locked else _FOUND_AGAIN
        yield Static(found if self._restored else LOST_WITHOUT_EXPORT, markup=False, classes="text")

    def on_mount(self) -> None:
        """Offer the export first; what was just read from one needs none."""
        accept, cancel = self.query_one("#accept", Button), self.query_one("#cancel", Button)
        if self._restored:
            cancel.label, cancel.variant, accept.variant = "Go on", "primary", "default"
            accept.label = "Export again"
        (cancel if self._restored else accept).focus()


def _line(title: str, value: Text, *more: Widget) -> Horizontal:
    return Horizontal(Label(title, classes="muted"), Static(value, classes="value"), *more, classes="card-line")
