"""Latencies of the last minute as a histogram from 0.25 ms to 46 s, whatever they are: two pictures can be compared."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.containers import Vertical

from shared.wire.feed_messages import LATENCY_BOUNDS_MS
from tui.common.wording import plain
from tui.monitor.widgets.histogram import NO_HISTOGRAM, Histogram, HistogramData, scale_of
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import thousands

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tui.monitor.model.latency import Latency

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
