"""Changing how often somebody may still look at an image, until when, and how long each time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.widgets import Static

from tui.client import sharing
from tui.client.dialogs.base import ActionDialog
from tui.client.dialogs.rights import RightsForm, read_rights, rights_fields
from tui.client.widgets.views_field import ViewsField
from tui.common.wording import moment, plain, until
from tui.peer.models import RightsResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.widget import Widget

    from tui.peer import Peer
    from tui.peer.models import Viewer


class ChangeRightsDialog(ActionDialog[RightsResult]):
    """Ask for the views left, the expiry and the length of a look of one viewer. Only what was changed is sent."""

    HEADING = "Change rights"
    ACCEPT = "Change"
    DOING = "Changing…"

    def __init__(self, peer: Peer, image: str, title: str, viewer: Viewer) -> None:
        super().__init__()
        self._peer = peer
        self._image = image
        self._title = title
        self._viewer = viewer

    def body(self) -> Iterable[Widget]:
        """Return whose rights they are, how they stand, and the fields."""
        viewer = self._viewer
        yield Static(f"{sharing.person(viewer.name, viewer.account)} on “{plain(self._title, 32)}”", markup=False)
        yield Static(plain(viewer.words), markup=False, classes="muted")
        yield Static(
            f"Granted {viewer.granted}, spent {viewer.consumed}, left {viewer.left}; {self._until()}.",
            markup=False,
            id="change-standing",
        )
        standing = RightsForm(viewer.left, viewer.expires, viewer.look_s)
        labels = ("Views left", "Expires", "Each look")
        yield from rights_fields("change", standing, self.client.zone, least=0, labels=labels)
        if viewer.frozen:
            yield Static(
                "The cloud was restored from a backup and may have forgotten views: what you set here confirms these"
                " rights.",
                markup=False,
                classes="text",
                id="change-frozen",
            )
        yield Static(
            "It counts from the moment the cloud has it. Views spent until then stay spent.",
            markup=False,
            classes="text muted",
        )

    def _until(self) -> str:
        viewer = self._viewer
        told = until(viewer.expires, self._peer.now())
        return told if viewer.expires is None else f"{told} ({moment(viewer.expires, self.client.zone)})"

    def on_mount(self) -> None:
        """Begin with the number."""
        self.query_one(ViewsField).focus_number()

    def action(self) -> Callable[[], Awaitable[RightsResult]] | None:
        """Return the change, None after complaining about the fields or where nothing was changed."""
        viewer = self._viewer
        try:
            rights = read_rights(self, self._peer.now(), self.client.zone)
        except ValueError as error:
            self.complain(str(error))
            return None
        options: dict[str, Any] = {}
        if rights.expires != viewer.expires:
            options = {"no_expiry": True} if rights.expires is None else {"expires": rights.expires}
        if rights.look_s != viewer.look_s:
            options["look_s"] = rights.look_s
        if rights.views == viewer.left and not options and not viewer.frozen:
            self.complain("Nothing is changed yet: type another number, or choose another expiry or length.")
            return None
        # A number that was not touched is left alone, so that views spent meanwhile are not given back.
        left = None if rights.views == viewer.left and not viewer.frozen else rights.views
        return partial(self._peer.set_views, self._image, viewer.account, left, **options)
