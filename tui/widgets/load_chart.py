"""A chart of the last minute on a scale that is handed in, so that charts side by side can be compared.

Nothing here asks for a layout, and a paint costs one pass over the columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.binning import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_NOTHING: Final = "·"
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


class LoadChart(Widget):
    """Bars for the values of the last minute, newest on the right; the top of each stands out. Unknown time is dotted.

    The height comes from CSS. Bars above `alarm` have a colour of their own.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "loadchart--bar",
        "loadchart--area",
        "loadchart--alarm",
        "loadchart--alarm-area",
        "loadchart--nothing",
    }
    DEFAULT_CSS = """
    LoadChart {
        height: 3; width: 1fr;
        & > .loadchart--bar { color: $primary; }
        & > .loadchart--area { color: $primary 45%; }
        & > .loadchart--alarm { color: $warning; }
        & > .loadchart--alarm-area { color: $warning 45%; }
        & > .loadchart--nothing { color: $foreground 30%; }
    }
    """

    def __init__(
        self, *, id: str | None = None, classes: str | None = None  # noqa: A002 - the name that every widget has for it
    ) -> None:  # fmt: skip
        super().__init__(id=id, classes=classes)
        self._first = 0
        self._values: Sequence[float | None] = ()
        self._scale = 1.0
        self._alarm: float | None = None
        self._at_least: int | None = None
        self._columns: list[float | None] = []
        self._columns_of: tuple[object, ...] = ()

    def paint(
        self, values: Sequence[float | None], *, first: int, scale: float, alarm: float | None = None,
        at_least: int | None = None,
    ) -> None:  # fmt: skip
        """Show values, oldest first, of which the oldest has the number `first`; `scale` is what fills the height.

        The newest `at_least` of them (None: all) are seen at any width, older ones where there is room.
        """
        shown = (first, tuple(values), scale, alarm, at_least)
        if shown != (self._first, self._values, self._scale, self._alarm, self._at_least):
            self._first, self._values, self._scale, self._alarm, self._at_least = shown
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one row of bars."""
        width, height = self.size.width, self.size.height
        tops = self._style("bar"), self._style("alarm")
        areas = self._style("area"), self._style("alarm-area")
        nothing = self._style("nothing")
        segments = []
        for value in self._laid_out(width):
            if value is None:
                segments.append(Segment(_NOTHING if y == height - 1 else " ", nothing))
                continue
            loud = self._alarm is not None and value > self._alarm
            eighths, above = _eighths(value / self._scale, y, height)
            segments.append(Segment(_EIGHTHS[eighths], (areas if above else tops)[loud]))
        return Strip(Segment.simplify(segments), width)

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"loadchart--{part}")

    def _laid_out(self, width: int) -> list[float | None]:
        """Return the highest value of each column."""
        key = (self._first, self._values, width, self._at_least)
        if key != self._columns_of:
            self._columns_of = key
            self._columns = [
                max((value for value in column if value is not None), default=None)
                for column in columns(self._first, self._values, width, self._at_least)
            ]
        return self._columns


def _eighths(share: float, y: int, height: int) -> tuple[int, bool]:
    """Return how much of the cell in row y a bar fills, and whether it goes on well above it.

    A bar of something that is not nothing shows at least its foot.
    """
    filled = round(min(1.0, max(0.0, share)) * height * 8)
    if share > 0:
        filled = max(1, filled)
    below = 8 * (height - 1 - y)
    return min(8, max(0, filled - below)), filled > below + 12
