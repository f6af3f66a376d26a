"""Stego images on their way from an owner's peer to a viewer's peer, each with the viewer's own rights record.

A grant's stego image is sent once, to the device that is signed in then. Where nobody is, or no way leads there, the
cloud holds it until a device of the viewer's fetches it. Another device of the same account, a profile that was
restored, or one whose file no longer opens gets it by asking: the cloud tells the owner's peer.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from shared.config import MAX_MESSAGE_BYTES, MAX_STEGO_BYTES
from shared.decoding.cancelling import cancellable
from shared.errors import (
    DamagedStego,
    Explained,
    GlimpseError,
    MalformedMessage,
    Refused,
    StorageError,
    TransferCancelled,
    Unavailable,
)
from shared.identity import Identity, words_of
from shared.net.endpoint import Incoming, IncomingOffer, Session
from shared.records import decode_record
from shared.rights import verify_record, with_left
from shared.sealed_record import seal_record
from shared.stego import container
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.base import AccountId, Id128, ViewsOrNone
from shared.wire.codec import encode
from shared.wire.labels import MAX_LABEL_BYTES, CopyObject
from shared.wire.peer_messages import CopyHeld
from shared.wire.refusals import RefusalCode
from tui.peer import files
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.events import CopyProgress, CopyWaits, ImageReceived
from tui.peer.held_copies import HeldCopies
from tui.peer.models import IN_THE_CLOUD
from tui.peer.outbox import OPERATION, Outbox, Unreadable, WaitsFor, insert, packed, unpacked
from tui.peer.paths import Paths
from tui.peer.people import People
from tui.peer.store import OutboxRow, Store
from tui.peer.whereabouts import Whereabouts

log = logging.getLogger(__name__)

COPY = "copy"
HELD = "held"
"""Refusal of a copy that the viewer's peer has already."""
SENT_AGAIN_PER_HOUR = 5
"""Times that one grant's copy is sent again for the asking: a viewer's peer cannot make its owner's send for ever."""
_HOUR_S = 3600.0
_REMEMBERED_WISHES = 10_000
_OFFER_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.5, 0.6)
"""When a copy is offered again to a peer that does not know of its grant yet: its mail may be some round trips away."""
_STORED_S = 10.0
"""How long the other side may take to check and store a copy."""


class CopyTask(msgspec.Struct, frozen=True):
    """A copy that a viewer should have. One that the viewer's device asked for has no record until it is sent."""

    grant: Id128
    image: Id128
    viewer: AccountId
    record: bytes = b""
    left: ViewsOrNone = 0


