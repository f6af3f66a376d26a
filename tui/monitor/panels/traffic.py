"""Requests in figures: rates and percentiles of all nodes and of each, a histogram of latencies, and counts."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.containers import Vertical

from shared.wire.feed_messages import LATENCY_BOUNDS_MS, Happening
from tui.common.rowlist import Column, RowList
from tui.common.wording import plain
from tui.monitor.model.nodes import Presence
from tui.monitor.widgets.histogram import NO_HISTOGRAM, Histogram, HistogramData, scale_of
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import milliseconds, per_second, thousands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from tui.monitor.model.series import Latency
    from tui.monitor.model.traffic import HappeningCount, KindTraffic, TrafficData


@dataclass(frozen=True, slots=True)
class TrafficRow:
    """One row. `place` is None in the one that sums up."""

    place: int | None
    name: str
    counts: tuple[HappeningCount, ...]
    """By `Happening`."""
    in_flight: int
    latency: Latency
    presence: Presence = Presence.UP

    def total(self, *what: Happening) -> int:
        """Return how often any of these happened."""
        return sum(self.counts[one - 1].total for one in what)

    def per_s(self, *what: Happening) -> float:
        """Return how often any of these happens in a second."""
        return sum(self.counts[one - 1].per_s for one in what)


def traffic_rows(data: TrafficData) -> tuple[TrafficRow, ...]:
    """Return the rows: all nodes together, then each."""
    in_flight = sum(node.in_flight for node in data.nodes)
    rows = [TrafficRow(None, "all", data.counts, in_flight, data.latency)]
    rows += [
        TrafficRow(node.place, node.name, node.counts, node.in_flight, node.latency, node.presence)
        for node in data.nodes
    ]
    return tuple(rows)


class TrafficList(RowList[TrafficRow]):
    """The cursor chooses whose histogram is drawn and whose requests are listed."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(
            (
                Column("name", "Node"),
                Column("rate", "Answers", 8, align="right"),
                Column("p50", "p50", 7, align="right"),
                Column("p90", "p90", 7, align="right"),
                Column("p99", "p99", 7, align="right"),
                Column("in_flight", "Open", 5, align="right"),
                Column("assigns", "Assigns", 7, align="right", hide_below=90),
                Column("answered", "Answered", 8, align="right", hide_below=90),
                Column("moved", "Moved", 6, align="right"),
                Column("repeated", "Repeated", 8, align="right", hide_below=70),
                Column("refused", "Refused", 7, align="right", hide_below=70),
                Column("failed", "Back", 6, align="right", hide_below=100),
                Column("busy", "Busy", 4, align="right", hide_below=100),
            ),
            key=lambda row: "all" if row.place is None else str(row.place),
            cells=self._row_cells,
            id=id,
        )
        self._shown: tuple[TrafficRow, ...] = ()

    def paint(self, rows: tuple[TrafficRow, ...]) -> None:
        """Show rows."""
        if rows != self._shown:
            self._shown = rows
            self.set_rows(rows)

    def _row_cells(self, row: TrafficRow) -> Sequence[Text | str]:
        palette = Palette.of(self.app)
        latency = row.latency
        name = Text(plain(row.name, 24), "bold")
        if row.presence is not Presence.UP:
            name = Text(f"{plain(row.name, 16)} {row.presence}", palette.muted)
        return (
            name,
            per_second(row.per_s(Happening.SERVED, Happening.REFUSED)),
            Text(milliseconds(latency.p50_ms), palette.good),
            Text(milliseconds(latency.p90_ms), palette.primary),
            Text(milliseconds(latency.p99_ms), palette.warning),
            thousands(row.in_flight),
            per_second(row.per_s(Happening.ASSIGNED, Happening.REASSIGNED)),
            thousands(row.total(Happening.SERVED, Happening.REFUSED)),
            _alarming(row.total(Happening.REASSIGNED, Happening.TAKEN_OVER), palette),
            _alarming(row.total(Happening.REPEATED), palette),
            thousands(row.total(Happening.REFUSED)),
            _alarming(row.total(Happening.FAILED), palette),
            _alarming(row.total(Happening.BUSY), palette),
        )


def _alarming(count: int, palette: Palette) -> Text:
    return Text(thousands(count), palette.warning if count else palette.muted)


BUCKETS: Final = len(LATENCY_BOUNDS_MS) + 1
_TICKS_MS: Final = ((1.0, "1 ms"), (10.0, "10 ms"), (100.0, "0.1 s"), (1_000.0, "1 s"), (10_000.0, "10 s"))
TICKS: Final = tuple((bisect_left(LATENCY_BOUNDS_MS, at_ms), word) for at_ms, word in _TICKS_MS)


@dataclass(frozen=True, slots=True)
class LatencyPanelData:
    """Whose latencies they are, and the latencies."""

    title: str
    latency: Latency


class LatencyPanel(Vertical):
    """A caption and the histogram. Bars are coloured by what lies below the 50th, 90th and 99th percentile."""

    DEFAULT_CSS = """
    LatencyPanel {
        & > .caption { height: 1; background: $panel; padding: 0 1; }
        & > Histogram { height: 1fr; margin: 0 1; }
    }
    """

    def compose(self) -> ComposeResult:
        """Compose caption and histogram."""
        yield TextLines(classes="caption")
        yield Histogram()

    def paint(self, data: LatencyPanelData) -> None:
        """Show latencies."""
        latency, palette = data.latency, Palette.of(self.app)
        left = Text("")
        left.append(f"Latency {plain(data.title, 16)}", "bold")
        top = "nothing answered"
        if latency.answered:
            top = f"{thousands(latency.answered)}/min, top {scale_of(latency.counts):.0%}"
        self.query_one(".caption", TextLines).show([(left, Text(top, palette.muted))])
        self.query_one(Histogram).paint(histogram_of(latency))


def histogram_of(latency: Latency) -> HistogramData:
    """Return latencies as a histogram; without any it has its ticks all the same."""
    counts = latency.counts or (0,) * BUCKETS
    if latency.p50_ms is None or latency.p90_ms is None or latency.p99_ms is None:
        return HistogramData(counts, NO_HISTOGRAM.bounds, TICKS)
    low, middle, high = (
        bisect_left(LATENCY_BOUNDS_MS, at_ms) + 1 for at_ms in (latency.p50_ms, latency.p90_ms, latency.p99_ms)
    )
    return HistogramData(counts, (low, middle, high), TICKS)


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
