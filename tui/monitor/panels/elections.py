"""The last elections, and the messages of one beside what classic Bully sends in a cluster of the same size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.binding import Binding, BindingType

from tui.common.rowlist import Column, RowList
from tui.common.wording import plain
from tui.monitor.model.election_reading import ElectionOutcome
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import milliseconds, thousands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tui.monitor.model.elections import ElectionData

NO_ELECTION = "No election yet.\nStop the leader to see one."


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
            empty=NO_ELECTION,
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


_LABEL_CELLS: Final = 9
_FIGURE_CELLS: Final = 6
_WIDEST_BAR: Final = 40
_KINDS_CELLS: Final = 14
_WIDE_CELLS: Final = 60
"""From this width on, the kinds of messages stand beside the bar, each with its number."""


class MessageBars(TextLines):
    """Two lines: this election, and Bully from its best case to its worst."""

    DEFAULT_CSS = "MessageBars { height: 2; }"

    def paint(self, election: ElectionData | None) -> None:
        """Show an election; None for none."""
        if election is None:
            self.show([])
            return
        palette, width = Palette.of(self.app), self.size.width
        wide = width >= _WIDE_CELLS
        room = width - _LABEL_CELLS - _FIGURE_CELLS - (_KINDS_CELLS * 2 if wide else _KINDS_CELLS)
        room = max(4, min(_WIDEST_BAR, room))
        scale = max(election.bully_worst, election.message_count, 1)
        sent, best, worst = (
            _bar_cells(number, scale, room)
            for number in (election.message_count, election.bully_best, election.bully_worst)
        )
        ours = Text()
        ours.append("messages ", palette.muted)
        ours.append(thousands(election.message_count).ljust(_FIGURE_CELLS), palette.good + palette.bold)
        ours.append("█" * sent, palette.good)
        ours.append(f"{' ' * bool(sent)}{_kinds(election, wide=wide)}")
        bully = Text()
        bully.append("Bully".ljust(_LABEL_CELLS), palette.muted)
        bully.append(f"{election.bully_best}–{election.bully_worst}".ljust(_FIGURE_CELLS), palette.bold)
        bully.append("█" * best, palette.secondary)
        bully.append("░" * (worst - best), palette.secondary)
        bully.append(" best to worst" if wide else "", palette.muted)
        self.show([ours, bully])


def _bar_cells(number: int, scale: int, room: int) -> int:
    """Return how long a bar is; something that is not nothing is seen."""
    return max(1, round(number / scale * room)) if number else 0


def _kinds(election: ElectionData, *, wide: bool) -> str:
    """Return the kinds of messages, with their numbers where there is room or more than one kind."""
    if not election.messages:
        return "none yet" if election.outcome is ElectionOutcome.UNDER_WAY else "none was sent"
    if wide or len(election.messages) > 1:
        return ", ".join(f"{kind} {count}" for kind, count in election.messages)
    return election.messages[0][0]
