"""What is encrypted, under which title, hidden in which cover, and what others may see of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from textual import on
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Input, Label, Static

from shared.config import MAX_TITLE_CHARS
from shared.decoding.cancelling import cancellable
from shared.text import clean, is_clean
from tui.client import debounce, paths
from tui.client.dialogs.base import ClientDialog
from tui.client.dialogs.pick_file import PickFileDialog
from tui.client.examining import Examined, examine
from tui.client.widgets.chips import Chips
from tui.client.widgets.path_field import PathField
from tui.client.widgets.picture import Picture
from tui.common.wording import plain, size
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from textual import events
    from textual.widget import Widget

PICTURE, COVER, PREVIEW = "picture", "cover", "preview"
_NOT_SHOWN_PX: Final = (8, 8)
_OF: Final = {PICTURE: "", COVER: "The cover: ", PREVIEW: "The preview: "}
_HEADINGS: Final = {
    PICTURE: "Choose a picture to encrypt",
    COVER: "Choose a cover: the picture that everybody sees",
    PREVIEW: "Choose a picture that stands for the image",
}
_PREVIEW_NOTES: Final = {
    "none": "Others see title and size only.",
    "this": "Everybody sees a small, coarse version of the picture, without asking you.",
    "other": "Everybody sees a small, coarse version of that picture instead.",
}
_TRAVELS: Final = "Whoever may view it gets the original file, with its metadata (camera, time, place)."
_PLACES: Final = {
    True: "Careful: this file tells where it was taken, and your viewers get it as it is. Remove the place first if it "
    "is private.",
    False: "No place in its metadata. Camera and time, if they are there, travel with the picture.",
    None: "Its metadata cannot be read; it travels with the picture as it is.",
}


@dataclass(frozen=True, slots=True)
class EncryptForm:
    """A picture to be encrypted. Without `title` it has its file's name; `cover` None means one made by a node.

    `preview` is the picture of which everybody may see a small version; None means that nobody sees any.
    """

    path: Path
    title: str | None = None
    cover: Path | None = None
    preview: Path | None = None


class EncryptDialog(ClientDialog[EncryptForm]):
    """Ask what to encrypt and how. Every file is examined as soon as it is named."""

    HEADING = "Encrypt a picture"
    ACCEPT = "Encrypt"

    @dataclass
    class Found(Message, bubble=False):
        """From the worker: what a file is that was named for `use`."""

        use: str
        found: Examined

    def __init__(self, path: Path | None = None, *, folder: Path | None = None) -> None:
        """`path` is taken as chosen already; `folder` is where looking for one begins."""
        super().__init__()
        self._path = path
        self._start = folder
        self._found: dict[str, Examined] = {}
        self._named_title = ""
        self._eager = False
        self._one_thread = anyio.CapacityLimiter(1)

    # --- What is to be seen ------------------------------------------------------------------------------------------
    def body(self) -> Iterable[Widget]:
        """Return the form, and the picture beside it."""
        with Horizontal(id="encrypt-body"):
            with Vertical(id="encrypt-form"):
                yield from self._file_row(PICTURE, "Picture", self._path, "-first")
                with Horizontal(classes="encrypt-row"):
                    yield Label("Title")
                    yield Input(
                        placeholder="What others see",
                        id="encrypt-title",
                        max_length=MAX_TITLE_CHARS,
                        compact=True,
                        select_on_focus=False,
                    )
                with Horizontal(classes="encrypt-row"):
                    yield Label("Cover")
                    yield Chips((("node", "by a node"), ("own", "my own picture")), value="node", id="cover-choice")
                yield from self._file_row(COVER, "", None, "-more")
                with Horizontal(classes="encrypt-row"):
                    yield Label("Preview")
                    yield Chips(
                        (("none", "none"), ("this", "this picture"), ("other", "another")),
                        value="none",
                        id="preview-choice",
                    )
                yield from self._file_row(PREVIEW, "", None, "-more")
                yield Static(_PREVIEW_NOTES["none"], id="preview-note", classes="note", markup=False)
            with Vertical(id="encrypt-side"):
                yield Static("", id="encrypt-facts", markup=False)
                yield Picture(id="encrypt-picture")
        yield Static(_TRAVELS, id="encrypt-place", markup=False)

    def _file_row(self, use: str, label: str, path: Path | None, classes: str) -> Iterable[Widget]:
        with Horizontal(classes=f"encrypt-row {classes}", id=f"{use}-row"):
            yield Label(label)
            yield PathField(path, placeholder="Path, or drop a file here", id=f"{use}-path")
            yield Button("Browse", id=f"{use}-browse", compact=True)

    def on_mount(self) -> None:
        """Begin with the picture."""
        for use in (COVER, PREVIEW):
            self.query_one(f"#{use}-row").display = False
        self.query_one(Picture).placeholder = "no picture yet"
        self._field(PICTURE).focus()
        if self._path is not None:
            self._named(PICTURE)

    def _field(self, use: str) -> PathField:
        return self.query_one(f"#{use}-path", PathField)

    # --- Files -------------------------------------------------------------------------------------------------------
    @on(PathField.Changed, "PathField")
    def _path_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._named(str(event.input.id).removesuffix("-path"))

    def _named(self, use: str) -> None:
        """Examine the file that is now named for a use."""
        self._eager = False
        path = self._field(use).path
        if (known := self._found.get(use)) is not None and known.path != path:
            del self._found[use]
        self._tell()
        picture = self.query_one(Picture)
        box = picture.box_px if use == PICTURE else _NOT_SHOWN_PX
        work(self, partial(self._examine, use, path, box), group=f"examine-{use}", exclusive=True)

    async def _examine(self, use: str, path: Path | None, box_px: tuple[int, int]) -> None:
        if path is None:
            return
        await anyio.sleep(debounce.TYPING_S)
        found = await cancellable(examine, path, box_px, limiter=self._one_thread)
        self.post_message(self.Found(use, found))

    @on(Found)
    def _take_found(self, message: Found) -> None:
        if message.found.path != self._field(message.use).path:
            return
        self._found[message.use] = message.found
        if message.use == PICTURE:
            self._name_it(message.found)
        self._tell()
        if self._eager:
            self._eager = False
            self.action_accept()

    def _name_it(self, found: Examined) -> None:
        """Give a picture its file's name as a title, unless somebody has typed one."""
        title = self.query_one("#encrypt-title", Input)
        if found.info is not None and title.value in {"", self._named_title}:
            self._named_title = title.value = clean(found.path.stem, max_chars=MAX_TITLE_CHARS)

    def _tell(self) -> None:
        """Show what is known of the files."""
        found = self._found.get(PICTURE)
        info = found.info if found is not None else None
        facts = "" if info is None else f"{info.format}, {info.width} × {info.height}\n{size(info.bytes)}"
        self.query_one("#encrypt-facts", Static).update(facts)
        picture = self.query_one(Picture)
        image = found.image if found is not None else None
        picture.placeholder = "…" if found is None and self._field(PICTURE).path else "no picture yet"
        if picture.image is not image:
            picture.show(image)
        place = self.query_one("#encrypt-place", Static)
        place.update(_TRAVELS if found is None or info is None else _PLACES[found.place])
        place.set_class(found is not None and bool(found.place), "-warning")
        self.complain(self._trouble())

    def _trouble(self) -> str:
        """Return what is wrong with the files that are used."""
        for use in self._uses():
            found = self._found.get(use)
            if found is not None and found.trouble:
                return _OF[use] + plain(found.trouble, 200)
        return ""

    def _uses(self) -> list[str]:
        """Return what files are used for, as chosen."""
        uses = [PICTURE]
        if self.query_one("#cover-choice", Chips).value == "own":
            uses.append(COVER)
        if self.query_one("#preview-choice", Chips).value == "other":
            uses.append(PREVIEW)
        return uses

    # --- Choices -----------------------------------------------------------------------------------------------------
    @on(Chips.Chosen)
    def _chosen(self, event: Chips.Chosen) -> None:
        event.stop()
        uses = self._uses()
        for use in (COVER, PREVIEW):
            self.query_one(f"#{use}-row").display = use in uses
        self.query_one("#preview-note", Static).update(_PREVIEW_NOTES[self.query_one("#preview-choice", Chips).value])
        if event.clicked and event.value in {"own", "other"}:
            self._field(COVER if event.value == "own" else PREVIEW).focus()
        self._tell()

    @on(Button.Pressed, "#picture-browse, #cover-browse, #preview-browse")
    def _browse(self, event: Button.Pressed) -> None:
        event.stop()
        use = str(event.button.id).removesuffix("-browse")
        start = self._field(use).path or self._field(PICTURE).path or self._start
        self.app.push_screen(PickFileDialog(start, heading=_HEADINGS[use]), partial(self._picked, use))

    def _picked(self, use: str, path: Path | None) -> None:
        if path is not None:
            self._field(use).put(path)

    def on_paste(self, event: events.Paste) -> None:
        """Take a path that is dropped anywhere in this dialog for the picture."""
        text = paths.pasted(event.text)
        if paths.is_path(text):
            event.stop()
            self._field(PICTURE).value = text

    # --- The answer --------------------------------------------------------------------------------------------------
    def result(self) -> EncryptForm | None:
        """Return the form, once all its files are examined and fit."""
        chosen: dict[str, Path] = {}
        for use in self._uses():
            path = self._field(use).path
            if path is None:
                self.complain(f"Choose a {use if use == COVER else 'picture'}: type its path, or browse.")
                self._field(use).focus()
                return None
            chosen[use] = path
        if any(use not in self._found for use in chosen):
            self._eager = True
            self.complain("Looking at the file…")
            return None
        if trouble := self._trouble():
            self.complain(trouble)
            return None
        title = self.query_one("#encrypt-title", Input).value.strip()
        if not is_clean(title):
            self.complain("The title has characters that control a terminal; type it instead of pasting it.")
            return None
        preview = chosen.get(PREVIEW)
        if self.query_one("#preview-choice", Chips).value == "this":
            preview = chosen[PICTURE]
        return EncryptForm(chosen[PICTURE], title or None, chosen.get(COVER), preview)
