"""A number of views: typed, stepped with the arrow keys, or one of a few presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from shared.config import MAX_VIEWS
from tui.client.widgets.chips import Chips

if TYPE_CHECKING:
    from textual.app import ComposeResult

_PRESETS = (1, 3, 5, 10)
_DIGITS = len(str(MAX_VIEWS))


class _Number(Input):
    """The number itself; up and down change it by one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "change(1)", "One more", show=False),
        Binding("down", "change(-1)", "One less", show=False),
    ]

    def action_change(self, by: int) -> None:
        """Change the number, within what the field allows."""
        field = self.parent
        assert isinstance(field, ViewsField)
        number = int(self.value) + by if self.value else field.least
        field.set(number)


class ViewsField(Horizontal):
    """Asks for `least` to `MAX_VIEWS` views. One line, at least 34 cells wide.

    Enter in the number is an `Input.Submitted`, as in every input.
    """

    DEFAULT_CSS = """
    ViewsField { width: auto; height: 1; }
    ViewsField > Chips { margin-left: 2; }
    ViewsField > Input { width: 8; padding: 0 1 !important; background: $panel; }
    """

    @dataclass
    class Changed(Message):
        """The number became another one, or stopped being one (None)."""

        field: ViewsField
        number: int | None

        @property
        def control(self) -> ViewsField:
            """The field, for `@on` with a selector."""
            return self.field

    def __init__(
        self,
        views: int = 1,
        *,
        least: int = 1,
        id: str | None = None,  # noqa: A002 - the name that every widget has for it
    ) -> None:
        super().__init__(id=id)
        self.least = least
        self._first = self._within(views)

    def compose(self) -> ComposeResult:
        """Compose the number and the presets."""
        yield _Number(
            str(self._first), restrict=r"[0-9]*", max_length=_DIGITS, compact=True, tooltip="Type a number of views"
        )
        presets = (0, *_PRESETS) if self.least == 0 else _PRESETS
        chips = Chips([(str(number), str(number)) for number in presets], value=str(self._first))
        chips.tooltip = "Choose a number of views"
        yield chips

    def value(self) -> int:
        """Return the number of views. Raises `ValueError` with what to do about it."""
        number = self._number()
        if number is None or not self.least <= number <= MAX_VIEWS:
            raise ValueError(f"The number of views must lie between {self.least} and {MAX_VIEWS}.")
        return number

    def set(self, views: int) -> None:
        """Put a number into the field, the nearest that it takes."""
        number = self.query_one(_Number)
        number.value = str(self._within(views))
        number.cursor_position = len(number.value)

    def focus_number(self) -> None:
        """Put the focus on the number."""
        self.query_one(_Number).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        number = self._number()
        self.query_one(Chips).value = "" if number is None else str(number)
        self.post_message(self.Changed(self, number))

    @on(Chips.Chosen)
    def _chosen(self, event: Chips.Chosen) -> None:
        event.stop()
        self.set(int(event.value))

    def _number(self) -> int | None:
        text = self.query_one(_Number).value
        return int(text) if text else None

    def _within(self, views: int) -> int:
        return max(self.least, min(views, MAX_VIEWS))
