"""Looking at pictures: one's own free, others' for a view that the ledger counts before anything is shown.

A look has four steps: SPEND_VIEW is answered (the view is counted), the picture is decrypted, TAKEN is answered (this
peer alone may show it), it is shown. The view's id and key are on disk before the first step, so that a lost answer or
a restart costs no other view. The id of the TAKEN is drawn after the answer and is in memory only: a copy of the
profile does not have it, and of all copies one wins. It is repeated until it is answered, and a look whose caller went
away meanwhile is finished by the next one. After that nothing withholds the picture.
"""

import hashlib
import logging
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.config import VIEW_REPEAT_S
from shared.decoding.cancelling import cancellable
from shared.errors import (
    DamagedStego,
    GlimpseError,
    Refused,
    RemoteError,
    Unavailable,
    UnusableImage,
    ViewRefused,
)
from shared.rights import open_owner_share, open_share, spend_signature, unlock
from shared.sealing import open_picture
from shared.stego import container
from shared.version import VERSION
from shared.wire import operations as ops
from shared.wire.base import Id128
from shared.wire.refusals import FINAL_CODES, REFUSAL_TEXTS, RefusalCode
from tui.peer import files
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.copies import Copies
from tui.peer.events import LookWaits
from tui.peer.holding import Holding, Right
from tui.peer.mailbox import Mailbox
from tui.peer.models import View
from tui.peer.outbox import Outbox, packed, unpacked
from tui.peer.store import OutboxRow, Store

log = logging.getLogger(__name__)

LOOK_ENDED = "look_ended"
_REREAD_S = 3.0
"""How long the ledger is asked for a grant where the answer would help, but is not needed."""
_TAKE_S = 5.0
"""How long TAKEN is repeated before it is said that the look waits; it is repeated on and on."""
_TEN_MINUTES_LESS_S = VIEW_REPEAT_S - 60
_NOT_SHOWN = "not shown "
"""Before the id of an image, the name of the fact that a look at it was counted and it could not be shown."""
_REASON_CHARS = 200
_RIGHTS_FORGOTTEN = (
    "The cloud was restored from a backup and does not know your views of this image yet; they come back as soon as its"
    " owner has signed in. No view was spent."
)
_LOOK_FORGOTTEN = (
    "The cloud was restored from a backup while this image was being opened, and has forgotten that look; look again,"
    " which counts a view."
)


class EndedLook(msgspec.Struct, frozen=True):
    """How long a view was looked at, as it waits in the outbox."""

    view: Id128
    lasted_s: ops.LookSeconds


@dataclass(slots=True)
class _Look:
    """A look whose view is counted and whose picture was not shown yet."""

    ephemeral: X25519PrivateKey
    spent: ops.ViewSpent
    taken: str
    """The request id of its TAKEN."""


