"""The tab Events: everything that happened, filtered by level, node, topic and words; copied, and saved."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType

from tui.common.clipboard import Clipboard
from tui.common.wording import counted, plain
from tui.common.working import work
from tui.monitor.dialogs.save_events import SaveEvents
from tui.monitor.event_export import event_line, events_text, filter_words, node_name
from tui.monitor.model.events import EventFilter, Level, Topic
from tui.monitor.pane import MonitorPane
from tui.monitor.panels.event_list import EventList, level_style
from tui.monitor.panels.filter_bar import FilterBar
from tui.monitor.widgets.palette import Palette
from tui.monitor.widgets.text_lines import TextLines
from tui.monitor.wording import thousands

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult

    from tui.monitor.model import Model
    from tui.monitor.model.events import Event

CLIPBOARD_BYTES: Final = 64 * 1024
"""Terminals throw longer copies away, or cut them off; a file takes everything."""
READABLE_S: Final = 0.39
"""The list grows no more often than this by itself: it is to be read."""
_TOPICS: Final = (None, *Topic)


class EventsPane(MonitorPane):
    """The filter, the list, and the whole text of the event under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="events.filter", tooltip="Show events with these words"),
        Binding("l", "level", "Level", id="events.level", tooltip="Show only what matters as much, or everything"),
        Binding("n", "node", "Node", id="events.node", tooltip="Show the events of one node, of the next, of all"),
        Binding("t", "topic", "Topic", id="events.topic", tooltip="Show events of one topic, of the next, of all"),
        Binding("c", "copy", "Copy", id="events.copy", tooltip="Copy the event under the cursor"),
        Binding("C", "copy_all", "Copy all", id="events.copy_all", show=False, tooltip="Copy all that are shown"),
        Binding("w", "save", "Save", id="events.save", tooltip="Write the events that are shown to a new file"),
        Binding("escape", "clear", "Clear filter", id="events.clear", show=False),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id, readable_s=READABLE_S)
        self.copies = Clipboard()
        self._filter = EventFilter()
        self._names: tuple[str, ...] = ()
        self._listed: tuple[object, ...] = ()
        self._known = 0

    def contents(self) -> ComposeResult:
        """Compose filter, list and text."""
        self._names = self.monitor.source.node_index.names
        yield FilterBar("/ to find words", id="events-filter")
        yield EventList(self._names, id="events-list")
        yield TextLines(id="event-text")

    def take_focus(self) -> None:
        """The list."""
        self.screen.set_focus(self._list)

    @property
    def _list(self) -> EventList:
        return self.query_one(EventList)

    # --- Painting ----------------------------------------------------------------------------------------------------
    def paint(self, model: Model, now: float) -> None:
        """Show the events that the filter lets through, if there are others than before, and the chosen one."""
        log, events = model.events, self._list
        if self._pace.due(model, now, self._filter):
            shown = (log.version, self._filter)
            if self._pace.another_model or shown != self._listed:
                to_end = self._pace.another_model or events.at_end
                self._listed, self._known = shown, len(log)
                events.empty = self._nothing()
                events.paint(log.shown(self._filter), self.monitor.time_of_day, to_end=to_end)
        self._say(log.dropped)
        self._show_text(events.current)

    def _nothing(self) -> str:
        if not self._known:
            return "Nothing has happened yet."
        return f"None of {counted(self._known, 'event')} is like that.\nEscape clears the filter."

    def _say(self, dropped: int) -> None:
        """Show beside the filter what is shown of how much, and whether there is more below."""
        palette, events = Palette.of(self.app), self._list
        left = Text("")
        left.append(f"{thousands(len(events.rows))} of {thousands(self._known)}", "bold")
        left.append(f"  {filter_words(replace(self._filter, text=''), self._names)}")
        if dropped:
            left.append(f"  {thousands(dropped)} older ones dropped", palette.muted)
        below = len(events.rows) - 1 - events.cursor
        right = Text(f"{thousands(below)} below: G", palette.accent) if below > 0 else Text("newest", palette.muted)
        self.query_one(FilterBar).say(left, right)

    def _show_text(self, event: Event | None) -> None:
        """Show the whole of an event, which its row may have cut."""
        block = self.query_one("#event-text", TextLines)
        if event is None:
            block.show([])
            return
        palette = Palette.of(self.app)
        text = Text("")
        text.append(f"{self.monitor.time_of_day(event.at, tenths=True)}  ", palette.muted)
        text.append(f"{node_name(event.place, self._names)}  ", "bold")
        text.append(f"{event.level.name.lower()}, {event.topic.value}  ", palette.muted)
        text.append(event.text, level_style(event.level, palette))
        block.show(list(text.wrap(self.app.console, max(1, block.size.width))))

    # --- Filter ------------------------------------------------------------------------------------------------------
    @on(FilterBar.Changed)
    def _typed(self, event: FilterBar.Changed) -> None:
        event.stop()
        self._choose(replace(self._filter, text=event.text))

    @on(FilterBar.Left)
    def _typed_all(self, event: FilterBar.Left) -> None:
        event.stop()
        self._list.focus()

    @on(EventList.Highlighted, "#events-list")
    def _moved(self, event: EventList.Highlighted) -> None:
        event.stop()
        self.monitor.repaint()

    def action_filter(self) -> None:
        """Type words."""
        self.query_one(FilterBar).type_here()

    def action_level(self) -> None:
        """Show from the next higher level on; after the highest, everything."""
        levels = list(Level)
        self._choose(replace(self._filter, level=levels[(levels.index(self._filter.level) + 1) % len(levels)]))

    def action_node(self) -> None:
        """Show the next node's events; after the last one, everybody's."""
        place = 0 if self._filter.place is None else self._filter.place + 1
        self._choose(replace(self._filter, place=place if place < len(self._names) else None))

    def action_topic(self) -> None:
        """Show the next topic; after the last one, all."""
        present = next(iter(self._filter.topics), None)
        following = _TOPICS[(_TOPICS.index(present) + 1) % len(_TOPICS)]
        self._choose(replace(self._filter, topics=frozenset() if following is None else frozenset({following})))

    def action_clear(self) -> None:
        """Show what is shown at first."""
        self.query_one(FilterBar).clear()
        self._choose(EventFilter())

    def _choose(self, chosen: EventFilter) -> None:
        if chosen != self._filter:
            self._filter = chosen
            self.monitor.repaint()

    # --- Taking along ------------------------------------------------------------------------------------------------
    def action_copy(self) -> None:
        """Copy the event under the cursor."""
        event = self._list.current
        if event is None:
            self.monitor.tell("There is no event to copy.", warning=True)
            return
        self._copy(self._line(event), "Event copied")

    def action_copy_all(self) -> None:
        """Copy what is shown, as much of the newest as a terminal takes."""
        lines: list[str] = []
        size = 0
        for event in reversed(self._list.rows):
            line = self._line(event)
            size += len(line.encode()) + 1
            if size > CLIPBOARD_BYTES:
                break
            lines.append(line)
        if not lines:
            self.monitor.tell("There is no event to copy.", warning=True)
            return
        shown = len(self._list.rows)
        which = f"The newest {len(lines)} of {shown} events" if len(lines) < shown else counted(shown, "event")
        self._copy("\n".join(reversed(lines)), f"{which} copied")

    def _line(self, event: Event) -> str:
        return event_line(event, self._names, self.monitor.source.wall_offset_s, self.monitor.zone)

    def _copy(self, text: str, what: str) -> None:
        """Give a text to the terminal's clipboard, and to a file, as many terminals drop what they are given."""
        self.app.copy_to_clipboard(text)
        work(self, partial(self._keep, text, what), group="copy", exclusive=True)

    async def _keep(self, text: str, what: str) -> None:
        path = await self.copies.keep(text)
        self.monitor.tell(f"{what}; also in {path}" if path else what)

    def action_save(self) -> None:
        """Write what is shown to a new file."""
        shown = tuple(self._list.rows)
        if not shown:
            self.monitor.tell("There is no event to save.", warning=True)
            return
        offset_s, zone = self.monitor.source.wall_offset_s, self.monitor.zone
        text = events_text(shown, self._known, self._filter, self._names, offset_s, zone)
        what = f"{counted(len(shown), 'event')}, {filter_words(self._filter, self._names)}, to a new file:"
        stamp = event_line(shown[-1], self._names, offset_s, zone)[:19].translate(str.maketrans(" ", "-", ":-"))
        self.app.push_screen(SaveEvents(text, what, f"~/glimpse-events-{stamp}.txt"), self._saved)

    def _saved(self, path: Path | None) -> None:
        if path is not None:
            self.monitor.tell(f"The events were saved to {plain(str(path), 200)}.")
