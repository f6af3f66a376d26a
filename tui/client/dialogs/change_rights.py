"""Changing how often somebody may still look at an image, until when, and how long each time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal
from textual.widgets import Label, Static

from tui.client import sharing
from tui.client.dialogs.action import ActionDialog
from tui.client.widgets.expiry import ExpiryField
from tui.client.widgets.look_field import LookField
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
        with Horizontal(classes="rights-field"):
            yield Label("Views left")
            yield ViewsField(viewer.left, least=0, id="change-views")
        with Horizontal(classes="rights-field"):
            yield Label("Expires")
            yield ExpiryField(viewer.expires, zone=self.client.zone, id="change-expiry")
        with Horizontal(classes="rights-field -close"):
            yield Label("Each look")
            yield LookField(viewer.look_s, id="change-look")
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

    def deed(self) -> Callable[[], Awaitable[RightsResult]] | None:
        """Return the change, None after complaining about the fields or where nothing was changed."""
        viewer = self._viewer
        try:
            number = self.query_one(ViewsField).value()
            expires = self.query_one(ExpiryField).value(self._peer.now(), self.client.zone)
            look_s = self.query_one(LookField).value()
        except ValueError as error:
            self.complain(str(error))
            return None
        options: dict[str, Any] = {}
        if expires != viewer.expires:
            options = {"no_expiry": True} if expires is None else {"expires": expires}
        if look_s != viewer.look_s:
            options["look_s"] = look_s
        if number == viewer.left and not options and not viewer.frozen:
            self.complain("Nothing is changed yet: type another number, or choose another expiry or length.")
            return None
        # A number that was not touched is left alone, so that views spent meanwhile are not given back.
        left = None if number == viewer.left and not viewer.frozen else number
        return partial(self._peer.set_views, self._image, viewer.account, left, **options)