class Viewing:
    """Opens pictures."""

    def __init__(self, context: Context, copies: Copies, holding: Holding, mailbox: Mailbox, outbox: Outbox) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._copies = copies
        self._holding = holding
        self._mailbox = mailbox
        self._outbox = outbox
        self._unfinished: dict[str, _Look] = {}
        """By grant. Never on disk: a copy of the profile must not be able to finish a look of this one."""
        self._one_at_a_time: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        """By grant: looks queue, and each is a look of its own."""
        outbox.handle(LOOK_ENDED, self._deliver_ended)

    async def view(self, image: str) -> View:
        """Open a picture. For another's image this spends one view, unless an earlier look was never finished.

        Where the view is counted and the cloud goes away, this waits until it is back, and so does the next call if
        this one is cancelled. Raises `ViewRefused` with the ledger's reason, or this peer's own where the owner's
        record or the count speaks against it; `Unavailable` without the cloud (nothing is spent and nothing is
        queued), `DamagedStego` before anything is spent if the file is not what arrived, `UnusableImage` likewise for
        an image that could not be shown when it was looked at before.
        """
        row = await self._context.store.run(
            lambda s: s.one("SELECT * FROM own_images WHERE image = :image AND ready = 1", image=image)
        )
        if row is not None:
            return await self._own(image, row["title"], bytes(row["content_key"]))
        held = await self._context.store.run(
            lambda s: s.one(
                "SELECT * FROM held WHERE image = :image ORDER BY revoked, received DESC, rowid DESC", image=image
            )
        )
        if held is None:
            raise ViewRefused("not_found", "You hold no such image; ask its owner for it.")
        if not held["received"]:
            raise ViewRefused(
                "not_ready",
                "The image is not on this device yet; its owner's device is asked for it and sends it when both are"
                " online.",
            )
        return await self._granted(held)

    async def stego_path(self, image: str) -> Path | None:
        """Return where the stego image of a picture lies, None if this profile does not have it."""
        folder = self._context.profile.images
        row = await self._context.store.run(
            lambda s: s.one(
                "SELECT grant_id, 0 AS own FROM held WHERE image = :image AND received = 1"
                " UNION ALL SELECT image, 1 FROM own_images WHERE image = :image AND ready = 1"
                " ORDER BY own DESC LIMIT 1",
                image=image,
            )
        )
        if row is None:
            return None
        return files.own_path(folder, image) if row["own"] else files.held_path(folder, str(row["grant_id"]))

    async def _own(self, image: str, title: str, content_key: bytes) -> View:
        path = files.own_path(self._context.profile.images, image)
        try:
            async with self._context.files:
                sealed = await _reveal(path, image)
        except DamagedStego as error:
            raise DamagedStego(
                "The file of this picture of yours is damaged or gone from this device; adopt it from another device or"
                " a backup in My images, or encrypt the original again."
            ) from error
        owner = self._context.identity.public.signing_key
        data = await anyio.to_thread.run_sync(
            lambda: open_picture(content_key, sealed, owner_key=owner, image_id=image)
        )
        return View(image, title, data, None)

    async def _granted(self, held: sqlite3.Row) -> View:
        grant = str(held["grant_id"])
        async with self._one_at_a_time[grant]:
            await self._refuse_what_cannot_be_shown(str(held["image"]))
            await self._holding.mend()
            sealed = await self._sealed(held)
            right = await self._holding.right(grant)
            if right is None:
                raise ViewRefused(
                    RefusalCode.NOT_READY,
                    "The rights on this image are read anew from the cloud; try again in a moment.",
                )
            open_owner_share(right.record, self._context.identity)  # one that is not for these keys costs no view
            look = self._unfinished.get(grant)
            late = look is not None
            if look is None:
                look = self._unfinished[grant] = await self._counted(right)
            return await self._finish(right, look, sealed, late=late)

    async def _finish(self, right: Right, look: _Look, sealed: bytes, *, late: bool) -> View:
        """Decrypt and take a counted view, write down what can be, and return the picture.

        `late` says that the view was counted for an earlier call that did not get its picture.
        """
        context, grant, spent = self._context, right.record.grant_id, look.spent
        if spent.version > right.record.version:
            right = await self._reread(right)
        share = open_share(
            _raw(look.ephemeral),
            spent.sealed_share,
            cluster_id=context.cluster.cluster_id,
            grant_id=grant,
            view_id=spent.view,
        )
        content_key = unlock(right.record, context.identity, share)
        data = await anyio.to_thread.run_sync(
            lambda: open_picture(content_key, sealed, owner_key=right.record.owner_key, image_id=right.image)
        )
        await self._take(right, look, late=late)
        unwritten = await self._write_down(right, spent)
        del self._unfinished[grant]
        # What came from now on reaches whoever shows the picture as an event; what came before may have ended it.
        record = (await self._newest(right)).record
        if record.revoked:
            raise _refused(RefusalCode.REVOKED)
        return View(
            right.image,
            right.title,
            data,
            spent.left,
            view_id=spent.view,
            look_s=record.look_s,
            expires=record.expires,
            unwritten=unwritten,
        )

    async def _sealed(self, held: sqlite3.Row) -> bytes:
        """Return what a held image hides. Where that is not what arrived, the copy counts as missing from now on."""
        path = files.held_path(self._context.profile.images, held["grant_id"])
        try:
            async with self._context.files:
                return await _reveal(path, str(held["image"]), bytes(held["sealed_sha256"]))
        except DamagedStego as error:
            await self._copies.miss(str(held["grant_id"]))
            raise DamagedStego(
                "The image file was changed or cut off since it arrived, or is gone, and does not open. No view was"
                " spent; its owner's device is asked to send it again."
            ) from error

    # --- Counting ----------------------------------------------------------------------------------------------------
    async def _counted(self, right: Right) -> _Look:
        """Have a view counted, or find the one counted that was begun before and never finished."""
        right = await self._refuse_what_has_ended(right)
        begun = await self._begun(right.record.grant_id)
        if begun is not None:
            try:
                return await self._spend(right, *begun)
            except ViewRefused as refusal:
                if refusal.code != RefusalCode.REPEAT_OVER:
                    raise
            # The earlier look was finished after all, or too long ago: this one is a new look.
        right = await self._refuse_what_is_spent(right)
        return await self._spend(right, *(await self._begin(right.record.grant_id)))

    async def _refuse_what_has_ended(self, right: Right) -> Right:
        """Refuse a look at a right that is revoked or expired by the owner's own word, before anything is asked.

        A revocation is for good. An expiry may have been moved meanwhile, so that the cloud is read first.
        """
        if right.refusal(self._context.now()) is RefusalCode.EXPIRED:
            right = await self._reread(right)
        code = right.refusal(self._context.now())
        if code in (RefusalCode.REVOKED, RefusalCode.EXPIRED):
            raise _refused(code)
        return right

    async def _refuse_what_is_spent(self, right: Right) -> Right:
        """Refuse a new look where all views are known to be spent, if the owner has given no more meanwhile."""
        if right.left == 0:
            right = await self._reread(right)
        if (code := right.refusal(self._context.now())) is not None:
            raise _refused(code)
        return right

    async def _begun(self, grant: str) -> tuple[str, X25519PrivateKey] | None:
        """Return the id and key of a look that was begun and not finished, while the cloud answers it again."""
        row = await self._context.store.run(
            lambda s: s.one("SELECT view, ephemeral, since FROM pending_views WHERE grant_id = :g", g=grant)
        )
        if row is None or self._context.wall() - row["since"] >= _TEN_MINUTES_LESS_S:
            return None
        return str(row["view"]), X25519PrivateKey.from_private_bytes(bytes(row["ephemeral"]))

    async def _begin(self, grant: str) -> tuple[str, X25519PrivateKey]:
        """Begin a look; its id and key are on disk when this returns."""
        view, ephemeral = self._context.new_id(), X25519PrivateKey.from_private_bytes(self._context.entropy(32))
        raw, now = _raw(ephemeral), self._context.wall()
        await self._context.store.run(
            lambda s: s.put("pending_views", grant_id=grant, view=view, ephemeral=raw, since=now)
        )
        return view, ephemeral

    async def _spend(self, right: Right, view: str, ephemeral: X25519PrivateKey) -> _Look:
        context, grant = self._context, right.record.grant_id
        public = ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        operation = ops.SpendView(
            grant=grant,
            ephemeral_key=public,
            signature=spend_signature(context.identity, context.cluster.cluster_id, grant, view, public),
            known_version=right.record.version,
            known_consumed=right.consumed,
        )
        try:
            outcome, _ = await context.cloud.ask(operation, request=view)
        except ViewRefused as refusal:
            if refusal.code != RefusalCode.FROZEN:  # where it is thawed, the same look goes on
                await self._let_go(grant)
            await self._reread(right)
            raise
        except Refused as refusal:
            if refusal.code != RefusalCode.NOT_FOUND:
                raise
            # No grant is ever deleted: it is forgotten. Once its owner's peer makes it again, the look goes on.
            raise ViewRefused(RefusalCode.NOT_FOUND, _RIGHTS_FORGOTTEN) from refusal
        except Unavailable as error:
            raise Unavailable(f"Views need the cloud. {error}") from error
        if not isinstance(outcome, ops.ViewSpent) or (outcome.view, outcome.grant) != (view, grant):
            raise RemoteError("the cloud answered a view with something else")
        return _Look(ephemeral, outcome, context.new_id())

    async def _reread(self, right: Right) -> Right:
        """Read a grant from the ledger again, if the cloud answers, and return what is known then."""
        context, grant = self._context, right.record.grant_id
        if not context.cloud.reachable:
            return right
        asked = context.clock()
        try:
            row = await self._cloud.grant(grant, wait_s=_REREAD_S)
            await self._mailbox.take_grant(row, asked=asked)
            if row.frozen:  # what only this peer can prove, its owner's peer has to confirm
                await self._holding.own_up([row])
        except GlimpseError as error:
            log.warning("a grant could not be read again", extra={"grant": grant, "reason": str(error)})
        return await self._newest(right)

    async def _newest(self, right: Right) -> Right:
        """Return what is known of a right by now; what it was where the store cannot be read."""
        grant = right.record.grant_id
        try:
            return await self._holding.right(grant) or right
        except GlimpseError as error:
            log.warning("a right could not be read", extra={"grant": grant, "reason": str(error)})
            return right

    # --- Taking ------------------------------------------------------------------------------------------------------
    async def _take(self, right: Right, look: _Look, *, late: bool) -> None:
        """Say TAKEN until it is answered. Raises `Refused` where this picture may not be shown any more.

        The same TAKEN is answered with "done" for ever, whatever became of the right since; so after a lost answer, or
        in a `late` look, the right is read again before anything is shown.
        """
        context, told = self._context, False
        while True:
            try:
                outcome, _ = await context.cloud.ask(
                    ops.TakenView(view=look.spent.view), request=look.taken, wait_s=_TAKE_S
                )
                if isinstance(outcome, ops.Done):
                    if late:
                        await self._refuse_if_ended(right)
                    return
                raise RemoteError("the cloud answered that a view is taken with something else")
            except Refused as refusal:
                if refusal.code in FINAL_CODES or refusal.code == RefusalCode.FROZEN:
                    await self._not_taken(right, RefusalCode(refusal.code))
                    if refusal.code == RefusalCode.NOT_FOUND:  # it was counted: only a restored directory can lack it
                        raise Refused(refusal.code, _LOOK_FORGOTTEN) from refusal
                    raise
            except Unavailable as error:
                log.info("a counted view waits for the cloud", extra={"view": look.spent.view, "reason": str(error)})
                late = True
            if (code := (await self._newest(right)).refusal(context.now())) in (
                RefusalCode.REVOKED,
                RefusalCode.EXPIRED,
            ):
                raise _refused(code)
            if not told:
                context.events.emit(LookWaits(right.image, right.record.grant_id, right.title))
                told = True
            await anyio.sleep(context.timing.request_retry_s)

    async def _refuse_if_ended(self, right: Right) -> None:
        """Raise `ViewRefused` where the right has ended meanwhile, as far as the cloud tells."""
        code = (await self._reread(right)).refusal(self._context.now())
        if code in (RefusalCode.REVOKED, RefusalCode.EXPIRED):
            raise _refused(code)

    async def _not_taken(self, right: Right, code: RefusalCode) -> None:
        """Note that a counted view may not be shown: for good, or until its owner prolongs or confirms the right."""
        if code not in (RefusalCode.EXPIRED, RefusalCode.FROZEN):
            grant = right.record.grant_id
            del self._unfinished[grant]
            await self._let_go(grant)
        await self._reread(right)

    async def _write_down(self, right: Right, spent: ops.ViewSpent) -> str:
        """Write the count, the strip and the end of the look; return in a sentence what could not be written."""
        grant = right.record.grant_id
        try:
            if spent.consumed:
                await self._holding.learn(grant, consumed=spent.consumed)
            else:  # a node of an older version does not tell it
                await self._reread(right)
            await self._forget(grant)
        except (GlimpseError, OSError) as error:
            log.warning("a look could not be written down", extra={"grant": grant, "reason": str(error)})
            return f"What is left could not be written down on this machine. {error}"
        return ""

    async def _let_go(self, grant: str) -> None:
        """Forget a look that was refused. Where that cannot be written, the next look is refused it and goes on."""
        try:
            await self._forget(grant)
        except GlimpseError as error:
            log.warning("a look could not be forgotten", extra={"grant": grant, "reason": str(error)})

    async def _forget(self, grant: str) -> None:
        await self._context.store.run(lambda s: s.do("DELETE FROM pending_views WHERE grant_id = :g", g=grant))

    # --- The end of a look -------------------------------------------------------------------------------------------
    async def ended(self, view: str, seconds: float) -> None:
        """Note how long a view was looked at, 0 for not at all; the owner's log says it when the cloud has heard it."""
        request = hashlib.sha256(b"look ended" + bytes.fromhex(view)).digest()[:16].hex()
        await self._outbox.put(LOOK_ENDED, "end of a look", packed(EndedLook(view, seconds)), request)

    async def failed(self, image: str, view: str, reason: str) -> None:
        """Note that a counted view could not be shown: the owner's log says so, and no other view is spent on it."""
        await self._context.store.run(lambda s: s.set_fact(_NOT_SHOWN + image, f"{VERSION} {reason[:_REASON_CHARS]}"))
        await self.ended(view, 0.0)

    async def _refuse_what_cannot_be_shown(self, image: str) -> None:
        """Raise `UnusableImage` for an image that could not be shown, unless this is another version of Glimpse."""

        def noted(store: Store) -> str | None:
            fact = store.fact(_NOT_SHOWN + image)
            by, _, reason = (fact or "").partition(" ")
            return reason if fact is not None and by == VERSION else None

        if (reason := await self._context.store.run(noted)) is not None:
            raise UnusableImage(
                f"This image was opened before and could not be shown, so no further view is spent on it. {reason}"
            )

    async def _deliver_ended(self, row: OutboxRow, wait_s: float) -> None:
        ended = unpacked(row, EndedLook)
        operation = ops.LookEnded(view=ended.view, lasted_s=ended.lasted_s)
        try:
            await self._context.cloud.ask(operation, request=row.request, wait_s=wait_s)
        except Refused as refusal:
            if refusal.code != RefusalCode.NOT_FOUND:
                raise
            # The directory was restored to before this view. Nobody misses the length of a look that is not there.
            log.warning("the cloud no longer knows a view", extra={"view": ended.view})


def _refused(code: RefusalCode) -> ViewRefused:
    return ViewRefused(code, REFUSAL_TEXTS[code])


async def _reveal(path: Path, image: str, digest: bytes | None = None) -> bytes:
    """Return what a stego image hides. Raises `DamagedStego`, also where that has not the digest given."""

    def read() -> bytes:
        try:
            png = path.read_bytes()
        except OSError:
            raise DamagedStego("The image file is gone from this profile.") from None
        sealed = container.reveal(png, image_id=bytes.fromhex(image))
        if digest is not None and hashlib.sha256(sealed).digest() != digest:
            raise DamagedStego("The image file was changed since it arrived.")
        return sealed

    return await cancellable(read)


def _raw(key: X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
