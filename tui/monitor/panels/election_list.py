"""The last elections, newest first: who won, how long it took, how many messages it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from tui.common.rowlist import Column, RowList
from tui.common.wording import plain
from tui.monitor.model.election_reading import ElectionOutcome
from tui.monitor.widgets.palette import Palette
from tui.monitor.wording import milliseconds, thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tui.monitor.model.elections import ElectionData

EMPTY = "No election yet.\nStop the leader to see one."


class ElectionList(RowList["ElectionData"]):
    """One row for each election; the cursor chooses the one whose messages are drawn."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Details", id="election.open", tooltip="Everything about this election"),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(
            (
                Column("began", "Began", 8),
                Column("leader", "Leader"),
                Column("term", "Term", 4, align="right", hide_below=40),
                Column("took", "Took", 6, align="right"),
                Column("messages", "Msgs", 4, align="right"),
                Column("bully", "Bully", 5, align="right", hide_below=40),
            ),
            key=lambda election: election.key,
            cells=self._row_cells,
            empty=EMPTY,
            id=id,
        )
        self._names: Sequence[str] = ()
        self._time_of_day: Callable[[float], str] = str
        self._elections: tuple[ElectionData, ...] = ()

    def paint(
        self, elections: tuple[ElectionData, ...], names: Sequence[str], time_of_day: Callable[[float], str]
    ) -> None:
        """Show the elections. `names` are the nodes' by place, `time_of_day` puts a moment into words."""
        self._names, self._time_of_day = names, time_of_day
        if elections == self._elections:
            return
        newest = self.cursor == 0
        self._elections = elections
        self.set_rows(elections)
        if newest:
            self.action_first()  # who looks at the newest one wants to see the next one

    def _row_cells(self, election: ElectionData) -> Sequence[Text | str]:
        palette = Palette.of(self.app)
        won = election.outcome is ElectionOutcome.WON
        took = "" if election.took_s is None else milliseconds(1000 * election.took_s)
        return (
            self._time_of_day(election.began),
            self._outcome(election, palette),
            str(election.term) if won else Text("–", palette.muted),
            took,
            thousands(election.message_count),
            f"{election.bully_best}–{election.bully_worst}",
        )

    def _outcome(self, election: ElectionData, palette: Palette) -> Text:
        match election.outcome:
            case ElectionOutcome.WON:
                place = election.leader
                name = self._names[place] if place is not None and place < len(self._names) else "?"
                return Text(plain(name, 24), palette.good)
            case ElectionOutcome.UNDER_WAY:
                return Text("now…", palette.accent)
            case ElectionOutcome.CALMED:
                return Text("calmed", palette.primary)
            case _:
                return Text("nobody", palette.warning)
