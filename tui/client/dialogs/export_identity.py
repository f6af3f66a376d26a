"""An export of one's own account: a file under a passphrase."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from tui.client.dialogs.base import ActionDialog
from tui.client.exporting import default_place, write_export
from tui.client.paths import expanded
from tui.client.widgets.new_passphrase import NewPassphrase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget

    from tui.peer import Peer


class ExportIdentityDialog(ActionDialog[Path]):
    """Ask for a passphrase, twice, and a place; the result is where the export was written."""

    HEADING = "Export your account"
    ACCEPT = "Export"
    DOING = "Sealing…"

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer

    def body(self) -> Iterable[Widget]:
        """Return what it is, and the fields."""
        me = self._peer.me
        own = " The passphrase is the export's own, not the one of this profile." if self._peer.status().locked else ""
        yield Static(
            f"Whoever has this file and its passphrase is you. Keep it on another machine or medium.{own}",
            markup=False,
            classes="text",
        )
        yield NewPassphrase("file", "An export needs a passphrase; choose one that you will remember.")
        place = default_place("account" if me is None else me.name)
        yield Horizontal(Label("File"), Input(place, id="path"), classes="row")

    def action(self) -> Callable[[], Awaitable[Path]] | None:
        """Return the export to the place that was typed."""
        fields = self.query_one(NewPassphrase)
        place = self.query_one("#path", Input).value.strip()
        if trouble := fields.trouble():
            self.complain(trouble)
        elif not place:
            self.complain("Name the file that the export goes to.")
        else:
            return partial(self._export, fields.value, place)
        return None

    async def _export(self, passphrase: str, place: str) -> Path:
        path = expanded(place, home=Path.home(), here=Path.cwd())
        data = await anyio.to_thread.run_sync(self._peer.export_identity, passphrase)
        await anyio.to_thread.run_sync(write_export, path, data)
        return path

    @on(ActionDialog.Done)
    def _tell(self, message: ActionDialog.Done) -> None:
        self.client.tell(f"Your account was exported to {message.result}.", title="Exported")
