"""An export of one's own account: a file under a passphrase."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from tui.client.dialogs.base import ActionDialog
from tui.client.exporting import Strength, default_place, strength, write_export
from tui.client.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget

    from tui.peer import Peer

_HINTS: Final[dict[Strength, str]] = {
    "weak": "Weak: take four or more words that do not belong together.",
    "fair": "Fair: one more word makes it strong.",
    "strong": "Strong. Nobody can open the file without it, nor can you.",
}


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
        yield Static(
            "Whoever has this file and its passphrase is you. Keep it on another machine or medium.",
            markup=False,
            classes="text",
        )
        yield Horizontal(Label("Passphrase"), Input(password=True, id="passphrase"), classes="row")
        yield Horizontal(Label("Once more"), Input(password=True, id="again"), classes="row")
        yield Static("", id="strength", markup=False, classes="muted")
        place = default_place("account" if me is None else me.name)
        yield Horizontal(Label("File"), Input(place, id="path"), classes="row")

    def action(self) -> Callable[[], Awaitable[Path]] | None:
        """Return the export to the place that was typed."""
        passphrase = self.query_one("#passphrase", Input).value
        again = self.query_one("#again", Input)
        place = self.query_one("#path", Input).value.strip()
        if not passphrase:
            self.complain("An export needs a passphrase; choose one that you will remember.")
        elif not again.value:
            again.focus()
            self.complain("Type the passphrase once more.")
        elif again.value != passphrase:
            again.focus()
            self.complain("The two passphrases differ; type it once more.")
        elif not place:
            self.complain("Name the file that the export goes to.")
        else:
            return partial(self._export, passphrase, place)
        return None

    async def _export(self, passphrase: str, place: str) -> Path:
        path = expanded(place, home=Path.home(), here=Path.cwd())
        data = await anyio.to_thread.run_sync(self._peer.export_identity, passphrase)
        await anyio.to_thread.run_sync(write_export, path, data)
        return path

    @on(Input.Changed, "#passphrase")
    def _hint(self, event: Input.Changed) -> None:
        self.query_one("#strength", Static).update(_HINTS[strength(event.value)] if event.value else "")

    @on(ActionDialog.Done)
    def _tell(self, message: ActionDialog.Done) -> None:
        self.client.tell(f"Your account was exported to {message.result}.", title="Exported")
