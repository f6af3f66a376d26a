"""The strip above the footer that leads a newcomer along the guided path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal
from textual.widgets import Button, Static

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tui.client.guide import Guide


class GuideStrip(Horizontal):
    """Shows the present step, and a button that ends it all."""

    DEFAULT_CSS = """
    GuideStrip { height: auto; max-height: 4; background: $primary 20%; padding: 0 1; }
    GuideStrip Static { width: 1fr; height: auto; }
    GuideStrip Button { width: auto; min-width: 8; height: 1; border: none; margin-left: 1; }
    """

    def __init__(self, guide: Guide) -> None:
        super().__init__()
        self._guide = guide

    def compose(self) -> ComposeResult:
        """Compose text and button."""
        yield Static("", markup=False)
        yield Button("Leave tour", compact=True)

    def on_mount(self) -> None:
        """Show where the person is."""
        self.show_step()

    def show_step(self) -> None:
        """Show the present step, or nothing."""
        step = self._guide.step
        self.display = step is not None
        if step is not None:
            self.query_one(Static).update(f"{self._guide.number + 1}/{self._guide.total}  {step.text}")

    @on(Button.Pressed)
    def leave(self) -> None:
        """End the path for good."""
        self._guide.leave()
        self.show_step()
