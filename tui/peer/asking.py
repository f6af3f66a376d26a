"""Requests for views: made and taken back as a viewer, read and rejected as an owner. All of them go by the outbox."""

import sqlite3

from shared.errors import InvalidInput, MalformedMessage, Refused, StorageError, Unavailable
from shared.identity import words_of
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.codec import decode
from shared.wire.refusals import RefusalCode
from tui.peer.asker import Asker
from tui.peer.context import Context
from tui.peer.copies import COPY, copy_request
from tui.peer.damaged_rows import DamagedRows
from tui.peer.lanes import lane_of_ask
from tui.peer.models import AskState, Requests, Sent, ViewRequest
from tui.peer.outbox import OPERATION, Outbox, Taken
from tui.peer.people import Offers
from tui.peer.restoring import Restoring
from tui.peer.store import OutboxRow
from tui.peer.view_requests import REJECTION, ViewRequests

REQUEST = "request"
WITHDRAWAL = "withdrawal"
_LETTER_CAP_BYTES = 16_384


class Asking:
    """Makes, lists and rejects requests."""

    def __init__(
        self,
        context: Context,
        damaged: DamagedRows,
        outbox: Outbox,
        asks: ViewRequests,
        offers: Offers,
        restoring: Restoring,
    ) -> None:
        self._context = context
        self._cloud = Asker(context)
        self._damaged = damaged
        self._outbox = outbox
        self._asks = asks
        self._offers = offers
        self._restoring = restoring

    # --- As the viewer -----------------------------------------------------------------------------------------------
    async def request(self, operation: ops.AskViews) -> Sent:
        """Ask for views. On disk when this returns, delivered now or later, once."""
        request = self._context.new_id()
        await self._offers.keep(operation.image)
        outcome = await self._outbox.submit_operation(REQUEST, operation, request, lane=lane_of_ask(request))
        return Sent(request, outcome is not None)

    async def cancel(self, request: str) -> None:
        """Take back a request, as `Peer.cancel` says."""
        taken = await self._outbox.take_back(request)
        if taken is Taken.NOT_HERE:
            await self._withdraw(request)
        if taken is not Taken.UNDER_WAY:
            return
        waiting = await self._context.store.run(lambda s: s.outbox(lane=lane_of_ask(request)))
        if not waiting:
            raise InvalidInput("This may be on its way already; change or revoke the rights instead.")
        if not any(row.what == WITHDRAWAL for row in waiting):
            await self._outbox.submit_operation(
                WITHDRAWAL, ops.WithdrawAsk(ask=request), self._context.new_id(), lane=lane_of_ask(request)
            )

    async def _withdraw(self, request: str) -> None:
        try:
            await self._cloud.query(ops.WithdrawAsk(ask=request), ops.Done)
        except Refused as refusal:
            # A restored cloud may have forgotten it; then it is not asked again.
            if refusal.code != RefusalCode.NOT_FOUND or not await self._restoring.took_back(request, is_missing=True):
                raise
        else:
            await self._restoring.took_back(request)

    # --- Both lists --------------------------------------------------------------------------------------------------
    async def requests(self, *, local: bool) -> Requests:
        """Return requests from and to others, newest first, what waits in the outbox included; with `local` as they
        are known here."""
        store, complete = self._context.store, not local
        try:
            for incoming in () if local else (True, False):
                await self._asks.refresh(incoming=incoming)
        except (Unavailable, StorageError):
            complete = False
        rows = await store.run(lambda s: s.all("SELECT incoming, row FROM asks ORDER BY created DESC"))
        held = await store.run(lambda s: s.all("SELECT image FROM held WHERE received = 1"))
        received = {str(row["image"]) for row in held}
        outbox = await store.run(lambda s: s.outbox())
        answered = {row.ask for row in outbox}
        copies = {row.request for row in outbox if row.kind == COPY}

        def read(row: sqlite3.Row) -> tuple[bool, ViewRequest]:
            letter: ops.AskArrived = decode(bytes(row["row"]), ops.AskArrived, cap_bytes=_LETTER_CAP_BYTES)
            ask, incoming = letter.ask, bool(row["incoming"])
            waits = ask.ask in answered or (ask.grant is not None and copy_request(ask.grant) in copies)
            return incoming, _request_of(ask, incoming=incoming, received=received, waits=waits)

        queued = await self._queued(outbox)
        asked_again = {request.request_id for request in queued}
        known = await self._damaged.skip("asks", rows, read)
        return Requests(
            tuple(request for incoming, request in known if incoming),
            (
                *queued,
                *(request for incoming, request in known if not incoming and request.request_id not in asked_again),
            ),
            complete,
        )

    async def _queued(self, outbox: list[OutboxRow]) -> list[ViewRequest]:
        """Return the requests that the cloud has not got yet."""
        taken_back = {row.lane for row in outbox if row.what == WITHDRAWAL}
        return [
            queued
            for row in outbox
            if row.kind == OPERATION and row.what == REQUEST and row.lane not in taken_back
            if (queued := await self._queued_request(row)) is not None
        ]

    async def _queued_request(self, row: OutboxRow) -> ViewRequest | None:
        try:
            operation: ops.AskViews = decode(row.body, ops.AskViews, cap_bytes=_LETTER_CAP_BYTES)
        except MalformedMessage:
            return None  # its delivery says so and sets it aside
        offer = await self._offers.find(operation.image)
        return ViewRequest(
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

    # --- As the owner ------------------------------------------------------------------------------------------------
    async def reject(self, ask: str, reason: str) -> Sent:
        """Answer a request with no. Raises `InvalidInput` for one that does not wait for an answer."""
        await self.pending(ask)
        request = self._context.new_id()
        outcome = await self._outbox.submit_operation(REJECTION, ops.RejectAsk(ask=ask, reason=reason), request)
        return Sent(request, outcome is not None)

    async def pending(self, ask: str) -> ops.AskRow:
        """Return a request that waits for an answer, also as the cloud sees it where that can be asked.

        Raises `InvalidInput` for one that is not there, or answered, if only in the outbox.
        """
        found = await self._asks.present(ask)
        if found is None:
            raise InvalidInput("There is no such request; look at the list of requests for its id.")
        if found.state != "pending":
            raise InvalidInput(f"This request was {found.state} already; nothing was changed.")
        if any(row.ask == ask for row in await self._context.store.run(lambda s: s.outbox())):
            raise InvalidInput("Your answer to this request waits in the outbox already; nothing was changed.")
        return found


def _request_of(row: ops.AskRow, *, incoming: bool, received: set[str], waits: bool) -> ViewRequest:
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
        waits=waits,
    )
