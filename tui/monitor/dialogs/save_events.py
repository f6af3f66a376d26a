"""Where the shown events are to be saved: a new file, never one that is there already."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.widgets import Input, Static

from shared.errors import GlimpseError
from shared.text import clean
from tui.common.dialog import Dialog
from tui.common.working import work
from tui.monitor.event_export import save_text, typed_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget


class SaveEvents(Dialog[Path]):
    """Ask for a file and write `text` to it. The result is where it was written; what went wrong is said here."""

    HEADING = "Save events"
    ACCEPT = "Save"

    class Saved(Message, bubble=False):
        """From the worker: it is on disk."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    class Failed(Message, bubble=False):
        """From the worker: it is not, and why."""

        def __init__(self, reason: str) -> None:
            super().__init__()
            self.reason = reason

    def __init__(self, text: str, what: str, suggested: str) -> None:
        super().__init__()
        self._text = text
        self._what = what
        self._suggested = suggested
        self._busy = False

    def body(self) -> Iterable[Widget]:
        """Return what is saved, and where."""
        yield Static(self._what, markup=False, classes="text")
        yield Input(self._suggested, id="save-path", select_on_focus=False, max_length=4096)

    def result(self) -> Path | None:
        """Begin to write; the dialog closes when that is done."""
        if not self._busy:
            self._busy = True
            self.complain("")
            work(self, partial(self._save, self.query_one("#save-path", Input).value), group="save")
        return None

    async def _save(self, typed: str) -> None:
        import anyio.to_thread

        try:
            path = await anyio.to_thread.run_sync(typed_path, typed)
            await anyio.to_thread.run_sync(save_text, path, self._text)
        except GlimpseError as error:
            self.post_message(self.Failed(clean(str(error), max_chars=400)))
        else:
            self.post_message(self.Saved(path))

    @on(Saved)
    def _saved(self, message: Saved) -> None:
        self.dismiss(message.path)

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self._busy = False
        self.complain(message.reason)
        self.query_one("#save-path", Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()
