"""The lines of a list, put together from fitted cells: its rows, its headings, and what is said where it has none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from shared.text import clean
from tui.common.celltext import fit
from tui.common.columns import EDGE, GAP, Column, Slot, lay_out
from tui.common.ordering import Sort


class LinePainter:
    """Makes the lines of a list for the width that it has; a row's line is made once while nothing changes.

    `cells` gives a row's texts, one for each column; `style_of` the style of one of the list's component classes.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Callable[[Any], Sequence[Text | str]],
        style_of: Callable[[str], Style],
    ) -> None:
        self._columns = columns
        self._cells = cells
        self._style_of = style_of
        self._slots: tuple[Slot, ...] = ()
        self._width = -1
        self._rows: dict[tuple[str, int, str], Strip] = {}

    def forget(self) -> None:
        """Make all rows again, because what they say or their colours changed."""
        self._rows.clear()

    def slots(self, width: int) -> tuple[Slot, ...]:
        """Return where the columns stand at a width."""
        if width != self._width:
            self._width, self._slots = width, lay_out(self._columns, width)
        return self._slots

    def row(self, key: str, row: Any, look: str, width: int, console: Console) -> Strip:
        """Return the line of a row that `key` names, in a component class. The cursor's colours win over others."""
        known = (key, width, look)
        if known not in self._rows:
            cells = self._cells(row)
            fitted = (fit(cells[slot.index], slot.width, slot.column.align, console) for slot in self.slots(width))
            own_colours = look != "rowlist--cursor"
            self._rows[known] = joined(fitted, width, self._style_of(look), own_colours=own_colours)
        return self._rows[known]

    def headings(self, sort: Sort | None, width: int, console: Console) -> Strip:
        """Return the line of the columns' titles, marked where the rows are sorted."""
        titles = (self._heading(slot, sort, console) for slot in self.slots(width))
        return joined(titles, width, self._style_of("rowlist--header"))

    def _heading(self, slot: Slot, sort: Sort | None, console: Console) -> list[Segment]:
        column, descending = slot.column, None
        title = Text()
        if sort is not None and sort[0] == column.key:
            descending = sort[1]
            title.style = self._style_of("rowlist--sorted")
        title.append(heading(column.title, slot.width, descending=descending))
        return fit(title, slot.width, column.align, console)

    def nothing(self, text: str, line: int, size: tuple[int, int], console: Console) -> Strip:
        """Return a line of the text that fills the (width, height) of a list without rows."""
        width, height = size
        style = self._style_of("rowlist--empty")
        shown = centred(text, width - 2 * EDGE, height, console).get(line)
        return Strip.blank(width, style) if shown is None else joined([shown], width, style)


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
