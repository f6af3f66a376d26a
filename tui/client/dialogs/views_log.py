"""Who looked at an image of one's own, when, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.message import Message
from textual.widgets import Static

from shared.errors import GlimpseError
from tui.client import sharing
from tui.client.dialogs.base import ClientDialog
from tui.common.rowlist import Column, RowList
from tui.common.wording import ago, counted, lasting, moment, plain
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.widget import Widget

    from tui.peer import Peer
    from tui.peer.models import MyImage, ViewLogEntry

_Row = tuple[int, "ViewLogEntry"]


class ViewsLogDialog(ClientDialog[bool]):
    """The views of an image, newest first; there is nothing to decide in it."""

    ACCEPT = "Close"
    CANCEL = ""

    @dataclass
    class Found(Message, bubble=False):
        """From the worker: the views, or why they are not known."""

        entries: Sequence[ViewLogEntry]
        trouble: str = ""

    def __init__(self, peer: Peer, image: MyImage) -> None:
        super().__init__()
        self._peer = peer
        self._image = image

    def heading(self) -> str:
        """Return which image it is about."""
        return f"Views of “{plain(self._image.title, 40)}”"

    def body(self) -> Iterable[Widget]:
        """Return the list, and how many there are."""
        yield RowList(
            (
                Column("at", "When", 16),
                Column("ago", "", 10),
                Column("viewer", "Who"),
                Column("lasted", "For", 8, align="right"),
                Column("left", "Left then", 9, align="right"),
            ),
            key=lambda row: str(row[0]),
            cells=self._cells,
            id="log-list",
            empty="Asking the cloud…",
            sort_keys={
                "at": lambda row: row[1].at,
                "viewer": lambda row: (row[1].viewer_name.casefold(), -row[1].at),
            },
        )
        yield Static("", id="log-count", classes="muted", markup=False)

    def _cells(self, row: _Row) -> tuple[str | Text, ...]:
        entry = row[1]
        return (
            moment(entry.at, self.client.zone),
            Text(ago(entry.at, self.client.wall()), "dim"),
            sharing.person(entry.viewer_name, entry.viewer),
            _seen(entry.lasted_s),
            str(entry.left),
        )

    def on_mount(self) -> None:
        """Ask for the views."""
        self.query_one(RowList).focus()
        work(self, self._fetch, group="log")

    async def _fetch(self) -> None:
        try:
            self.post_message(self.Found(await self._peer.views_log(self._image.image)))
        except GlimpseError as error:
            self.post_message(self.Found((), str(error)))

    @on(Found)
    def _show(self, message: Found) -> None:
        rows = self.query_one(RowList)
        rows.empty = "Nobody has looked yet."
        if message.trouble:
            rows.empty = "The log is not known."
            self.complain(plain(message.trouble, 200))
        rows.set_rows(list(enumerate(message.entries)))
        people = len({entry.viewer for entry in message.entries})
        told = f"{counted(len(message.entries), 'view')} by {counted(people, 'person', 'people')}"
        self.query_one("#log-count", Static).update(told if message.entries else "")

    def result(self) -> bool:
        """Done."""
        return True


def _seen(lasted_s: float | None) -> str:
    """Return how long somebody looked; a view was spent even where the picture could not be shown."""
    return "not seen" if lasted_s == 0 else lasting(lasted_s)
