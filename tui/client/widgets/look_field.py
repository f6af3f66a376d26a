"""How long one look may last: typed in seconds, or one of a few presets; by default there is no limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from shared.records import MAX_LOOK_S
from tui.client.widgets.chips import Chips

if TYPE_CHECKING:
    from textual.app import ComposeResult

_NONE = "none"
_CHOICES = ((_NONE, "no limit"), ("10", "10 s"), ("30", "30 s"), ("120", "2 min"))


class _Seconds(Input):
    """The number itself; up and down change it by one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "change(1)", "One more", show=False),
        Binding("down", "change(-1)", "One less", show=False),
    ]

    def action_change(self, by: int) -> None:
        """Change the number, within what the field allows."""
        number = int(self.value) + by if self.value.isdecimal() else 10
        self.value = str(max(1, min(number, MAX_LOOK_S)))
        self.cursor_position = len(self.value)


class LookField(Horizontal):
    """Asks for 1 to `MAX_LOOK_S` seconds, or no limit. One line, 42 cells wide.

    `look_s` is what stands already. Enter in the number is an `Input.Submitted`, as in every input.
    """

    DEFAULT_CSS = """
    LookField { width: auto; height: 1; }
    LookField > Chips { margin-left: 2; }
    LookField > Input { width: 8; padding: 0 1 !important; background: $panel; }
    """

    def __init__(
        self,
        look_s: float | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the name that every widget has for it
    ) -> None:
        super().__init__(id=id)
        self._look_s = look_s
        self._text = "" if look_s is None else f"{look_s:g}"

    def compose(self) -> ComposeResult:
        """Compose the number and the presets."""
        yield _Seconds(
            self._text,
            placeholder="secs",
            restrict=r"[0-9]*|[0-9]+\.[0-9]*",
            max_length=5,
            compact=True,
            tooltip="Type how many seconds one look may last; leave it empty for no limit",
        )
        chips = Chips(_CHOICES, value=_preset(self._text))
        chips.tooltip = "How long one look may last"
        yield chips

    def value(self) -> float | None:
        """Return the seconds, None for no limit. Raises `ValueError` with what to do about it."""
        text = self.query_one(_Seconds).value.strip()
        if not text:
            return None
        if text == self._text:
            return self._look_s  # what was not touched stays as it is, to the millisecond
        seconds = float(text)
        if not 1 <= seconds <= MAX_LOOK_S:
            raise ValueError(f"One look may last between 1 and {MAX_LOOK_S} seconds; leave it empty for no limit.")
        return seconds

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one(Chips).value = _preset(event.value.strip())

    @on(Chips.Chosen)
    def _chosen(self, event: Chips.Chosen) -> None:
        event.stop()
        number = self.query_one(_Seconds)
        number.value = "" if event.value == _NONE else event.value
        number.cursor_position = len(number.value)


def _preset(text: str) -> str:
    """Return the preset that a text stands for; the word chosen for any other is none."""
    return text or _NONE
