"""A name for a new account, or for a profile in which nobody has registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Input, Label, Static

from shared.config import MAX_NAME_CHARS
from shared.errors import InvalidInput
from tui.client.dialogs.base import ActionDialog
from tui.common.wording import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget

    from tui.peer import Peer


class RegisterDialog(ActionDialog["Peer"]):
    """Ask for a name and make the account; the result is the open peer.

    `make` registers under a name. `why_not` says why that cannot work at the moment, empty where it can: then the
    person hears it at once, not after a time-out. `profile` names the profile that is registered, if there is one.
    """

    HEADING = "New account"
    ACCEPT = "Create account"
    DOING = "Registering…"

    def __init__(
        self, make: Callable[[str], Awaitable[Peer]], why_not: Callable[[], str], *, profile: str = ""
    ) -> None:
        super().__init__()
        self._make = make
        self._why_not = why_not
        self._profile = profile

    def body(self) -> Iterable[Widget]:
        """Return the field and what the name is."""
        if self._profile:
            yield Static(
                f"Nobody has registered in the profile {plain(self._profile, 48)} yet.", markup=False, classes="text"
            )
        yield Label("What should others call you?", classes="field", markup=False)
        yield Input(placeholder="Your name", max_length=MAX_NAME_CHARS, id="name")
        yield Static(
            "Names need not be unique: beside it others see your id and the words of your key's fingerprint.",
            markup=False,
            classes="text muted",
        )

    def on_mount(self) -> None:
        """Say at once if it cannot work now."""
        self.complain(plain(self._why_not(), 240))

    def action(self) -> Callable[[], Awaitable[Peer]] | None:
        """Return the registration under the name that was typed."""
        from tui.peer.checks import checked_name

        try:
            name = checked_name(self.query_one("#name", Input).value)
        except InvalidInput as error:
            self.complain(str(error))
            return None
        if trouble := self._why_not():
            self.complain(plain(trouble, 240))
            return None
        return lambda: self._make(name)
