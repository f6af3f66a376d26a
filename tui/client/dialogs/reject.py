"""The answer no, with a reason if one wants to give one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.widgets import Input, Label, Static

from shared.config import MAX_NOTE_CHARS
from shared.text import is_clean
from tui.common.dialog import Dialog
from tui.common.wording import views

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.client.view_requests import Ask


class RejectDialog(Dialog[str]):
    """Asks for the reason of a rejection; the result is empty where none was given."""

    HEADING = "Reject this request?"
    ACCEPT = "Reject"

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def body(self) -> Iterable[Widget]:
        """Return what is rejected, and the field for the reason."""
        ask = self._ask
        yield Static(
            f"{ask.person} asks for {views(ask.request.views)} of “{ask.title}”.", markup=False, classes="text"
        )
        yield Label("Reason (the other side reads it)", id="reject-label")
        yield Input(id="reject-reason", placeholder="optional", max_length=MAX_NOTE_CHARS)

    def on_mount(self) -> None:
        """Begin at the reason."""
        self.query_one("#reject-reason", Input).focus()

    def result(self) -> str | None:
        """Return the reason; None after complaining about one that may not be sent."""
        reason = self.query_one("#reject-reason", Input).value.strip()
        if not is_clean(reason):
            self.complain("The reason holds characters that control a terminal; type it without them.")
            return None
        return reason

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_accept()
