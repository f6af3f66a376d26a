"""An input for a path: completes with Tab, suggests while one types, takes what is pasted or dropped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import anyio.to_thread
from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.suggester import SuggestionReady
from textual.widgets import Input

from shared.text import is_clean
from tui.client import paths
from tui.client.folders import FolderEntry, Listing, listing
from tui.common.working import work

if TYPE_CHECKING:
    from textual import events


class Folders:
    """Reads folders in threads and remembers the last one while nothing in it comes or goes."""

    def __init__(self) -> None:
        self._last: tuple[Path, int, Listing] | None = None

    async def read(self, folder: Path) -> Listing:
        """Return what lies in a folder; see `listing`."""
        return await anyio.to_thread.run_sync(self._read, folder)

    def _read(self, folder: Path) -> Listing:
        try:
            changed = folder.stat().st_mtime_ns
        except (OSError, ValueError):
            return listing(folder)
        last = self._last
        if last is not None and last[:2] == (folder, changed):
            return last[2]
        found = listing(folder)
        self._last = (folder, changed, found)
        return found


class PathField(Input):
    """One line for a path. `path` is what it means: also a path whose name cannot be written, if it was put there."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "Complete", id="path.complete", show=False)]
    DEFAULT_CSS = """
    PathField.-textual-compact { padding: 0 1 !important; background: $panel; }
    """

    @dataclass
    class Completed(Message, bubble=False):
        """From the worker to its field: what the text becomes, the same where there is nothing to add."""

        before: str
        after: str

    def __init__(
        self,
        path: Path | None = None,
        *,
        placeholder: str = "",
        home: Path | None = None,
        here: Path | None = None,
        id: str | None = None,  # noqa: A002 - the name that every widget has for it
    ) -> None:
        self.home = home or Path.home()
        self.here = here or Path.cwd()
        self.folders = Folders()
        self._put: tuple[str, Path] | None = None
        super().__init__(self._noted(path), placeholder, compact=True, select_on_focus=False, id=id)

    @property
    def path(self) -> Path | None:
        """The path that the text means, None where there is none."""
        text = self.value.strip()
        if not text:
            return None
        if self._put is not None and self._put[0] == text:
            return self._put[1]
        return self._meant(text)

    def put(self, path: Path | None) -> None:
        """Write a path into the field."""
        self.value = self._noted(path)
        self.cursor_position = len(self.value)

    def _noted(self, path: Path | None) -> str:
        if path is None:
            return ""
        text = paths.shown(path, home=self.home)
        self._put = (text, path)
        return text

    def on_paste(self, event: events.Paste) -> None:
        """Take a pasted path for the whole text; anything else goes where the cursor is."""
        event.prevent_default()
        event.stop()
        text = paths.pasted(event.text)
        if paths.is_path(text):
            self.value = text
            self.cursor_position = len(text)
        elif text:
            self.replace(text, *self.selection)

    # --- Suggesting --------------------------------------------------------------------------------------------------
    def watch_value(self, value: str) -> None:
        """Suggest the first name that begins like the fragment; the right key takes it."""
        # Not by a suggester of Textual, which leaves a coroutine behind where a field goes before its worker starts.
        if self.is_running and self.has_focus and paths.split(value)[1]:
            work(self, partial(self._suggest, value), group="suggest", exclusive=True)

    async def _suggest(self, text: str) -> None:
        folder, fragment = paths.split(text)
        found = await self.folders.read(self._meant(folder))
        name = await anyio.to_thread.run_sync(_suggestion, found, fragment)
        if name is not None:
            self.post_message(SuggestionReady(text, folder + name))

    def _meant(self, text: str) -> Path:
        return paths.expanded(text, home=self.home, here=self.here)

    # --- Completing --------------------------------------------------------------------------------------------------
    def action_complete(self) -> None:
        """Complete what is typed; where there is nothing to add, go to the next field as Tab does."""
        if not self.value or self.cursor_position < len(self.value):
            self.screen.focus_next()
            return
        work(self, partial(self._complete, self.value), group="complete", exclusive=True)

    async def _complete(self, text: str) -> None:
        folder, fragment = paths.split(text)
        if text == "~":
            self.post_message(self.Completed(text, "~/"))
            return
        found = await self.folders.read(self._meant(folder))
        after = await anyio.to_thread.run_sync(_completion, found, fragment)
        self.post_message(self.Completed(text, folder + after))

    @on(Completed)
    def _take_completed(self, message: Completed) -> None:
        if message.before != self.value:
            return
        if message.after == message.before:
            self.screen.focus_next()
            return
        self.value = message.after
        self.cursor_position = len(self.value)


def _suggestion(found: Listing, fragment: str) -> str | None:
    """Return the first name that begins like the fragment and can be written. For threads: there may be very many."""
    for entry in found.beginning(fragment):
        if entry.name.startswith(fragment) and is_clean(entry.name):
            return _written(entry)
    return None


def _completion(found: Listing, fragment: str) -> str:
    """Return the fragment as far as it is certain. For threads."""
    entries = [entry for entry in found.beginning(fragment) if is_clean(entry.name)]
    after = paths.completed(fragment, (entry.name for entry in entries))
    exact = next((entry for entry in entries if entry.name == after), None)
    if exact is None or any(entry.name.startswith(after) for entry in entries if entry is not exact):
        return after
    return _written(exact)


def _written(entry: FolderEntry) -> str:
    return entry.name + "/" if entry.is_folder else entry.name
