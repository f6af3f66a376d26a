"""The question before something that cannot be undone, or that costs something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Button, Static

from tui.client.dialogs.base import ClientDialog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget


class ConfirmDialog(ClientDialog[bool]):
    """Ask yes or no; True for yes. Cancel has the focus unless `safe`."""

    def __init__(self, heading: str, text: str, accept: str, *, cancel: str = "Cancel", safe: bool = False) -> None:
        super().__init__()
        self._heading = heading
        self._text = text
        self._accept = accept
        self._cancel = cancel
        self._safe = safe

    def heading(self) -> str:
        """Return the question."""
        return self._heading

    def body(self) -> Iterable[Widget]:
        """Return what it means."""
        yield Static(self._text, markup=False, classes="text")

    def result(self) -> bool:
        """Yes."""
        return True

    def on_mount(self) -> None:
        """Name the buttons, and put the focus on the one that does no harm."""
        accept, cancel = self.query_one("#accept", Button), self.query_one("#cancel", Button)
        accept.label, cancel.label = self._accept, self._cancel
        accept.variant = "primary" if self._safe else "error"
        (accept if self._safe else cancel).focus()
