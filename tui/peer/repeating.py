"""Requests for views after a restore of the directory: each side repeats its own part; what waits is not given up."""

import logging
from collections.abc import Callable, Collection
from functools import partial

import anyio.to_thread
import msgspec

from shared.config import MAX_NOTE_CHARS
from shared.errors import GlimpseError, MalformedMessage, Refused, RemoteError
from shared.records import decode_record, encode_record
from shared.rights import change_rights
from shared.wire import operations as ops
from shared.wire.codec import decode, encode
from shared.wire.refusals import RefusalCode
from tui.peer import files
from tui.peer.asker import Asker
from tui.peer.comparing import GrantSide, RequestAction, Tally, request_action
from tui.peer.context import Context
from tui.peer.copies import COPY, CopyTask
from tui.peer.given import GivenGrants
from tui.peer.granting import GRANT, REVOCATION, RIGHTS, GiveIntent, RightsIntent
from tui.peer.lanes import lane_of_ask
from tui.peer.mending import Mending
from tui.peer.outbox import FIRST_TRY_S, OPERATION, Outbox, unpacked
from tui.peer.store import OutboxRow, Store
from tui.peer.view_requests import ViewRequests, stored_ask

log = logging.getLogger(__name__)

RESTORED_AT = "restored_at"
"""Name of the fact that says when a restore was found, in seconds since 1970 by this machine's clock."""
_STILL_COMES_S = 7 * 86_400.0
"""How long after a restore a request for a missing image is kept: its owner's peer makes the image known again."""
_ROW_CAP_BYTES = 65_536
_TAKEN_BACK = "What was given for this request was taken back before the cloud was restored."
_COMES_LATER = frozenset({RefusalCode.NOT_READY, RefusalCode.CONFLICT, RefusalCode.REVOKED})
"""Refusals of an answer that is given again: its grant is not confirmed or made again yet, or was changed meanwhile."""
_EPOCH_HEARD_KEEP_ALIVES = 3
"""Keep-alives for which a request for a missing image is kept at least: one of them tells of a restore, if any was."""