class Copies:
    """Sends copies as an owner, takes them as a viewer."""

    def __init__(self, context: Context, people: People, outbox: Outbox, paths: Paths, looked: anyio.Event) -> None:
        """`looked` is set once it is known which pictures of one's own lie in the profile."""
        self._context = context
        self._cloud = Asker(context)
        self._outbox = outbox
        self._paths = paths
        self._looked = looked
        self._sent_again: dict[str, list[float]] = {}
        self.on_lacking: Callable[[str], None] = lambda _grant: None
        """Told of a grant whose copy does not open any more."""
        self.on_waiting: Callable[[str], None] = lambda _grant: None
        """Told of a grant whose copy the cloud holds."""
        self._taking: set[str] = set()
        self._held: dict[str, anyio.Event] = {}
        self._expected: dict[str, tuple[bytes, bool]] = {}
        self._waiting = HeldCopies(context)
        self.whereabouts = Whereabouts(context, people, is_awaited=outbox.is_awaited, on_there=outbox.release)
        outbox.handle(COPY, self._deliver)

    # --- As the owner ------------------------------------------------------------------------------------------------
    async def queue(self, task: CopyTask) -> None:
        """Store that a viewer should have a copy; it goes as soon as both are online."""
        await self._outbox.put(COPY, "stego image", packed(task), copy_request(task.grant))

    async def wanted(self, grant: str, image: str, viewer: int) -> None:
        """Queue a copy that a device of its viewer lacks, so often in an hour and no more. What is queued stays so."""
        now = self._context.clock()
        recent = [at for at in self._sent_again.get(grant, ()) if now - at < _HOUR_S]
        if len(recent) >= SENT_AGAIN_PER_HOUR:
            log.warning("a viewer asks for the same copy again and again", extra={"grant": grant, "viewer": viewer})
            return
        self._sent_again[grant] = [*recent, now]
        while len(self._sent_again) > _REMEMBERED_WISHES:
            del self._sent_again[next(iter(self._sent_again))]
        await self.queue(CopyTask(grant, image, viewer))

    async def _resolved(self, row: OutboxRow, task: CopyTask, wait_s: float) -> CopyTask | None:
        """Return the task with the rights as they stand, kept so that a repeat sends the same bytes; None for a copy
        that this device cannot send or that nobody may look at."""
        context = self._context
        with anyio.move_on_after(wait_s):
            await self._looked.wait()
        if not self._looked.is_set():
            raise Unavailable("The pictures of this profile are still being looked through; the image goes after that.")
        path = files.own_path(context.profile.images, task.image)
        if not await anyio.to_thread.run_sync(path.exists):
            log.info(
                "a viewer lacks a copy of an image that is not on this device; another device of this account may"
                " have it",
                extra={"grant": task.grant, "image": task.image},
            )
            return None
        try:
            grant = await self._cloud.grant(task.grant, wait_s=wait_s)
        except Refused as refusal:
            if refusal.code == RefusalCode.NOT_FOUND and await self._has_given(task.grant):
                raise Unavailable(
                    "The cloud does not know these rights just now; the image goes when it does."
                ) from None
            log.info("a copy is not sent again", extra={"grant": task.grant, "reason": str(refusal)})
            return None
        record = decode_record(grant.record)
        verify_record(record)
        mine = context.identity.public.signing_key
        if (record.owner_key, record.grant_id, record.image_id) != (mine, task.grant, task.image):
            raise MalformedMessage("a rights record that this account did not give")
        if record.revoked or grant.viewer != task.viewer:
            return None
        whole = CopyTask(task.grant, task.image, task.viewer, grant.record, max(0, grant.granted - grant.consumed))
        body = packed(whole)
        await context.store.run(
            lambda s: s.do("UPDATE outbox SET body = :body WHERE request = :request", body=body, request=row.request)
        )
        return whole

    async def _has_given(self, grant: str) -> bool:
        """Whether this account has given a grant: one that the cloud lacks then comes back after a restore."""
        row = await self._context.store.run(
            lambda s: s.one("SELECT 1 AS found FROM given WHERE grant_id = :grant", grant=grant)
        )
        return row is not None

    async def _deliver(self, row: OutboxRow, wait_s: float) -> None:
        context = self._context
        task = unpacked(row, CopyTask)
        if not task.record:
            found = await self._resolved(row, task, wait_s)
            if found is None:
                return
            task = found
        viewer = await self.whereabouts.find(task.viewer, wait_s=wait_s)
        if not viewer.is_there and not context.holds_copies:
            raise self._missed(viewer)
        path = files.own_path(context.profile.images, task.image)
        data = await cancellable(_copy_of, path, task, context.identity, viewer.session_key)
        session, trouble = await self._path_to(viewer, task.grant)
        if session is not None:
            self.whereabouts.reached(viewer.account)
            await self._offer(session, task, data, viewer.name)
        elif context.holds_copies:
            await self._leave(task, data, viewer, trouble)
        else:
            raise self._missed(viewer, trouble)

    def _missed(self, viewer: ops.Account, trouble: str = "") -> WaitsFor:
        """Note that a viewer is away or out of reach; return what becomes of copies for such a one."""
        self.whereabouts.missed(viewer.account)
        name = clean(viewer.name)
        return WaitsFor(
            viewer.account, f"{name} cannot be reached; {trouble or 'the image goes when both are online.'}"
        )

    async def _path_to(self, viewer: ops.Account, grant: str) -> tuple[Session | None, str]:
        """Return a session with a viewer's peer, None for one who is away or cannot be reached from here; and why not,
        where something can be done about it."""
        try:
            session = await self._paths.reach(viewer, grant)
        except Unavailable as error:
            log.info("no way leads to a viewer", extra={"viewer": viewer.account, "reason": str(error)})
            return None, str(error) if isinstance(error, Explained) else ""
        return session, ""

    async def _leave(self, task: CopyTask, data: bytes, viewer: ops.Account, trouble: str) -> None:
        """Have the cloud hold a copy. One that nobody may look at any more is not needed."""
        try:
            until = await self._waiting.leave(task.grant, data, self._reporter(task.grant, None, sending=True))
        except Refused as refusal:
            if refusal.code not in (RefusalCode.REVOKED, RefusalCode.EXPIRED):
                raise
            log.info("a copy is not left with the cloud", extra={"grant": task.grant, "reason": str(refusal)})
            return
        self._paths.note(viewer.session_key, IN_THE_CLOUD)
        name, words = clean(viewer.name), words_of(viewer.signing_key)
        self._context.events.emit(CopyWaits(task.image, task.grant, name, until, words, trouble))

    def _reporter(self, grant: str, session: Session | None, *, sending: bool) -> Callable[[int, int], None]:
        """Return what tells of a copy's progress: in a session with the other peer, or with the cloud if None."""

        def report(done: int, total: int) -> None:
            path = "" if session is None else self._paths.shown(session)
            self._context.events.emit(CopyProgress(grant, sending=sending, done=done, total=total, path=path))

        return report

    async def _offer(self, session: Session, task: CopyTask, data: bytes, name: str) -> None:
        """Send a copy and wait until the viewer's peer has stored it.

        That the bytes arrived is not enough: what the other side could not keep is sent again later.
        """
        label = encode(CopyObject(grant=task.grant, image=task.image), cap_bytes=MAX_LABEL_BYTES)
        held = self._held[task.grant] = anyio.Event()
        report = self._reporter(task.grant, session, sending=True)
        try:
            for pause_s in _OFFER_PAUSES_S:
                try:
                    # Cancelled only where this peer closes: the copy waits in the outbox and goes on at the next start.
                    with self._paths.spare(session, task.grant):
                        await self._context.endpoint.send_object(session, label, data, progress=report, goes_on=True)
                except Refused as refusal:
                    if refusal.code == HELD:
                        return
                    # Its mail tells the other side of the grant at this very moment.
                    await anyio.sleep(pause_s)
                    continue
                with anyio.move_on_after(_STORED_S):
                    await held.wait()
                    return
            raise Unavailable(f"{clean(name)} cannot take the image now; it goes on later.")
        except TransferCancelled as error:
            raise Unavailable(f"{clean(name)} stopped the transfer; it goes on later.") from error
        finally:
            self._held.pop(task.grant, None)

    def stored(self, message: CopyHeld) -> None:
        """Take a viewer's word that it holds a copy. A false one harms nobody but its sender."""
        if (held := self._held.get(message.grant)) is not None:
            held.set()

    # --- As the viewer -----------------------------------------------------------------------------------------------
    async def find_gone(self) -> None:
        """Note which copies are no longer in the profile's folder, though they were received. At the start."""
        folder = self._context.profile.images
        rows = await self._context.store.run(lambda s: s.all("SELECT grant_id FROM held WHERE received = 1"))
        grants = [str(row["grant_id"]) for row in rows]
        gone = await anyio.to_thread.run_sync(
            lambda: [grant for grant in grants if not files.held_path(folder, grant).exists()]
        )

        def note(store: Store) -> None:
            for grant in gone:
                store.do("UPDATE held SET received = 0 WHERE grant_id = :g", g=grant)

        if gone:
            try:
                await self._context.store.run(note)
            except StorageError as error:
                log.warning("copies that are gone are asked for later", extra={"reason": str(error)})

    async def recall(self) -> None:
        """Read from the store which copies are expected and from whom."""
        rows = await self._context.store.run(
            lambda store: store.all(
                "SELECT grant_id, session_key, received FROM held JOIN accounts ON accounts.account = held.owner"
            )
        )
        self._expected = {str(row["grant_id"]): (bytes(row["session_key"]), bool(row["received"])) for row in rows}

    def expect(self, grant: str, owner_session_key: bytes) -> None:
        """Note that the copy of a grant will come from its owner's peer."""
        received = self._expected.get(grant, (b"", False))[1]
        self._expected[grant] = (owner_session_key, received)

    def comes_from(self, grant: str, session_key: bytes) -> bool:
        """Return whether a grant is held here, and its owner's peer has this session key."""
        return self._expected.get(grant, (b"", False))[0] == session_key

    async def miss(self, grant: str) -> None:
        """Note that the copy of a grant no longer opens: it counts as not received, so that another is taken."""
        await self._context.store.run(
            lambda store: store.do("UPDATE held SET received = 0 WHERE grant_id = :grant", grant=grant)
        )
        await self.recall()
        self.on_lacking(grant)

    def offered(self, session: Session, label: CopyObject, offer: IncomingOffer) -> Incoming | None:
        """Accept a copy that was granted, from its owner only. Raises `Refused`: `held`, or `not_ready` for now."""
        owner, received = self._expected.get(label.grant, (b"", False))
        if owner != session.remote_key:
            self._context.cloud.on_mail()
            raise Refused("not_ready", "No such grant is known here yet.")
        if received:
            raise Refused(HELD, "This image is here already.")
        if offer.size > MAX_STEGO_BYTES or label.grant in self._taking:
            raise Refused("not_ready", "This image is being received.")
        self._taking.add(label.grant)
        incoming = Incoming(progress=self._reporter(label.grant, session, sending=False))
        self._context.tasks.start_soon(self._take, session, label, incoming)
        return incoming

    async def _take(self, session: Session, label: CopyObject, incoming: Incoming) -> None:
        try:
            await self._keep(label, await incoming.wait(), session.remote_key)
        except GlimpseError as error:
            log.info("an image was not received", extra={"grant": label.grant, "reason": str(error)})
            return
        except Exception:
            log.exception("an image was not received by a fault of this program", extra={"grant": label.grant})
            return
        finally:
            self._taking.discard(label.grant)
        self._expected[label.grant] = (session.remote_key, True)
        if session.alive:
            self._context.endpoint.post(session, encode(CopyHeld(grant=label.grant), cap_bytes=MAX_MESSAGE_BYTES))

    async def fetch(self, grant: str, *, waits: bool = False) -> bool:
        """Take the copy of a grant that the cloud holds; return whether it is here, or on its way by itself.

        With `waits` the cloud has said that it holds one: it is told to let go of it also where a copy is here already.
        Raises `Unavailable` without the cloud, `StorageError` where there is no room for it.
        """
        owner, received = self._expected.get(grant, (bytes(32), False))
        if self.is_coming(grant) or (received and not waits):
            return True
        row = await self._context.store.run(
            lambda s: s.one("SELECT image FROM held WHERE grant_id = :grant", grant=grant)
        )
        if row is None:
            return False
        self._taking.add(grant)
        try:
            found = await self._waiting.find(grant)
            if found is None or (not received and await self._taken(found, str(row["image"]), owner)):
                return received or found is not None
            # One that is damaged does not open later either; without it the owner's device sends another.
            await self._context.store.run(partial(self._let_go, found=found, stored=received))
            self._outbox.added()
            return received
        finally:
            self._taking.discard(grant)

    def is_coming(self, grant: str) -> bool:
        """Whether the copy of a grant is being taken at this moment, from wherever."""
        return grant in self._taking

    async def _taken(self, found: ops.HeldCopy, image: str, owner: bytes) -> bool:
        """Keep a copy from the cloud, which is told so; return whether it opens."""
        data = await self._waiting.fetch(found, owner, self._reporter(found.grant, None, sending=False))
        if data is None:
            return False
        try:
            await self._keep(CopyObject(grant=found.grant, image=image), data, owner, found)
        except (DamagedStego, MalformedMessage) as error:
            log.warning("a copy from the cloud does not open", extra={"grant": found.grant, "reason": str(error)})
            return False
        self._expected[found.grant] = (owner, True)
        self._paths.note(owner, IN_THE_CLOUD)
        self._outbox.added()
        return True

    def _let_go(self, store: Store, found: ops.HeldCopy, *, stored: bool = True) -> None:
        """Have the cloud told that it need not hold a copy any more; that waits in the outbox until it has heard."""
        body = encode(ops.DropHeld(grant=found.grant, copy=found.copy, stored=stored), cap_bytes=MAX_MESSAGE_BYTES)
        request = hashlib.sha256(b"let go" + bytes.fromhex(found.grant + found.copy)).digest()[:16].hex()
        insert(store, request, OPERATION, "a copy in the cloud", body, since=self._context.wall())

    async def _keep(self, label: CopyObject, data: bytes, owner_key: bytes, found: ops.HeldCopy | None = None) -> None:
        """Write a copy to the profile; one that was `found` in the cloud need not be held there any more."""
        context, image_id = self._context, bytes.fromhex(label.image)
        row = await context.store.run(
            lambda store: store.one(
                "SELECT title, record, granted, consumed FROM held WHERE grant_id = :g", g=label.grant
            )
        )
        if row is None:
            raise MalformedMessage("an image without a grant")
        sealed = await cancellable(lambda: container.reveal(data, image_id=image_id))
        digest = hashlib.sha256(sealed).digest()
        path = files.held_path(context.profile.images, label.grant)
        record = decode_record(bytes(row["record"]))
        left = max(0, row["granted"] - row["consumed"])
        text = seal_record(with_left(record, left), context.identity.session_private, owner_key)
        current = await cancellable(lambda: container.replace_record(data, text, image_id=image_id))
        await files.write_whole(path, current)

        def note(store: Store) -> None:
            store.do(
                "UPDATE held SET received = 1, sealed_sha256 = :digest WHERE grant_id = :grant",
                digest=digest,
                grant=label.grant,
            )
            if found is not None:
                self._let_go(store, found)

        await context.store.run(note)
        context.events.emit(ImageReceived(label.image, label.grant, str(row["title"])))


def copy_request(grant: str) -> str:
    """Return the id in the outbox of a grant's copy: it waits there once, however often it is queued."""
    return hashlib.sha256(b"copy" + bytes.fromhex(grant)).digest()[:16].hex()


def _copy_of(path: Path, task: CopyTask, owner: Identity, viewer_key: bytes) -> bytes:
    """Return the copy for a viewer with this session key: the same bytes each time that it is sent."""
    try:
        png = path.read_bytes()
    except OSError:
        raise Refused(
            "not_found", "The stego image is no longer in this profile; encrypt the picture again and share that."
        ) from None
    try:
        record = decode_record(task.record)
    except MalformedMessage as error:
        raise Unreadable(f"its rights record cannot be read ({error})") from error
    text = seal_record(with_left(record, task.left), owner.session_private, viewer_key)
    return container.replace_record(png, text, image_id=bytes.fromhex(task.image))
