"""The parts of the tab My images: the list of images, and the current one with its picture, facts and viewers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from shared.text import clean
from tui.client import sharing
from tui.client.widgets.picture import Picture
from tui.common.rowlist import Column, RowList
from tui.common.wording import ago, lasting, moment, plain, size, until
from tui.peer.models import MyImage, Viewer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from PIL import Image
    from textual.app import ComposeResult

_TITLE_CELLS: Final = 60
_BOTH_FROM_CELLS = 60
"""Width of the list of viewers from which expiry and state have columns of their own; else the state goes first."""
_LOOK_FROM_CELLS = 52
"""Width from which it is shown how long one look may last."""
UNKNOWN = "–"
"""Shown for what only the cloud knows while it is away."""


class ImagesList(RowList[MyImage]):
    """One's own images; the pane around it has the keys."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        super().__init__(
            (
                Column("title", "Title"),
                Column("pixels", "Pixels", 11, align="right", hide_below=84),
                Column("size", "Size", 7, align="right", hide_below=52),
                Column("viewers", "Viewers", 7, align="right"),
                Column("spent", "Looks", 5, align="right"),
                Column("preview", "Preview", 7, hide_below=60),
                Column("created", "Made", 10, hide_below=44, descending_first=True),
            ),
            key=lambda image: image.image,
            cells=self._texts,
            id="mine-list",
            sort_keys={
                "created": lambda image: image.created,
                "title": lambda image: image.title.casefold(),
                "viewers": lambda image: image.viewers,
                "spent": lambda image: image.views_spent,
                "size": lambda image: image.size,
            },
        )

    def _texts(self, image: MyImage) -> Sequence[str | Text]:
        known = image.counted
        title = Text(clean(image.title) or "untitled")
        if not image.offered:
            title.stylize("dim")
            title = Text.assemble(("withdrawn ", "dim italic"), title)
        elif image.path is None:
            title = Text.assemble(("elsewhere ", "dim italic"), title)
        return (
            title,
            f"{image.width}×{image.height}",
            size(image.size),
            str(image.viewers) if known else UNKNOWN,
            str(image.views_spent) if known else UNKNOWN,
            ("on" if image.has_preview else Text("off", "dim")) if known else UNKNOWN,
            ago(image.created, self._wall()),
        )


class ViewersList(RowList[Viewer]):
    """Who may look at an image. What its keys mean is done by the pane around it, which has them too.

    Here they stand to be shown while the list has the focus.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "want('change')", "Change", tooltip="Change views left and expiry"),
        Binding("x", "want('revoke')", "Revoke", tooltip="End somebody's rights for good"),
    ]

    @dataclass
    class Wanted(Message):
        """A person wants to `change` or `revoke` the rights of the viewer under the cursor."""

        action: str

    def __init__(self, wall: Callable[[], float], share: Callable[[str], float | None]) -> None:
        """`share` returns how much of a grant's stego image has gone to its viewer, None where none is on its way."""
        self._wall = wall
        self._share = share
        super().__init__(
            (
                Column("viewer", "Who may look", flex=2),
                Column("left", "Left", 9, align="right"),
                Column("look", "A look", 6, align="right", hide_below=_LOOK_FROM_CELLS),
                Column("expires", "Expiry", 15, hide_below=_BOTH_FROM_CELLS),
                Column("state", "State", 15),
            ),
            key=lambda viewer: viewer.grant,
            cells=self._texts,
            id="image-viewers",
        )

    def _texts(self, viewer: Viewer) -> Sequence[str | Text]:
        now = self._wall()
        state, expiry = sharing.state(viewer, now, self._share(viewer.grant)), until(viewer.expires, now)
        if self.scrollable_content_region.width < _BOTH_FROM_CELLS:
            state = state or expiry
        style = "dim" if viewer.revoked else ""
        person, look = sharing.person(viewer.name, viewer.account), lasting(viewer.look_s)
        texts = (person, sharing.left(viewer), look, expiry, state)
        return [Text(text, style) for text in texts]

    def action_want(self, action: str) -> None:
        """Tell the pane."""
        self.post_message(self.Wanted(action))


class ImageDetails(Container):
    """Shows one image. The pane tells it which, and hears its buttons (`#image-add` and so on)."""

    def __init__(self, wall: Callable[[], float], share: Callable[[str], float | None]) -> None:
        super().__init__(id="image-details")
        self._wall = wall
        self._share = share

    def compose(self) -> ComposeResult:
        """Compose facts, picture, viewers and buttons."""
        yield Static("", id="image-facts", markup=False)
        with Container(id="image-main"):
            yield Picture(id="image-picture")
            with Vertical(id="image-rights"):
                yield ViewersList(self._wall, self._share)
                with Horizontal(id="image-actions"):
                    yield Button("Add viewer", id="image-add", compact=True, variant="primary")
                    yield Button("Change", id="image-change", compact=True)
                    yield Button("Revoke", id="image-revoke", compact=True)
                    yield Button("Log", id="image-log", compact=True)

    def on_mount(self) -> None:
        """Keep the buttons out of the way of the keys, which do the same from the lists."""
        for button in self.query(Button):
            button.can_focus = False
        self.query_one(Picture).placeholder = ""

    def tell(self, image: MyImage | None, zone: tzinfo | None) -> None:
        """Say what an image is; with None nothing."""
        self.set_class(image is None, "-nothing")
        self.query_one("#image-facts", Static).update(Text() if image is None else facts(image, zone))

    def await_picture(self, image: MyImage | None) -> None:
        """Show that the picture of another image is being looked for, or why there is none."""
        picture = self.query_one(Picture)
        picture.placeholder = "" if image is None or image.path is not None else "not on this machine"
        picture.show(None)

    def show_picture(self, found: Image.Image | None) -> None:
        """Show the picture that was found."""
        picture = self.query_one(Picture)
        picture.placeholder = "not on this machine"
        picture.show(found)


def facts(image: MyImage, zone: tzinfo | None) -> Text:
    """Return an image in one line, or two where it needs a word about its state."""
    text = Text(plain(image.title, _TITLE_CELLS) or "untitled", "bold")
    text.append(
        f" · {image.format} {image.width}×{image.height}, {size(image.size)}, {moment(image.created, zone)}",
        "not bold dim",
    )
    if image.path is None:
        text.append("\nNot on this device: copy its file here and adopt it with b.", "not bold")
    elif not image.offered:
        text.append("\nWithdrawn: nobody can ask for it any more; who has rights keeps them.", "not bold")
    return text
