"""The owner's side: grants on one's own images, and their changes."""

from dataclasses import replace

import msgspec

from shared.config import MAX_MESSAGE_BYTES, MAX_VIEWS
from shared.errors import InvalidInput, ProfileError, Refused, RemoteError, Unavailable
from shared.ledger import granted_for_left
from shared.records import MAX_LOOK_S, decode_record, encode_record
from shared.rights import change_rights, create_grant
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.codec import decode, encode
from tui.peer.context import Context
from tui.peer.copies import Copies, CopyTask
from tui.peer.given import Given
from tui.peer.models import RightsResult, Sent, Viewer
from tui.peer.outbox import Outbox, packed
from tui.peer.people import People, public_of, words_of
from tui.peer.store import OutboxRow

GRANT = "grant"
RIGHTS = "rights"
_CONFLICTS = 8
_GRANT_CAP_BYTES = 4 * MAX_MESSAGE_BYTES


class RightsIntent(msgspec.Struct, frozen=True):
    """What the owner wants of a grant: so many views left, so many more, an expiry, or an end."""

    image: str
    viewer: int
    left: int | None = None
    more: int | None = None
    expires: float | None = None
    set_expires: bool = False
    revoke: bool = False
    ask: str | None = None
    look_s: float | None = None
    set_look: bool = False


class GiveIntent(msgspec.Struct, frozen=True):
    """An owner's wish to give somebody views; it becomes the grant `grant`, or more of one that stands."""

    image: str
    viewer: int
    views: int
    expires: float | None
    ask: str | None
    grant: str
    look_s: float | None = None

    def as_more(self) -> RightsIntent:
        """Return the change of a grant that stands which comes to the same."""
        return RightsIntent(
            self.image, self.viewer, more=self.views, expires=self.expires, set_expires=self.expires is not None,
            ask=self.ask, look_s=self.look_s, set_look=self.look_s is not None,
        )  # fmt: skip


