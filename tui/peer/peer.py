"""`Peer`: everything a person can do with Glimpse, as methods of one object.

    async with Peer(profile_folder, cluster_file) as peer:
        await peer.register("Ada")
        await peer.sign_in()
        image = await peer.encrypt("holiday.jpg")

All methods raise `shared.errors.GlimpseError` types only: `InvalidInput` and other `UserError`s for what the caller can
mend, `Refused` for a no of the cloud, `Unavailable` while the cloud or a person is away. Arguments are checked before
anything is stored or sent. What a row of the store or a mail holds never ends a peer.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import EllipsisType

import anyio.to_thread

from shared.config import MAX_TITLE_CHARS
from shared.errors import InvalidInput, ProfileError, Refused, ViewRefused
from shared.keyexport import export_identity, import_identity
from shared.keyfiles import save_identity
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.refusals import RefusalCode
from tui.peer import files, locking
from tui.peer.adopting import ELSEWHERE
from tui.peer.checks import (
    checked_account,
    checked_bytes,
    checked_expiry,
    checked_flag,
    checked_id,
    checked_left,
    checked_look,
    checked_name,
    checked_note,
    checked_page,
    checked_path,
    checked_seconds,
    checked_text,
    checked_views,
)
from tui.peer.encrypting import Progress
from tui.peer.events import Event, ImageWithdrawn
from tui.peer.granting import RightsIntent
from tui.peer.lifecycle import PeerLifecycle
from tui.peer.models import (
    Me,
    MyImage,
    OfferedImage,
    OutboxEntry,
    PathFound,
    PeerImage,
    PeerStatus,
    Requests,
    RightsResult,
    Sent,
    Trouble,
    UserPage,
    View,
    Viewer,
    ViewLogEntry,
)
from tui.peer.profile import Profile
from tui.peer.restoring import NOTICE


class Peer(PeerLifecycle):
    """One account's client, from a profile folder and a cluster. An asynchronous context manager.

    `profile` is a folder, made if it is missing; `cluster` a cluster file or a loaded `Cluster`. `bind_host` is the
    address to be reached at by others, by default the loopback interface for a cluster on it and all interfaces else.
    With `holds_copies` the cloud holds pictures, sealed, for viewers who cannot be reached.
    `passphrase` opens a profile that is locked by one, and locks a profile that is made now; one that lies there in
    clear is opened as it is. Opening raises `PassphraseNeeded` without one, `WrongPassphrase` for another.
    Where the disk is full the profile is opened all the same: what is there can be read, what must be stored raises
    `StorageError`, and `status().trouble` says why.
    """

    # --- Account -----------------------------------------------------------------------------------------------------
    @property
    def me(self) -> Me | None:
        """This profile's account, None before registration."""
        return self._account.me

    async def register(self, name: str) -> Me:
        """Create the account of this profile's keys. Repeating it returns the account that exists.

        `name` has 1 to 48 printable characters. Raises `InvalidInput`, `Refused`, `Unavailable`.
        """
        return await self._account.register(checked_name(name))

    async def sign_in(self) -> Me:
        """Sign in with this profile's keys; rights that changed meanwhile are applied before this returns.

        What a new device is told of the time before it is applied without events. Copies that it lacks come by
        themselves, and what an encryption that was killed left in the cloud is withdrawn.

        A cloud that was restored to a time before this account was registered is told of it again, by the same keys;
        `me` may have another number then. What else it forgot is brought back in the background (`DirectoryRestored`).
        Raises `ProfileError` before registration, `Unavailable`.
        """
        return await self._account.sign_in()

    async def restored_notice(self) -> str:
        """Return what the owner was told after a restore of the cloud and has not read yet, empty if nothing."""
        return await self._context.store.run(lambda s: s.fact(NOTICE)) or ""

    async def read_restored_notice(self) -> None:
        """Note that it was read."""
        await self._context.store.run(lambda s: s.do("DELETE FROM facts WHERE name = :name", name=NOTICE))

    async def sign_out(self) -> int:
        """Tell the cloud that this peer goes; return how many items still wait in the outbox."""
        waiting = len(await self._outbox.entries())
        await self._account.sign_out()
        return waiting

    async def set_passphrase(self, new: str, *, old: str | None = None) -> None:
        """Lock this profile by a passphrase, or change it, which takes the `old` one.

        Keys and what opens pictures are encrypted on this machine from now on; `tui.peer.at_rest` says what is not.
        Raises `InvalidInput`, `PassphraseNeeded`, `WrongPassphrase`, and `StorageError` where it cannot be written.
        """
        await locking.set_passphrase(self._context.profile, self._context.store, new, old)

    async def remove_passphrase(self, old: str) -> None:
        """Write what is encrypted in this profile in clear. Raises as `set_passphrase` does."""
        await locking.remove_passphrase(self._context.profile, self._context.store, checked_text(old, "A passphrase"))

    def export_identity(self, passphrase: str) -> bytes:
        """Return this profile's keys, protected by a passphrase: the only way to move or restore the account.

        The passphrase is the export's own, whatever the profile's is.
        """
        if not checked_text(passphrase, "A passphrase"):
            raise InvalidInput("An export needs a passphrase; choose one that you will remember.")
        return export_identity(self._context.identity, passphrase)

    @staticmethod
    def import_identity(profile: Path, data: bytes, passphrase: str) -> None:
        """Put exported keys into a new profile folder. The account is found by `register` with any name.

        `passphrase` is the export's. A new profile is not locked; keys that come back into one that is are encrypted
        when it is opened.
        Raises `ProfileError` if the folder already has an identity, the passphrase is wrong or the export is damaged.
        """
        profile = checked_path(profile, "A profile")
        identity = import_identity(checked_bytes(data, "An export"), checked_text(passphrase, "A passphrase"))
        with Profile(profile) as opened:
            if (opened.folder / "identity").exists():
                raise ProfileError(f"The profile {profile.name} already has an identity; choose a new profile.")
            save_identity(opened.folder / "identity", identity)

    # --- Pictures of one's own ---------------------------------------------------------------------------------------
    async def encrypt(
        self,
        path: Path | str,
        *,
        title: str | None = None,
        cover: Path | str | None = None,
        progress: Progress | None = None,
    ) -> MyImage:
        """Seal a picture, have it hidden in `cover` (or in a picture that a node makes), and keep the result.

        The original bytes travel with all their metadata, sealed; what comes out at a viewer's is byte-identical.
        `progress(stage, done, total)` is called from the event loop. Raises `UnusableImage`, `StorageError`,
        `Unavailable`; nothing is kept of an attempt that failed.
        """
        if title is not None and len(checked_text(title, "A title")) > 10 * MAX_TITLE_CHARS:
            raise InvalidInput(f"A title has at most {MAX_TITLE_CHARS} characters.")
        if progress is not None and not callable(progress):
            raise InvalidInput("`progress` is something that can be called.")
        return await self._encrypting.encrypt(
            checked_path(path, "A picture"), title, None if cover is None else checked_path(cover, "A cover"), progress
        )

    async def set_preview(self, image_id: str, picture: Path | str | bytes | None) -> None:
        """Publish a low-resolution preview made from a picture (a path, or a file's bytes); take it back with None."""
        if picture is not None and not isinstance(picture, bytes):
            picture = checked_path(picture, "A preview")
        await self._encrypting.set_preview(checked_id(image_id), picture)

    async def my_images(self, *, local: bool = False) -> list[MyImage]:
        """Return one's own images with their viewers and views, newest first.

        Without the cloud, or with `local`, which asks nobody, it is what this machine holds, without counts.
        """
        return await self._images.mine(local=checked_flag(local, "local"))

    async def withdraw(self, image_id: str) -> None:
        """Stop offering an image; rights already given stay. Requests for it that wait for an answer are rejected."""
        try:
            await self._cloud.query(ops.WithdrawImage(image=checked_id(image_id)), ops.Done)
        except Refused as refusal:
            # A restored cloud may have forgotten it; then it comes back as one that is not offered.
            if refusal.code != RefusalCode.NOT_FOUND or not await self._restoring.withdrew(image_id):
                raise
        await self._context.store.run(
            lambda s: s.do("UPDATE own_images SET withdrawn = 1 WHERE image = :image", image=image_id)
        )
        await self._asks.close_with_image(image_id)
        self._hub.emit(ImageWithdrawn(image_id))

    async def adopt(self, path: Path | str) -> MyImage:
        """Take a picture of one's own from its stego image: a file of another device of this account, or of a backup.

        The file is copied into the profile and stays where it is. Raises `InvalidInput` with what to do about a file
        that is no stego image, that is damaged or somebody else's; `StorageError` when the disk is full.
        """
        image = await self._adopting.adopt(checked_path(path, "The stego image"))
        return next(row for row in await self.my_images() if row.image == image)

    async def viewers(self, image_id: str) -> list[Viewer]:
        """Return everybody's rights on an image of one's own."""
        return await self._granting.viewers(checked_id(image_id))

    async def views_log(self, image_id: str) -> list[ViewLogEntry]:
        """Return who looked at an image of one's own and when, newest first.

        Views that this device was told of and that a restored cloud has forgotten are among them.
        """
        image = checked_id(image_id)
        pages = self._cloud.pages(lambda page: ops.ViewsLog(image=image, page=page), ops.ViewRows)
        rows = [row async for page in pages for row in page.rows]
        return [
            ViewLogEntry(row.viewer, clean(row.viewer_name), row.at, row.left, row.lasted_s)
            for row in await self._given.logged(image_id, rows)
        ]

    # --- Other people ------------------------------------------------------------------------------------------------
    async def users(self, text: str = "", *, page: int = 0) -> UserPage:
        """Return one page of accounts whose name or id contains `text`, those online first."""
        return await self._offers.users(checked_text(text, "What is looked for")[:64], checked_page(page))

    async def find_path(self, account: int) -> PathFound:
        """Find a path to the peer of another account, as a copy on its way does, and say how it goes.

        Raises `InvalidInput` where the two share no grant; `IdentityChanged`, `Refused`, `Unavailable` as a look-up.
        """
        return await self._paths.find(await self._people.find(checked_account(account)))

    async def images_of(self, account: int, *, page: int = 0) -> list[OfferedImage]:
        """Return images that an account offers."""
        return await self._offers.images_of(checked_account(account), checked_page(page))

    async def preview(self, image_id: str) -> bytes | None:
        """Return an image's public preview (a small JPEG, to be treated as hostile), None if there is none."""
        return (await self._cloud.query(ops.GetPreview(image=checked_id(image_id)), ops.PreviewAnswer)).preview

    # --- Asking and answering ----------------------------------------------------------------------------------------
    async def request(self, image_id: str, views: int, *, note: str = "") -> Sent:
        """Ask an image's owner for so many views. On disk when this returns, delivered now or later, once.

        Asking for an image that one holds already asks for more views of it.
        """
        operation = ops.AskViews(
            image=checked_id(image_id), views=checked_views(views), note=checked_note(note, "A note")
        )
        return await self._asking.request(operation)

    async def request_more(self, image_id: str, views: int, *, note: str = "") -> Sent:
        """Ask for more views of an image that one holds."""
        return await self.request(image_id, views, note=note)

    async def cancel(self, request_id: str) -> None:
        """Take back a request: out of the outbox if nobody was told of it yet, otherwise from the owner's list.

        One that may be on its way at this moment is delivered first and withdrawn then, now or when the cloud is back.
        Raises `InvalidInput` for something else that waits: once it may be on its way it cannot be taken back.
        """
        await self._asking.cancel(checked_id(request_id))

    async def requests(self, *, local: bool = False) -> Requests:
        """Return requests from and to others, newest first, what waits in the outbox included.

        With `local` nobody is asked and what this machine knows is returned.
        """
        return await self._asking.requests(local=checked_flag(local, "local"))

    async def accept(
        self, request_id: str, *, views: int | None = None, expires: float | None = None, look_s: float | None = None
    ) -> Sent:
        """Grant a request, with other `views`, an expiry (seconds since 1970) or a length of each look if given.

        `look_s` is how many seconds one look may last, 1 to 86 400; None leaves it as it is, by default no limit.
        The stego image with the viewer's rights goes to the viewer's peer as soon as both are online.
        """
        views = None if views is None else checked_views(views)
        expires, look_s = checked_expiry(expires, self._context.now()), checked_look(look_s)
        ask = await self._asking.pending(checked_id(request_id))
        return await self._granting.give(
            ask.image, ask.viewer, ask.views if views is None else views, expires, ask.ask, look_s
        )

    async def reject(self, request_id: str, reason: str = "") -> Sent:
        """Answer a request with no."""
        reason = checked_note(reason, "A reason")
        return await self._asking.reject(checked_id(request_id), reason)

    async def grant(
        self, image_id: str, viewer: int, views: int, *, expires: float | None = None, look_s: float | None = None
    ) -> Sent:
        """Give somebody views without having been asked. `look_s` as in `accept`."""
        return await self._granting.give(
            checked_id(image_id),
            checked_account(viewer),
            checked_views(views),
            checked_expiry(expires, self._context.now()),
            None,
            checked_look(look_s),
        )

    async def set_views(
        self,
        image_id: str,
        viewer: int,
        views_left: int | None,
        *,
        expires: float | None = None,
        no_expiry: bool = False,
        look_s: float | EllipsisType | None = ...,
    ) -> RightsResult:
        """Set how many views somebody has left, and until when. Takes effect at once, or when the cloud is back.

        `views_left` None leaves the number as it is, whatever is spent meanwhile. The expiry (seconds since 1970) stays
        unless one is given, or taken away with `no_expiry`. `look_s` is how many seconds one look may last from now on,
        1 to 86 400, None for no limit; it stays unless it is given.
        """
        if checked_flag(no_expiry, "no_expiry") and expires is not None:
            raise InvalidInput("Rights have an expiry or none; give one of both.")
        return await self._granting.change(
            RightsIntent(
                checked_id(image_id),
                checked_account(viewer),
                left=checked_left(views_left),
                expires=checked_expiry(expires, self._context.now()),
                set_expires=no_expiry or expires is not None,
                look_s=None if isinstance(look_s, EllipsisType) else checked_look(look_s),
                set_look=look_s is not ...,
            )
        )

    async def revoke(self, image_id: str, viewer: int) -> RightsResult:
        """End somebody's rights on an image for good."""
        return await self._granting.change(RightsIntent(checked_id(image_id), checked_account(viewer), revoke=True))

    # --- Pictures of others ------------------------------------------------------------------------------------------
    async def peer_images(self) -> list[PeerImage]:
        """Return the images that others have granted, newest first."""
        return await self._images.held()

    async def cover(self, image_id: str) -> bytes | None:
        """Return the stego image of a picture, of one's own or held: a PNG that shows its cover. None if not here."""
        path = await self._viewing.stego_path(checked_id(image_id))
        if path is None:
            return None
        async with self._context.files:
            return await anyio.to_thread.run_sync(files.read_if_there, path)

    async def view(self, image_id: str) -> View:
        """Open a picture; for another's image this spends a view. See `tui.peer.viewing` for what it raises."""
        try:
            return await self._viewing.view(checked_id(image_id))
        except ViewRefused as refusal:
            if refusal.code == "not_found" and await self._images.is_mine(image_id):
                raise ProfileError(ELSEWHERE) from None
            raise

    async def look_ended(self, view_id: str, seconds: float) -> None:
        """Say how long a view (`View.view_id`) was shown. On disk when this returns, delivered now or later.

        The owner's log says it; the first word on a view holds. 0 seconds say that nothing was shown.
        """
        await self._viewing.ended(checked_id(view_id), checked_seconds(seconds))

    async def look_failed(self, image_id: str, view_id: str, reason: str) -> None:
        """Say that the picture of a view cannot be shown, and why. On disk when this returns, as with `look_ended`.

        The owner's log says that nothing was seen, and `view` refuses the image from then on, with that reason, before
        another view is spent on it. For pictures that cannot be decoded, not for those that did not get time enough.
        """
        await self._viewing.failed(checked_id(image_id), checked_id(view_id), checked_text(reason, "A reason"))

    def now(self) -> float:
        """Return the time by which rights expire: seconds since 1970 by the directory's clock, where it is known."""
        return self._context.now()

    # --- State -------------------------------------------------------------------------------------------------------
    async def outbox(self) -> list[OutboxEntry]:
        """Return what waits to be delivered."""
        return await self._outbox.entries()

    def status(self) -> PeerStatus:
        """Return how this peer stands with the cloud. Asks nobody."""
        cloud = self._context.cloud
        return PeerStatus(
            self.me,
            self._context.signed_in,
            cloud.reachable,
            cloud.leader,
            cloud.term,
            cloud.latency_s,
            self._outbox.count,
            self._context.store.trouble,
            self._damaged.count,
            cloud.other_device,
            cloud.trouble,
            self._context.profile.data_key is not None,
        )

    async def troubles(self) -> list[Trouble]:
        """Return what in this profile's store could not be read and was set aside, newest first. Asks nobody.

        Nothing of it counts any more, and nothing of it is deleted: the rows are kept in the table `set_aside`.
        """
        return await self._damaged.troubles()

    async def events(self) -> AsyncIterator[Event]:
        """Yield what happens from now on, until the caller stops or the peer closes."""
        with self._hub.subscription() as stream:
            async for event in stream:
                yield event

    def subscribe(self) -> AbstractContextManager[AsyncIterator[Event]]:
        """Like `events`, but nothing is missed from the moment that the `with` block is entered."""
        return self._hub.subscription()
