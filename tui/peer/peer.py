"""`Peer`: everything a person can do with Glimpse, as methods of one object.

    async with Peer(profile_folder, cluster_file) as peer:
        await peer.register("Ada")
        await peer.sign_in()
        image = await peer.encrypt("holiday.jpg")

All methods raise `shared.errors.GlimpseError` types only: `InvalidInput` and other `UserError`s for what the caller can
mend, `Refused` for a no of the cloud, `Unavailable` while the cloud or a person is away. Arguments are checked before
anything is stored or sent. What a row of the store or a mail holds never ends a peer.
"""

import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from types import EllipsisType, TracebackType
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec

from shared.cluster import Cluster, load_cluster
from shared.config import MAX_MESSAGE_BYTES, MAX_TITLE_CHARS
from shared.errors import (
    GlimpseError,
    InvalidInput,
    MalformedMessage,
    ProfileError,
    Refused,
    RemoteError,
    StorageError,
    Unavailable,
    UserError,
    ViewRefused,
)
from shared.identity import words_of
from shared.keyexport import export_identity, import_identity
from shared.keyfiles import save_identity
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.net.partial_store import FolderPartials
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.codec import decode
from shared.wire.labels import MAX_LABEL_BYTES, CopyObject, Label
from shared.wire.peer_messages import CopyHeld, PeerToPeer, RightsNotice, RightsNoticed
from shared.wire.refusals import RefusalCode
from tui.peer import files
from tui.peer.adopting import ELSEWHERE, Adopting
from tui.peer.answers import REJECTION, WaitingAnswers, waiting_answers
from tui.peer.asker import Asker
from tui.peer.checks import (
    checked_account,
    checked_bytes,
    checked_expiry,
    checked_flag,
    checked_id,
    checked_left,
    checked_look,
    checked_note,
    checked_page,
    checked_path,
    checked_seconds,
    checked_text,
    checked_views,
)
from tui.peer.cloud import CloudLink, monotonic
from tui.peer.context import Context
from tui.peer.copies import Copies
from tui.peer.encrypting import Encrypting, Progress
from tui.peer.events import CloudChanged, Event, EventHub, ImageWithdrawn, OtherDevice, RowSetAside
from tui.peer.given import GivenGrants
from tui.peer.granting import Granting, RightsIntent
from tui.peer.holding import Holding
from tui.peer.lanes import lane_of_ask
from tui.peer.mailbox import Mailbox
from tui.peer.models import (
    AskState,
    Me,
    MyImage,
    OfferedImage,
    OutboxEntry,
    PeerImage,
    PeerStatus,
    Requests,
    RightsResult,
    Sent,
    Trouble,
    User,
    UserPage,
    View,
    Viewer,
    ViewLogEntry,
    ViewRequest,
)
from tui.peer.names import checked_name
from tui.peer.notices import DirectNotices
from tui.peer.offers import Offers
from tui.peer.outbox import OPERATION, Outbox, Taken
from tui.peer.people import People
from tui.peer.profile import Profile
from tui.peer.restoring import NOTICE, RECEIPT, Restoring
from tui.peer.store import OutboxRow, Store
from tui.peer.tending import tend
from tui.peer.view_requests import ViewRequests
from tui.peer.viewing import Viewing
from tui.peer.wanting import Wanting

log = logging.getLogger(__name__)
M = TypeVar("M")
R = TypeVar("R")
REQUEST = "request"
WITHDRAWAL = "withdrawal"
_LETTER_CAP_BYTES = 16_384
_TABLE_WORDS = {
    "facts": "a note of this profile",
    "accounts": "a person",
    "own_images": "a picture of yours",
    "held": "a picture of somebody",
    "pending_views": "a look that was begun",
    "asks": "a request",
    "outbox": "something in the outbox",
    "offers": "a picture asked for",
    "mail_seen": "a mail that came",
    "rewrites": "rights to be written into an image",
    "given": "rights given",
    "seen_views": "a look at a picture of yours",
    "previews": "a preview of a picture of yours",
}
"""Tables of the store in the words of who has never heard of them."""
_PARTIALS_BYTES = 256 * 1024 * 1024
"""What pictures that arrived in part may take of the profile's disk."""
_GOODBYE_S = 2.0
_NOT_REGISTERED = frozenset({RefusalCode.UNKNOWN_ACCOUNT})
_READY_S = 0.2