class Granting:
    """Gives, changes and revokes rights. Every method stores its intention before it asks the cloud."""

    def __init__(self, context: Context, people: People, outbox: Outbox, copies: Copies, given: Given) -> None:
        self._context = context
        self._given = given
        self._people = people
        self._outbox = outbox
        self._copies = copies
        outbox.handle(GRANT, self._deliver_grant)
        outbox.handle(RIGHTS, self._apply)

    async def give(
        self, image: str, viewer: int, views: int, expires: float | None, ask: str | None, look_s: float | None = None
    ) -> Sent:
        """Give `viewer` so many views of an image, as a new grant or, where one stands, as more of it."""
        context = self._context
        check_views(views)
        check_look(look_s)
        if viewer == context.need_account():
            raise InvalidInput("Your own pictures open without a grant.")
        await self._content_key(image)
        request = context.new_id()
        intent = GiveIntent(image, viewer, views, expires, ask, context.new_id(), look_s)
        done = await self._outbox.submit(GRANT, GRANT, packed(intent), request)
        return Sent(request, done is not None)

    async def change(self, intent: RightsIntent) -> RightsResult:
        """Carry out a change of rights, now or when the cloud is back."""
        check_look(intent.look_s)
        request = self._context.new_id()
        state = await self._outbox.submit(RIGHTS, RIGHTS, packed(intent), request)
        if not isinstance(state, ops.GrantRow):
            return RightsResult(request, delivered=False)
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
            )
            for row in await self._grants(image)
        ]

    # --- Deliveries --------------------------------------------------------------------------------------------------
    async def _deliver_grant(self, row: OutboxRow, wait_s: float) -> bool:
        intent = msgspec.json.decode(row.body, type=GiveIntent)
        standing = await self._standing(intent.image, intent.viewer, wait_s=wait_s)
        if standing is not None and standing.grant != intent.grant:
            await self._apply(replace(row, body=packed(intent.as_more())), wait_s)
            return True
        operation = await self._grant(row.request, intent)
        try:
            outcome, _ = await self._context.cloud.ask(operation, request=row.request, wait_s=wait_s)
        except Refused as refusal:
            await self._forget(f"grant {row.request}")
            if refusal.code != "conflict":
                raise
            # Another device of this account gave this person rights at this very moment.
            await self._apply(replace(row, body=packed(intent.as_more())), wait_s)
            return True
        if isinstance(outcome, ops.GrantState):
            await self._given.remember(outcome.grant, share=operation.cloud_share, signature=operation.share_signature)
        await self._copies.queue(CopyTask(intent.grant, intent.image, intent.viewer, operation.record, intent.views))
        await self._forget(f"grant {row.request}")
        return True

    async def _grant(self, request: str, intent: GiveIntent) -> ops.Grant:
        """Return the grant that an intention becomes; what was once sent is sent again as it was."""
        context, name = self._context, f"grant {request}"
        made = await context.store.run(lambda s: s.fact(name))
        if made is not None:
            return decode(bytes.fromhex(made), ops.Grant, cap_bytes=_GRANT_CAP_BYTES)
        account = await self._people.find_or_recall(intent.viewer)
        record, share, signature = create_grant(
            context.identity, public_of(account), grant_id=intent.grant, image_id=intent.image,
            content_key=await self._content_key(intent.image), granted=intent.views, expires=intent.expires,
            entropy=context.entropy, look_s=intent.look_s,
        )  # fmt: skip
        operation = ops.Grant(
            grant=intent.grant, image=intent.image, viewer=intent.viewer, record=encode_record(record),
            cloud_share=share, share_signature=signature, ask=intent.ask,
        )  # fmt: skip
        data = encode(operation, cap_bytes=_GRANT_CAP_BYTES).hex()
        await context.store.run(lambda s: s.set_fact(name, data))
        return operation

    async def _apply(self, row: OutboxRow, wait_s: float) -> ops.GrantRow:
        intent = msgspec.json.decode(row.body, type=RightsIntent)
        grant = await self._changed(row, intent, wait_s)
        self._context.notices.changed(grant)
        if intent.more is not None:
            # Who asks for more may have lost the image; a viewer's peer that still holds it says so before it is sent.
            await self._copies.queue(CopyTask(grant.grant, grant.image, grant.viewer, grant.record, left_of(grant)))
        return grant

    async def _changed(self, row: OutboxRow, intent: RightsIntent, wait_s: float) -> ops.GrantRow:
        for _ in range(_CONFLICTS):
            grant = await self._standing(intent.image, intent.viewer, wait_s=wait_s)
            signed = await self._signed(row.request)
            if signed is not None and (done := await self._confirmed(row.request, signed, wait_s)) is not None:
                return done
            if grant is None:
                raise Refused("not_found", "This person has no rights on the image that could be changed.")
            try:
                changed = await self._send_change(row.request, intent, grant, wait_s)
            except Refused as refusal:
                if refusal.code == "conflict":
                    await self._forget_signed(row.request)
                    continue
                await self._forget_signed(row.request)
                raise
            await self._forget_signed(row.request)
            return changed
        raise Unavailable(
            "The image is being looked at so often that the change did not get through; it goes on later."
        )

    async def _send_change(
        self, request: str, intent: RightsIntent, grant: ops.GrantRow, wait_s: float
    ) -> ops.GrantRow:
        record = change_rights(
            self._context.identity, decode_record(grant.record), granted=_granted_for(intent, grant),
            expires=intent.expires if intent.set_expires else grant.expires, revoked=True if intent.revoke else None,
            look_s=intent.look_s if intent.set_look else ...,
        )  # fmt: skip
        data = encode_record(record)
        grant_id = grant.grant
        await self._context.store.run(lambda s: s.set_fact(f"signed {request}", f"{grant_id} {data.hex()}"))
        outcome, _ = await self._context.cloud.ask(
            ops.ChangeRights(
                grant=grant.grant, record=data, met_version=grant.version, met_consumed=grant.consumed, ask=intent.ask
            ),
            request=self._context.new_id(), wait_s=wait_s,
        )  # fmt: skip
        if not isinstance(outcome, ops.GrantState):
            raise RemoteError("the cloud answered a change of rights with something else")
        await self._given.remember(outcome.grant)
        return outcome.grant

    async def _signed(self, request: str) -> tuple[str, bytes] | None:
        text = await self._context.store.run(lambda s: s.fact(f"signed {request}"))
        if text is None:
            return None
        grant, _, data = text.partition(" ")
        return grant, bytes.fromhex(data)

    async def _forget_signed(self, request: str) -> None:
        await self._forget(f"signed {request}")

    async def _forget(self, name: str) -> None:
        await self._context.store.run(lambda s: s.do("DELETE FROM facts WHERE name = :n", n=name))

    async def _confirmed(self, request: str, signed: tuple[str, bytes], wait_s: float) -> ops.GrantRow | None:
        """Return the grant if an earlier attempt, whose answer was lost, has already changed it."""
        outcome, _ = await self._context.cloud.ask(
            ops.GetGrant(grant=signed[0]), request=self._context.new_id(), wait_s=wait_s
        )
        if isinstance(outcome, ops.GrantState) and outcome.grant.record == signed[1]:
            await self._forget_signed(request)
            return outcome.grant
        return None

    # --- Look-ups ----------------------------------------------------------------------------------------------------
    async def _grants(self, image: str | None, *, wait_s: float = 8.0) -> list[ops.GrantRow]:
        rows: list[ops.GrantRow] = []
        page = 0
        while True:
            outcome, _ = await self._context.cloud.ask(
                ops.ListGrants(image=image, page=page), request=self._context.new_id(), wait_s=wait_s
            )
            if not isinstance(outcome, ops.Grants):
                raise RemoteError("the cloud answered a list of grants with something else")
            rows.extend(outcome.rows)
            if not outcome.rows or len(rows) >= outcome.total:
                return rows
            page += 1

    async def _standing(self, image: str, viewer: int, *, wait_s: float) -> ops.GrantRow | None:
        """Return the grant of `viewer` on an image that is not revoked, None if there is none. Raises `Unavailable`."""
        rows = await self._grants(image, wait_s=wait_s)
        standing = next((row for row in rows if row.viewer == viewer and not row.revoked), None)
        await self._given.trust(image, viewer, standing)
        return standing

    async def _content_key(self, image: str) -> bytes:
        row = await self._context.store.run(
            lambda s: s.one("SELECT content_key FROM own_images WHERE image = :image AND ready = 1", image=image)
        )
        if row is None:
            raise ProfileError(
                "This profile does not hold the key of that image; only its owner's profile can share it."
            )
        return bytes(row["content_key"])


def check_views(views: int) -> None:
    """Raise `InvalidInput` for a number of views that is none."""
    if not 1 <= views <= MAX_VIEWS:
        raise InvalidInput(f"The number of views must lie between 1 and {MAX_VIEWS}.")


def check_look(look_s: object) -> None:
    """Raise `InvalidInput` for a length of a look that is none; None is no limit."""
    if look_s is None:
        return
    if isinstance(look_s, bool) or not isinstance(look_s, int | float) or not 1 <= look_s <= MAX_LOOK_S:
        raise InvalidInput(f"One look may last between 1 and {MAX_LOOK_S} seconds, or as long as the right stands.")


def left_of(row: ops.GrantRow) -> int:
    """Return the views that a grant still allows, whatever its expiry."""
    return 0 if row.revoked else max(0, row.granted - row.consumed)


def _granted_for(intent: RightsIntent, grant: ops.GrantRow) -> int | None:
    if intent.left is not None:
        return granted_for_left(grant.consumed, intent.left)
    if intent.more is not None:
        return max(grant.granted, grant.consumed) + intent.more
    return None
