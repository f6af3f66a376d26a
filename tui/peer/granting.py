"""The owner's side: grants on one's own images, and their changes.

What an owner wants is stored as a wish and becomes one signed operation, a new grant or the next record of one that
stands. It is stored before it is sent and sent again unchanged until the cloud answers: the cloud knows each record by
its hash, so that a lost answer costs nothing. Only `conflict`, which says that this very record was not taken because
another change or a view came first, lets the wish be signed anew against the grant as it stands then.

Wishes about one viewer's rights on one image are a lane of the outbox and go one after the other. A revocation goes
first and ends those that were queued before it. That is safe because a revoked grant takes no other change, whatever
is still on its way; only a new grant that may have been made already is asked about before anything is revoked.
"""

import hashlib
from collections.abc import Callable
from typing import Annotated

import msgspec

from shared.config import MAX_REPLY_OBJECT_BYTES
from shared.errors import InvalidInput, MalformedMessage, ProfileError, Refused, RemoteError, Unavailable
from shared.identity import words_of
from shared.ledger import granted_for_left
from shared.records import MAX_EXPIRES_S, LookLength, RightsRecord, decode_record, encode_record
from shared.rights import change_rights, create_grant, supersedes
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.base import AccountId, Id128, Views, ViewsOrNone
from shared.wire.codec import decode
from shared.wire.refusals import FINAL_CODES, RefusalCode
from tui.peer.asker import Asker
from tui.peer.confirming import Confirming
from tui.peer.context import Context
from tui.peer.copies import Copies, CopyTask
from tui.peer.given import GivenGrants, is_for
from tui.peer.models import RightsResult, Sent, Viewer
from tui.peer.outbox import Outbox, Unreadable, packed, unpacked
from tui.peer.people import People, public_of
from tui.peer.store import OutboxRow

GRANT = "grant"
RIGHTS = "rights"
REVOCATION = "revocation"
_CONFLICTS = 8
SUPERSEDED = "The rights were revoked afterwards, so this was not needed any more."
"""Why a change is given up that the cloud may have made all the same: its answer may have been lost."""
Moment = Annotated[float, msgspec.Meta(gt=0, le=MAX_EXPIRES_S)]


class RightsIntent(msgspec.Struct, frozen=True):
    """What the owner wants of a grant: so many views left, so many more, an expiry, or an end."""

    image: Id128
    viewer: AccountId
    left: ViewsOrNone | None = None
    more: Views | None = None
    expires: Moment | None = None
    set_expires: bool = False
    revoke: bool = False
    look_s: LookLength | None = None
    set_look: bool = False


class GiveIntent(msgspec.Struct, frozen=True):
    """An owner's wish to give somebody views; it becomes the grant `grant`, or more of one that stands."""

    image: Id128
    viewer: AccountId
    views: Views
    expires: Moment | None
    grant: Id128
    look_s: LookLength | None = None
    listed: bool = False
    """The cloud had told this device of the viewer: that account can be missing only for now."""

    def as_more(self) -> RightsIntent:
        """Return the change of a grant that stands which comes to the same."""
        return RightsIntent(
            self.image,
            self.viewer,
            more=self.views,
            expires=self.expires,
            set_expires=self.expires is not None,
            look_s=self.look_s,
            set_look=self.look_s is not None,
        )


Signed = ops.Grant | ops.ChangeRights


