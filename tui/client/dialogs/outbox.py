"""What still waits for the cloud, since when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Button, Static

from shared.errors import GlimpseError
from tui.client.dialogs.base import ClientDialog
from tui.client.messages import TroubleArose
from tui.common.rowlist import Column, RowList
from tui.common.wording import ago, counted, plain
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.widget import Widget

    from tui.peer import Peer
    from tui.peer.models import OutboxEntry

_LOOK_S = 2.0


class OutboxDialog(ClientDialog[bool]):
    """A list of what waits. A request that waits can be taken back; the rest goes out by itself."""

    HEADING = "Outbox"
    ACCEPT = "Take back"
    CANCEL = "Close"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "accept", "Take back", id="outbox.take_back", tooltip="Take back the request under the cursor"),
    ]

    @dataclass
    class Fetched(Message, bubble=False):
        """What waits now."""

        entries: Sequence[OutboxEntry]

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer

    def body(self) -> Iterable[Widget]:
        """Return the list and what may be done with it."""
        yield Static("", id="outbox-summary", markup=False, classes="text")
        yield RowList(
            (Column("what", "What", 14), Column("since", "Since", 12), Column("trouble", "Why it waits")),
            key=lambda entry: entry.request_id,
            cells=self._cells,
            empty="Nothing waits.",
            id="outbox-list",
        )

    def _cells(self, entry: OutboxEntry) -> tuple[str, str, str]:
        since = ago(entry.since, self.client.wall())
        return plain(entry.what, 14), since, plain(entry.trouble, 200) or "not tried yet"

    def result(self) -> None:
        """Take back the request under the cursor, if it has not gone out; the dialog stays open."""
        entry: OutboxEntry | None = self.query_one(RowList).current
        if entry is None:
            return
        if entry.what != "request":
            self.complain("Only a request can be taken back; change or revoke rights instead.")
            return
        work(self, partial(self._take_back, entry.request_id), group="take-back")

    def on_mount(self) -> None:
        """Look now and from time to time."""
        self.query_one(RowList).focus()
        self._look()
        self.set_interval(_LOOK_S, self._look)

    def _look(self) -> None:
        work(self, self._fetch, group="load-outbox", exclusive=True)

    async def _fetch(self) -> None:
        try:
            self.post_message(self.Fetched(await self._peer.outbox()))
        except GlimpseError as error:
            self.post_message(TroubleArose(error))

    @on(Fetched)
    def _show(self, message: Fetched) -> None:
        self.query_one(RowList).set_rows(message.entries)
        count = len(message.entries)
        self.query_one("#outbox-summary", Static).update(
            f"{counted(count, 'item')} on this machine. All goes out by itself, once." if count else ""
        )
        self.query_one("#accept", Button).disabled = not count

    async def _take_back(self, request_id: str) -> None:
        try:
            await self._peer.cancel(request_id)
        except GlimpseError as error:
            self.post_message(TroubleArose(error))
        await self._fetch()
