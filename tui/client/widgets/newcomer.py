"""The invitation to whoever has no profile yet: a name, and the account is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Input, Label, Static

from shared.config import MAX_NAME_CHARS

if TYPE_CHECKING:
    from textual.app import ComposeResult

_WHAT_IT_IS = (
    "Glimpse shares pictures that others may look at as often as you say, and no more. Pictures are sealed on this "
    "machine; only people whom you allow can open them."
)
_WHAT_AN_ACCOUNT_IS = "No password, no mail address: your account is a key that lies in a profile on this machine."


class Newcomer(Vertical):
    """Asks for a name. What was typed stays until the widget goes."""

    @dataclass
    class Create(Message):
        """The person wants an account under this name, not checked yet."""

        name: str

    class Restore(Message):
        """The person has an account already."""

    class Join(Message):
        """The person has an invitation."""

    def compose(self) -> ComposeResult:
        """Compose what Glimpse is, the field and the ways on."""
        yield Static(_WHAT_IT_IS, markup=False)
        yield Label("What should others call you?", classes="field", markup=False)
        yield Input(placeholder="Your name", max_length=MAX_NAME_CHARS, id="name")
        yield Static(_WHAT_AN_ACCOUNT_IS, markup=False, classes="muted")
        with Horizontal(classes="choices"):
            yield Button("Create account", id="create", variant="primary")
            yield Button("I have an account: import", id="restore")
            yield Button("I was invited", id="join")

    def take_focus(self) -> None:
        """Put the focus into the field."""
        self.query_one("#name", Input).focus()

    @on(Input.Submitted, "#name")
    @on(Button.Pressed, "#create")
    def _create(self, event: Message) -> None:
        event.stop()
        self.post_message(self.Create(self.query_one("#name", Input).value))

    @on(Button.Pressed, "#restore")
    def _restore(self, event: Message) -> None:
        event.stop()
        self.post_message(self.Restore())

    @on(Button.Pressed, "#join")
    def _join(self, event: Message) -> None:
        event.stop()
        self.post_message(self.Join())
