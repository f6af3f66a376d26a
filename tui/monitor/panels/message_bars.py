"""How many messages an election took, beside what classic Bully sends in a cluster of the same size, on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from tui.monitor.model.election_reading import ElectionOutcome
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import thousands

if TYPE_CHECKING:
    from tui.monitor.model.elections import ElectionData

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
            _cells(number, scale, room)
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


def _cells(number: int, scale: int, room: int) -> int:
    """Return how long a bar is; something that is not nothing is seen."""
    return max(1, round(number / scale * room)) if number else 0


def _kinds(election: ElectionData, *, wide: bool) -> str:
    """Return the kinds of messages, with their numbers where there is room or more than one kind."""
    if not election.messages:
        return "none yet" if election.outcome is ElectionOutcome.UNDER_WAY else "none was sent"
    if wide or len(election.messages) > 1:
        return ", ".join(f"{kind} {count}" for kind, count in election.messages)
    return election.messages[0][0]
