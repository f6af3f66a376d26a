"""Charts of the last minute: bars on a scale that is handed in, and marks for heartbeats.

A paint costs one pass over the columns and asks for no layout."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.monitor.model.heartbeats import Beat
from tui.monitor.widgets.palette import on_ground_of

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def columns(first: int, buckets: Sequence[T], width: int, at_least: int | None = None) -> list[Sequence[T]]:
    """Return `width` columns, oldest first, the last one holding the newest bucket; `first` is the oldest's number.

    As many buckets share a column as it takes for the newest `at_least` of them (None: all) to be seen. Columns for
    which there is nothing are empty.
    """
    if width <= 0:
        return []
    each = max(1, -(-(len(buckets) if at_least is None else at_least) // width))
    last_column = (first + len(buckets) - 1) // each
    found: list[Sequence[T]] = []
    for column in range(last_column - width + 1, last_column + 1):
        start = column * each - first
        found.append(buckets[max(0, start) : max(0, start + each)])
    return found


_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_UNKNOWN: Final = "·"
_PARTS: Final = (("primary", 1.0), ("primary", 0.45), ("warning", 1.0), ("warning", 0.45), ("foreground", 0.3))
"""The looks of parts: a colour of the theme, and how much of it is mixed with the ground."""
_BAR, _AREA, _ALARM, _ALARM_AREA, _NOTHING = range(5)
_EDGE_EIGHTHS: Final = 12
"""The top of a bar that stands out: one cell and a half."""
Run = tuple[int, str]
"""Cells of one look: the index of a part, and their glyphs."""
_STEPS: Final = (1, 2, 3, 4, 6, 8)


def nice_scale(peak: float, least: float) -> float:
    """Return the end of a scale that holds `peak`: a digit times a power of ten, or `least` if that does."""
    if peak <= least:
        return least
    power = 1.0
    while power * 10 <= peak:
        power *= 10
    while power > peak:
        power /= 10
    return next((power * step for step in _STEPS if power * step >= peak), power * 10)


class _Shown(NamedTuple):
    first: int
    values: tuple[float | None, ...]
    scale: float
    alarm: float | None
    at_least: int | None


class LoadChart(Widget):
    """Bars for the values of the last minute, newest on the right; the top of each stands out. Unknown time is dotted.

    The height comes from CSS. Bars above `alarm` have a colour of their own.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "LoadChart { height: 3; width: 1fr; }"

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - as Textual calls it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._shown = _Shown(0, (), 1.0, None, None)
        self._rows: list[tuple[Run, ...]] = []
        self._rows_size = Size(0, 0)
        self._styles: list[Style] | None = None

    def paint(
        self,
        values: Sequence[float | None],
        *,
        first: int,
        scale: float,
        alarm: float | None = None,
        at_least: int | None = None,
    ) -> None:
        """Show values, oldest first, of which the oldest has the number `first`; `scale` is what fills the height.

        The newest `at_least` of them (None: all) are seen at any width, older ones where there is room.
        """
        shown = _Shown(first, tuple(values), scale, alarm, at_least)
        if shown == self._shown:
            return
        self._shown = shown
        before, size_before = self._rows, self._rows_size
        self._lay_out()
        if self._rows_size != size_before:
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Return one row of bars."""
        if self._rows_size != self.size:
            self._lay_out()
        if self._styles is None:
            self._styles = [on_ground_of(self, colour, share) for colour, share in _PARTS]
        if y >= len(self._rows):
            return Strip.blank(self.size.width, self._styles[_NOTHING])
        return Strip([Segment(glyphs, self._styles[part]) for part, glyphs in self._rows[y]], self.size.width)

    def notify_style_update(self) -> None:
        """Forget the colours."""
        super().notify_style_update()
        self._styles = None

    def _lay_out(self) -> None:
        """Put the values into columns, and those into rows of glyphs."""
        shown, (width, height) = self._shown, self.size
        bars: list[tuple[int, bool] | None] = []
        for column in columns(shown.first, shown.values, width, shown.at_least):
            value = max((value for value in column if value is not None), default=None)
            loud = value is not None and shown.alarm is not None and value > shown.alarm
            bars.append(None if value is None else (_eighths(value / shown.scale, height), loud))
        self._rows = [_row(bars, 8 * (height - 1 - y)) for y in range(height)]
        self._rows_size = self.size


def _row(bars: Sequence[tuple[int, bool] | None], below: int) -> tuple[Run, ...]:
    """Return the row of glyphs that has so many eighths below it."""
    runs: list[Run] = []
    for bar in bars:
        if bar is None:
            part, glyph = _NOTHING, " " if below else _UNKNOWN
        else:
            filled, loud = bar
            area = filled > below + _EDGE_EIGHTHS
            part = (_ALARM_AREA if area else _ALARM) if loud else (_AREA if area else _BAR)
            glyph = _EIGHTHS[min(8, max(0, filled - below))]
        if runs and (runs[-1][0] == part or glyph == " "):
            runs[-1] = (runs[-1][0], runs[-1][1] + glyph)
        else:
            runs.append((part, glyph))
    return tuple(runs)


def _eighths(share: float, height: int) -> int:
    """Return how many eighths of cells a bar is high; one of something that is not nothing shows at least its foot."""
    filled = round(min(1.0, max(0.0, share)) * height * 8)
    return max(1, filled) if share > 0 else filled


_LOOKS: Final = {
    Beat.NOTHING: (" ", "nothing"),
    Beat.PULSE: ("·", "pulse"),
    Beat.SENT: ("╎", "sent"),
    Beat.ACKED: ("│", "acked"),
    Beat.HEARD: ("│", "heard"),
    Beat.MISSED: ("×", "missed"),
}
_COLOURS: Final = {
    "nothing": ("foreground", 1.0),
    "pulse": ("foreground", 0.4),
    "sent": ("warning", 1.0),
    "acked": ("success", 1.0),
    "heard": ("success", 1.0),
    "missed": ("error", 1.0),
    "label": ("foreground", 0.7),
    "note": ("foreground", 0.7),
    "alarm": ("error", 1.0),
}
"""The looks of parts, as those of a chart."""
_BOLD: Final = Style(bold=True)
LEGEND: Final = "│ heartbeat heard or answered  × missed  · pulse between followers"


class HeartbeatStrip(Widget):
    """Marks for the last minute, newest on the right, between a label on the left and a note on the right."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "HeartbeatStrip { height: 1; width: 1fr; }"

    def __init__(
        self,
        *,
        label_cells: int = 5,
        id: str | None = None,  # noqa: A002 - as every widget has it
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._label_cells = label_cells
        self._looks: dict[str, Style] = {}
        self._shown: tuple[int, bytes, int | None, str, str, bool] = (0, b"", None, "", "", False)

    def paint(
        self,
        marks: Sequence[int],
        *,
        first: int,
        label: str,
        note: str = "",
        alarm: bool = False,
        at_least: int | None = None,
    ) -> None:
        """Show marks (see `Beat`), oldest first, of which the oldest has the number `first`.

        The newest `at_least` of them (None: all) are seen at any width. Label and note are plain texts of this
        program's; `alarm` says that the note is bad news. Notes of one length keep strips below each other in line.
        """
        shown = (first, bytes(marks), at_least, label, note, alarm)
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line."""
        width = self.size.width
        if y:
            return Strip.blank(width, self.visual_style.rich_style)
        first, marks, at_least, label, note, alarm = self._shown
        room = max(0, width - self._label_cells - len(note))
        segments = [Segment(label[: self._label_cells].ljust(self._label_cells), self._style("label"))]
        seen = [max(column, default=Beat.NOTHING) for column in columns(first, marks, room, at_least)]
        for mark, run in groupby(seen):
            glyph, part = _LOOKS[Beat(mark)]
            segments.append(Segment(glyph * len(list(run)), self._style(part)))
        segments.append(Segment(note, self._style("alarm" if alarm else "note")))
        return Strip(segments).adjust_cell_length(width, self.visual_style.rich_style)

    def notify_style_update(self) -> None:
        """Forget the colours."""
        super().notify_style_update()
        self._looks.clear()

    def _style(self, part: str) -> Style:
        if part not in self._looks:
            look = on_ground_of(self, *_COLOURS[part])
            self._looks[part] = look + _BOLD if part == "missed" else look
        return self._looks[part]