class Repeating:
    """Keeps one's own requests and answers, and repeats those that a directory forgot."""

    def __init__(
        self,
        context: Context,
        outbox: Outbox,
        given: GivenGrants,
        requests: ViewRequests,
        cloud: Asker,
        mending: Mending,
        tally: Tally,
    ) -> None:
        self._context = context
        self._outbox = outbox
        self._given = given
        self._asks = requests
        self._cloud = cloud
        self._mending = mending
        self._tally = tally
        self.on_doubt: Callable[[], None] = lambda: None
        """Called when something was missing that this peer knows to have existed."""
        self._missed_at: dict[str, float] = {}
        """Requests that waited while the cloud was away and then met no image: when they did so first."""
        outbox.reprieve = self.reprieve
        outbox.answered = self.answered

    # --- What waits in the outbox ------------------------------------------------------------------------------------
    async def reprieve(self, row: OutboxRow, error: GlimpseError) -> str | None:
        """Return why a refused outbox row is kept, None where the refusal stands.

        What this peer knows to have existed can be missing only in a directory that forgot it; it comes back.
        """
        is_missing = isinstance(error, Refused) and error.code == RefusalCode.NOT_FOUND
        if not is_missing or not await self._comes_back(row):
            await self._refused(row, str(error), is_missing=is_missing)
            return None
        self.on_doubt()
        return "The cloud was restored from a backup and does not know this yet; it goes as soon as it does."

    async def _refused(self, row: OutboxRow, reason: str, *, is_missing: bool) -> None:
        """Take note of requests that ended by a refusal: none of them is asked once more after a restore."""
        operation = _operation_in(row)
        self._missed_at.pop(row.request, None)
        if isinstance(operation, ops.RejectAsk) and is_missing:
            # Only a restored directory can lack it; where its asker repeats it, the answer is given again.
            await self._end(operation.ask, "rejected", operation.reason, incoming=True)
        if isinstance(operation, ops.AskViews):
            await self.end_own(row.request, "rejected", reason)
        elif isinstance(operation, ops.WithdrawAsk):
            await self.end_own(operation.ask, "withdrawn", "")

    async def _comes_back(self, row: OutboxRow) -> bool:
        if row.kind == GRANT:
            return await self._is_known(unpacked(row, GiveIntent).viewer)
        if row.kind in (RIGHTS, REVOCATION):
            change = unpacked(row, RightsIntent)
            return await self._given.standing(change.image, change.viewer) is not None
        if row.kind == COPY:
            task = unpacked(row, CopyTask)
            path = files.own_path(self._context.profile.images, task.image)
            is_here = await anyio.to_thread.run_sync(path.exists)
            return is_here and await self._is_known(task.viewer)
        if isinstance(_operation_in(row), ops.AskViews):
            return await self._may_still_come(row)
        return False

    async def _is_known(self, account: int) -> bool:
        row = await self._context.store.run(
            lambda store: store.one("SELECT 1 FROM accounts WHERE account = :account", account=account)
        )
        return row is not None

    async def _may_still_come(self, row: OutboxRow) -> bool:
        """Whether the image of a request may be missing only because its owner's peer has not been back yet."""

        def read(store: Store) -> tuple[str | None, bool]:
            known = store.one("SELECT 1 FROM asks WHERE ask = :ask", ask=row.request) is not None
            return store.fact(RESTORED_AT), known

        text, known = await self._context.store.run(read)
        if text is None:
            return self._restore_may_be_untold(row)
        restored_at = float(text)
        if (known or row.since <= restored_at) and self._context.wall() < restored_at + _STILL_COMES_S:
            return True
        return self._restore_may_be_untold(row)

    def _restore_may_be_untold(self, row: OutboxRow) -> bool:
        """Whether a row that waited may have met a restored directory before this peer was told of the restore."""
        context = self._context
        if context.wall() - row.since <= FIRST_TRY_S:
            return False  # its caller waits, and is told
        first = self._missed_at.setdefault(row.request, context.clock())
        return context.clock() - first < _EPOCH_HEARD_KEEP_ALIVES * context.timing.keep_alive_s

    # --- Requests of one's own ---------------------------------------------------------------------------------------
    async def answered(self, operation: ops.Operation, request: str, outcome: ops.Outcome) -> None:
        """Keep what this account did about requests, now that the cloud has it: it may have to be done again."""
        match operation, outcome:
            case ops.AskViews(), ops.AskMade(owner=owner):
                await self._asked(operation, request, owner)
            case ops.WithdrawAsk(ask=ask), _:
                await self.end_own(ask, "withdrawn", "")
            case ops.RejectAsk(ask=ask, reason=reason), _:
                await self._end(ask, "rejected", reason, incoming=True)

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
        if await self._local_ask(request, incoming=False) is None:
            await self._asks.keep(row, incoming=False)

    async def end_own(self, ask: str, state: str, reason: str) -> bool:
        """Close a request of one's own, which is not asked again then; return whether it was known and open."""
        return await self._end(ask, state, reason, incoming=False)

    async def _end(self, ask: str, state: str, reason: str, *, incoming: bool) -> bool:
        known = await self._local_ask(ask, incoming=incoming)
        if known is None or known.state != "pending":
            return False
        ended = msgspec.structs.replace(known, state=state, reason=reason[:MAX_NOTE_CHARS])
        await self._asks.keep(ended, incoming=incoming)
        return True

    async def _local_ask(self, ask: str, *, incoming: bool) -> ops.AskRow | None:
        row = await self._context.store.run(
            lambda s: s.one("SELECT row FROM asks WHERE ask = :ask AND incoming = :i", ask=ask, i=int(incoming))
        )
        return None if row is None else stored_ask(row["row"])

    async def asks(self, *, incoming: bool) -> list[ops.AskRow]:
        """Return the requests that this account got, or made, as far as they can be read."""
        rows = await self._context.store.run(
            lambda s: s.all("SELECT row FROM asks WHERE incoming = :incoming", incoming=int(incoming))
        )
        return [ask for row in rows if (ask := stored_ask(row["row"])) is not None]

    async def forgotten(self, listed: Collection[str], known: Collection[str]) -> bool:
        """Return whether a request that is open here is missing in a whole list of those that this account made.

        Only those count that were known here before the cloud was asked for the list.
        """
        mine = await self.asks(incoming=False)
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
            mine = await self.asks(incoming=incoming)
            if not mine:
                continue
            there = {
                row.ask: row
                async for page in self._cloud.pages(partial(_asks_page, incoming), ops.Asks)
                for row in page.rows
            }
            for ask in mine:
                if (deed := request_action(ask, there.get(ask.ask), incoming=incoming)) is not None:
                    waits |= await self._mend_ask(ask, deed)
        return waits

    async def _mend_ask(self, ask: ops.AskRow, deed: RequestAction) -> bool:
        """Do this account's part of one request; return whether it has to wait."""
        try:
            match deed:
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
        body = encode(operation, cap_bytes=_ROW_CAP_BYTES)
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
        changed, _ = await self._cloud.ask(
            ops.ChangeRights(
                grant=found.grant,
                record=encode_record(record),
                met_version=found.version,
                met_consumed=found.consumed,
                ask=ask.ask,
            )
        )
        if isinstance(changed, ops.GrantState):
            await self._given.remember(changed.grant)

    async def _led_to(self, ask: ops.AskRow) -> GrantSide | None:
        """Return the grant that an accepted request led to as the directory has it, None where it was taken back.

        Raises `Refused`: `not_ready` where this device knows one that the directory lacks, `not_found` where it knows
        none at all, so that only another device can say.
        """
        standing = await self._given.standing(ask.image, ask.viewer)
        for grant in dict.fromkeys(one for one in (ask.grant, standing) if one is not None):
            try:
                outcome, _ = await self._cloud.ask(ops.GetGrant(grant=grant))
            except Refused as refusal:
                if refusal.code != RefusalCode.NOT_FOUND:
                    raise
                continue
            if not isinstance(outcome, ops.GrantState):
                raise RemoteError("the cloud answered a look at a grant with something else")
            return (await self._mending.met(outcome.grant)).found
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


def _operation_in(row: OutboxRow) -> ops.Operation | None:
    """Return the operation that a row of the outbox is, None for anything else."""
    if row.kind != OPERATION:
        return None
    try:
        operation: ops.Operation = decode(row.body, ops.Operation, cap_bytes=_ROW_CAP_BYTES)
    except MalformedMessage:
        return None  # the outbox says so
    return operation


def _asks_page(incoming: bool, number: int) -> ops.Operation:
    return ops.ListAsks(incoming=incoming, page=number)
