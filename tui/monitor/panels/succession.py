"""The coordination table in order, and by which timers the next leader is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from tui.common.rowlist import Column, RowList
from tui.common.wording import plain
from tui.monitor.model.nodes import Badge
from tui.monitor.widgets.palette import Palette, badge
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import figure, lasting, ordinal, thousands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.config import Timing
    from tui.monitor.model.cluster import TableData, TableLine

NO_LINE = "No node tells of the line now."


class Succession(RowList["TableLine"]):
    """One row for each node; the cursor chooses the node whose state machine is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Details", id="election.role", tooltip="Its state machine in full size"),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(
            (
                Column("rank", "Line", 4),
                Column("name", "Node"),
                Column("role", "Role", 10),
                Column("cost", "Cost", 5, align="right"),
                Column("priority", "1/load", 6, align="right", hide_below=44),
                Column("load", "Load", 5, align="right", hide_below=60),
                Column("in_flight", "In flight", 9, align="right", hide_below=70),
                Column("heard", "Heard", 6, align="right", hide_below=44),
            ),
            key=lambda line: str(line.place),
            cells=self._row_cells,
            empty=NO_LINE,
            id=id,
        )
        self._table: TableData | None = None

    def paint(self, data: TableData) -> None:
        """Show the table."""
        if self._table is None or data.lines != self._table.lines:
            self._table = data
            self.set_rows(data.lines)

    def _row_cells(self, line: TableLine) -> Sequence[Text | str]:
        palette = Palette.of(self.app)
        rank = Text("–", palette.muted)
        if line.rank is not None:
            words = {0: "lead", 1: "next"}
            rank = Text(words.get(line.rank, ordinal(line.rank)), palette.accent if line.rank == 1 else "")
        heard = Text(
            "" if line.rank == 0 else lasting(line.heard_s),
            "" if line.fit and line.rank is not None else palette.warning,
        )
        figures = [figure(line.cost), figure(line.priority), figure(line.load1), thousands(line.in_flight)]
        if line.badge is Badge.DOWN:  # old figures, or made up where the leader never heard it
            figures = ["–"] * len(figures)
        return rank, Text(plain(line.name, 24), "bold"), badge(line.badge, palette), *figures, heard


class Timers(TextLines):
    """Says how long each step takes with the timers of this cluster."""

    DEFAULT_CSS = "Timers { height: 5; padding: 0 1; color: $text-muted; }"

    def paint(self, timing: Timing) -> None:
        """Show the timers."""
        text = Text(
            f"Every {1000 * timing.heartbeat_s:.0f} ms a heartbeat carries this table to all nodes. "
            f"A leader that is silent for {lasting(timing.suspect_s)} is suspected; {lasting(timing.lease_s)} after "
            "its last heartbeat its lease can be free, and the next in line claims it, "
            f"each further one {1000 * timing.rank_stagger_s:.0f} ms later."
        )
        self.show(list(text.wrap(self.app.console, max(1, self.size.width))))
