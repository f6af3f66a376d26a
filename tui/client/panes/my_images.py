"""The tab `My images`: what one has encrypted, who may look at it, and what they looked at."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import anyio
from textual import events, on
from textual.binding import Binding, BindingType
from textual.containers import Center, Container, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from shared.errors import GlimpseError, Unavailable
from tui.client import paths, sharing
from tui.client.dialogs.confirm import Confirm
from tui.client.messages import Happened
from tui.client.pane import Pane
from tui.client.panes.image_details import ImageDetails
from tui.client.panes.image_lists import ImagesList, ViewersList
from tui.client.thumbnails import Thumbnails
from tui.client.transfers import Transfers
from tui.client.wording import counted, plain
from tui.peer import events as peer_events
from tui.widgets.rowlist import RowList
from tui.widgets.working import work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import Image
    from textual.app import ComposeResult

    from tui.client.dialogs.add_viewer import Given
    from tui.client.dialogs.encrypt import Wish
    from tui.peer import Peer
    from tui.peer.models import MyImage, RightsResult, View, Viewer

_WIDE_FROM_CELLS: Final = 100
_REST_S: Final = 0.12
"""How long the cursor rests on an image before its picture and viewers are fetched."""
_PAINT_S: Final = 0.25
"""Progress comes with every few packets and is painted together."""
_TICK_S: Final = 10.0
"""How often ages are told anew, and transfers forgotten that broke off."""
_TITLE_CELLS: Final = 40


@dataclass(frozen=True, slots=True)
class Found:
    """Images, newest first; `counted` if the cloud told their viewers and views."""

    images: Sequence[MyImage]
    counted: bool


class MyImagesPane(Pane):
    """One's own images, and the details of the current one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "encrypt", "Encrypt", id="my_images.encrypt", tooltip="Encrypt a picture"),
        Binding("v", "open", "Open", id="my_images.open", tooltip="Look at the picture; your own are free"),
        Binding("a", "add", "Add viewer", id="my_images.add", tooltip="Give somebody views who has not asked"),
        Binding("l", "log", "Log", id="my_images.log", tooltip="Who looked at the image, and when"),
        Binding("p", "preview", "Preview", id="my_images.preview", tooltip="Set what others see of it beforehand"),
        Binding("w", "withdraw", "Withdraw", id="my_images.withdraw", tooltip="Stop offering it; rights given stay"),
        Binding("c", "copy_id", "Copy id", id="my_images.copy_id", show=False, tooltip="Copy the id of the image"),
        Binding(
            "e", "change", "Change rights", id="viewers.change", show=False, tooltip="Change views left and expiry"
        ),
        Binding("x", "revoke", "Revoke", id="viewers.revoke", show=False, tooltip="End somebody's rights for good"),
    ]

    class Looked(Message, bubble=False):
        """From the worker: the viewers of an image, None if they are not known for the `trouble` said."""

        def __init__(self, image: str, viewers: Sequence[Viewer] | None, trouble: str = "") -> None:
            super().__init__()
            self.image = image
            self.viewers = viewers
            self.trouble = trouble

    class Pictured(Message, bubble=False):
        """From the worker: how an image looks."""

        def __init__(self, image: str, found: Image.Image | None) -> None:
            super().__init__()
            self.image = image
            self.found = found

    class Opened(Message, bubble=False):
        """From the worker: a picture of one's own, to be shown."""

        def __init__(self, view: View) -> None:
            super().__init__()
            self.view = view

    class Said(Message, bubble=False):
        """From the worker: what came of a deed, for a toast."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, peer: Peer, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(peer, id=id)
        self._thumbnails = Thumbnails(peer)
        self._transfers = Transfers(time.monotonic)
        self._viewers: dict[str, Sequence[Viewer]] = {}
        self._known: dict[str, MyImage] = {}
        """Images with the counts that the cloud told last."""
        self._detailed = ""
        self._folder: Path | None = None
        self._repaint_soon = False
        self._shown = False

    def compose(self) -> ComposeResult:
        """Compose the list, the details, and what is said instead of both where there is no image yet."""
        share = partial(self._transfers.share, sending=True)
        with Container(id="mine-split"):
            yield ImagesList(id="mine-list", wall=self.client.wall)
            yield ImageDetails(id="image-details", wall=self.client.wall, share=share)
        with Vertical(id="mine-none"):
            yield Static("You have not encrypted a picture yet.", classes="title")
            yield Static(
                "A picture is sealed on this machine; a node hides it in a cover. Nobody sees it until you give views.",
                classes="muted",
            )
            with Center():
                yield Button("Encrypt a picture", id="mine-encrypt", variant="primary")
            yield Static("or drop a file on this window", classes="muted")

    def on_mount(self) -> None:
        """Begin with nothing shown, until it is known what there is; keep ages true."""
        self.query_one("#mine-none").display = False
        self.set_interval(_TICK_S, self._repaint)

    def on_resize(self, event: events.Resize) -> None:
        """Put the details beside the list where there is room."""
        self.set_class(event.size.width >= _WIDE_FROM_CELLS, "-wide")

    def take_focus(self) -> None:
        """Go to the list, or to the one thing to be done where there is no image."""
        (self.query_one("#mine-encrypt") if self.query_one("#mine-none").display else self.images).focus()

    # --- What there is -----------------------------------------------------------------------------------------------
    @property
    def images(self) -> ImagesList:
        """The list of images."""
        return self.query_one(ImagesList)

    @property
    def viewers(self) -> ViewersList:
        """The list of those who may look at the current image."""
        return self.query_one(ViewersList)

    @property
    def details(self) -> ImageDetails:
        """What is shown of the current image."""
        return self.query_one(ImageDetails)

    async def fetch(self) -> Found:
        """Ask the peer for the images; at first show those on this machine."""
        if not self._shown:
            self.post_message(self.Fetched(Found(await self.peer.my_images(local=True), counted=False)))
        if not self.online:
            return Found(await self.peer.my_images(local=True), counted=False)
        return Found(await self.peer.my_images(), counted=self.online)

    def show(self, found: Found) -> None:
        """Show the images. What the cloud told before stays while it is away."""
        self._shown = True
        if found.counted:
            self._known = {image.image: image for image in found.images}
            images = found.images
        else:
            here = {image.image: image for image in found.images}
            together = {**here, **self._known}
            images = sorted(together.values(), key=lambda image: -image.created)
        self.images.counted = frozenset(self._known)
        self.query_one("#mine-none").display = not images
        self.query_one("#mine-split").display = bool(images)
        had_focus = self.screen.focused is None or self.screen.focused.id == "mine-encrypt"
        self.images.set_rows(images)
        if had_focus and self._is_active:
            self.take_focus()
        self._tell_details(again=True)

    @property
    def _is_active(self) -> bool:
        return self.parent is not None and bool(self.parent.display)

    def heard(self, event: peer_events.Event) -> None:
        """Look again where an event is about one's own images; take note of what is on its way."""
        match event:
            case peer_events.CopyProgress(sending=True, grant=grant, done=done, total=total):
                self._transfers.hear(event)
                if done >= total:
                    self._transfers.end(grant)
                self._repaint_in_a_moment()
            case peer_events.ViewSpentEvent() | peer_events.Delivered() | peer_events.Undeliverable():
                self.load_soon()
            case _:
                pass

    def _repaint_in_a_moment(self) -> None:
        if not self._repaint_soon:
            self._repaint_soon = True
            self.set_timer(_PAINT_S, self._repaint)

    def _repaint(self) -> None:
        self._repaint_soon = False
        self.images.redraw()
        self.viewers.redraw()

    # --- The image under the cursor ----------------------------------------------------------------------------------
    @property
    def current(self) -> MyImage | None:
        """The image that keys and buttons are about."""
        found: MyImage | None = self.images.current
        return found

    @on(RowList.Highlighted, "#mine-list")
    def _moved(self, event: RowList.Highlighted) -> None:
        event.stop()
        self._tell_details(again=False)

    def _tell_details(self, *, again: bool) -> None:
        """Tell the details of the current image; `again` fetches its viewers anew even if it was current before."""
        image = self.current
        self.details.tell(image, self.client.zone)
        name = "" if image is None else image.image
        another, self._detailed = name != self._detailed, name
        if another:
            self.details.await_picture(image)
            self.viewers.set_rows(self._viewers.get(name, ()))
            self.viewers.empty = "…" if name not in self._viewers else "Nobody yet.\nPress a to give somebody views."
        if image is None:
            return
        if another and image.path is not None:
            work(self, partial(self._find_picture, name), group="own-picture", exclusive=True)
        if another or again:
            work(self, partial(self._find_viewers, name), group="viewers", exclusive=True)

    async def _find_picture(self, image: str) -> None:
        if self._thumbnails.known("own", image) is None:
            await anyio.sleep(_REST_S)
        self.post_message(self.Pictured(image, await self._thumbnails.own(image)))

    @on(Pictured)
    def _show_picture(self, message: Pictured) -> None:
        if message.image == self._detailed:
            self.details.show_picture(message.found)

    async def _find_viewers(self, image: str) -> None:
        if image not in self._viewers:
            await anyio.sleep(_REST_S)
        try:
            self.post_message(self.Looked(image, await self.peer.viewers(image)))
        except Unavailable:
            self.post_message(self.Looked(image, None, "Who may look is known to the cloud, which is away."))
        except GlimpseError as error:
            self.post_message(self.Looked(image, None, str(error)))

    @on(Looked)
    def _show_viewers(self, message: Looked) -> None:
        if message.viewers is not None:
            self._viewers[message.image] = message.viewers
        if message.image != self._detailed:
            return
        self.viewers.empty = plain(message.trouble, 200) or "Nobody yet.\nPress a to give somebody views."
        if message.viewers is not None:
            self.viewers.set_rows(message.viewers)

    # --- Encrypting --------------------------------------------------------------------------------------------------
    @on(Button.Pressed, "#mine-encrypt")
    def action_encrypt(self) -> None:
        """Ask which picture to encrypt."""
        self.encrypt(None)

    def on_paste(self, event: events.Paste) -> None:
        """Take a file that is dropped here, or whose path is pasted, for one to be encrypted."""
        text = paths.pasted(event.text)
        if paths.is_path(text):
            event.stop()
            self.encrypt(paths.expanded(text))

    def encrypt(self, path: Path | None) -> None:
        """Ask how to encrypt a picture, by default which one too."""
        from tui.client.dialogs.encrypt import Encrypt

        self.client.push_screen(Encrypt(path, folder=self._folder), self._seal)

    def _seal(self, wish: Wish | None) -> None:
        if wish is not None:
            from tui.client.dialogs.sealing import Sealing

            self._folder = wish.path.parent
            self.client.push_screen(Sealing(self.peer, wish), self._sealed)

    def _sealed(self, image: MyImage | None) -> None:
        if image is not None:
            self.client.tell(f"“{plain(image.title, _TITLE_CELLS)}” is encrypted. Give somebody views of it with a.")
            self.post_message(Happened("encrypted"))
        # Also after a cancel: what a node had finished meanwhile is cleared away by a look.
        self.load()

    # --- Deeds on an image -------------------------------------------------------------------------------------------
    def _need_image(self) -> MyImage | None:
        """Return the current image, or None after saying that there is none."""
        image = self.current
        if image is None:
            self.client.tell("There is no image yet; press n to encrypt a picture.", warning=True)
        return image

    @on(RowList.Selected, "#mine-list")
    def action_open(self) -> None:
        """Open the current picture."""
        image = self._need_image()
        if image is None:
            return
        if image.path is None:
            self.client.tell("This device does not hold the image; open it on the one that made it.", warning=True)
            return
        self.attempt(partial(self.peer.view, image.image), self.Opened)

    @on(Opened)
    def _show_opened(self, message: Opened) -> None:
        from tui.client.screens.viewer import Viewer as ViewerScreen

        me = self.peer.me
        self.client.push_screen(
            ViewerScreen(self.peer, message.view, person=me.name if me is not None else "", left=None)
        )

    @on(Button.Pressed, "#image-log")
    def action_log(self) -> None:
        """Show who looked at the current image."""
        image = self._need_image()
        if image is not None:
            from tui.client.dialogs.views_log import ViewsLog

            self.client.push_screen(ViewsLog(self.peer, image))

    def action_preview(self) -> None:
        """Ask what others see of the current image."""
        image = self._need_image()
        if image is not None:
            from tui.client.dialogs.preview import PreviewChoice

            self.client.push_screen(
                PreviewChoice(self.peer, image, folder=self._folder), partial(self._previewed, image.image)
            )

    def _previewed(self, image: str, changed: bool | None) -> None:
        if changed:
            self._thumbnails.forget(image)
            self.client.tell("What others see is changed.")
            self.load()

    def action_withdraw(self) -> None:
        """Ask whether to stop offering the current image."""
        image = self._need_image()
        if image is None:
            return
        if not image.offered:
            self.client.tell("It is withdrawn already; rights that were given stay.", warning=True)
            return
        keep = ""
        if image.viewers:
            keep = f" {counted(image.viewers, 'person keeps their', 'people keep their')} rights; revoke those apart."
        question = Confirm(
            "Withdraw this image?",
            f"“{plain(image.title, _TITLE_CELLS)}” will no longer be offered, for good. Nobody can ask for it.{keep}",
            "Withdraw",
        )
        self.client.push_screen(question, partial(self._withdraw, image.image))

    def _withdraw(self, image: str, yes: bool | None) -> None:
        if yes:
            self._do(partial(self.peer.withdraw, image), lambda _: "Withdrawn. Rights that were given stay.")

    def action_copy_id(self) -> None:
        """Copy the id of the current image."""
        image = self._need_image()
        if image is not None:
            self.client.copy(image.image, "Image id")

    # --- Deeds on a viewer -------------------------------------------------------------------------------------------
    @on(Button.Pressed, "#image-add")
    def action_add(self) -> None:
        """Ask whom to give views of the current image."""
        image = self._need_image()
        if image is not None:
            from tui.client.dialogs.add_viewer import AddViewer

            viewers = self._viewers.get(image.image, ())
            self.client.push_screen(AddViewer(self.peer, image, viewers), self._added)

    def _added(self, given: Given | None) -> None:
        if given is not None:
            self.client.tell(sharing.told_grant(given.name, given.account, given.views, given.sent))
            self.post_message(Happened("granted"))
            self.load()

    @on(ViewersList.Wanted)
    def _wanted(self, message: ViewersList.Wanted) -> None:
        (self.action_change if message.deed == "change" else self.action_revoke)()

    def _need_viewer(self) -> Viewer | None:
        """Return the viewer under the cursor whose rights stand, or None after saying why there is none."""
        viewer: Viewer | None = self.viewers.current
        if viewer is None:
            self.client.tell("Nobody may look at this image yet; press a to give somebody views.", warning=True)
        elif viewer.revoked:
            self.client.tell("These rights are revoked for good; press a to give new ones.", warning=True)
        else:
            return viewer
        return None

    @on(RowList.Selected, "#image-viewers")
    @on(Button.Pressed, "#image-change")
    def action_change(self) -> None:
        """Ask what becomes of somebody's rights."""
        image, viewer = self.current, self._need_viewer()
        if image is not None and viewer is not None:
            from tui.client.dialogs.change_rights import ChangeRights

            dialog = ChangeRights(self.peer, image.image, image.title, viewer)
            self.client.push_screen(dialog, partial(self._changed, viewer))

    def _changed(self, viewer: Viewer, result: RightsResult | None) -> None:
        if result is not None:
            self.client.tell(sharing.told_change(viewer, result))
            self.load()

    @on(Button.Pressed, "#image-revoke")
    def action_revoke(self) -> None:
        """Ask whether to end somebody's rights."""
        image, viewer = self.current, self._need_viewer()
        if image is None or viewer is None:
            return
        who = sharing.person(viewer.name, viewer.account)
        question = Confirm(
            "Revoke these rights?",
            f"{who} will no longer be able to open “{plain(image.title, _TITLE_CELLS)}”. This cannot be taken back; "
            "you can give new rights later.",
            "Revoke",
        )  # fmt: skip
        self.client.push_screen(question, partial(self._revoke, image.image, viewer))

    def _revoke(self, image: str, viewer: Viewer, yes: bool | None) -> None:
        if yes:
            self._do(
                partial(self.peer.revoke, image, viewer.account), lambda result: sharing.told_revoke(viewer, result)
            )

    # --- Doing -------------------------------------------------------------------------------------------------------
    def _do(self, deed: Any, say: Any) -> None:
        """Have the peer do something, say what came of it, and look again."""
        self.attempt(deed, lambda result: self.Said(say(result)))

    @on(Said)
    def _say(self, message: Said) -> None:
        self.client.tell(message.text)
        self.load()
