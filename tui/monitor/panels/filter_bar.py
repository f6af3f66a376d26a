"""A line in which one types what to find, beside what is to be said of the list below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from tui.monitor.widgets.text_lines import TextLines

if TYPE_CHECKING:
    from rich.text import Text
    from textual.app import ComposeResult

MAX_FILTER_CHARS: Final = 64


class FilterField(Input):
    """Where one types. Enter, the down key and Escape lead back to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "submit", "To the list", show=False),
        Binding("escape", "submit", "To the list", id="filter.leave"),
    ]


class FilterBar(Horizontal):
    """The field, and a line beside it. Posts `Changed` with every key, and `Left` when one is done with typing."""

    DEFAULT_CSS = """
    FilterBar {
        height: 1; background: $panel;
        & > FilterField { width: 30; margin: 0 1; background: $panel; }
        & > FilterField:focus { background: $background; }
        & > TextLines { width: 1fr; padding: 0 1 0 0; }
    }
    """

    @dataclass
    class Changed(Message):
        """Another text stands in the field."""

        text: str

    class Left(Message):
        """The person goes on to the list."""

    def __init__(self, hint: str, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._hint = hint

    def compose(self) -> ComposeResult:
        """Compose field and line."""
        yield FilterField(placeholder=self._hint, max_length=MAX_FILTER_CHARS, compact=True, select_on_focus=False)
        yield TextLines()

    @property
    def text(self) -> str:
        """What stands in the field."""
        return self.query_one(FilterField).value

    def say(self, left: Text, right: Text) -> None:
        """Show a line beside the field."""
        self.query_one(TextLines).show([(left, right)])

    def type_here(self) -> None:
        """Go to the field, at once: what is typed next belongs there."""
        self.screen.set_focus(self.query_one(FilterField))

    def clear(self) -> None:
        """Empty the field."""
        self.query_one(FilterField).value = ""

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Left())