class Granting:
    """Gives, changes and revokes rights. Every method stores its intention before it asks the cloud."""

    def __init__(
        self,
        context: Context,
        people: People,
        outbox: Outbox,
        copies: Copies,
        given: GivenGrants,
        confirming: Confirming,
    ) -> None:
        self._context = context
        self._given = given
        self._confirming = confirming
        self._people = people
        self._outbox = outbox
        self._copies = copies
        self._cloud = Asker(context)
        self.on_changed: Callable[[ops.GrantRow], None] = lambda _grant: None
        """Called with each grant whose rights the cloud has changed for this owner."""
        outbox.handle(GRANT, self._give)
        outbox.handle(RIGHTS, self._change)
        outbox.handle(REVOCATION, self._revoke, urgent=True)

    async def give(
        self, image: str, viewer: int, views: int, expires: float | None, ask: str | None, look_s: float | None = None
    ) -> Sent:
        """Give `viewer` so many views of an image, as a new grant or, where one stands, as more of it."""
        context = self._context
        if viewer == context.need_account():
            raise InvalidInput("Your own pictures open without a grant.")
        await self._content_key(image)
        request = context.new_id()
        listed = self._people.was_listed(viewer)
        intent = GiveIntent(image, viewer, views, expires, context.new_id(), look_s, listed)
        done = await self._outbox.submit(GRANT, GRANT, packed(intent), request, lane=lane_of(image, viewer), ask=ask)
        return Sent(request, done is not None)

    async def change(self, intent: RightsIntent) -> RightsResult:
        """Carry out a change of rights, now or when the cloud is back."""
        request = self._context.new_id()
        kind = REVOCATION if intent.revoke else RIGHTS
        state = await self._outbox.submit(
            kind, kind, packed(intent), request, lane=lane_of(intent.image, intent.viewer)
        )
        if state is None:
            return RightsResult(request, delivered=False)
        if not isinstance(state, ops.GrantRow):
            return RightsResult(request, delivered=True, left=0, met_consumed=0)
        return RightsResult(request, delivered=True, left=left_of(state), met_consumed=state.consumed)

    async def viewers(self, image: str) -> list[Viewer]:
        """Return everybody's rights on an image of one's own."""
        return [
            Viewer(
                row.grant,
                row.viewer,
                clean(row.viewer_name),
                words_of(decode_record(row.record).viewer_key),
                row.granted,
                row.consumed,
                left_of(row),
                row.expires,
                row.revoked,
                decode_record(row.record).look_s,
                row.frozen,
                row.held_until,
            )
            for row in await self._grants(image)
        ]

    # --- Deliveries --------------------------------------------------------------------------------------------------
    async def _give(self, row: OutboxRow, wait_s: float) -> ops.GrantRow:
        intent = unpacked(row, GiveIntent)
        for _ in range(_CONFLICTS):
            if row.signed is not None:
                state = await self._send(row, wait_s)
                if state is not None:
                    return await self._made(state)
            rows = await self._grants(intent.image, wait_s=wait_s)
            if (made := next((one for one in rows if one.grant == intent.grant), None)) is not None:
                await self._given.remember(made)
                return await self._made(made)
            standing = await self._standing(intent.image, intent.viewer, wait_s=wait_s)
            if standing is not None:
                signed: Signed = await self._next_record(row, intent.as_more(), standing)
            else:
                signed = await self._new_grant(row, intent)
            row = await self._outbox.sign(row, signed)
        raise _too_busy()

    async def _made(self, grant: ops.GrantRow) -> ops.GrantRow:
        """The grant of a wish is there. Where a copy of this profile made it long ago, it may be taken back already."""
        if not grant.revoked:
            await self._copies.queue(_copy_of_grant(grant))
        return grant

    async def _change(self, row: OutboxRow, wait_s: float) -> ops.GrantRow:
        intent = unpacked(row, RightsIntent)
        for _ in range(_CONFLICTS):
            if row.signed is not None:
                state = await self._send(row, wait_s)
                if state is not None:
                    if intent.more is not None and not state.revoked:
                        # Who asks for more may have lost the image; a viewer's peer that still holds it says so
                        # before it is sent.
                        await self._copies.queue(_copy_of_grant(state))
                    return state
            standing = await self._standing(intent.image, intent.viewer, wait_s=wait_s)
            if standing is None:
                raise _nothing_stands()
            row = await self._outbox.sign(row, await self._next_record(row, intent, standing))
        raise _too_busy()

    async def _revoke(self, row: OutboxRow, wait_s: float) -> ops.GrantRow | bool:
        """End what stands; True where nothing does, because what was queued before had not been made."""
        intent = unpacked(row, RightsIntent)
        before = await self._outbox.lane_before(row)
        for _ in range(_CONFLICTS):
            state = None if row.signed is None else await self._send(row, wait_s)
            if state is None:
                made = await self._settle(before, wait_s)
                standing = await self._standing(intent.image, intent.viewer, wait_s=wait_s, ends=True)
                if standing is not None:
                    row = await self._outbox.sign(row, await self._next_record(row, intent, standing))
                    continue
                if not before and not made and row.signed is None:
                    raise _nothing_stands()
            if state is not None:
                await self._confirming.end(intent.image, intent.viewer, state.grant)
            await self._outbox.supersede(row, before, SUPERSEDED)
            return True if state is None else state
        raise _too_busy()

    async def _settle(self, rows: list[OutboxRow], wait_s: float) -> bool:
        """Find out what became of new grants that were sent and not answered; return whether there was any.

        One that has not been made yet could be made by a datagram that comes late, after the revocation. Raises
        `Unavailable` until that is known.
        """
        asked = False
        for row in rows:
            if not _may_have_made(row):
                continue
            asked = True
            try:
                await self._send(row, wait_s)
            except Refused as refusal:
                if refusal.code not in FINAL_CODES:
                    raise
        return asked

    async def _send(self, row: OutboxRow, wait_s: float) -> ops.GrantRow | None:
        """Send what was signed for a row; None if the cloud did not take it because something else came first.

        Raises `Refused` for any other no, `Unavailable` while it is not answered.
        """
        operation = signed_operation(row)
        request = hashlib.sha256(row.signed or b"").digest()[:16].hex()  # what is the same is asked under the same id
        try:
            outcome = await self._cloud.query(operation, ops.GrantState, request=request, wait_s=wait_s)
        except Refused as refusal:
            if refusal.code == RefusalCode.CONFLICT:
                return None
            if refusal.code != RefusalCode.NOT_FOUND or not await self._is_forgotten(operation.ask, wait_s):
                raise
            # Only a restored directory lacks a request. What was given for it is given without; where its asker
            # repeats it, it is closed as answered.
            unasked = msgspec.structs.replace(operation, ask=None)
            return await self._send(await self._outbox.sign(row, unasked), wait_s)
        await self._delivered(outcome.grant, operation)
        return outcome.grant

    async def _is_forgotten(self, ask: str | None, wait_s: float) -> bool:
        """Return whether the directory lacks the request that a change answers."""
        if ask is None:
            return False
        return not (await self._cloud.query(ops.ListAsks(incoming=True, ask=ask), ops.Asks, wait_s=wait_s)).rows

    async def _delivered(self, grant: ops.GrantRow, operation: Signed) -> None:
        """The cloud has made a grant or a change of this owner. Called once or more for each."""
        if isinstance(operation, ops.ChangeRights):
            await self._given.remember(grant)
            self.on_changed(grant)
        else:
            share: bytes | None = operation.cloud_share
            signature: bytes | None = operation.share_signature
            if decode_record(grant.record).fixed() != decode_record(operation.record).fixed():
                share = signature = None  # a copy of this profile had made the grant before, from other shares
            await self._given.remember(grant, share=share, signature=signature)

    # --- Signing -----------------------------------------------------------------------------------------------------
    async def _new_grant(self, row: OutboxRow, intent: GiveIntent) -> ops.Grant:
        context = self._context
        account = await self._people.find_or_recall(intent.viewer)
        record, share, signature = create_grant(
            context.identity,
            public_of(account),
            grant_id=intent.grant,
            image_id=intent.image,
            content_key=await self._content_key(intent.image),
            granted=intent.views,
            expires=intent.expires,
            entropy=context.entropy,
            look_s=intent.look_s,
        )
        return ops.Grant(
            grant=intent.grant,
            image=intent.image,
            viewer=intent.viewer,
            record=encode_record(record),
            cloud_share=share,
            share_signature=signature,
            ask=row.ask,
            wish=row.request,
        )

    async def _next_record(self, row: OutboxRow, intent: RightsIntent, grant: ops.GrantRow) -> ops.ChangeRights:
        """Return a wish as the next record of a grant that stands."""
        if grant.frozen and not intent.revoke and intent.left is None:
            # Signed against counts that a restored directory may have forgotten, it would give views back.
            raise Unavailable(
                "The cloud was restored from a backup and these rights wait to be confirmed: set the views left in My"
                " images, or sign in with the device that gave them."
            )
        standing = decode_record(grant.record)
        record = change_rights(
            self._context.identity,
            await self._newest_record(row, standing) if intent.revoke else standing,
            granted=_granted_for(intent, grant, _met_by(row, grant)),
            expires=intent.expires if intent.set_expires else ...,
            revoked=True if intent.revoke else None,
            look_s=intent.look_s if intent.set_look else ...,
            beyond=await self._highest_signed(row, grant.grant),
        )
        return ops.ChangeRights(
            grant=grant.grant,
            record=encode_record(record),
            met_version=grant.version,
            met_consumed=grant.consumed,
            ask=row.ask,
            wish=row.request,
        )

    async def _newest_record(self, row: OutboxRow, standing: RightsRecord) -> RightsRecord:
        """Return the newest record of a grant that is known here, where the directory has `standing`.

        A revocation does not wait until a restored directory has been compared. It ends the rights as they were last
        set and acknowledged, not as the backup has them: its total and expiry stay on show for good. What is kept here
        and is not the owner's word is left out, so that damage in the store keeps no right alive.
        """
        known = await self._given.find(standing.grant_id)
        records = [] if known is None else [decode_record(known.record)]
        if row.signed is not None and (signed := signed_operation(row)).grant == standing.grant_id:
            records.append(decode_record(signed.record))
        later = [record for record in records if _follows(standing, record)]
        return max(later, key=lambda record: record.version, default=standing)

    async def _highest_signed(self, row: OutboxRow, grant: str) -> int:
        """Return the highest version of a grant that this peer knows to have signed, 0 for none."""
        known = await self._context.store.run(
            lambda s: s.one("SELECT version FROM given WHERE grant_id = :grant", grant=grant)
        )
        highest = 0 if known is None else int(known["version"])
        if row.signed is not None and (signed := signed_operation(row)).grant == grant:
            highest = max(highest, decode_record(signed.record).version)
        return highest

    # --- Look-ups ----------------------------------------------------------------------------------------------------
    async def _grants(self, image: str | None, *, wait_s: float = 8.0) -> list[ops.GrantRow]:
        pages = self._cloud.pages(lambda page: ops.ListGrants(image=image, page=page), ops.Grants, wait_s=wait_s)
        return [row async for page in pages for row in page.rows]

    async def _standing(self, image: str, viewer: int, *, wait_s: float, ends: bool = False) -> ops.GrantRow | None:
        """Return the grant of `viewer` on an image that is not revoked, None if there is none. Raises `Unavailable`,
        also where the cloud has forgotten what this peer knows of it; `ends` says that it is to be revoked."""
        rows = await self._grants(image, wait_s=wait_s)
        key = await self._given.key_of(viewer)
        standing = next((row for row in rows if not row.revoked and is_for(row.viewer, row.record, viewer, key)), None)
        await self._given.trust(image, viewer, standing, ends=ends)
        return standing

    async def _content_key(self, image: str) -> bytes:
        row = await self._context.store.run(
            lambda s: s.one("SELECT content_key FROM own_images WHERE image = :image AND ready = 1", image=image)
        )
        if row is None:
            raise ProfileError(
                "This device does not hold that image, so it cannot share it; its owner can, on the device that made it"
                " or after adopting its file here in My images."
            )
        return bytes(row["content_key"])


