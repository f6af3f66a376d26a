"""What must reach the cloud: stored before it is tried, tried until it is answered, delivered once.

An `operation` is sent as it is, again and again under one request id. A wish about rights ("5 left", "3 more",
"revoked") is signed against the grant as it stands at that moment; what was signed is stored before it is sent, and
sent again unchanged until it is answered, so that it is done once however many answers are lost.

Nothing that could still succeed is let go: a row ends when it was delivered, when the cloud refused it for good (a
closed list), or when it cannot be read or carried out at all; then it is set aside with its reason.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeVar, cast

import anyio
import msgspec

from shared.config import MAX_REPLY_OBJECT_BYTES
from shared.errors import GlimpseError, LocalError, MalformedMessage, Refused, StorageError, Unavailable
from shared.wire.codec import decode, encode
from shared.wire.operations import Operation, Outcome, RejectAsk
from shared.wire.refusals import FINAL_CODES
from tui.peer.context import Context
from tui.peer.events import Delivered, Undeliverable
from tui.peer.lanes import due
from tui.peer.models import OutboxEntry
from tui.peer.retries import Retries
from tui.peer.store import OutboxRow, Store

log = logging.getLogger(__name__)

FIRST_TRY_S = 4.0
"""How long a caller waits for the first delivery before it is told that the matter is queued."""
OPERATION = "operation"
_TRY_S = 10.0
_LONGEST_PAUSE_S = 30.0
_FAULTS = 5
"""So often may delivering a row fail by a fault of this program before the row is set aside. Some faults pass."""

Handler = Callable[[OutboxRow, float], Awaitable[object]]
"""Delivers one row within so many seconds. What it raises decides whether the row is tried again, see `is_passing`."""
T = TypeVar("T")


class Unreadable(LocalError):
    """A stored row is not what it must be; it will never be."""


class WaitsFor(Unavailable):
    """A row cannot go before something happens; until `Outbox.release` tells of that it is not tried."""

    def __init__(self, what: object, text: str) -> None:
        """`what` names what it waits for."""
        super().__init__(text)
        self.what = what


@dataclass(slots=True)
class _Awaited:
    what: object
    has_come: bool = False
    """It is worth trying again."""


class Taken(Enum):
    """What became of the wish to take something back."""

    BACK = auto()
    """It was here, and nobody was told of it: it is gone."""
    UNDER_WAY = auto()
    """It is here, but the cloud may have it already."""
    NOT_HERE = auto()


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
        self._handlers: dict[str, Handler] = {OPERATION: self._deliver_operation}
        self._urgent: set[str] = set()
        self._waiters: dict[str, _Waiter] = {}
        self._work = anyio.Event()
        self._under_way: dict[str, str] = {}
        """Requests that are being delivered, with their lanes."""
        self._untold: set[str] = set()
        """Requests of this session that were not tried yet: nobody can have heard of them."""
        self._faults: dict[str, int] = {}
        self._retries: Retries[str] = Retries(context.timing.request_retry_s, _LONGEST_PAUSE_S)
        self._awaited: dict[str, _Awaited] = {}
        """What rows wait for that need not be tried before, by request."""
        self._looks_at = -math.inf
        """When the rows are looked through next, by the context's clock."""
        self.count = 0
        self.holds_back: Callable[[OutboxRow], bool] = lambda _row: False
        """Says of a row that it has to wait for now."""
        self.reprieve: Reprieve = _no_reprieve
        """Says why a row that was refused is kept, None where it is given up."""
        self.answered: Answered = _not_noted
        """Called with every operation that was delivered, its request id and its outcome."""
        self.on_settled: Callable[[OutboxRow, bool], Awaitable[None]] = _ignore
        """Told of each row that leaves, and whether it was refused; before anybody hears of it."""

    def handle(self, kind: str, handler: Handler, *, urgent: bool = False) -> None:
        """Say how rows of a kind are delivered; `urgent` ones go before all others of their lane."""
        self._handlers[kind] = handler
        if urgent:
            self._urgent.add(kind)

    def retry(self) -> None:
        """Try everything again now: the cloud may be back."""
        self._retries.forget_all()
        for awaited in self._awaited.values():
            awaited.has_come = True
        self._work.set()

    def release(self, what: object) -> None:
        """Try those rows again that wait for this."""
        for awaited in self._awaited.values():
            awaited.has_come |= awaited.what == what
        self._work.set()

    def is_awaited(self, what: object) -> bool:
        """Whether any row waits for this, or did when it was last tried."""
        return any(awaited.what == what for awaited in self._awaited.values())

    # --- What waits --------------------------------------------------------------------------------------------------
    async def entries(self) -> list[OutboxEntry]:
        """Return what waits."""
        rows = await self._context.store.run(lambda store: store.outbox())
        self.count = len(rows)
        return [OutboxEntry(row.request, row.what, row.since, row.attempts, row.trouble) for row in rows]

    async def submit_operation(
        self, what: str, operation: Operation, request: str, *, lane: str = ""
    ) -> Outcome | None:
        """Store and deliver an operation; None while it waits. Raises `Refused` if the cloud says no at once."""
        body = encode(operation, cap_bytes=MAX_REPLY_OBJECT_BYTES)
        ask = operation.ask if isinstance(operation, RejectAsk) else None
        return cast("Outcome | None", await self.submit(OPERATION, what, body, request, lane=lane, ask=ask))

    async def submit(
        self, kind: str, what: str, body: bytes, request: str, *, lane: str = "", ask: str | None = None
    ) -> object | None:
        """Store a row (on disk when this returns or raises) and wait a moment for its delivery.

        `ask` is the request for views that it answers. Raises `StorageError` where it cannot be stored; then nothing
        was asked for.
        """
        self._untold.add(request)
        waiter = self._waiters[request] = _Waiter(anyio.Event())
        try:
            await self.put(kind, what, body, request, lane=lane, ask=ask)
            with anyio.move_on_after(FIRST_TRY_S):
                await waiter.done.wait()
        except GlimpseError:
            self._untold.discard(request)
            raise
        finally:
            self._waiters.pop(request, None)
        if waiter.error is not None:
            raise waiter.error
        return waiter.result

    async def put(
        self, kind: str, what: str, body: bytes, request: str, *, lane: str = "", ask: str | None = None
    ) -> bool:
        """Store a row to be delivered as soon as it can; return whether it is new: one with its id may wait already.

        On disk when this returns. Raises `StorageError` where it cannot be stored.
        """
        since = self._context.wall()
        added = await self._context.store.run(
            lambda store: insert(store, request, kind, what, body, since=since, lane=lane, ask=ask)
        )
        self.count += added
        self._try_at_once(request)
        self._work.set()
        return added > 0

    def added(self) -> None:
        """Deliver what `insert` has stored together with something else."""
        self._work.set()

    async def take_back(self, request: str) -> Taken:
        """Take back what nobody can have heard of yet; anything else stays, to be delivered whole."""
        if request not in self._untold or request in self._under_way:
            row = await self._context.store.run(lambda store: store.outbox_row(request))
            return Taken.NOT_HERE if row is None else Taken.UNDER_WAY
        self._under_way[request] = ""  # nobody begins to deliver it meanwhile
        try:
            gone = await self._remove([request])
        finally:
            self._under_way.pop(request, None)
        self._untold.discard(request)
        return Taken.BACK if gone else Taken.NOT_HERE

    async def sign(self, row: OutboxRow, operation: Operation) -> OutboxRow:
        """Store what was signed for a row, before it is sent; return the row with it."""
        signed = encode(operation, cap_bytes=MAX_REPLY_OBJECT_BYTES)
        await self._context.store.run(
            lambda store: store.do(
                "UPDATE outbox SET signed = :signed WHERE request = :request", signed=signed, request=row.request
            )
        )
        return replace(row, signed=signed)

    async def lane_before(self, row: OutboxRow) -> list[OutboxRow]:
        """Return what waits in the lane of a row and was asked for before it, oldest first."""
        rows = await self._context.store.run(lambda store: store.outbox(lane=row.lane))
        requests = [other.request for other in rows]
        return rows[: requests.index(row.request)] if row.request in requests else []

    async def supersede(self, row: OutboxRow, others: Collection[OutboxRow], reason: str) -> None:
        """End a row that was delivered together with others that it makes pointless: all at once, or none."""
        await self._remove([row.request, *(other.request for other in others)])
        for other in others:
            await self._end(other, error=Refused("revoked", reason))

    # --- Delivering --------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Deliver for ever. One row that cannot go does not hold up others, unless they are of its lane."""
        while True:
            self._work = anyio.Event()
            self._looks_at = await self._sweep()
            with anyio.move_on_after(max(0.0, self._looks_at - self._context.clock())):
                await self._work.wait()

    async def _sweep(self) -> float:
        """Begin to deliver all rows whose turn it is; return when the next of those that pause may be tried again."""
        rows = await self._context.store.run(lambda store: store.outbox())
        self.count = len(rows)
        next_at = math.inf
        if not self._context.signed_in:
            return next_at
        now = self._context.clock()
        for row in due(rows, self._under_way, self._urgent):
            if self.holds_back(row) or not self._may_go(row.request):
                continue
            if (at := self._retries.due_at(row.request)) > now:
                next_at = min(next_at, at)
                continue
            self._under_way[row.request] = row.lane
            self._context.tasks.start_soon(self._try, row)
        return next_at

    def _may_go(self, request: str) -> bool:
        """Whether nothing is awaited before a row is tried."""
        awaited = self._awaited.get(request)
        return awaited is None or awaited.has_come

    def _try_at_once(self, request: str) -> None:
        """Let a row be tried at once when it is looked at next."""
        self._retries.forget(request)
        self._awaited.pop(request, None)

    async def _try(self, seen: OutboxRow) -> None:
        """Try to deliver a row, as it stands now: an attempt that ended just before may have signed or removed it."""
        self._untold.discard(seen.request)
        try:
            row = await self._context.store.run(lambda store: store.outbox_row(seen.request))
            if row is not None:
                await self._deliver(row)
        except Exception:
            # What one row does must end neither the peer nor the delivery of the others.
            log.exception("a row of the outbox could not be seen to", extra={"what": seen.what})
            self._pause(seen.request)
        finally:
            self._under_way.pop(seen.request, None)
            if self._may_go(seen.request) and self._retries.due_at(seen.request) < self._looks_at:
                self._work.set()

    async def _deliver(self, row: OutboxRow) -> None:
        try:
            result = await self._handlers.get(row.kind, _unknown)(row, _TRY_S)
        except Exception as error:  # noqa: BLE001 - each is judged; none may end the peer
            await self._failed(row, error)
            return
        await self._remove([row.request])
        await self._end(row, result=result)

    async def _failed(self, row: OutboxRow, error: Exception) -> None:
        """Keep a row that may still succeed; give up one that the cloud refused for good or that cannot be used."""
        if isinstance(error, WaitsFor):
            self._awaited[row.request] = _Awaited(error.what)
            await self._note(row, str(error))
        elif is_passing(error):
            await self._wait(row, str(error))
        elif isinstance(error, Unreadable) or not isinstance(error, GlimpseError):
            await self._fault(row, error)
        elif (reason := await self.reprieve(row, error)) is not None:
            await self._wait(row, reason)
        else:
            await self._remove([row.request])
            log.info("the cloud refused something", extra={"what": row.what, "reason": str(error)})
            await self._end(row, error=error)

    async def _fault(self, row: OutboxRow, error: Exception) -> None:
        faults = self._faults[row.request] = self._faults.get(row.request, 0) + 1
        if not isinstance(error, Unreadable) and faults < _FAULTS:
            log.error("a row of the outbox could not be delivered", exc_info=error, extra={"what": row.what})
            await self._wait(row, f"This program failed ({type(error).__name__}); it is tried again.")
            return
        reason = str(error) if isinstance(error, Unreadable) else f"this program failed ({type(error).__name__})"
        log.error("a row of the outbox is set aside", extra={"what": row.what, "reason": reason})
        await self._context.store.run(lambda store: store.set_aside("outbox", reason, request=row.request))
        self.count -= 1
        await self._end(row, error=LocalError(f"It cannot be carried out and was set aside: {reason}."))

    async def _wait(self, row: OutboxRow, text: str) -> None:
        """Have a row tried again after a pause, which doubles."""
        self._pause(row.request)
        await self._note(row, text)

    def _pause(self, request: str) -> None:
        self._awaited.pop(request, None)
        self._retries.failed(request, self._context.clock())

    async def _note(self, row: OutboxRow, text: str) -> None:
        """Note why a row waits on; where even that cannot be written, it waits without."""
        try:
            await self._context.store.run(
                lambda store: store.do(
                    "UPDATE outbox SET attempts = attempts + 1, trouble = :text WHERE request = :request",
                    text=text,
                    request=row.request,
                )
            )
        except StorageError as error:
            log.warning("why something waits could not be stored", extra={"what": row.what, "reason": str(error)})

    async def _remove(self, requests: Collection[str]) -> int:
        def remove(store: Store) -> int:
            return sum(store.do("DELETE FROM outbox WHERE request = :request", request=each) for each in requests)

        gone = await self._context.store.run(remove)
        self.count -= gone
        if gone:
            self._work.set()  # the next of its lane may go
        return gone

    async def _end(self, row: OutboxRow, *, result: object = None, error: GlimpseError | None = None) -> None:
        """Tell how a row ended: whoever still waits for it, and all who listen."""
        self._faults.pop(row.request, None)
        self._try_at_once(row.request)
        try:
            await self.on_settled(row, error is not None)
        except Exception:
            log.exception("how a row of the outbox ended could not be noted", extra={"what": row.what})
        if error is None:
            self._context.events.emit(Delivered(row.request, row.what))
        else:
            self._context.events.emit(Undeliverable(row.request, row.what, str(error)))
        waiter = self._waiters.get(row.request)
        if waiter is not None:
            waiter.result, waiter.error = result, error
            waiter.done.set()

    async def _deliver_operation(self, row: OutboxRow, wait_s: float) -> Outcome:
        try:
            operation: Operation = decode(row.body, Operation, cap_bytes=MAX_REPLY_OBJECT_BYTES)
        except MalformedMessage as error:
            raise Unreadable(f"what was stored of it cannot be read ({error})") from error
        outcome, _ = await self._context.cloud.ask(operation, request=row.request, wait_s=wait_s)
        await self.answered(operation, row.request, outcome)
        return outcome


