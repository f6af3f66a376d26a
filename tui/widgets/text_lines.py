"""A block of lines that changes often and never changes its size: painted without a layout, and only if it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.celltext import fit

if TYPE_CHECKING:
    from collections.abc import Sequence


class TextLines(Widget):
    """Shows lines of text, each cut to the width. A line is a text, or two of which the second stands on the right.

    The height comes from CSS; lines beyond it are not seen. Texts of any origin are made harmless.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "TextLines { height: 1; width: 1fr; }"

    def __init__(
        self, *, id: str | None = None, classes: str | None = None  # noqa: A002 - the name that every widget has for it
    ) -> None:  # fmt: skip
        super().__init__(id=id, classes=classes)
        self._lines: tuple[tuple[Text, Text | None], ...] = ()

    def show(self, lines: Sequence[Text | tuple[Text, Text]]) -> None:
        """Show these lines."""
        pairs = tuple((line, None) if isinstance(line, Text) else line for line in lines)
        if not _same(pairs, self._lines):
            self._lines = pairs
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        width, style = self.size.width, self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, style)
        left, right = self._lines[y]
        console = self.app.console
        room = 0 if right is None else min(right.cell_len, max(0, width - 1))
        segments = fit(left, width - room - (1 if room else 0), "left", console)
        if right is not None and room:
            segments = [*segments, Segment(" "), *fit(right, room, "right", console)]
        return Strip(segments, width).apply_style(style)


def _same(new: Sequence[tuple[Text, Text | None]], old: Sequence[tuple[Text, Text | None]]) -> bool:
    """Return whether lines look the same: texts compare by their words alone, styles are looked at as well."""
    return len(new) == len(old) and all(
        _alike(left, was_left) and _alike(right, was_right)
        for (left, right), (was_left, was_right) in zip(new, old, strict=True)
    )


def _alike(new: Text | None, old: Text | None) -> bool:
    if new is None or old is None:
        return new is old
    return new.plain == old.plain and new.style == old.style and new.spans == old.spans