def lane_of(image: str, viewer: int) -> str:
    """Return the lane of the outbox in which wishes about one viewer's rights on one image follow each other."""
    return f"rights/{image}/{viewer}"


def left_of(row: ops.GrantRow) -> int:
    """Return the views that a grant still allows, whatever its expiry."""
    return 0 if row.revoked else max(0, row.granted - row.consumed)


def signed_operation(row: OutboxRow) -> Signed:
    """Return the operation that was signed for a row. Raises `Unreadable`."""
    try:
        return decode(row.signed or b"", Signed, cap_bytes=MAX_REPLY_OBJECT_BYTES)
    except MalformedMessage as error:
        raise Unreadable(f"what was signed for it cannot be read ({error})") from error


def _may_have_made(row: OutboxRow) -> bool:
    """Tell whether a new grant was sent for a row."""
    try:
        return row.signed is not None and isinstance(signed_operation(row), ops.Grant)
    except Unreadable:
        return False  # if it was made, it stands


def _copy_of_grant(grant: ops.GrantRow) -> CopyTask:
    return CopyTask(grant.grant, grant.image, grant.viewer, grant.record, left_of(grant))


def _met_by(row: OutboxRow, grant: ops.GrantRow) -> int:
    """Return the count of views on top of which a wish is signed.

    More views are spent than were given only where a restored directory forgot by what they were given. That may be
    this very wish: signed before, and answered to nobody. What was spent since is then a part of it, and on top of the
    present count it would be given twice.
    """
    if row.signed is None or grant.consumed <= grant.granted:
        return grant.consumed
    signed = signed_operation(row)
    met = signed.met_consumed if isinstance(signed, ops.ChangeRights) else 0
    return min(met, grant.consumed)


def _granted_for(intent: RightsIntent, grant: ops.GrantRow, consumed: int) -> int | None:
    if intent.left is not None:
        return granted_for_left(consumed, intent.left)
    if intent.more is not None:
        return max(grant.granted, consumed) + intent.more
    return None


def _follows(standing: RightsRecord, record: RightsRecord) -> bool:
    """Tell whether a record is a later word of the owner on the same grant."""
    try:
        return supersedes(standing, record)
    except RemoteError:
        return False


def _nothing_stands() -> Refused:
    return Refused(RefusalCode.NOT_FOUND, "This person has no rights on the image that could be changed.")


def _too_busy() -> Unavailable:
    return Unavailable("The image is being looked at so often that the change did not get through; it goes on later.")
