"""A block of lines that changes often and never changes its size: painted without a layout, and only if it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.common.celltext import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.common.columns import Align


class TextLines(Widget):
    """Shows lines of text, each cut to the width. A line is a text, or two of which the second stands on the right.

    The height comes from CSS; lines beyond it are not seen. Texts of any origin are made harmless.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "TextLines { height: 1; width: 1fr; }"

    class Resized(Message):
        """There is more room than before, or less: what was shown may have been made for another size."""

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - as Textual calls it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: tuple[tuple[Text, Text | None], ...] = ()

    def show(self, lines: Sequence[Text | tuple[Text, Text]]) -> None:
        """Show these lines."""
        pairs = tuple((line, None) if isinstance(line, Text) else line for line in lines)
        before, self._lines = self._lines, pairs
        if len(pairs) != len(before):
            self.refresh()
            return
        for y, (new, old) in enumerate(zip(pairs, before, strict=True)):
            if not (_alike(new[0], old[0]) and _alike(new[1], old[1])):
                self.refresh(Region(0, y, self.size.width, 1))

    def on_resize(self) -> None:
        """Tell whoever decides what is shown."""
        self.post_message(self.Resized())

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        width, style = self.size.width, self.visual_style.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, style)
        left, right = self._lines[y]
        room = 0 if right is None else min(right.cell_len, max(0, width - 1))
        segments = self._fitted(left, width - room - (1 if room else 0), "left")
        if right is not None and room:
            segments = [*segments, Segment(" "), *self._fitted(right, room, "right")]
        return Strip(Segment.apply_style(segments, style), width)

    def _fitted(self, text: Text, width: int, align: Align) -> list[Segment]:
        """Return a text as segments that cover exactly the width; the usual one, which fits as it is, costs little."""
        cells = text.cell_len
        if cells > width or not text.plain.isprintable():
            return fit(text, width, align, self.app.console)
        console = self.app.console
        base = console.get_style(text.style, default=Style.null())
        segments = list(Segment.apply_style(text.render(console, end=""), base))
        if cells < width:
            padding = Segment(" " * (width - cells))
            segments = [padding, *segments] if align == "right" else [*segments, padding]
        return segments


def _alike(new: Text | None, old: Text | None) -> bool:
    """Return whether texts look the same: they compare by their words alone, styles are looked at as well."""
    if new is None or old is None:
        return new is old
    return new.plain == old.plain and new.style == old.style and new.spans == old.spans
