"""The line that says that the cloud is away and what waits for it, or that nothing can be stored here."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual.reactive import reactive
from textual.widgets import Static

from tui.common.wording import counted


class OfflineBanner(Static):
    """Hidden while the cloud is there and there is room on the disk.

    `waiting` is the number of items in the outbox, `trouble` why nothing can be stored on this machine.
    """

    DEFAULT_CSS = """
    OfflineBanner {
        height: auto; max-height: 3; padding: 0 1; background: $warning; color: $background; display: none;
    }
    OfflineBanner.-shown { display: block; }
    """
    away: reactive[bool] = reactive(False)
    waiting: reactive[int] = reactive(0)
    trouble: reactive[str] = reactive("")

    def watch_away(self, _away: bool) -> None:
        """Come and go with the cloud."""
        self._show()

    def watch_trouble(self, _trouble: str) -> None:
        """Come and go with the room on the disk."""
        self._show()

    def _show(self) -> None:
        self.set_class(self.away or bool(self.trouble), "-shown")
        self.update(self._text())

    def watch_waiting(self, _waiting: int) -> None:
        """Say the new number."""
        self.update(self._text())

    def on_resize(self) -> None:
        """Say as much as there is room for."""
        self.update(self._text())

    def _text(self) -> Text:
        if self.trouble:
            return Text(self.trouble)  # what to do stands at its end: it is told on as many lines as it needs
        what = f"{counted(self.waiting, 'item')} waiting in the outbox (o)" if self.waiting else "nothing is waiting"
        said = f"The cloud does not answer: {what}. Trying again"
        whole = f"{said} by itself; pictures of your own still open."
        fits = cell_len(whole) <= self.content_size.width
        return Text(whole if fits else f"{said}.", no_wrap=True, overflow="ellipsis")