def insert(
    store: Store,
    request: str,
    kind: str,
    what: str,
    body: bytes,
    *,
    since: float,
    lane: str = "",
    ask: str | None = None,
) -> int:
    """Store a row; return 0 where one with its id waits already. For a transaction that stores more than the row."""
    return store.do(
        "INSERT OR IGNORE INTO outbox (request, kind, what, body, since, lane, ask)"
        " VALUES (:request, :kind, :what, :body, :since, :lane, :ask)",
        request=request,
        kind=kind,
        what=what,
        body=body,
        since=since,
        lane=lane,
        ask=ask,
    )


async def _ignore(_row: OutboxRow, _refused: bool) -> None:
    return


async def _unknown(_row: OutboxRow, _wait_s: float) -> object:
    raise Unreadable("this version does not know how to deliver it")


def is_passing(error: Exception) -> bool:
    """Tell whether trying again may help. Final are the refusals of a closed list, and what this side cannot do; a full
    disk of one's own passes like the cloud's, and what a node answers wrongly another may answer rightly."""
    if isinstance(error, Refused):
        return error.code not in FINAL_CODES
    if isinstance(error, StorageError | OSError):
        return True
    return isinstance(error, GlimpseError) and not isinstance(error, LocalError)


def packed(value: msgspec.Struct) -> bytes:
    """Return a small struct as JSON for the store."""
    return msgspec.json.encode(value)


def unpacked(row: OutboxRow, kind: type[T]) -> T:
    """Return the struct that a row holds. Raises `Unreadable` for anything else."""
    try:
        return msgspec.json.decode(row.body, type=kind)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise Unreadable(f"what was stored of it cannot be read ({error})") from error
