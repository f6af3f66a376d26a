"""What is shown of the image under the cursor: how it looks, what it is, who may look at it, what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.containers import Container, Horizontal, Vertical
from textual.widgets import Button, Static

from tui.client.panes.image_lists import ViewersList
from tui.client.widgets.picture import Picture
from tui.common.wording import moment, plain, size

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from PIL import Image
    from textual.app import ComposeResult

    from tui.peer.models import MyImage

_TITLE_CELLS: Final = 60


class ImageDetails(Container):
    """Shows one image. The pane tells it which, and hears its buttons (`#image-add` and so on)."""

    def __init__(self, *, id: str, wall: Callable[[], float], share: Callable[[str], float | None]) -> None:  # noqa: A002
        super().__init__(id=id)
        self._wall = wall
        self._share = share

    def compose(self) -> ComposeResult:
        """Compose facts, picture, viewers and buttons."""
        yield Static("", id="image-facts", markup=False)
        with Container(id="image-main"):
            yield Picture(id="image-picture")
            with Vertical(id="image-rights"):
                yield ViewersList(id="image-viewers", wall=self._wall, share=self._share)
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
