"""What is seen until the monitor knows where its news come from: painted before anything heavy is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.screen import Screen
from textual.widgets import Static

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult


class Starting(Screen[None]):
    """One sentence in the middle. `painted` is called when it has been seen."""

    DEFAULT_CSS = """
    Starting { align: center middle; }
    Starting > Static { width: auto; max-width: 90%; }
    """

    def __init__(self, sentence: str, painted: Callable[[], None]) -> None:
        super().__init__()
        self._sentence = sentence
        self._painted = painted

    def compose(self) -> ComposeResult:
        """Compose the sentence."""
        yield Static(self._sentence, markup=False)

    def on_mount(self) -> None:
        """Tell when it has been painted."""
        self.call_after_refresh(self._painted)
