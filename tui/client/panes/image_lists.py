"""The two lists of the tab My images: one's own images, and who may look at the one under the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message

from shared.text import clean
from tui.client import sharing
from tui.common.rowlist import Column, RowList
from tui.common.wording import ago, lasting, size, until
from tui.peer.models import MyImage, Viewer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BOTH_FROM_CELLS = 60
"""Width of the list of viewers from which expiry and state have columns of their own; else the state goes first."""
_LOOK_FROM_CELLS = 52
"""Width from which it is shown how long one look may last."""
UNKNOWN = "–"
"""Shown for what only the cloud knows while it is away."""


class ImagesList(RowList[MyImage]):
    """One's own images; the pane around it has the keys."""

    def __init__(self, *, id: str, wall: Callable[[], float]) -> None:  # noqa: A002 - Textual's name for it
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
            id=id,
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

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - as Textual calls it
        wall: Callable[[], float],
        share: Callable[[str], float | None],
    ) -> None:
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
            id=id,
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
