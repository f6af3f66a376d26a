"""Looking for a picture: a path to type or paste, the folder's pictures below it, the one under the cursor beside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import anyio
import anyio.to_thread
from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Checkbox, Static

from shared.decoding.cancelling import cancellable
from shared.text import clean
from tui.client import debounce, paths
from tui.client.dialogs.base import ClientDialog
from tui.client.examining import Examined, examine
from tui.client.folders import PARENT, FolderEntry, Listing, beginning, counts, kind
from tui.client.widgets.path_field import PathField
from tui.client.widgets.picture import Picture
from tui.common.rowlist import Column, RowList
from tui.common.wording import counted, moment, plain, size
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual import events
    from textual.widget import Widget
    from textual.widgets import Input

_UP = FolderEntry(PARENT, PARENT, is_folder=True)


class PickFileDialog(ClientDialog[Path]):
    """Choose a PNG, JPEG or WebP file. `start` is a file or folder to begin at."""

    HEADING = "Choose a picture"
    ACCEPT = "Choose"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", id="pick.up", show=False),
        Binding("down", "move(1)", "Down", id="pick.down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="pick.page_up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="pick.page_down", show=False),
        Binding("left,h,backspace", "parent", "Folder above", id="pick.parent", show=False),
        Binding("right,l", "enter_folder", "Into the folder", id="pick.enter", show=False),
        Binding("slash", "type", "Type a path or part of a name", id="pick.type", show=False),
        Binding("full_stop", "hidden", "Show hidden files or not", id="pick.hidden", show=False),
    ]

    @dataclass
    class Read(Message, bubble=False):
        """From the worker: what lies in a folder, and the name that the cursor should stand on."""

        listing: Listing
        name: str

    @dataclass
    class Looked(Message, bubble=False):
        """From the worker: what the picture under the cursor is."""

        found: Examined

    @dataclass
    class Typed(Message, bubble=False):
        """From the worker: what a typed path is that is not in the list."""

        path: Path
        is_folder: bool
        exists: bool

    def __init__(self, start: Path | None = None, *, heading: str = HEADING) -> None:
        super().__init__()
        self._heading = heading
        self._start = start
        self._listing: Listing | None = None
        self._folder: Path | None = None
        self._hidden = False
        self._found: Examined | None = None
        self._one_thread = anyio.CapacityLimiter(1)

    # --- What is to be seen ------------------------------------------------------------------------------------------
    def heading(self) -> str:
        """Return what is chosen, and for what."""
        return self._heading

    def body(self) -> Iterable[Widget]:
        """Return path, list and picture, and what the list holds."""
        yield PathField(placeholder="Type a path, or paste one, or part of a name", id="pick-path")
        with Horizontal(id="pick-body"):
            yield RowList(
                (
                    Column("name", "Name"),
                    Column("size", "Size", 7, align="right", hide_below=36),
                    Column("modified", "Changed", 10, hide_below=48),
                ),
                key=lambda entry: entry.name,
                cells=self._cells,
                id="pick-list",
                sort_keys={"name": lambda e: (not e.is_folder, e.folded), "modified": lambda e: e.modified},
                empty="Reading the folder…",
            )
            with Vertical(id="pick-side"):
                yield Static("", id="pick-facts", markup=False)
                yield Picture(id="pick-picture")
        with Horizontal(id="pick-below"):
            yield Static("", id="pick-count", classes="muted", markup=False)
            yield Checkbox("Hidden files", id="pick-hidden", compact=True)

    def _cells(self, entry: FolderEntry) -> tuple[str | Text, str, str]:
        if entry.is_folder:
            name = Text(clean(entry.name) + "/")
            name.stylize("bold")
            return name, "", ""
        return entry.name, size(entry.size), moment(entry.modified, self.client.zone)[:10]

    def on_mount(self) -> None:
        """Begin at the folder that was given, else at the person's pictures."""
        self.query_one(PathField).focus()
        self.query_one(Picture).placeholder = ""
        work(self, self._begin, group="folder", exclusive=True)

    # --- The folder --------------------------------------------------------------------------------------------------
    async def _begin(self) -> None:
        start, name = await anyio.to_thread.run_sync(beginning, self._start)
        listing = await self.query_one(PathField).folders.read(start)
        self.post_message(self.Read(listing, name))

    def go(self, folder: Path, name: str = "") -> None:
        """Show another folder, with the cursor on `name`."""
        work(self, partial(self._read, folder, name), group="folder", exclusive=True)

    async def _read(self, folder: Path, name: str) -> None:
        listing = await self.query_one(PathField).folders.read(folder)
        self.post_message(self.Read(listing, name))

    @on(Read)
    def _show_folder(self, message: Read) -> None:
        field = self.query_one(PathField)
        self._listing = message.listing
        fragment = self._fragment
        if self._folder != message.listing.folder:
            self._folder = message.listing.folder
            if self._typed_folder() != self._folder:
                fragment = ""
                with self.prevent(PathField.Changed):
                    field.value = paths.shown_folder(self._folder, home=field.home)
                field.cursor_position = len(field.value)
        self._show_rows(fragment, message.name)

    def _typed_folder(self) -> Path:
        """Return the folder that the text means; the one that is shown where its text was not touched."""
        field = self.query_one(PathField)
        text, _ = paths.split(field.value)
        if self._folder is not None and text == paths.shown_folder(self._folder, home=field.home):
            return self._folder
        return paths.expanded(text, home=field.home, here=field.here)

    @property
    def _fragment(self) -> str:
        return paths.split(self.query_one(PathField).value)[1]

    def _show_rows(self, fragment: str, name: str = "") -> None:
        listing = self._listing
        if listing is None:
            return
        found = listing.matching(fragment, hidden=self._hidden)
        above = [] if fragment or listing.folder == listing.folder.parent else [_UP]
        rows = self.query_one(RowList)
        rows.empty = listing.trouble or ("Nothing here has that in its name." if fragment else "No pictures here.")
        rows.set_rows([*above, *found])
        begins = fragment.casefold()
        wanted = name or (next((e.name for e in found if e.folded.startswith(begins)), "") if fragment else "")
        if wanted:
            rows.select_key(wanted)
        folders, pictures = counts(found)
        told = listing.trouble or f"{counted(pictures, 'picture')}, {counted(folders, 'folder')}"
        if not listing.complete:
            told += "; only part of this folder is shown"
        self.query_one("#pick-count", Static).update(told)

    @on(PathField.Changed)
    def _path_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.complain("")
        folder = self._typed_folder()
        if folder == self._folder:
            self._show_rows(self._fragment)
        elif self._listing is not None:
            self.go(folder)

    @on(Checkbox.Changed)
    def _hidden_changed(self, event: Checkbox.Changed) -> None:
        event.stop()
        self._hidden = event.value
        current: FolderEntry | None = self.query_one(RowList).current
        self._show_rows(self._fragment, current.name if current else "")

    # --- The picture under the cursor --------------------------------------------------------------------------------
    @on(RowList.Highlighted)
    def _highlighted(self, event: RowList.Highlighted) -> None:
        event.stop()
        picture = self.query_one(Picture)
        self._found = None
        picture.show(None)
        self.query_one("#pick-facts", Static).update("", layout=False)
        path = self._path_of(event.row)
        picture.placeholder = "…" if path is not None else ""
        work(self, partial(self._look, path, picture.box_px), group="look", exclusive=True)

    def _path_of(self, entry: FolderEntry | None) -> Path | None:
        """Return the path of a picture in the folder that is shown, None for a folder or nothing."""
        if entry is None or entry.is_folder or self._listing is None:
            return None
        return self._listing.folder / entry.name

    async def _look(self, path: Path | None, box_px: tuple[int, int]) -> None:
        if path is None:
            return
        await anyio.sleep(debounce.REST_S)
        found = await cancellable(examine, path, box_px, limiter=self._one_thread)
        self.post_message(self.Looked(found))

    @on(Looked)
    def _show_picture(self, message: Looked) -> None:
        found = message.found
        if self._path_of(self.query_one(RowList).current) != found.path:
            return
        self._found = found
        picture = self.query_one(Picture)
        picture.placeholder = ""
        picture.show(found.image)
        facts = self.query_one("#pick-facts", Static)
        facts.set_class(bool(found.trouble), "-trouble")
        facts.update(facts_of(found), layout=False)

    # --- Choosing ----------------------------------------------------------------------------------------------------
    @on(RowList.Selected)
    def _selected(self, event: RowList.Selected) -> None:
        event.stop()
        self.action_accept()

    def result(self) -> Path | None:
        """Return the picture under the cursor; go into the folder under it; look at a typed path that is not listed."""
        listing = self._listing
        entry: FolderEntry | None = self.query_one(RowList).current
        if listing is None:
            return None
        if entry is None:
            path = self.query_one(PathField).path
            if path is None:
                self.complain("Choose a picture, or type its path.")
            else:
                work(self, partial(self._resolve, path), group="folder", exclusive=True)
            return None
        if entry.is_folder:
            self._open(entry)
            return None
        path = listing.folder / entry.name
        if self._found is not None and self._found.trouble:
            self.complain(plain(self._found.trouble, 200))
            return None
        return path

    async def _resolve(self, path: Path) -> None:
        is_folder, exists = await anyio.to_thread.run_sync(kind, path)
        self.post_message(self.Typed(path, is_folder=is_folder, exists=exists))

    @on(Typed)
    def _typed(self, message: Typed) -> None:
        if message.is_folder:
            self.go(message.path)
        elif message.exists:
            self.dismiss(message.path)
        else:
            self.complain("There is no such picture or folder; check the path.")

    def _open(self, entry: FolderEntry) -> None:
        listing = self._listing
        if listing is None:
            return
        if entry.name == PARENT:
            self.action_parent()
        else:
            self._leave_fragment()
            self.go(listing.folder / entry.name)

    def _leave_fragment(self) -> None:
        """Drop what was looked for in this folder: it is not looked for in the next."""
        field = self.query_one(PathField)
        if self._folder is not None and self._fragment:
            with self.prevent(PathField.Changed):
                field.value = paths.shown_folder(self._folder, home=field.home)

    def action_parent(self) -> None:
        """Go to the folder above, with the cursor on the one that is left."""
        if self._listing is not None:
            self._leave_fragment()
            folder = self._listing.folder
            self.go(folder.parent, folder.name)

    def action_enter_folder(self) -> None:
        """Go into the folder under the cursor."""
        entry: FolderEntry | None = self.query_one(RowList).current
        if entry is not None and entry.is_folder:
            self._open(entry)

    def action_move(self, by: int) -> None:
        """Move the list's cursor while one types."""
        self.query_one(RowList).action_cursor(by)

    def action_page(self, by: int) -> None:
        """Move the list's cursor by a page while one types."""
        self.query_one(RowList).action_page(by)

    def action_type(self) -> None:
        """Go to the path."""
        self.query_one(PathField).focus()

    def action_hidden(self) -> None:
        """Show hidden files or leave them out."""
        self.query_one(Checkbox).toggle()

    def on_key(self, event: events.Key) -> None:
        """Take a letter typed on the list for the beginning of a name, unless it means something there."""
        on_list = self.focused is self.query_one(RowList)
        if on_list and event.is_printable and event.character and event.key not in self.active_bindings:
            event.stop()
            field = self.query_one(PathField)
            field.focus()
            field.value += event.character
            field.cursor_position = len(field.value)

    def on_paste(self, event: events.Paste) -> None:
        """Take a path that is pasted or dropped anywhere in this dialog."""
        text = paths.pasted(event.text)
        if paths.is_path(text):
            event.stop()
            field = self.query_one(PathField)
            field.focus()
            field.value = text
            field.cursor_position = len(text)


def facts_of(found: Examined) -> str:
    """Return in a few lines what a picture is, or why it cannot be used."""
    if found.info is None:
        return plain(found.trouble, 200)
    info = found.info
    lines = [f"{info.format}, {info.width} × {info.height}", size(info.bytes)]
    if found.place:
        lines.append("tells where it was taken")
    return "\n".join(lines)
