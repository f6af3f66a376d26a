"""An account comes back, or to this machine, from its export."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from shared.config import MAX_NAME_CHARS
from shared.errors import InvalidInput
from tui.client.dialogs.base import ActionDialog
from tui.client.entering import OpenedProfile
from tui.client.exporting import looks_like_export, read_export
from tui.client.paths import expanded, pasted
from tui.common.wording import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual import events
    from textual.widget import Widget

    from tui.client.entering import Entering

_PASTED = "(the export that was pasted)"
_FILE_PREFIX = "glimpse-"


class ExportInput(Input):
    """Takes a path, or the text of an export where that is pasted: then `export` holds it."""

    def __init__(self) -> None:
        super().__init__(placeholder="Path of the file, or paste its text here", id="source")
        self.export = ""

    def on_paste(self, event: events.Paste) -> None:
        """Keep a pasted export aside: a field of one line would cut it."""
        if looks_like_export(event.text):
            self.export = event.text
            self.value = _PASTED
        elif path := pasted(event.text):
            self.value = path
        else:
            return
        self.cursor_position = len(self.value)
        event.stop()
        event.prevent_default()

    @property
    def pasted_export(self) -> str:
        """The export that was pasted; empty when the field was changed since."""
        return self.export if self.value == _PASTED else ""


class ImportIdentityDialog(ActionDialog[OpenedProfile]):
    """Ask for an export and its passphrase, and put it into a new profile, or into `profile` that lost its key."""

    HEADING = "Import an account"
    ACCEPT = "Import"
    DOING = "Opening…"

    def __init__(self, entering: Entering, *, profile: str | None = None) -> None:
        super().__init__()
        self._entering = entering
        self._profile = profile

    def heading(self) -> str:
        """Return what the export is for."""
        return self.HEADING if self._profile is None else f"Restore the profile {plain(self._profile, 40)}"

    def body(self) -> Iterable[Widget]:
        """Return the fields."""
        yield Static(
            "An account comes back from its export, with the name that it has in the cloud.",
            markup=False,
            classes="text",
        )
        yield Horizontal(Label("Export"), ExportInput(), classes="row")
        yield Horizontal(Label("Passphrase"), Input(password=True, id="passphrase"), classes="row")
        if self._profile is None:
            name = Input(placeholder="What to call the profile here", max_length=MAX_NAME_CHARS, id="name")
            yield Horizontal(Label("Profile"), name, classes="row")

    def action(self) -> Callable[[], Awaitable[OpenedProfile]] | None:
        """Return the import of what was typed or pasted."""
        source = self.query_one("#source", ExportInput)
        passphrase = self.query_one("#passphrase", Input)
        if not source.value.strip():
            source.focus()
            self.complain("Name the file with the export, or paste its text.")
        elif not passphrase.value:
            passphrase.focus()
            self.complain("Type the passphrase under which it was exported.")
        else:
            try:
                name = self._called(source)
            except InvalidInput as error:
                self.complain(str(error))
            else:
                return partial(self._restore, source.pasted_export, source.value.strip(), passphrase.value, name)
        return None

    def _called(self, source: ExportInput) -> str:
        """Return what the profile is called after: what was typed, or the file's name."""
        from tui.peer.checks import checked_name

        if self._profile is not None:
            return self._profile
        typed = self.query_one("#name", Input).value.strip()
        stem = "" if source.pasted_export else Path(source.value.strip()).stem.removeprefix(_FILE_PREFIX)
        return checked_name(typed or stem[:MAX_NAME_CHARS] or "imported")

    async def _restore(self, export: str, place: str, passphrase: str, name: str) -> OpenedProfile:
        if export:
            data = export.encode("utf-8", "replace")
        else:
            path = expanded(place, home=Path.home(), here=Path.cwd())
            data = await anyio.to_thread.run_sync(read_export, path)
        return await self._entering.restore(data, passphrase, name, self._profile)
