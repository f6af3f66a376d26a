"""A choice of a few short words in one line: arrow keys or a click choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from textual import events

_GAP = 1
"""Blank cells between two words."""


class Chips(Widget, can_focus=True):
    """Words beside each other of which one is chosen, or none where `value` is empty.

    `choices` are pairs of a key and the word shown for it. Words are the program's own, never a stranger's.
    """

    DEFAULT_CSS = """
    Chips { width: auto; height: 1; }
    Chips > .chips--word { background: $panel; color: $foreground; }
    Chips > .chips--chosen { background: $primary; color: $background; text-style: bold; }
    Chips > .chips--focused { background: $block-cursor-background; color: $block-cursor-foreground;
        text-style: bold underline; }
    Chips > .chips--near { background: $panel; color: $foreground; text-style: underline; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"chips--word", "chips--chosen", "chips--focused", "chips--near"}
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Before", id="chips.before", show=False),
        Binding("right,l", "step(1)", "Next", id="chips.next", show=False),
        Binding("home", "edge(0)", "First", id="chips.first", show=False),
        Binding("end", "edge(-1)", "Last", id="chips.last", show=False),
    ]

    value: reactive[str] = reactive("", init=False)
    """The key of the chosen word; empty for none."""

    @dataclass
    class Chosen(Message):
        """A person chose a word; `clicked` by mouse. Not posted where the program sets `value`."""

        chips: Chips
        value: str
        clicked: bool = False

        @property
        def control(self) -> Chips:
            """The widget, for `@on` with a selector."""
            return self.chips

    def __init__(
        self,
        choices: Sequence[tuple[str, str]],
        *,
        value: str = "",
        id: str | None = None,  # noqa: A002 - the name that every widget has for it
    ) -> None:
        super().__init__(id=id)
        self.choices = tuple(choices)
        self.set_reactive(Chips.value, value)

    def validate_value(self, value: str) -> str:
        """Take a key that there is; any other chooses none."""
        return value if value in dict(self.choices) else ""

    def get_content_width(self, *_sizes: object) -> int:
        """Return the cells of all words and the gaps between them."""
        return max((end for _, _, end in self._places()), default=0)

    def render_line(self, y: int) -> Strip:
        """Return the words, the chosen one marked."""
        paper = self.visual_style.rich_style
        if y:
            return Strip.blank(self.size.width, paper)
        segments: list[Segment] = []
        for key, word in self.choices:
            style = self.get_component_rich_style(self._look(key))
            # Blanks are segments of their own: so a word stands right wherever it is drawn.
            segments += [Segment(" ", style), Segment(word, style), Segment(" ", style), Segment(" " * _GAP, paper)]
        return Strip(segments).adjust_cell_length(self.size.width, paper)

    def _look(self, key: str) -> str:
        if key == self.value:
            return "chips--focused" if self.has_focus else "chips--chosen"
        # Where nothing is chosen, a focused line must show that it has the focus.
        return "chips--near" if self.has_focus and not self.value else "chips--word"

    def _places(self) -> Iterator[tuple[str, int, int]]:
        """Yield each key with the first cell of its word and the one after its last."""
        start = 0
        for key, word in self.choices:
            end = start + cell_len(word) + 2
            yield key, start, end
            start = end + _GAP

    def action_step(self, by: int) -> None:
        """Choose the word before or after; the first one where none is chosen."""
        keys = [key for key, _ in self.choices]
        index = keys.index(self.value) + by if self.value else 0
        self._choose(keys[max(0, min(index, len(keys) - 1))])

    def action_edge(self, index: int) -> None:
        """Choose the first or the last word."""
        self._choose(self.choices[index][0])

    def on_click(self, event: events.Click) -> None:
        """Choose the word under the mouse."""
        place = event.get_content_offset(self)
        if place is None:
            return
        event.stop()
        for key, start, end in self._places():
            if start <= place.x < end:
                self._choose(key, clicked=True)

    def _choose(self, key: str, *, clicked: bool = False) -> None:
        if key != self.value or clicked:
            self.value = key
            self.post_message(self.Chosen(self, key, clicked))