class Peer:
    """One account's client, from a profile folder and a cluster. An asynchronous context manager.

    `profile` is a folder, made if it is missing; `cluster` a cluster file or a loaded `Cluster`. `bind_host` is the
    address to be reached at by others, by default the loopback interface for a cluster on it and all interfaces else.
    Where the disk is full the profile is opened all the same: what is there can be read, what must be stored raises
    `StorageError`, and `status().trouble` says why.
    """

    def __init__(
        self,
        profile: Path | str,
        cluster: Path | str | Cluster,
        *,
        bind_host: str | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._profile = Profile(checked_path(profile, "A profile"))
        self._source = cluster if isinstance(cluster, Cluster) else checked_path(cluster, "A cluster")
        self._bind_host = bind_host
        self._entropy = entropy
        self._clock = clock
        self._wall = wall
        self._stack: AsyncExitStack | None = None
        self._hub = EventHub()

    # --- Opening and closing -----------------------------------------------------------------------------------------
    async def __aenter__(self) -> "Peer":
        stack = AsyncExitStack()
        try:
            await self._open(stack)
        except BaseException as error:
            try:
                await stack.aclose()
            except BaseExceptionGroup as group:  # a background task failed meanwhile, and that ended the opening
                if (first := _only_error(group)) is not None:
                    raise first from error
                raise
            raise
        self._stack = stack
        return self

    async def _open(self, stack: AsyncExitStack) -> None:
        profile = self._profile
        await anyio.to_thread.run_sync(profile.__enter__)
        stack.callback(profile.__exit__, None, None, None)
        identity = await anyio.to_thread.run_sync(profile.identity)
        cluster = self._source
        if not isinstance(cluster, Cluster):
            cluster = await anyio.to_thread.run_sync(load_cluster, cluster)
        store = await anyio.to_thread.run_sync(lambda: Store(profile.store_path, wall=self._wall))
        stack.push_async_callback(store.aclose)
        partials = FolderPartials(profile.partials, max_bytes=_PARTIALS_BYTES)
        await partials.sweep()
        endpoint = Endpoint(
            identity.session_private,
            bind=(self._host(cluster), 0),
            timing=cluster.timing,
            prologue=cluster.prologue,
            partials=partials,
        )
        endpoint.on_message = self._receive
        endpoint.on_offer = self._offered
        endpoint.on_closed = self._closed
        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)
        await stack.enter_async_context(endpoint)
        cloud = CloudLink(cluster, endpoint, tasks, clock=self._clock)
        self._context = context = Context(
            profile,
            identity,
            cluster,
            store,
            endpoint,
            cloud,
            tasks,
            self._hub,
            self._entropy,
            self._clock,
            self._wall,
        )
        await self._recall(context)
        self._people = People(context)
        self._outbox = Outbox(context)
        self._adopting = Adopting(context)
        self._asks = ViewRequests(context)
        self._copies = Copies(context, self._people, self._outbox, self._adopting.looked)
        self._given = GivenGrants(context)
        self._granting = Granting(context, self._people, self._outbox, self._copies, self._given)
        self._holding = Holding(context)
        context.notices = DirectNotices(context, self._people, self._copies, self._holding)
        self._mailbox = Mailbox(context, self._people, self._copies, self._holding, self._asks, self._given)
        self._restoring = Restoring(context, self._outbox, self._given, self._mailbox, self._asks)
        self._restoring.refresh_held = self._refresh_held
        self._viewing = Viewing(context, self._copies, self._holding, self._mailbox, self._outbox)
        self._offers = Offers(context)
        self._encrypting = Encrypting(context, self._adopting.looked)
        self._wanting = Wanting(context)
        self._copies.on_lacking = self._wanting.lacks
        self._outbox.on_settled = self._settled
        cloud.on_other_device = self._other_device
        cloud.on_mail = self._mailbox.wake
        cloud.on_change = self._cloud_changed
        cloud.on_signed_out = self._signed_out
        cloud.on_epoch = self._restoring.heard
        self._sign_in_wanted = anyio.Event()
        self._set_aside = len(store.found)
        if not store.read_only:
            await files.repair(store, profile.images)
            await self._copies.find_gone()
        await self._copies.recall()
        await self._adopting.begin()
        cloud.start()
        for what, task in (
            ("outbox", self._outbox.run),
            ("mailbox", self._mailbox.run),
            ("encrypting", self._encrypting.run),
            ("restoring", self._restoring.run),
            ("keep-alive", self._keep_alive),
            ("sign-in", self._sign_in_again),
            ("adopting", self._adopting.run),
            ("wanting", self._wanting.run),
        ):
            tasks.start_soon(tend, what, task)

    def _host(self, cluster: Cluster) -> str:
        if self._bind_host is not None:
            return self._bind_host
        return cluster.bind_host

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._stack is not None
        stack, self._stack = self._stack, None
        if self._context.signed_in:
            with anyio.CancelScope(shield=True):
                await self._say_goodbye()
        try:
            await stack.aclose()
        except BaseExceptionGroup as group:
            if (first := _only_error(group)) is not None:
                raise first from group
            raise

    async def _recall(self, context: Context) -> None:
        def read(store: Store) -> tuple[str | None, str | None, str | None]:
            for name, value in (("device", context.new_id()), ("cluster", context.cluster.cluster_id)):
                if store.fact(name) is None:
                    store.set_fact(name, value)
            if store.fact("cluster") != context.cluster.cluster_id:
                raise ProfileError("This profile belongs to another cluster; choose another profile or that cluster.")
            return store.fact("device"), store.fact("account"), store.fact("name")

        device, account, name = await context.store.run(read)
        context.device = device or ""
        context.account = None if account is None else int(account)
        context.name = name or ""

    # --- Account -----------------------------------------------------------------------------------------------------
    @property
    def me(self) -> Me | None:
        """This profile's account, None before registration."""
        context = self._context
        if context.account is None:
            return None
        return Me(context.account, context.name, context.identity.public.words)

    async def register(self, name: str) -> Me:
        """Create the account of this profile's keys. Repeating it returns the account that exists.

        `name` has 1 to 48 printable characters. Raises `InvalidInput`, `Refused`, `Unavailable`.
        """
        await self._register(checked_name(checked_text(name, "A name")))
        assert self.me is not None
        return self.me

    async def _register(self, name: str, *, account: int | None = None, receipt: bytes = b"") -> None:
        """Register, with the number that the nodes gave these keys before if there is one, and keep the answer."""
        context = self._context
        public = context.identity.public
        proof = context.identity.sign(
            "register", context.cluster.cluster_id.encode(), name.encode(), public.session_key
        )
        outcome, _ = await context.cloud.ask(
            ops.Register(
                name=name,
                signing_key=public.signing_key,
                session_key=public.session_key,
                session_signature=public.session_signature,
                proof=proof,
                account=account,
                receipt=receipt,
            ),
            request=context.new_id(),
        )
        if not isinstance(outcome, ops.Registered):
            raise RemoteError("the cloud answered a registration with something else")
        await self._keep_account(outcome)

    async def _keep_account(self, told: ops.Registered | ops.SignedIn) -> None:
        """Write down how the cloud knows these keys, and go by it."""
        given, shown, receipt = told.account, clean(told.name), told.receipt.hex()

        def remember(store: Store) -> None:
            store.set_fact("account", str(given))
            store.set_fact("name", shown)
            if receipt:
                store.set_fact(RECEIPT, receipt)

        await self._context.store.run(remember)
        self._context.account, self._context.name = given, shown

    async def _take_number(self, outcome: ops.SignedIn) -> None:
        """Go on under another number: a restored directory gave it to another device with the same keys, or knows the
        number from another time. The keys are the account; the number is what the cloud calls it."""
        log.info("the account has another number", extra={"account": outcome.account})
        await self._keep_account(outcome)
        self._restoring.renumbered(outcome.account)
        self._restoring.registered_again()

    async def sign_in(self) -> Me:
        """Sign in with this profile's keys; rights that changed meanwhile are applied before this returns.

        What a new device is told of the time before it is applied without events. Copies that it lacks come by
        themselves, and what an encryption that was killed left in the cloud is withdrawn.

        A cloud that was restored to a time before this account was registered is told of it again, by the same keys;
        `me` may have another number then. What else it forgot is brought back in the background (`DirectoryRestored`).
        Raises `ProfileError` before registration, `Unavailable`.
        """
        context = self._context
        context.need_account()
        await self._prove()
        context.signed_in = True
        self._restoring.wake()
        context.cloud.keep_alive(context.device, context.endpoint.local_address[1])
        try:
            await self._mailbox.fetch()
            await self._refresh_held()
            if await self._mailbox.catches_up():
                for incoming in (True, False):
                    await self._asks.refresh(incoming=incoming)
                await self._mailbox.caught_up()
        except StorageError as error:  # the mail stays in the cloud until there is room for it
            log.warning("what changed meanwhile could not be stored", extra={"reason": str(error)})
        self._outbox.wake()
        self._encrypting.settle_soon()
        self._wanting.signed_in()
        assert self.me is not None
        return self.me

    async def _prove(self) -> None:
        try:
            outcome = await self._send_sign_in()
        except Refused as refusal:
            if refusal.code != RefusalCode.UNKNOWN_ACCOUNT or not self._context.name:
                raise  # without a name this profile was never registered
            await self._register_again()
            outcome = await self._send_sign_in()
        if not isinstance(outcome, ops.SignedIn):
            raise RemoteError("the cloud answered a sign-in with something else")
        if outcome.account != self._context.account:
            await self._take_number(outcome)
        self._context.cloud.signed_in()
        try:
            await self._restoring.signed_in(outcome)
        except StorageError as error:  # compared at the next sign-in, when there is room to note what was found
            log.warning("what the cloud told at sign-in could not be stored", extra={"reason": str(error)})
        if outcome.other_device:
            self._hub.emit(OtherDevice(newer=False))

    async def _send_sign_in(self) -> ops.Outcome:
        context = self._context
        request = context.new_id()
        proof = context.identity.sign(
            "sign-in", context.cluster.cluster_id.encode(), context.device.encode(), request.encode()
        )
        operation = ops.SignIn(device=context.device, port=context.endpoint.local_address[1], proof=proof)
        outcome, _ = await context.cloud.ask(operation, request=request, at_once=_NOT_REGISTERED)
        return outcome

    async def _register_again(self) -> None:
        """Make this account known to a directory that was restored to before its registration."""
        before = self._context.need_account()
        receipt = await self._context.store.run(lambda s: s.fact(RECEIPT)) or ""
        await self._register(self._context.name, account=before if receipt else None, receipt=bytes.fromhex(receipt))
        if self._context.account != before:
            self._restoring.renumbered(self._context.need_account())
        self._restoring.registered_again()

    async def restored_notice(self) -> str:
        """Return what the owner was told after a restore of the cloud and has not read yet, empty if nothing."""
        return await self._context.store.run(lambda s: s.fact(NOTICE)) or ""

    async def read_restored_notice(self) -> None:
        """Note that it was read."""
        await self._context.store.run(lambda s: s.do("DELETE FROM facts WHERE name = :name", name=NOTICE))

    async def sign_out(self) -> int:
        """Tell the cloud that this peer goes; return how many items still wait in the outbox."""
        waiting = len(await self._outbox.entries())
        await self._say_goodbye()
        return waiting

    async def _say_goodbye(self) -> None:
        context = self._context
        if not context.signed_in:
            return
        context.signed_in = False
        try:
            await context.cloud.ask(ops.SignOut(device=context.device), request=context.new_id(), wait_s=_GOODBYE_S)
        except (Unavailable, Refused):
            return  # presence lapses by itself

    def export_identity(self, passphrase: str) -> bytes:
        """Return this profile's keys, protected by a passphrase: the only way to move or restore the account."""
        if not checked_text(passphrase, "A passphrase"):
            raise InvalidInput("An export needs a passphrase; choose one that you will remember.")
        return export_identity(self._context.identity, passphrase)

    @staticmethod
    def import_identity(profile: Path, data: bytes, passphrase: str) -> None:
        """Put exported keys into a new profile folder. The account is found by `register` with any name.

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
        checked_flag(local, "local")
        stored = {
            str(row["image"]): row
            for row in await self._context.store.run(lambda s: s.all("SELECT * FROM own_images WHERE ready = 1"))
        }
        try:
            remote = {} if local else await self._all_mine()
        except (Unavailable, StorageError):
            remote = {}
        folder = self._context.profile.images
        here = await anyio.to_thread.run_sync(
            lambda: {image for image in stored if files.own_path(folder, image).exists()}
        )

        def described(image: str) -> MyImage:
            row = remote.get(image)
            source = _described(stored.get(image), row)
            return MyImage(
                image,
                clean(str(source["title"])),
                str(source["format"]),
                int(source["width"]),
                int(source["height"]),
                int(source["size"]),
                float(source["created"]),
                files.own_path(folder, image) if image in here else None,
                offered=row.offered if row else True,
                has_preview=row.has_preview if row else False,
                viewers=row.viewers if row else 0,
                views_spent=row.views_spent if row else 0,
                counted=row is not None,
            )

        found = await self._readable("own_images", stored.keys() | remote.keys(), described)
        return sorted(found, key=lambda entry: -entry.created)

    async def _all_mine(self) -> dict[str, ops.ImageRow]:
        """Return this account's images in the cloud, without attempts that were given up."""
        known = await self._restoring.own_images()
        pages = Asker(self._context).pages(lambda page: ops.MyImages(page=page), ops.Images)
        rows = [row async for page in pages for row in page.rows]
        given_up = await self._encrypting.settle(rows)
        mine = {row.image: row for row in rows if row.image not in given_up}
        await self._restoring.saw_images(rows, known)
        await self._adopting.learn(mine)
        return mine

    async def withdraw(self, image_id: str) -> None:
        """Stop offering an image; rights already given stay. Requests for it that wait for an answer are rejected."""
        try:
            await self._query(ops.WithdrawImage(image=checked_id(image_id)), ops.Done)
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
        pages = Asker(self._context).pages(lambda page: ops.ViewsLog(image=image, page=page), ops.ViewRows)
        rows = [row async for page in pages for row in page.rows]
        return [
            ViewLogEntry(row.viewer, clean(row.viewer_name), row.at, row.left, row.lasted_s)
            for row in await self._given.logged(image_id, rows)
        ]

    # --- Other people ------------------------------------------------------------------------------------------------
    async def users(self, text: str = "", *, page: int = 0) -> UserPage:
        """Return one page of accounts whose name or id contains `text`, those online first."""
        checked_page(page)
        outcome = await self._query(
            ops.ListUsers(text=checked_text(text, "What is looked for")[:64], page=page), ops.Users
        )
        rows = tuple(
            User(row.account, clean(row.name), words_of(row.signing_key), row.online, row.images, row.last_seen)
            for row in outcome.rows
        )
        self._people.listed(user.account for user in rows)
        for user in rows:
            self._offers.know(user.account, user.name, user.words)
        return UserPage(rows, outcome.total)

    async def images_of(self, account: int, *, page: int = 0) -> list[OfferedImage]:
        """Return images that an account offers."""
        checked_account(account), checked_page(page)
        outcome = await self._query(ops.OfferedImages(owner=account, page=page), ops.Images)
        for row in outcome.rows:
            self._offers.saw(row.image, clean(row.title), outcome.owner)
        return [
            OfferedImage(
                row.image,
                outcome.owner,
                clean(row.title),
                row.format,
                row.width,
                row.height,
                row.size,
                row.created,
                row.has_preview,
            )
            for row in outcome.rows
        ]

    async def preview(self, image_id: str) -> bytes | None:
        """Return an image's public preview (a small JPEG, to be treated as hostile), None if there is none."""
        return (await self._query(ops.GetPreview(image=checked_id(image_id)), ops.PreviewAnswer)).preview

    # --- Asking and answering ----------------------------------------------------------------------------------------
    async def request(self, image_id: str, views: int, *, note: str = "") -> Sent:
        """Ask an image's owner for so many views. On disk when this returns, delivered now or later, once.

        Asking for an image that one holds already asks for more views of it.
        """
        operation = ops.AskViews(
            image=checked_id(image_id), views=checked_views(views), note=checked_note(note, "A note")
        )
        request = self._context.new_id()
        await self._offers.keep(image_id)
        outcome = await self._outbox.submit_operation(REQUEST, operation, request, lane=lane_of_ask(request))
        return Sent(request, outcome is not None)

    async def request_more(self, image_id: str, views: int, *, note: str = "") -> Sent:
        """Ask for more views of an image that one holds."""
        return await self.request(image_id, views, note=note)

    async def cancel(self, request_id: str) -> None:
        """Take back a request: out of the outbox if nobody was told of it yet, otherwise from the owner's list.

        One that may be on its way at this moment is delivered first and withdrawn then, now or when the cloud is back.
        Raises `InvalidInput` for something else that waits: once it may be on its way it cannot be taken back.
        """
        taken = await self._outbox.take_back(checked_id(request_id))
        if taken is Taken.BACK:
            return
        if taken is Taken.NOT_HERE:
            try:
                await self._query(ops.WithdrawAsk(ask=request_id), ops.Done)
            except Refused as refusal:
                # A restored cloud may have forgotten it; then it is not asked again.
                if refusal.code != RefusalCode.NOT_FOUND or not await self._restoring.took_back(request_id):
                    raise
            else:
                await self._restoring.took_back(request_id)
            return
        waiting = await self._context.store.run(lambda s: s.outbox(lane=lane_of_ask(request_id)))
        if not waiting:
            raise InvalidInput("This may be on its way already; change or revoke the rights instead.")
        if not any(row.what == WITHDRAWAL for row in waiting):
            await self._outbox.submit_operation(
                WITHDRAWAL, ops.WithdrawAsk(ask=request_id), self._context.new_id(), lane=lane_of_ask(request_id)
            )

    async def requests(self, *, local: bool = False) -> Requests:
        """Return requests from and to others, newest first, what waits in the outbox included.

        With `local` nobody is asked and what this machine knows is returned.
        """
        context = self._context
        complete = not checked_flag(local, "local")
        try:
            for incoming in () if local else (True, False):
                await self._asks.refresh(incoming=incoming)
        except (Unavailable, StorageError):
            complete = False
        rows = await context.store.run(lambda s: s.all("SELECT incoming, row FROM asks ORDER BY created DESC"))
        received = {
            str(row["image"])
            for row in await context.store.run(lambda s: s.all("SELECT image FROM held WHERE received = 1"))
        }
        outbox = await context.store.run(lambda s: s.outbox())
        waiting = waiting_answers(outbox)
        queued = await self._queued_asks(outbox)

        def read(row: sqlite3.Row) -> tuple[bool, ViewRequest]:
            letter: ops.AskArrived = decode(bytes(row["row"]), ops.AskArrived, cap_bytes=_LETTER_CAP_BYTES)
            incoming = bool(row["incoming"])
            return incoming, _request_of(letter.ask, incoming=incoming, received=received, waiting=waiting)

        asked_again = {request.request_id for request in queued}
        known = await self._readable("asks", rows, read)
        return Requests(
            tuple(request for incoming, request in known if incoming),
            (
                *queued,
                *(request for incoming, request in known if not incoming and request.request_id not in asked_again),
            ),
            complete,
        )

    async def _queued_asks(self, outbox: list[OutboxRow]) -> list[ViewRequest]:
        queued = []
        taken_back = {row.lane for row in outbox if row.what == WITHDRAWAL}
        for row in outbox:
            if row.kind == OPERATION and row.what == REQUEST and row.lane not in taken_back:
                try:
                    operation: ops.AskViews = decode(row.body, ops.AskViews, cap_bytes=_LETTER_CAP_BYTES)
                except MalformedMessage:
                    continue  # its delivery says so and sets it aside
                offer = await self._offers.find(operation.image)
                queued.append(
                    ViewRequest(
                        row.request,
                        operation.image,
                        offer.title,
                        offer.owner,
                        offer.owner_name,
                        offer.words,
                        operation.views,
                        operation.note,
                        AskState.QUEUED,
                        row.trouble,
                        row.since,
                    )
                )
        return queued

    async def accept(
        self, request_id: str, *, views: int | None = None, expires: float | None = None, look_s: float | None = None
    ) -> Sent:
        """Grant a request, with other `views`, an expiry (seconds since 1970) or a length of each look if given.

        `look_s` is how many seconds one look may last, 1 to 86 400; None leaves it as it is, by default no limit.
        The stego image with the viewer's rights goes to the viewer's peer as soon as both are online.
        """
        views = None if views is None else checked_views(views)
        expires, look_s = checked_expiry(expires, self._context.now()), checked_look(look_s)
        ask = await self._pending_ask(checked_id(request_id))
        return await self._granting.give(
            ask.image, ask.viewer, ask.views if views is None else views, expires, ask.ask, look_s
        )

    async def reject(self, request_id: str, reason: str = "") -> Sent:
        """Answer a request with no."""
        checked_note(reason, "A reason")
        await self._pending_ask(checked_id(request_id))
        request = self._context.new_id()
        outcome = await self._outbox.submit_operation(REJECTION, ops.RejectAsk(ask=request_id, reason=reason), request)
        return Sent(request, outcome is not None)

    async def _refuse_second_answer(self, request_id: str) -> None:
        outbox = await self._context.store.run(lambda s: s.outbox())
        if request_id in waiting_answers(outbox).requests:
            raise InvalidInput("Your answer to this request waits in the outbox already; nothing was changed.")

    async def _pending_ask(self, ask: str) -> ops.AskRow:
        """Return a request that waits for an answer, also as the cloud sees it where that can be asked."""
        found = await self._asks.present(ask)
        if found is None:
            raise InvalidInput("There is no such request; look at the list of requests for its id.")
        if found.state != "pending":
            raise InvalidInput(f"This request was {found.state} already; nothing was changed.")
        await self._refuse_second_answer(ask)
        return found

    async def _settled(self, row: OutboxRow, refused: bool) -> None:
        try:
            await self._asks.settled(row, refused=refused)
        except GlimpseError as error:
            # The lists are only as the cloud last told them; the next look at them mends that.
            log.warning("an answer is not noted here", extra={"reason": str(error)})

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
        context = self._context
        rows = await context.store.run(
            lambda s: s.all(
                "SELECT held.*, accounts.signing_key AS signing_key FROM held LEFT JOIN accounts ON account = owner"
                " ORDER BY held.rowid DESC"
            )
        )

        def read(row: sqlite3.Row) -> PeerImage:
            return PeerImage(
                checked_id(row["image"]),
                checked_id(row["grant_id"]),
                clean(row["title"]),
                int(row["owner"]),
                clean(row["owner_name"]),
                "" if row["signing_key"] is None else words_of(bytes(row["signing_key"])),
                int(row["granted"]),
                0
                if row["revoked"]
                else max(0, row["granted"] - self._holding.consumed(row["grant_id"], row["consumed"])),
                None if row["expires"] is None else float(row["expires"]),
                bool(row["revoked"]),
                files.held_path(context.profile.images, row["grant_id"]) if row["received"] else None,
                look_s=row["look_s"],
                frozen=str(row["grant_id"]) in context.frozen,
            )

        return await self._readable("held", rows, read)

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
            if refusal.code == "not_found" and await self._is_mine_elsewhere(image_id):
                raise ProfileError(ELSEWHERE) from None
            raise

    async def _is_mine_elsewhere(self, image: str) -> bool:
        try:
            return image in await self._all_mine()
        except GlimpseError:
            return False

    async def look_ended(self, view_id: str, seconds: float) -> None:
        """Say how long a view (`View.view_id`) was shown. On disk when this returns, delivered now or later.

        The owner's log says it; the first word on a view holds.
        """
        await self._viewing.ended(checked_id(view_id), checked_seconds(seconds))

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
            self._set_aside,
            cloud.other_device,
        )

    async def troubles(self) -> list[Trouble]:
        """Return what in this profile's store could not be read and was set aside, newest first. Asks nobody.

        Nothing of it counts any more, and nothing of it is deleted: the rows are kept in the table `set_aside`.
        """
        asides = await self._context.store.run(lambda s: s.asides())
        return [Trouble(_TABLE_WORDS.get(aside.table, "something"), clean(aside.reason), aside.at) for aside in asides]

    async def events(self) -> AsyncIterator[Event]:
        """Yield what happens from now on, until the caller stops or the peer closes."""
        with self._hub.subscription() as stream:
            async for event in stream:
                yield event

    def subscribe(self) -> AbstractContextManager[AsyncIterator[Event]]:
        """Like `events`, but nothing is missed from the moment that the `with` block is entered."""
        return self._hub.subscription()

    # --- Inside ------------------------------------------------------------------------------------------------------
    async def _readable(self, table: str, rows: Iterable[R], read: Callable[[R], M]) -> list[M]:
        """Read rows of a table one by one; those that cannot be read are set aside and told, and the rest is there."""
        found: list[M] = []
        bad = False
        for row in rows:
            try:
                found.append(read(row))
            except (GlimpseError, ValueError, TypeError, KeyError, AttributeError) as error:
                bad = True
                log.warning("a row cannot be read", extra={"table": table, "reason": str(error)})
        if bad:
            try:
                asides = await self._context.store.run(lambda s: s.sort_out(table))
            except StorageError:
                return found
            self._set_aside += len(asides)
            for aside in asides:
                self._hub.emit(RowSetAside(_TABLE_WORDS.get(table, "something"), aside.reason))
        return found

    async def _query(self, operation: ops.Operation, expected: type[M]) -> M:
        outcome, _ = await self._context.cloud.ask(operation, request=self._context.new_id())
        if not isinstance(outcome, expected):
            raise RemoteError("the cloud answered with something else than was asked")
        return outcome

    async def _refresh_held(self) -> None:
        told: set[str] = set()
        taken: list[ops.GrantRow] = []
        asked = began = self._context.clock()
        async for outcome in Asker(self._context).pages(lambda page: ops.ListGrants(page=page), ops.Grants):
            for row in outcome.rows:
                told.add(row.grant)
                try:
                    await self._mailbox.take_grant(row, asked=asked)
                except (RemoteError, UserError) as error:
                    # One grant that cannot be taken over, or written, keeps nobody from the others.
                    log.warning("a grant was not taken over", extra={"grant": row.grant, "reason": str(error)})
                else:
                    taken.append(row)
            asked = self._context.clock()  # the next page is asked for now
        held = await self._context.store.run(lambda s: s.all("SELECT grant_id FROM held WHERE revoked = 0"))
        # What the cloud does not list was forgotten in a restore; its owner's peer makes it known again.
        for grant in {str(mine["grant_id"]) for mine in held} - told:
            self._context.note_frozen(grant, frozen=True, asked=began)
        await self._holding.own_up(taken)

    async def _keep_alive(self) -> None:
        while True:
            context = self._context
            context.cloud.keep_alive(context.device, context.endpoint.local_address[1])
            await anyio.sleep(self._context.timing.keep_alive_s if self._context.cloud.reachable else _READY_S)

    def _signed_out(self) -> None:
        if self._context.signed_in:
            self._sign_in_wanted.set()

    async def _sign_in_again(self) -> None:
        """Sign in anew when presence lapsed while the cloud was away."""
        while True:
            await self._sign_in_wanted.wait()
            self._sign_in_wanted = anyio.Event()
            if self._context.signed_in:
                try:
                    await self._prove()
                except GlimpseError as error:
                    log.info("signing in again failed", extra={"reason": str(error)})
                    continue
                self._outbox.wake()
                self._wanting.signed_in()

    def _other_device(self) -> None:
        """Another device of this account came after this one. Neither takes the other's place while both are there."""
        self._hub.emit(OtherDevice(newer=True))

    def _cloud_changed(self) -> None:
        cloud = self._context.cloud
        self._hub.emit(CloudChanged(cloud.reachable, cloud.leader, cloud.term))
        if cloud.reachable:
            self._outbox.wake()
            self._encrypting.settle_soon()

    def _closed(self, session: Session, _reason: str) -> None:
        self._context.cloud.session_closed(session)

    def _receive(self, session: Session, data: bytes) -> None:
        if self._context.cloud.is_node(session):
            self._context.cloud.receive(session, data)
            return
        message: PeerToPeer = decode(data, PeerToPeer, cap_bytes=MAX_MESSAGE_BYTES)
        match message:
            case CopyHeld():
                self._copies.stored(message)
            case RightsNotice():
                self._context.notices.told(session, message)
            case RightsNoticed():
                self._context.notices.answered(session, message)

    def _offered(self, session: Session, offer: IncomingOffer) -> Incoming | None:
        label: Label = decode(offer.label, Label, cap_bytes=MAX_LABEL_BYTES)
        if self._context.cloud.is_node(session):
            return self._context.cloud.offered(session, label, offer)
        if isinstance(label, CopyObject):
            return self._copies.offered(session, label, offer)
        raise MalformedMessage("an object that peers do not take")


