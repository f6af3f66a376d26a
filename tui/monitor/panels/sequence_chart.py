"""A sequence chart: a lane for each node, time going down, messages as arrows, and beside the lanes what happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.common.celltext import fit
from tui.common.wording import plain
from tui.monitor.sequence import ChartLine, Lane, Tone, with_gaps
from tui.monitor.widgets.palette import Palette

if TYPE_CHECKING:
    from tui.monitor.sequence import Arrow

_TIME_CELLS: Final = 8
_TEXT_CELLS: Final = 28
_WIDE_TEXT_CELLS: Final = 42
_WIDE_CELLS: Final = 60
"""From this width on the text beside the lanes is given room before the lanes are."""
_NARROWEST: Final = 3
_WIDEST: Final = 12
_LANES: Final = {
    Lane.FOLLOWS: ("│", Tone.PRIMARY),
    Lane.LEADS: ("┃", Tone.GOOD),
    Lane.ELECTS: ("║", Tone.ACCENT),
    Lane.LOST: ("╎", Tone.WARNING),
    Lane.DEAF: ("·", Tone.SECONDARY),
    Lane.SILENT: (" ", Tone.MUTED),
}
LEGEND: Final = "┃ leads │ follows ║ elects ╎ leaderless · deaf  ● sends ▶ arrives × lost"


@dataclass(frozen=True, slots=True)
class SequenceData:
    """What a chart shows. `began` is the moment from which times are counted, in seconds of the monitor's clock."""

    key: str
    """Names the election: another one is shown from its beginning."""
    names: tuple[str, ...]
    began: float
    lines: tuple[ChartLine, ...]
    chosen: int | None
    """The lane whose name is marked."""
    growing: bool
    """Lines are still to come: then the last ones are seen, unless a person has scrolled up."""


NOTHING: Final = SequenceData("", (), 0.0, (), None, growing=False)


def spacing(width: int, lanes: int) -> int:
    """Return how many cells there are from lane to lane."""
    text = _WIDE_TEXT_CELLS if width >= _WIDE_CELLS else _TEXT_CELLS
    return max(_NARROWEST, min(_WIDEST, (width - _TIME_CELLS - text) // max(1, lanes)))


class SequenceChart(ScrollView, can_focus=True):
    """Shows an election. What is said of an empty one is `empty`."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    SequenceChart {
        height: 1fr; width: 1fr; background: $background; color: $foreground;
        overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
        &:focus { background: $surface; }
    }
    """

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._empty = empty
        self._data = NOTHING
        self._rows: tuple[ChartLine, ...] = ()

    @property
    def allow_vertical_scroll(self) -> bool:
        """Whether there are more lines than fit, which the scroll bar tells only after the next layout."""
        return not self.is_disabled and self.max_scroll_y > 0

    def paint(self, data: SequenceData) -> None:
        """Show an election."""
        if data == self._data:
            return
        another = data.key != self._data.key
        at_end = self.scroll_offset.y >= self.max_scroll_y
        self._data = data
        self._lay_out()
        if another or (at_end and data.growing):
            self.scroll_to(y=self.max_scroll_y if data.growing else 0, animate=False)
        self.refresh()

    def on_resize(self) -> None:
        """Let time pass between the lines where there is room for that."""
        self._lay_out()
        self.refresh()

    def _lay_out(self) -> None:
        self._rows = with_gaps(self._data.lines, max(0, self.size.height - 1))
        self.virtual_size = Size(0, len(self._rows) + 1)

    # --- Painting ----------------------------------------------------------------------------------------------------
    def render_line(self, y: int) -> Strip:
        """Return one line: the lanes' names, or what happened."""
        width, style = self.scrollable_content_region.width, self.rich_style
        number = self.scroll_offset.y + y - 1
        if not self._data.lines:
            text = _centred(self._empty if y == self.size.height // 2 else "", width)
        elif y == 0:
            text = self._heading(width)
        elif number < len(self._rows):
            text = self._line(self._rows[number], width)
        else:
            text = self._tail(width)
        return Strip(fit(text, width, "left", self.app.console), width).apply_style(style)

    def _heading(self, width: int) -> Text:
        step, palette = spacing(width, len(self._data.names)), Palette.of(self.app)
        text = Text()
        text.append("seconds".rjust(_TIME_CELLS - 1) + " ", palette.muted)
        for place, name in enumerate(self._data.names):
            chosen = place == self._data.chosen
            text.append(plain(name, step - 1), "bold reverse" if chosen else "bold")
            text.append(" " * max(0, _TIME_CELLS + (place + 1) * step - text.cell_len))
        return text

    def _line(self, line: ChartLine, width: int) -> Text:
        palette, step = Palette.of(self.app), spacing(width, len(self._data.names))
        time = "" if line.at is None else f"{line.at - self._data.began:+.3f}"
        text = Text()
        text.append(time[: _TIME_CELLS - 1].rjust(_TIME_CELLS - 1) + " ", palette.muted)
        for char, style in self._lanes(line, step, palette):
            text.append(char, style)
        for piece, tone in line.pieces:
            text.append(piece, palette.tone(tone))
        return text

    def _tail(self, width: int) -> Text:
        """Return what stands below the last line: the lanes go on while the election does."""
        if not self._data.growing:
            return Text("")
        lanes = self._data.lines[-1].lanes
        return self._line(ChartLine(None, (), lanes=lanes), width)

    def _lanes(self, line: ChartLine, step: int, palette: Palette) -> list[tuple[str, Style]]:
        """Return the cells of all lanes."""
        cells = [(" ", Style.null())] * (step * len(self._data.names))
        for place, lane in enumerate(line.lanes):
            glyph, tone = _LANES[lane]
            cells[place * step] = glyph, palette.tone(tone)
        if line.arrow is not None:
            _draw_arrow(cells, line.arrow, step, palette.tone(line.arrow.tone), palette)
        for mark in line.marks:
            if 0 <= mark.place * step < len(cells):
                cells[mark.place * step] = mark.glyph, palette.tone(mark.tone)
        return cells


def _draw_arrow(cells: list[tuple[str, Style]], arrow: Arrow, step: int, style: Style, palette: Palette) -> None:
    """Draw a message over the lanes; a line of it crosses the lanes that it passes."""
    lanes = len(cells) // step
    targets = [place for place in (*arrow.arrived, *arrow.lost, *arrow.on_its_way) if place < lanes]
    if not targets or not 0 <= arrow.sender < lanes:
        return
    first, last = min(arrow.sender, *targets) * step, max(arrow.sender, *targets) * step
    for x in range(first, last + 1):
        cells[x] = ("─" if cells[x][0] == " " else "┼"), style
    for place in targets:
        rightwards = place > arrow.sender
        if place in arrow.lost:
            cells[place * step] = "×", palette.bad
        elif place in arrow.arrived:
            cells[place * step] = "▶" if rightwards else "◀", style
        else:
            cells[place * step] = "▷" if rightwards else "◁", style
    cells[arrow.sender * step] = "●", style


def _centred(text: str, width: int) -> Text:
    return Text(text.center(width).rstrip(), "dim")
