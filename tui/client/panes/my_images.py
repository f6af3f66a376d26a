"""The tab `My images`: what one has encrypted, who may look at it, and what they looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Button

from tui.client import paths, sharing
from tui.client.dialogs.confirm import ConfirmDialog
from tui.client.messages import Happened
from tui.client.panes.base import Pane
from tui.client.panes.image_details import ViewersList
from tui.client.panes.images_shown import ImagesShown
from tui.common.rowlist import RowList
from tui.common.wording import counted, plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tui.client.dialogs.add_viewer import GivenViews
    from tui.client.dialogs.encrypt import EncryptForm
    from tui.client.thumbnails import Thumbnails
    from tui.peer import Peer
    from tui.peer.models import MyImage, RightsResult, View, Viewer

_TITLE_CELLS: Final = 40


class MyImagesPane(ImagesShown):
    """One's own images, and everything that is done with them."""

    TAB = "my-images"
    TAB_TITLE = "My images"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "encrypt", "Encrypt", id="my_images.encrypt", tooltip="Encrypt a picture"),
        Binding("v", "open", "Open", id="my_images.open", tooltip="Look at the picture; your own are free"),
        Binding("a", "add", "Add viewer", id="my_images.add", tooltip="Give somebody views who has not asked"),
        Binding("l", "log", "Log", id="my_images.log", tooltip="Who looked at the image, and when"),
        Binding("p", "preview", "Preview", id="my_images.preview", tooltip="Set what others see of it beforehand"),
        Binding("w", "withdraw", "Withdraw", id="my_images.withdraw", tooltip="Stop offering it; rights given stay"),
        Binding(
            "b",
            "adopt",
            "Adopt a file",
            id="my_images.adopt",
            show=False,
            tooltip="Take in the file of a picture of yours from another device or a backup",
        ),
        Binding("c", "copy_id", "Copy id", id="my_images.copy_id", show=False, tooltip="Copy the id of the image"),
        Binding(
            "e", "change", "Change rights", id="viewers.change", show=False, tooltip="Change views left and expiry"
        ),
        Binding("x", "revoke", "Revoke", id="viewers.revoke", show=False, tooltip="End somebody's rights for good"),
    ]

    @dataclass
    class Opened(Message, bubble=False):
        """From the worker: a picture of one's own, to be shown."""

        view: View

    @dataclass
    class Adopted(Message, bubble=False):
        """From the worker: a picture of one's own that a file was taken in for."""

        image: MyImage

    def __init__(self, peer: Peer, thumbnails: Thumbnails) -> None:
        super().__init__(peer, thumbnails)
        self._folder: Path | None = None
        """Where the last picture was found."""

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
        from tui.client.dialogs.encrypt import EncryptDialog

        self.app.push_screen(EncryptDialog(path, folder=self._folder), self._seal)

    def _seal(self, form: EncryptForm | None) -> None:
        if form is not None:
            from tui.client.dialogs.sealing import SealingDialog

            self._folder = form.path.parent
            self.app.push_screen(SealingDialog(self.peer, form), self._sealed)

    def _sealed(self, image: MyImage | None) -> None:
        if image is not None:
            self._to_choose = image.image
            self.client.tell(f"“{plain(image.title, _TITLE_CELLS)}” is encrypted. Give somebody views of it with a.")
            self.post_message(Happened("encrypted"))
        # Also after a cancel: what a node had finished meanwhile is cleared away by a look.
        self.load()

    # --- Pictures from elsewhere -------------------------------------------------------------------------------------
    def action_adopt(self) -> None:
        """Ask which file holds a picture of one's own that another device made."""
        from tui.client.dialogs.pick_file import PickFileDialog

        heading = "Adopt a file: own-….png of another device"
        self.app.push_screen(PickFileDialog(self._folder, heading=heading), self._adopt)

    def _adopt(self, path: Path | None) -> None:
        if path is not None:
            self._folder = path.parent
            self.attempt(partial(self.peer.adopt, path), self.Adopted)

    @on(Adopted)
    def _adopted(self, message: Adopted) -> None:
        self._to_choose = message.image.image
        self.client.tell(f"“{plain(message.image.title, _TITLE_CELLS) or 'untitled'}” opens on this device now.")
        self.load()

    # --- With an image -----------------------------------------------------------------------------------------------
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
            self.client.tell(
                "This device does not hold the image. Copy its file (own-….png in the folder images of the profile that"
                " has it) to this device and press b to adopt it.",
                warning=True,
            )
            return
        self.attempt(partial(self.peer.view, image.image), self.Opened)

    @on(Opened)
    def _show_opened(self, message: Opened) -> None:
        from tui.client.dialogs.viewer import ViewerScreen

        me = self.peer.me
        self.app.push_screen(ViewerScreen(self.peer, message.view, person=me.name if me is not None else "", left=None))

    @on(Button.Pressed, "#image-log")
    def action_log(self) -> None:
        """Show who looked at the current image."""
        image = self._need_image()
        if image is not None:
            from tui.client.dialogs.views_log import ViewsLogDialog

            self.app.push_screen(ViewsLogDialog(self.peer, image))

    def action_preview(self) -> None:
        """Ask what others see of the current image."""
        image = self._need_image()
        if image is not None:
            from tui.client.dialogs.preview import PreviewDialog

            self.app.push_screen(
                PreviewDialog(self.peer, image, folder=self._folder), partial(self._previewed, image.image)
            )

    def _previewed(self, image: str, changed: bool | None) -> None:
        if changed:
            self.thumbnails.forget(image)
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
        question = ConfirmDialog(
            "Withdraw this image?",
            f"“{plain(image.title, _TITLE_CELLS)}” will no longer be offered, for good. Nobody can ask for it, and"
            f" requests that wait for your answer are rejected.{keep}",
            "Withdraw",
        )
        self.app.push_screen(question, partial(self._withdraw, image.image))

    def _withdraw(self, image: str, yes: bool | None) -> None:
        if yes:
            self._do(partial(self.peer.withdraw, image), lambda _: "Withdrawn. Rights that were given stay.")

    def action_copy_id(self) -> None:
        """Copy the id of the current image."""
        image = self._need_image()
        if image is not None:
            self.client.copy(image.image, "Image id")

    # --- With a viewer -----------------------------------------------------------------------------------------------
    @on(Button.Pressed, "#image-add")
    def action_add(self) -> None:
        """Ask whom to give views of the current image."""
        image = self._need_image()
        if image is not None:
            from tui.client.dialogs.add_viewer import AddViewerDialog

            viewers = self._viewers.get(image.image, ())
            self.app.push_screen(AddViewerDialog(self.peer, image, viewers), self._added)

    def _added(self, given: GivenViews | None) -> None:
        if given is not None:
            self.client.tell(sharing.describe_grant(given.name, given.account, given.views, given.sent))
            self.post_message(Happened("granted"))
            self.load()

    @on(ViewersList.Wanted)
    def _wanted(self, message: ViewersList.Wanted) -> None:
        (self.action_change if message.action == "change" else self.action_revoke)()

    def _need_viewer(self) -> Viewer | None:
        """Return the viewer under the cursor whose rights stand, or None after saying why there is none."""
        self._tell_details(again=False)  # a key may come before the word that the cursor is on another image
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
            from tui.client.dialogs.change_rights import ChangeRightsDialog

            dialog = ChangeRightsDialog(self.peer, image.image, image.title, viewer)
            self.app.push_screen(dialog, partial(self._changed, viewer))

    def _changed(self, viewer: Viewer, result: RightsResult | None) -> None:
        if result is not None:
            self.client.tell(sharing.describe_change(viewer, result))
            self.load()

    @on(Button.Pressed, "#image-revoke")
    def action_revoke(self) -> None:
        """Ask whether to end somebody's rights."""
        image, viewer = self.current, self._need_viewer()
        if image is None or viewer is None:
            return
        who = sharing.person(viewer.name, viewer.account)
        question = ConfirmDialog(
            "Revoke these rights?",
            f"{who} will no longer be able to open “{plain(image.title, _TITLE_CELLS)}”. This cannot be taken back; "
            "you can give new rights later.",
            "Revoke",
        )
        self.app.push_screen(question, partial(self._revoke, image.image, viewer))

    def _revoke(self, image: str, viewer: Viewer, yes: bool | None) -> None:
        if yes:
            self._do(
                partial(self.peer.revoke, image, viewer.account), lambda result: sharing.describe_revoke(viewer, result)
            )

    # --- Doing -------------------------------------------------------------------------------------------------------
    def _do(self, call: Callable[[], Awaitable[Any]], say: Callable[[Any], str]) -> None:
        """Have the peer do something, say what came of it, and look again."""
        self.attempt(call, lambda result: self.Said(say(result)))

    @on(Pane.Said)
    def _say(self, message: Pane.Said) -> None:
        self.client.tell(message.text)
        self.load()