def _described(mine: sqlite3.Row | None, row: ops.ImageRow | None) -> dict[str, Any]:
    """Return what is known of an image: this profile's own note of it, or the cloud's.

    Of a picture that was adopted, only the cloud knows the title and when it was made.
    """
    told = {} if row is None else msgspec.structs.asdict(row)
    if mine is None:
        return told
    return dict(mine) if mine["title"] or row is None else dict(mine) | {"title": row.title, "created": row.created}


def _only_error(group: BaseExceptionGroup[BaseException]) -> GlimpseError | None:
    """Return the error of ours that is all there is in a group, None for anything else."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, GlimpseError) else None


def _request_of(row: ops.AskRow, *, incoming: bool, received: set[str], waiting: WaitingAnswers) -> ViewRequest:
    state = AskState(row.state) if row.state in set(AskState) else AskState.PENDING
    if state is AskState.ACCEPTED and not incoming and row.image in received:
        state = AskState.RECEIVED
    key = row.viewer_key if incoming else row.owner_key
    return ViewRequest(
        row.ask,
        row.image,
        clean(row.title),
        row.viewer if incoming else row.owner,
        clean(row.viewer_name if incoming else row.owner_name),
        words_of(key) if key else "",
        row.views,
        clean(row.note),
        state,
        clean(row.reason),
        row.created,
        row.answered,
        row.grant,
        waits=row.ask in waiting.requests or row.grant in waiting.copies,
    )
