"""What everybody may see of an image beforehand: nothing, a coarse version of it, or of another picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from textual import on
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Button, Input, Static

from shared.decoding.cancelling import cancellable
from shared.errors import GlimpseError
from shared.stego.pictures import decode_preview, make_preview, read_picture
from tui.client import debounce
from tui.client.dialogs.base import ActionDialog
from tui.client.dialogs.pick_file import PickFileDialog
from tui.client.widgets.chips import Chips
from tui.client.widgets.path_field import PathField
from tui.client.widgets.picture import Picture
from tui.common.wording import plain
from tui.common.working import work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from PIL import Image
    from textual.widget import Widget

    from tui.peer import Peer
    from tui.peer.models import MyImage

_NOW: Final = ""
"""The choice before anything was chosen, where there is a preview already."""
_NOTES: Final = {
    _NOW: "This is what everybody sees now, without asking you.",
    "none": "Others see title and size only. Who has kept a preview from before may have it still.",
    "this": "Everybody will see this of the picture, without asking you.",
    "other": "Everybody will see this instead, without asking you.",
}


class PreviewDialog(ActionDialog[bool]):
    """Show what others see and change it. True when something was changed."""

    HEADING = "Preview for others"
    ACCEPT = "Set preview"
    DOING = "Setting…"

    @dataclass
    class Made(Message, bubble=False):
        """From the worker: what others would see of a choice, or why there is nothing to see."""

        choice: str
        path: Path | None
        image: Image.Image | None
        trouble: str = ""

    def __init__(self, peer: Peer, image: MyImage, *, folder: Path | None = None) -> None:
        super().__init__()
        self._peer = peer
        self._image = image
        self._folder = folder
        self._trouble = ""

    def heading(self) -> str:
        """Return whose preview it is."""
        return f"What others see of “{plain(self._image.title, 36)}”"

    def body(self) -> Iterable[Widget]:
        """Return the choice, the path of another picture, and what others would see."""
        yield Chips(
            (("none", "nothing"), ("this", "this picture"), ("other", "another picture")),
            value=_NOW if self._image.has_preview else "none",
            id="preview-of",
        )
        with Horizontal(id="preview-file"):
            yield PathField(placeholder="Path, or drop a file here", id="preview-from")
            yield Button("Browse", id="preview-find", compact=True)
        yield Picture(id="preview-picture")
        yield Static("", id="preview-said", classes="text muted", markup=False)

    def on_mount(self) -> None:
        """Show what is seen now."""
        self.query_one(Chips).focus()
        self._look(0.0)

    @property
    def _choice(self) -> str:
        return self.query_one(Chips).value

    @property
    def _path(self) -> Path | None:
        return self.query_one(PathField).path if self._choice == "other" else None

    # --- What others would see ---------------------------------------------------------------------------------------
    @on(Chips.Chosen)
    def _chosen(self, event: Chips.Chosen) -> None:
        event.stop()
        if event.clicked and event.value == "other":
            self.query_one(PathField).focus()
        self._look(0.0)

    @on(PathField.Changed)
    def _path_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._look(debounce.TYPING_S)

    def _look(self, rest_s: float) -> None:
        choice = self._choice
        self.query_one("#preview-file").display = choice == "other"
        self.query_one("#preview-said", Static).update(_NOTES[choice])
        picture = self.query_one(Picture)
        picture.placeholder = "nothing" if choice == "none" else "…"
        picture.show(None)
        self._trouble = ""
        self.complain("")
        if choice == "other" and self._path is None:
            picture.placeholder = "no picture yet"
        work(self, partial(self._make, choice, self._path, rest_s), group="make-preview", exclusive=True)

    async def _make(self, choice: str, path: Path | None, rest_s: float) -> None:
        if choice == "none" or (choice == "other" and path is None):
            return
        await anyio.sleep(rest_s)
        try:
            if choice == _NOW:
                data = await self._peer.preview(self._image.image)
                image = None if data is None else await cancellable(decode_preview, data)
            else:
                source = path if path is not None else (await self._peer.view(self._image.image)).data
                image = await cancellable(_seen_by_others, source)
        except GlimpseError as error:
            self.post_message(self.Made(choice, path, None, str(error)))
        else:
            self.post_message(self.Made(choice, path, image))

    @on(Made)
    def _show(self, message: Made) -> None:
        if (message.choice, message.path) != (self._choice, self._path):
            return
        picture = self.query_one(Picture)
        picture.placeholder = "nothing to see"
        picture.show(message.image)
        self._trouble = plain(message.trouble, 200)
        self.complain(self._trouble)

    @on(Button.Pressed, "#preview-find")
    def _browse(self, event: Button.Pressed) -> None:
        event.stop()
        heading = "Choose a picture that stands for the image"
        self.app.push_screen(PickFileDialog(self._path or self._folder, heading=heading), self._picked)

    def _picked(self, path: Path | None) -> None:
        if path is not None:
            self.query_one(PathField).put(path)

    # --- The change --------------------------------------------------------------------------------------------------
    def action(self) -> Callable[[], Awaitable[bool]] | None:
        """Return the setting of the preview, None where nothing was chosen or what was does not do."""
        choice = self._choice
        if choice == _NOW or (choice == "none" and not self._image.has_preview):
            self.complain("Nothing is changed yet: choose what others see.")
            return None
        if choice == "other" and self._path is None:
            self.complain("Choose a picture: type its path, or browse.")
            return None
        if self._trouble:
            self.complain(self._trouble)
            return None
        return partial(self._set, choice, self._path)

    async def _set(self, choice: str, path: Path | None) -> bool:
        source: Path | bytes | None = path
        if choice == "this":
            source = (await self._peer.view(self._image.image)).data
        await self._peer.set_preview(self._image.image, source)
        return True


def _seen_by_others(source: Path | bytes) -> Image.Image:
    """Return the preview of a picture as it would be published. Slow: for threads."""
    data = source if isinstance(source, bytes) else read_picture(source)
    return decode_preview(make_preview(data))
