"""What must reach the cloud: stored before it is tried, tried until it is answered, delivered once.

Two kinds: an `operation` is sent as it is, again and again under one request id; a change of `rights` is an intention
("5 left", "3 more", "revoked") that is signed against the grant as it stands at that moment, because views may have
been spent meanwhile.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import anyio
import msgspec

from shared.config import MAX_REPLY_OBJECT_BYTES
from shared.errors import GlimpseError, Unavailable
from shared.wire.codec import decode, encode
from shared.wire.operations import Operation, Outcome
from tui.peer.context import Context
from tui.peer.events import Delivered, Undeliverable
from tui.peer.models import OutboxEntry
from tui.peer.store import OutboxRow

log = logging.getLogger(__name__)

FIRST_TRY_S = 4.0
"""How long a caller waits for the first delivery before it is told that the matter is queued."""
_TRY_S = 10.0
_PAUSE_MAX_S = 8.0

Handler = Callable[[OutboxRow, float], Awaitable[object]]
"""Delivers one row within so many seconds; raises `Unavailable` to be tried again, `Refused` to be given up."""


Reprieve = Callable[[OutboxRow, GlimpseError], Awaitable[str | None]]
Answered = Callable[[Operation, str, Outcome], Awaitable[None]]


async def _no_reprieve(_row: OutboxRow, _error: GlimpseError) -> str | None:
    return None


async def _not_noted(_operation: Operation, _request: str, _outcome: Outcome) -> None:
    return


@dataclass(slots=True)
class _Waiter:
    done: anyio.Event
    result: object = None
    error: GlimpseError | None = None


class Outbox:
    """Delivers what the store holds, oldest first, while the cloud is there."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._handlers: dict[str, Handler] = {"operation": self._deliver_operation}
        self._waiters: dict[str, _Waiter] = {}
        self._work = anyio.Event()
        self._under_way: set[str] = set()
        self.count = 0
        self.holds_back: Callable[[OutboxRow], bool] = lambda _row: False
        """Says of a row that it has to wait for now."""
        self.reprieve: Reprieve = _no_reprieve
        """Says why a row that was refused is kept, None where it is given up."""
        self.answered: Answered = _not_noted
        """Called with every operation that was delivered, its request id and its outcome."""

    def handle(self, kind: str, handler: Handler) -> None:
        """Say how rows of a kind are delivered."""
        self._handlers[kind] = handler

    def wake(self) -> None:
        """Try again now: the cloud may be back."""
        self._work.set()

    async def entries(self) -> list[OutboxEntry]:
        """Return what waits."""
        rows = await self._context.store.run(lambda store: store.outbox())
        self.count = len(rows)
        return [OutboxEntry(row.request, row.what, row.since, row.attempts, row.trouble) for row in rows]

    async def submit_operation(self, what: str, operation: Operation, request: str) -> Outcome | None:
        """Store and deliver an operation; None while it waits. Raises `Refused` if the cloud says no at once."""
        body = encode(operation, cap_bytes=MAX_REPLY_OBJECT_BYTES)
        return cast("Outcome | None", await self.submit("operation", what, body, request))

    async def submit(self, kind: str, what: str, body: bytes, request: str) -> object | None:
        """Store a row (on disk when this returns or raises) and wait a moment for its delivery."""
        since = self._context.wall()
        await self._context.store.run(
            lambda store: store.do(
                "INSERT INTO outbox (request, kind, what, body, since) VALUES (:request, :kind, :what, :body, :since)",
                request=request, kind=kind, what=what, body=body, since=since,
            )
        )  # fmt: skip
        self.count += 1
        waiter = self._waiters[request] = _Waiter(anyio.Event())
        self.wake()
        try:
            with anyio.move_on_after(FIRST_TRY_S):
                await waiter.done.wait()
        finally:
            self._waiters.pop(request, None)
        if waiter.error is not None:
            raise waiter.error
        return waiter.result

    async def remove(self, request: str) -> bool:
        """Take back what was not delivered yet; False if it is no longer here."""
        gone = await self._context.store.run(
            lambda store: store.do("DELETE FROM outbox WHERE request = :request", request=request)
        )
        self.count -= gone
        return gone > 0

    async def run(self) -> None:
        """Deliver for ever. Rows are independent: one that cannot go does not hold up the others."""
        pause = self._context.timing.request_retry_s
        while True:
            self._work = anyio.Event()
            rows = await self._context.store.run(lambda store: store.outbox())
            self.count = len(rows)
            if self._context.signed_in:
                for row in rows:
                    if row.request not in self._under_way and not self.holds_back(row):
                        self._under_way.add(row.request)
                        self._context.tasks.start_soon(self._try, row)
            pause = min(2 * pause, _PAUSE_MAX_S) if rows else self._context.timing.request_retry_s
            with anyio.move_on_after(pause if rows else math.inf):
                await self._work.wait()
                pause = self._context.timing.request_retry_s

    async def _try(self, row: OutboxRow) -> None:
        try:
            await self._deliver(row)
        finally:
            self._under_way.discard(row.request)

    async def _deliver(self, row: OutboxRow) -> None:
        waiter = self._waiters.get(row.request)
        try:
            result = await self._handlers[row.kind](row, _TRY_S)
        except Unavailable as error:
            await self._keep(row, str(error))
            return
        except GlimpseError as error:
            if (reason := await self.reprieve(row, error)) is not None:
                await self._keep(row, reason)
                return
            await self.remove(row.request)
            log.info("the cloud refused something", extra={"what": row.what, "reason": str(error)})
            self._context.events.emit(Undeliverable(row.request, row.what, str(error)))
            if waiter is not None:
                waiter.error = error
                waiter.done.set()
            return
        await self.remove(row.request)
        self._context.events.emit(Delivered(row.request, row.what))
        if waiter is not None:
            waiter.result = result
            waiter.done.set()

    async def _keep(self, row: OutboxRow, reason: str) -> None:
        """Note why a row was not delivered; it is tried again."""
        await self._context.store.run(
            lambda store: store.do(
                "UPDATE outbox SET attempts = attempts + 1, trouble = :text WHERE request = :request",
                text=reason, request=row.request,
            )
        )  # fmt: skip

    async def _deliver_operation(self, row: OutboxRow, wait_s: float) -> Outcome:
        operation: Operation = decode(row.body, Operation, cap_bytes=MAX_REPLY_OBJECT_BYTES)
        outcome, _ = await self._context.cloud.ask(operation, request=row.request, wait_s=wait_s)
        await self.answered(operation, row.request, outcome)
        return outcome


def packed(value: msgspec.Struct) -> bytes:
    """Return a small struct as JSON for the store."""
    return msgspec.json.encode(value)
