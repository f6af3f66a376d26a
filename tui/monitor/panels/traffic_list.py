"""Requests in figures: a row for all nodes and one for each, with rates and the percentiles of the last minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from shared.wire.feed_messages import Happening
from tui.common.rowlist import Column, RowList
from tui.common.wording import plain
from tui.monitor.model.nodes import Presence
from tui.monitor.widgets.palette import Palette
from tui.monitor.wording import milliseconds, per_second, thousands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.monitor.model.latency import Latency
    from tui.monitor.model.traffic import HappeningCount, TrafficData


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
