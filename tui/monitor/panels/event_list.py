"""The events in order of time, newest below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from tui.common.rowlist import Column, RowList
from tui.monitor.event_export import node_name
from tui.monitor.model.events import Level
from tui.monitor.widgets.palette import Palette

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tui.monitor.model.events import Event

_LEVELS = {Level.DEBUG: "debug", Level.INFO: "info", Level.WARNING: "WARN", Level.ERROR: "ERROR"}
_MOST_NAME_CELLS = 12
_LEAST_NAME_CELLS = 7


class EventList(RowList["Event"]):
    """One row for each event. Who looks at the last one goes on to look at the last one. `names` are the nodes'."""

    def __init__(self, names: Sequence[str], *, id: str) -> None:  # noqa: A002 - Textual's name for it
        longest = max((len(name) for name in names), default=0)
        super().__init__(
            (
                Column("at", "Time", 10),
                Column("level", "Level", 5),
                Column("topic", "Topic", 9, hide_below=90),
                Column("node", "Node", max(_LEAST_NAME_CELLS, min(_MOST_NAME_CELLS, longest))),
                Column("text", "Event"),
            ),
            key=lambda event: str(event.number),
            cells=self._row_cells,
            id=id,
        )
        self._names = names
        self._time_of_day: Callable[..., str] = str

    @property
    def at_end(self) -> bool:
        """Whether the cursor stands on the last event, or there is none."""
        return self.cursor >= len(self.rows) - 1

    def paint(self, events: Sequence[Event], time_of_day: Callable[..., str], *, to_end: bool) -> None:
        """Show events; `to_end` moves on to the last one."""
        self._time_of_day = time_of_day
        self.set_rows(events)
        if to_end:
            self.action_last()

    def _row_cells(self, event: Event) -> Sequence[Text | str]:
        palette = Palette.of(self.app)
        style = level_style(event.level, palette)
        return (
            self._time_of_day(event.at, tenths=True),
            Text(_LEVELS[event.level], style),
            Text(event.topic.value, palette.muted),
            Text(node_name(event.place, self._names), "bold"),
            Text(event.text, style),
        )


def level_style(level: Level, palette: Palette) -> Style:
    """Return the style that a level has wherever it is shown."""
    match level:
        case Level.ERROR:
            return palette.bad
        case Level.WARNING:
            return palette.warning
        case Level.DEBUG:
            return palette.muted
        case _:
            return Style.null()
