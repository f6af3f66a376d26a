"""Whole lines of a list, put together from fitted cells."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from shared.text import clean
from tui.common.celltext import fit
from tui.common.columns import EDGE, GAP


def joined(cells: Iterable[list[Segment]], width: int, style: Style, *, own_colours: bool = True) -> Strip:
    """Return cells as one line of this width and style, with the gaps that `columns.lay_out` left between them.

    Without `own_colours` the line's colours win over those of the text, for lines that must be readable whatever it is.
    """
    over = Style.null() if own_colours else Style(color=style.color, bgcolor=style.bgcolor, dim=False)
    line = [Segment(" " * EDGE, style)]
    for number, cell in enumerate(cells):
        if number:
            line.append(Segment(" " * GAP, style))
        line.extend(Segment(text, style + own + over if own else style) for text, own, _ in cell)
    return Strip(line).adjust_cell_length(width, style)


def heading(title: str, width: int, *, descending: bool | None) -> str:
    """Return a column's title with an arrow that says how it is sorted, None for not at all."""
    if descending is None:
        return title
    arrow = "▼" if descending else "▲"
    if len(title) + 2 <= width:
        return f"{title} {arrow}"
    return f"{title[: width - 1]}{arrow}"


def centred(text: str, width: int, height: int, console: Console) -> dict[int, list[Segment]]:
    """Return the lines of a text, wrapped, in the middle of a place: line numbers with what stands there."""
    if width < 1 or not text:
        return {}
    paragraphs = [Text(clean(line, max_chars=width * max(1, height))) for line in text.splitlines()]
    lines = [line for paragraph in paragraphs for line in paragraph.wrap(console, width)]
    first = max(0, (height - len(lines)) // 2)
    return {first + number: _in_the_middle(line, width, console) for number, line in enumerate(lines)}


def _in_the_middle(line: Text, width: int, console: Console) -> list[Segment]:
    """Return a line with half of the free width before it."""
    line.rstrip()
    margin = max(0, width - line.cell_len) // 2
    return [Segment(" " * margin), *fit(line, width - margin, "left", console)]
