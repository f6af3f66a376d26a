"""Requests for views after a restore of the directory: each side repeats its own part; what waits is not given up."""

import logging
from collections.abc import Callable, Collection
from functools import partial

from shared.errors import GlimpseError, Refused
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from shared.wire.codec import encode
from shared.wire.refusals import RefusalCode
from tui.peer.asker import Asker
from tui.peer.comparing import GrantSide, RequestAction, Tally, request_action
from tui.peer.confirming import Confirming
from tui.peer.context import Context
from tui.peer.given import GivenGrants
from tui.peer.lanes import lane_of_ask
from tui.peer.missing import ROW_CAP_BYTES, Missing, operation_in
from tui.peer.outbox import OPERATION, Outbox
from tui.peer.store import OutboxRow
from tui.peer.view_requests import ViewRequests

log = logging.getLogger(__name__)

_TAKEN_BACK = "What was given for this request was taken back before the cloud was restored."
_COMES_LATER = frozenset({RefusalCode.NOT_READY, RefusalCode.CONFLICT, RefusalCode.REVOKED})
"""Refusals of an answer that is given again: its grant is not confirmed or made again yet, or was changed meanwhile."""


class Repeating:
    """Keeps one's own requests and answers, and repeats those that a directory forgot."""

    def __init__(
        self,
        context: Context,
        outbox: Outbox,
        given: GivenGrants,
        requests: ViewRequests,
        cloud: Asker,
        confirming: Confirming,
        tally: Tally,
    ) -> None:
        self._context = context
        self._outbox = outbox
        self._given = given
        self._asks = requests
        self._cloud = cloud
        self._confirming = confirming
        self._tally = tally
        self.on_doubt: Callable[[], None] = lambda: None
        """Called when something that comes back was missing, once for each row that waits for it."""
        self._missing = Missing(context, given)
        self._waiting: set[str] = set()
        """Rows that wait for something to come back, and made this peer compare."""
        outbox.reprieve = self.reprieve
        outbox.answered = self.answered

    # --- What waits in the outbox ------------------------------------------------------------------------------------
    async def reprieve(self, row: OutboxRow, error: GlimpseError) -> str | None:
        """Return why a refused outbox row is kept, None where the refusal stands.

        What this peer knows to have existed can be missing only in a directory that forgot it: see `tui.peer.missing`.
        """
        is_missing = isinstance(error, Refused) and error.code == RefusalCode.NOT_FOUND
        if not is_missing or not await self._missing.comes_back(row):
            await self._refused(row, str(error), is_missing=is_missing)
            return None
        if row.request not in self._waiting:
            self._waiting.add(row.request)
            self.on_doubt()
        return "The cloud was restored from a backup and does not know this yet; it goes as soon as it does."

    async def _refused(self, row: OutboxRow, reason: str, *, is_missing: bool) -> None:
        """Take note of requests that ended by a refusal: none of them is asked once more after a restore."""
        operation = operation_in(row)
        self._missing.forget(row)
        self._waiting.discard(row.request)
        if isinstance(operation, ops.RejectAsk) and is_missing:
            # Only a restored directory can lack it; where its asker repeats it, the answer is given again.
            await self._asks.end(operation.ask, "rejected", operation.reason, incoming=True)
        if isinstance(operation, ops.AskViews):
            await self.end_own(row.request, "rejected", reason)
        elif isinstance(operation, ops.WithdrawAsk):
            await self.end_own(operation.ask, "withdrawn", "")

    # --- Requests of one's own ---------------------------------------------------------------------------------------
    async def answered(self, operation: ops.Operation, request: str, outcome: ops.Outcome) -> None:
        """Keep what this account did about requests, now that the cloud has it: it may have to be done again."""
        match operation, outcome:
            case ops.AskViews(), ops.AskMade(owner=owner):
                await self._asked(operation, request, owner)
            case ops.WithdrawAsk(ask=ask), _:
                await self.end_own(ask, "withdrawn", "")
            case ops.RejectAsk(ask=ask, reason=reason), _:
                await self._asks.end(ask, "rejected", reason, incoming=True)

    async def _asked(self, operation: ops.AskViews, request: str, owner: int) -> None:
        context, account = self._context, self._context.need_account()
        offer = await context.store.run(
            lambda s: s.one("SELECT title, owner_name FROM offers WHERE image = :image", image=operation.image)
        )
        row = ops.AskRow(
            ask=request,
            image=operation.image,
            title="" if offer is None else str(offer["title"]),
            owner=owner,
            viewer=account,
            viewer_name=context.name,
            viewer_key=context.identity.public.signing_key,
            views=operation.views,
            note=operation.note,
            state="pending",
            reason="",
            created=context.wall(),
            owner_name="" if offer is None else str(offer["owner_name"]),
        )
        if await self._asks.known(request, incoming=False) is None:
            await self._asks.keep(row, incoming=False)

    async def end_own(self, ask: str, state: str, reason: str) -> bool:
        """Close a request of one's own, which is not asked again then; return whether it was known and open."""
        return await self._asks.end(ask, state, reason, incoming=False)

    async def forgotten(self, listed: Collection[str], known: Collection[str]) -> bool:
        """Return whether a request that is open here is missing in a whole list of those that this account made.

        Only those count that were known here before the cloud was asked for the list.
        """
        mine = await self._asks.all(incoming=False)
        queued = {row.request for row in await self._context.store.run(lambda store: store.outbox())}
        there = queued.union(listed)
        return any(ask.state == "pending" and ask.ask in known and ask.ask not in there for ask in mine)

    # --- Repeating ---------------------------------------------------------------------------------------------------
    async def mend_asks(self) -> bool:
        """Repeat this account's part of all requests that the directory has in an earlier state, or not at all.

        Returns whether some wait for what the directory does not know again yet, and have to be repeated later.
        """
        waits = False
        for incoming in (True, False):
            mine = await self._asks.all(incoming=incoming)
            if not mine:
                continue
            there = {
                row.ask: row
                async for page in self._cloud.pages(partial(_asks_page, incoming), ops.Asks)
                for row in page.rows
            }
            for known in mine:
                ask = await self._asks.known(known.ask, incoming=incoming) or known  # it may have been answered since
                if (action := request_action(ask, there.get(ask.ask), incoming=incoming)) is not None:
                    waits |= await self._mend_ask(ask, action)
        return waits

    async def _mend_ask(self, ask: ops.AskRow, action: RequestAction) -> bool:
        """Do this account's part of one request; return whether it has to wait."""
        try:
            match action:
                case RequestAction.ASK:
                    if not await self._ask_again(ask):
                        return False
                case RequestAction.WITHDRAW:
                    await self._cloud.ask(ops.WithdrawAsk(ask=ask.ask))
                case RequestAction.REJECT:
                    await self._cloud.ask(ops.RejectAsk(ask=ask.ask, reason=ask.reason))
                case RequestAction.CLOSE:
                    await self._close(ask)
        except Refused as refusal:
            log.info("a request was not sent again", extra={"ask": ask.ask, "reason": str(refusal)})
            return refusal.code in _COMES_LATER
        self._tally.asks += 1
        return False

    async def _ask_again(self, ask: ops.AskRow) -> bool:
        """Put a request that is still open into the outbox, under its own id; return whether it was not there yet."""
        operation = ops.AskViews(image=ask.image, views=ask.views, note=ask.note)
        body = encode(operation, cap_bytes=ROW_CAP_BYTES)
        return await self._outbox.put(OPERATION, "request", body, ask.ask, lane=lane_of_ask(ask.ask))

    async def _close(self, ask: ops.AskRow) -> None:
        """Close a request that was accepted: the next version of the grant's record, with the same rights, does it.

        Otherwise it would look open, and accepting it once more would give its views a second time.
        """
        found = await self._led_to(ask)
        if found is None or found.revoked:
            # No record follows a revocation. What the asker has to know is that nothing comes any more.
            await self._cloud.ask(ops.RejectAsk(ask=ask.ask, reason=_TAKEN_BACK))
            return
        if found.frozen:
            raise Refused(RefusalCode.NOT_READY, "The grant that the request led to is not confirmed.")
        record = change_rights(self._context.identity, decode_record(found.record))
        operation = ops.ChangeRights(
            grant=found.grant,
            record=encode_record(record),
            met_version=found.version,
            met_consumed=found.consumed,
            ask=ask.ask,
        )
        await self._given.remember((await self._cloud.query(operation, ops.GrantState)).grant)

    async def _led_to(self, ask: ops.AskRow) -> GrantSide | None:
        """Return the grant that an accepted request led to as the directory has it, None where it was taken back.

        Raises `Refused`: `not_ready` where this device knows one that the directory lacks, `not_found` where it knows
        none at all, so that only another device can say.
        """
        standing = await self._given.standing(ask.image, ask.viewer)
        for grant in dict.fromkeys(one for one in (ask.grant, standing) if one is not None):
            try:
                row = await self._cloud.grant(grant)
            except Refused as refusal:
                if refusal.code != RefusalCode.NOT_FOUND:
                    raise
                continue
            return (await self._confirming.met(row)).found
        if standing is not None:
            raise Refused(RefusalCode.NOT_READY, "The grant that the request led to is not in the cloud again yet.")
        if await self._was_given(ask):
            return None
        raise Refused(RefusalCode.NOT_FOUND, "The grant that the request led to is not known here.")

    async def _was_given(self, ask: ops.AskRow) -> bool:
        """Return whether this device knows of rights on the image for who asked, if only of revoked ones."""
        row = await self._context.store.run(
            lambda s: s.one(
                "SELECT 1 FROM given WHERE image = :image AND viewer = :viewer", image=ask.image, viewer=ask.viewer
            )
        )
        return row is not None


def _asks_page(incoming: bool, number: int) -> ops.Operation:
    return ops.ListAsks(incoming=incoming, page=number)
