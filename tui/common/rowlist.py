"""The list of every pane: rows of any kind in columns, sorted, of which only the visible lines are ever rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.common.columns import Column
from tui.common.lines import LinePainter
from tui.common.ordering import Sort, in_order, orders, row_keys, sorted_by, successor

__all__ = ["Column", "RowList", "Sort"]

T = TypeVar("T")


@dataclass
class _FromList(Message):
    """A message of a list."""

    row_list: RowList[Any]

    @property
    def control(self) -> RowList[Any]:
        """The list, for `@on` with a selector."""
        return self.row_list


class RowList(ScrollView, Generic[T], can_focus=True):
    """Rows in columns, with a cursor that stays on its row when rows come, go or change places.

    `key` names a row for good; `cells` gives one text for each column and is asked only about visible rows. What it
    gives is shown as it is, never read as markup, made harmless and cut to its column. `sort_keys` gives the orders
    that a person can choose; without a choice, or without sort keys, rows stand as they were handed in.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rowlist--header",
        "rowlist--sorted",
        "rowlist--even",
        "rowlist--odd",
        "rowlist--hover",
        "rowlist--cursor",
        "rowlist--empty",
    }
    DEFAULT_CSS = """
    RowList {
        background: $background; color: $foreground;
        height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;

        & > .rowlist--header { background: $panel; color: $foreground; text-style: bold; }
        & > .rowlist--sorted { background: $panel; color: $accent; text-style: bold; }
        & > .rowlist--even { background: $background; }
        & > .rowlist--odd { background: $surface; }
        & > .rowlist--hover { background: $primary 20%; }
        & > .rowlist--empty { background: $background; color: $text-muted; }
        & > .rowlist--cursor {
            background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
            text-style: $block-cursor-blurred-text-style;
        }
        &:focus > .rowlist--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *row_keys("list"),
        Binding("enter", "select", "Open", id="list.select", show=False),
        Binding("s", "sort", "Sort", id="list.sort", tooltip="Sort by the next column, or the other way round"),
    ]

    sort: reactive[Sort | None] = reactive(None, init=False)
    """The order of the rows; None for the order in which they were handed in."""
    cursor: reactive[int] = reactive(0, init=False)
    """Index of the current row."""
    empty: reactive[str] = reactive("", init=False)
    """What is said where there are no rows."""

    @dataclass
    class Highlighted(_FromList):
        """Another row (one of another key) is the current one; `row` is None when the last one went."""

        row: Any

    @dataclass
    class Selected(_FromList):
        """A row was chosen by Enter, a double click, or a click when it was the current one."""

        row: Any

    @dataclass
    class SortChanged(_FromList):
        """The order changed."""

        sort: Sort | None

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        key: Callable[[T], str],
        cells: Callable[[T], Sequence[Text | str]],
        sort_keys: Mapping[str, Callable[[T], Any]] | None = None,
        sort: Sort | None = None,
        empty: str = "",
        id: str | None = None,  # noqa: A002 - the name that every widget has for it
    ) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self._key = key
        self._painter = LinePainter(self.columns, cells, self.get_component_rich_style)
        self._sort_keys = dict(sort_keys or {})
        self._downwards = frozenset(column.key for column in columns if column.descending_first)
        self._orders = orders(self._sort_keys, sort, self._downwards)
        self._given: tuple[T, ...] = ()
        self._rows: tuple[T, ...] = ()
        self._announced: str | None = None
        self._heading_lines = int(any(column.title for column in columns))
        self._hovered_line: int | None = None
        self._chosen_by_click = False
        self.set_reactive(RowList.sort, sort)
        self.set_reactive(RowList.empty, empty)

    # --- What is shown -----------------------------------------------------------------------------------------------
    @property
    def rows(self) -> Sequence[T]:
        """The rows in the order in which they are shown."""
        return self._rows

    @property
    def current(self) -> T | None:
        """The row under the cursor; None where there are no rows."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    def set_rows(self, rows: Sequence[T]) -> None:
        """Show these rows.

        The cursor stays on the row of the same key. If that is gone, it goes to the next one that is left, then to the
        one before. The rest of the picture moves as little as it can.
        """
        self._given = tuple(rows)
        self._show(in_order(self._given, self.sort, self._sort_keys))

    def select_key(self, key: str) -> bool:
        """Move the cursor to the row of this key; False if there is none."""
        for index, row in enumerate(self._rows):
            if self._key(row) == key:
                self._go(index)
                return True
        return False

    def redraw(self) -> None:
        """Ask for all cells again, because what they say depends on more than the rows, such as the time."""
        self._painter.forget()
        self.refresh()

    # --- Order -------------------------------------------------------------------------------------------------------
    def validate_sort(self, sort: Sort | None) -> Sort | None:
        """Refuse an order that nobody defined."""
        if sort is not None and sort[0] not in self._sort_keys:
            raise ValueError(f"no sort key {sort[0]!r}; there are {', '.join(self._sort_keys) or 'none'}")
        return sort

    def watch_sort(self) -> None:
        """Put the rows in their new order."""
        self._show(in_order(self._given, self.sort, self._sort_keys))
        if self.is_running:
            self.post_message(self.SortChanged(self, self.sort))

    def action_sort(self) -> None:
        """Go on to the next order."""
        known = self._orders.index(self.sort) if self.sort in self._orders else -1
        self.sort = self._orders[(known + 1) % len(self._orders)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer sorting only where there is something to sort by."""
        return action != "sort" or bool(self._sort_keys)

    def _sort_by(self, name: str) -> None:
        """Sort by this key, or the other way round if that is the order already."""
        if name in self._sort_keys:
            self.sort = sorted_by(name, self.sort, self._downwards)

    # --- Rows and cursor ---------------------------------------------------------------------------------------------
    @property
    def allow_vertical_scroll(self) -> bool:
        """Whether there are more rows than fit, which the scroll bar tells only after the next layout."""
        return not self.is_disabled and self.max_scroll_y > 0

    @property
    def _page(self) -> int:
        """Number of rows that fit."""
        return max(0, self.scrollable_content_region.height - self._heading_lines)

    def _show(self, rows: tuple[T, ...]) -> None:
        """Replace the rows, and keep the cursor's row and its line on the screen where they are if that can be."""
        top = self.scroll_offset.y
        line = self.cursor - top
        in_view = 0 <= line < self._page
        index = successor(self._rows, self.cursor, rows, self._key)
        self._rows = rows
        self._painter.forget()
        self.set_reactive(RowList.cursor, index)
        self.virtual_size = Size(0, len(rows) + self._heading_lines)
        if in_view:
            self.scroll_to(y=index - line if top else 0, animate=False)
            self._scroll_to_cursor()
        else:
            self.scroll_to(y=top, animate=False)
        self.refresh()
        self._announce()

    def _announce(self) -> None:
        """Post `Highlighted` if the current row is another one than at the last call."""
        row = self.current
        key = None if row is None else self._key(row)
        if self.is_running and key != self._announced:
            self._announced = key
            self.post_message(self.Highlighted(self, row))

    def _go(self, index: int) -> None:
        """Move the cursor, no further than to the first or last row, and show it."""
        self.cursor = index
        self._scroll_to_cursor()

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a row."""
        return max(0, min(cursor, len(self._rows) - 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Paint the two lines that look different now."""
        self.refresh_line(before + self._heading_lines)
        self.refresh_line(now + self._heading_lines)
        self._announce()

    def _scroll_to_cursor(self) -> None:
        if not self._page:
            return
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + self._page:
            self.scroll_to(y=self.cursor - self._page + 1, animate=False)

    def action_cursor(self, by: int) -> None:
        """Move by so many rows."""
        self._go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move by so many pages."""
        self._go(self.cursor + by * max(1, self._page - 1))

    def action_first(self) -> None:
        """Go to the first row."""
        self._go(0)

    def action_last(self) -> None:
        """Go to the last row."""
        self._go(len(self._rows) - 1)

    def action_select(self) -> None:
        """Choose the current row."""
        if self.current is not None:
            self.post_message(self.Selected(self, self.current))

    # --- Events ------------------------------------------------------------------------------------------------------
    def on_mount(self) -> None:
        """Announce the first row, which may have been there before."""
        self._announce()

    def on_resize(self) -> None:
        """Share out the new width, and keep the cursor in view."""
        self._painter.forget()
        self._scroll_to_cursor()
        self.refresh()

    def notify_style_update(self) -> None:
        """Forget what was painted in other colours."""
        super().notify_style_update()
        self._painter.forget()

    def watch_empty(self) -> None:
        """Show another text where there are no rows."""
        if not self._rows:
            self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Mark the row under the mouse."""
        self._hover(event.get_content_offset_capture(self).y)

    def on_leave(self) -> None:
        """Unmark it."""
        self._hover(None)

    def on_click(self, event: events.Click) -> None:
        """Move to the row, choose it if it is the current one, or sort by the column of a heading."""
        place = event.get_content_offset(self)
        if place is None or event.button != 1:
            return
        event.stop()
        if place.y < self._heading_lines:
            self._click_heading(place.x)
            return
        index = self._row_at(place.y)
        if index is not None:
            self._click_row(index, event.chain)

    def _click_heading(self, x: int) -> None:
        for slot in self._painter.slots(self.scrollable_content_region.width):
            if slot.covers(x):
                self._sort_by(slot.column.key)

    def _click_row(self, index: int, chain: int) -> None:
        """Choose by the second click on a row, and only once in a row of clicks."""
        chosen_before = chain > 1 and self._chosen_by_click
        chosen = index == self.cursor and not chosen_before
        self._go(index)
        if chosen:
            self.action_select()
        self._chosen_by_click = chosen or chosen_before

    def _row_at(self, y: int) -> int | None:
        """Return the index of the row on a line of the widget."""
        index = self.scroll_offset.y + y - self._heading_lines
        return index if y >= self._heading_lines and index < len(self._rows) else None

    def _hover(self, line: int | None) -> None:
        before, self._hovered_line = self._hovered_line, line
        if before != line:
            for changed in (before, line):
                if changed is not None:
                    self.refresh_line(changed + self.scroll_offset.y)

    # --- Painting ----------------------------------------------------------------------------------------------------
    def render_line(self, y: int) -> Strip:
        """Return one line: the headings, a row, or what is said where there are none."""
        width, height = self.scrollable_content_region.size
        console, painter = self.app.console, self._painter
        if y < self._heading_lines:
            return painter.headings(self.sort, width, console)
        if not self._rows:
            room = (width, height - self._heading_lines)
            return painter.nothing(self.empty, y - self._heading_lines, room, console)
        index = self._row_at(y)
        if index is None:
            return Strip.blank(width, self.rich_style)
        row = self._rows[index]
        return painter.row(self._key(row), row, self._look(index, y), width, console)

    def _look(self, index: int, y: int) -> str:
        """Return the component class of a row."""
        if index == self.cursor:
            return "rowlist--cursor"
        if y == self._hovered_line:
            return "rowlist--hover"
        return "rowlist--odd" if index % 2 else "rowlist--even"
