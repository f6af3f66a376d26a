"""All of one request, for reading: its long note, its ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.widgets import Button, Static

from tui.client.panes.request_details import facts
from tui.common.dialog import Dialog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from tui.client.view_requests import Ask


class RequestShownDialog(Dialog[bool]):
    """Shows a request; there is nothing to decide in it."""

    ACCEPT = "Close"

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask

    def heading(self) -> str:
        """Say which way the request goes."""
        return "Request to you" if self._ask.incoming else "Your request"

    def body(self) -> Iterable[Widget]:
        """Return what is known of it."""
        text = facts(self._ask, self.client.wall(), self.client.zone)
        text.append(f"\n\nrequest {self._ask.request.request_id}", style="dim")
        text.append(f"\nimage   {self._ask.request.image}", style="dim")
        with VerticalScroll(id="request-shown", can_focus=False):
            yield Static(text, markup=False)

    def result(self) -> bool:
        """Done."""
        return True

    def on_mount(self) -> None:
        """One button is enough."""
        self.query_one("#cancel", Button).display = False
        self.query_one("#accept", Button).focus()
