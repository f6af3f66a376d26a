"""The passphrase of a locked profile, before anything of it can be opened."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label, Static

from tui.client.dialogs.base import ActionDialog
from tui.common.wording import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget


class UnlockDialog(ActionDialog[Message]):
    """Ask for the passphrase and go on with it; the result is what `go_on` returns.

    `trouble` is said at once: what is wrong with a passphrase that was given before.
    """

    HEADING = "Locked profile"
    ACCEPT = "Open"
    DOING = "Opening…"

    def __init__(self, profile: str, go_on: Callable[[str | None], Awaitable[Message]], trouble: str = "") -> None:
        super().__init__()
        self._profile = profile
        self._go_on = go_on
        self._trouble = trouble

    def body(self) -> Iterable[Widget]:
        """Return the field."""
        yield Static(f"{plain(self._profile, 48)} opens by its passphrase.", markup=False, classes="text")
        yield Horizontal(Label("Passphrase"), Input(password=True, id="passphrase"), classes="row")

    def on_mount(self) -> None:
        """Say what is wrong with the passphrase that was given."""
        self.complain(plain(self._trouble, 240))

    def action(self) -> Callable[[], Awaitable[Message]] | None:
        """Return the way on with what was typed."""
        passphrase = self.query_one("#passphrase", Input).value
        if not passphrase:
            self.complain("Type the passphrase of this profile.")
            return None
        return partial(self._go_on, passphrase)

    @on(ActionDialog.Failed)
    def _again(self) -> None:
        """Let the next key begin anew: nobody sees where a hidden word is wrong."""
        self.query_one("#passphrase", Input).select_all()
