"""A histogram whose buckets are handed in: the same bucket always stands in the same cells, so pictures compare.

Nothing here asks for a layout, and a paint costs one pass over the buckets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
SCALES: Final = (0.25, 0.5, 1.0)
"""Shares of all that may fill the height: few, so that the picture jumps seldom."""
ZONES: Final = ("low", "middle", "high", "highest")


@dataclass(frozen=True, slots=True)
class HistogramData:
    """`counts` by bucket. A bar's colour is that of its zone: `bounds` are the first buckets of the second and later
    zones. `ticks` are words below the first bucket of which they tell."""

    counts: tuple[int, ...]
    bounds: tuple[int, int, int]
    ticks: tuple[tuple[int, str], ...]


NO_HISTOGRAM: Final = HistogramData((), (0, 0, 0), ())


def scale_of(counts: Sequence[int]) -> float:
    """Return the share of all that fills the height."""
    total = sum(counts)
    share = max(counts, default=0) / total if total else 0.0
    return next(scale for scale in SCALES if share <= scale)


class Histogram(Widget):
    """Bars for shares of all, on a scale of `scale_of`, above a line of ticks. The height comes from CSS."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"histogram--{part}" for part in (*ZONES, "ground", "ticks")}
    DEFAULT_CSS = """
    Histogram {
        height: 5; width: 1fr;
        & > .histogram--low { color: $success; }
        & > .histogram--middle { color: $primary; }
        & > .histogram--high { color: $warning; }
        & > .histogram--highest { color: $error; }
        & > .histogram--ground { color: $foreground 30%; }
        & > .histogram--ticks { color: $foreground 70%; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - the name that every widget has for it
        super().__init__(id=id)
        self._data = NO_HISTOGRAM

    def paint(self, data: HistogramData) -> None:
        """Show counts."""
        if data != self._data:
            self._data = data
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return a row of bars, or the ticks below them."""
        width, height = self.size.width, self.size.height - 1
        data = self._data
        each = max(1, width // max(1, len(data.counts)))
        if y >= height:
            text = _tick_line(data.ticks, each, width)
            return Strip([Segment(text, self._style("ticks"))]).adjust_cell_length(width, self.rich_style)
        total = sum(data.counts)
        full = scale_of(data.counts) * total
        styles = [self._style(part) for part in (*ZONES, "ground")]
        segments = []
        for bucket, count in enumerate(data.counts):
            glyph = _glyph(count / full if full else 0.0, y, height)
            if glyph == " " and y == height - 1:
                segments.append(Segment("▁" * each, styles[-1]))
            else:
                segments.append(Segment(glyph * each, styles[sum(bucket >= bound for bound in data.bounds)]))
        return Strip(Segment.simplify(segments)).adjust_cell_length(width, self.rich_style)

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"histogram--{part}")


def _glyph(share: float, y: int, height: int) -> str:
    """Return the part of a bar that lies in row y; something that is not nothing shows at least its foot."""
    eighths = round(min(1.0, max(0.0, share)) * height * 8)
    if share > 0:
        eighths = max(2, eighths)
    return _EIGHTHS[min(8, max(0, eighths - 8 * (height - 1 - y)))]


def _tick_line(ticks: Sequence[tuple[int, str]], each: int, width: int) -> str:
    """Return the ticks where their buckets begin; one for which there is no room is left out."""
    line = ""
    for bucket, word in ticks:
        start = bucket * each
        if start >= len(line) and start + len(word) <= width:
            line = line.ljust(start) + word + " "
    return line
