"""What the dialogs that show one's own account share: name, id and fingerprint words, and how to copy them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Label, Static

from tui.common.dialog import Dialog
from tui.common.wording import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.peer.models import Me


class CardDialog(Dialog[bool]):
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


def _line(title: str, value: Text, *more: Widget) -> Horizontal:
    return Horizontal(Label(title, classes="muted"), Static(value, classes="value"), *more, classes="card-line")
