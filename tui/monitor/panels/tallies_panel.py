"""What happened to requests, or which kinds of them there were, in as many columns as there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.containers import Vertical

from shared.wire.feed_messages import Happening
from tui.common.wording import plain
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import milliseconds, per_second, thousands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from tui.monitor.model.traffic import HappeningCount, KindTraffic

WORDS: Final = {
    Happening.HELD: "came",
    Happening.REPEATED: "came again",
    Happening.FORWARDED: "forwarded",
    Happening.ASSIGNED: "assigned",
    Happening.REASSIGNED: "reassigned",
    Happening.TAKEN_OVER: "taken over",
    Happening.SERVED: "served",
    Happening.REFUSED: "refused",
    Happening.FAILED: "given back",
    Happening.BUSY: "too busy",
}
"""In the order in which they are shown."""
_ALARMING: Final = frozenset({Happening.REASSIGNED, Happening.TAKEN_OVER, Happening.FAILED, Happening.BUSY})
_RATED_CELLS: Final = 26
"""A figure with its rate fits into so many cells; without it into `_LEAST_CELLS`."""
_LEAST_CELLS: Final = 17
_GAP: Final = 2


class TalliesPanel(Vertical):
    """A caption, and figures below it."""

    DEFAULT_CSS = """
    TalliesPanel {
        & > .caption { height: 1; background: $panel; padding: 0 1; }
        & > .figures { height: 1fr; margin: 0 1; }
    }
    """

    def compose(self) -> ComposeResult:
        """Compose caption and figures."""
        yield TextLines(classes="caption")
        yield TextLines(classes="figures")

    def paint_happenings(self, title: str, counts: Sequence[HappeningCount]) -> None:
        """Show how often everything happened, and, where there is room, how often a second."""
        palette = Palette.of(self.app)
        by_kind = {count.what: count for count in counts}
        rated = self._column_cells(len(WORDS)) >= _RATED_CELLS
        figures = []
        for what, word in WORDS.items():
            count = by_kind[what]
            style = palette.muted if not count.total else palette.warning if what in _ALARMING else ""
            rate = f" {per_second(count.per_s) if count.per_s > 0 else '':>7}" if rated else ""
            figures.append((Text(word, palette.muted), Text(f"{thousands(count.total)}{rate}", style)))
        self._show(f"Happened {plain(title, 16)}", "total, rate" if rated else "total", figures)

    def paint_kinds(self, kinds: Sequence[KindTraffic]) -> None:
        """Show the kinds of operations, those asked for most first."""
        palette = Palette.of(self.app)
        rated = self._column_cells(len(kinds)) >= _RATED_CELLS
        figures = []
        for kind in kinds:
            mean = f" {milliseconds(kind.mean_ms):>7}" if rated else ""
            figures.append((Text(plain(kind.kind, 16)), Text(f"{thousands(kind.served + kind.refused)}{mean}")))
        unit = "answered, mean" if rated else "answered"
        self._show("Kinds", unit, figures or [(Text("none yet", palette.muted), Text(""))])

    def _columns(self, count: int) -> int:
        """Return in how many columns so many figures stand: as few as it takes, as many as there is room for."""
        size = self.query_one(".figures", TextLines).size
        fit = max(1, (size.width + _GAP) // (_LEAST_CELLS + _GAP))
        return min(fit, max(1, -(-count // max(1, size.height))))

    def _column_cells(self, count: int) -> int:
        columns = self._columns(count)
        return (self.query_one(".figures", TextLines).size.width - _GAP * (columns - 1)) // columns

    def _show(self, title: str, unit: str, figures: Sequence[tuple[Text, Text]]) -> None:
        self.query_one(".caption", TextLines).show([(Text(title, "bold"), Text(unit, "dim"))])
        block = self.query_one(".figures", TextLines)
        block.show(
            _in_columns(figures, self._columns(len(figures)), self._column_cells(len(figures)), block.size.height)
        )


def _in_columns(figures: Sequence[tuple[Text, Text]], columns: int, cells: int, height: int) -> list[Text]:
    """Return figures one below the other, in columns of so many cells; what does not fit is left out."""
    lines = [Text("") for _ in range(min(height, len(figures)))]
    for number, (name, value) in enumerate(figures[: height * columns]):
        line = lines[number % height]
        if number >= height:
            line.append(" " * _GAP)
        label = name.copy()
        label.truncate(max(0, cells - value.cell_len - 1))
        line.append_text(label)
        line.append(" " * max(1, cells - label.cell_len - value.cell_len))
        line.append_text(value)
    return lines
