"""The two lists of requests, one above the other; one of them is in use and has the current request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual import events, on
from textual.containers import Vertical
from textual.message import Message

from tui.client.client_app import client_of
from tui.client.view_requests import STATE_CELLS, Ask, state_words
from tui.common.rowlist import Column, RowList
from tui.common.wording import ago

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tui.client.view_requests import RequestBook


_LINES_WHEN_EMPTY: Final = 4
_WHEN_FROM_CELLS: Final = 66
_NOTE_FROM_CELLS: Final = 96
"""Widths of a list from which these have columns of their own; the details tell both."""


class RequestLists(Vertical):
    """Requests to this person above those of this person."""

    class Current(Message):
        """Another request may be the current one now, or it changed."""

    @dataclass
    class Chosen(Message):
        """A request was chosen by Enter or a click."""

        ask: Ask

    def __init__(self) -> None:
        super().__init__(id="requests-lists")
        self._focused: RowList[Ask] | None = None

    def compose(self) -> ComposeResult:
        """Compose the lists."""
        yield self._list(
            "incoming", "Incoming from", "Nobody has asked for a picture of yours yet.\nShare one in My images (4)."
        )
        yield self._list(
            "outgoing",
            "Outgoing to",
            "You have not asked for a picture yet.\nChoose somebody in Users (1) and press r.",
        )

    def _list(self, name: str, heading: str, empty: str) -> RowList[Ask]:
        return RowList(
            (
                Column("person", heading, flex=4),
                Column("image", "Image", flex=4),
                Column("views", "Views", 5, align="right"),
                Column("state", "State", STATE_CELLS),
                Column("when", "When", 10, hide_below=_WHEN_FROM_CELLS),
                Column("note", "Note", flex=5, hide_below=_NOTE_FROM_CELLS),
            ),
            key=lambda ask: ask.request.request_id,
            cells=self._cells,
            empty=empty,
            sort_keys={
                "person": lambda ask: ask.person.casefold(),
                "image": lambda ask: ask.title.casefold(),
                "state": state_words,
                "when": lambda ask: -ask.request.created,
            },
            id=f"requests-{name}",
        )

    def _cells(self, ask: Ask) -> tuple[str | Text, ...]:
        row = ask.request
        when = ago(row.created, client_of(self).wall())
        state = Text(state_words(ask), style="bold" if ask.unanswered else "" if ask.open else "dim")
        return ask.person, ask.title, str(row.views), state, when, ask.note

    @property
    def _incoming(self) -> RowList[Ask]:
        return self.query_one("#requests-incoming", RowList)

    @property
    def _outgoing(self) -> RowList[Ask]:
        return self.query_one("#requests-outgoing", RowList)

    @property
    def in_use(self) -> RowList[Ask]:
        """The list that had the focus last; the other one while that is empty."""
        chosen = self._focused or self._incoming
        other = self._outgoing if chosen is self._incoming else self._incoming
        return other if chosen.current is None and other.current is not None else chosen

    @property
    def current(self) -> Ask | None:
        """The request that keys and buttons are about."""
        return self.in_use.current

    def go_to_unanswered(self) -> None:
        """Make the newest request that needs an answer the current one, unless the current one does, or none does."""
        row_list = self._incoming
        first = next((ask for ask in row_list.rows if ask.unanswered), None)
        if first is not None and (self.current is None or not self.current.unanswered):
            row_list.select_key(first.request.request_id)
            self._focused = row_list
            self._mark_in_use()

    def show(self, asks: RequestBook) -> None:
        """Show these; the cursors stay on their requests."""
        for row_list, rows in ((self._incoming, asks.incoming), (self._outgoing, asks.outgoing)):
            row_list.set_rows(rows)
            # A short list leaves its room to the other.
            row_list.styles.max_height = max(len(rows) + 1, _LINES_WHEN_EMPTY)
        self._mark_in_use()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Take the list that got the focus as the one in use."""
        if isinstance(event.widget, RowList):
            self._focused = event.widget
            self._mark_in_use()

    def _mark_in_use(self) -> None:
        """Show a cursor in the list in use only: keys do nothing to a request in the other."""
        in_use = self.in_use
        for row_list in (self._incoming, self._outgoing):
            row_list.set_class(row_list is not in_use, "-idle")
        self.post_message(self.Current())

    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()
        self.post_message(self.Current())

    @on(RowList.Selected)
    def _selected(self, event: RowList.Selected) -> None:
        event.stop()
        self.post_message(self.Chosen(event.row))
