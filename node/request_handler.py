"""The request plane of a node: takes requests from peers, serves those that dispatch gives it, and answers.

Every node gets every request. The request handler holds it, tells the dispatch machine, and serves it when that says
so. Serving the same request twice is harmless: effects are made once by the directory, whoever serves.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from node.exchange import Pulls, SessionExchange, send_answer
from node.fairness import RequestRates
from node.meetings import Meetings
from node.services.common import Caller, refused
from node.services.freezing import GrantIsFrozen
from node.services.operations import Services
from node.telemetry import RequestOrigin, Telemetry
from shared.config import MAX_MESSAGE_BYTES, MAX_REPLY_OBJECT_BYTES, REQUEST_LIMITS, RequestLimits
from shared.errors import (
    MalformedMessage,
    Refused,
    RemoteError,
    StorageError,
    TransferCancelled,
    TransferFailed,
    Unavailable,
)
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.wire.base import Message
from shared.wire.codec import decode, encode
from shared.wire.labels import Label, OperationObject, UploadObject
from shared.wire.node_messages import RequestKey
from shared.wire.operations import Operation, Register
from shared.wire.peer_messages import Answer, MailNudge, NoLeader, Request
from shared.wire.refusals import RefusalCode

log = logging.getLogger(__name__)

FAILED: Final = "failed"
"""Code of what a node could not do for a reason of its own: it is in no list of final refusals."""
_FAILED_TEXT = "A node could not do this, its log says why; it is kept and tried again."
_BUSY = "Too many requests at once; they are taken up as others end."
_TOO_OFTEN = "This account sends more requests than a node takes from one; they are taken up as it slows down."
_MANY_ACCOUNTS = "Many accounts were registered from this address just now; yours waits for its turn."


class Dispatching(Protocol):
    """What the request handler tells the control plane."""

    def request_held(self, key: RequestKey) -> bool:
        """A peer sent this request to this node; False if there is no room for it."""

    def served(self, key: RequestKey) -> None:
        """This node has answered the request."""

    def not_served(self, key: RequestKey, *, reachable: bool) -> bool:
        """This node could not serve the request; `reachable` tells whether its session is still there.

        Returns whether to go on holding it."""

    def unwanted(self, key: RequestKey) -> bool:
        """The peer waits for the request no more. Returns whether work on it is under way; if not, let go of it."""

    def is_wanted(self, key: RequestKey) -> bool:
        """Return whether the peer still waits for the request."""


@dataclass(slots=True)
class HeldRequest:
    """A request that a peer sent here; `session` is where the answer goes."""

    session: Session
    request: Request
    since: float
    """When it came, in seconds of the node's clock."""
    kind: int = 0
    """Kind of its operation, once that is known."""


class RequestHandler:
    """Holds requests, serves them, answers them. All calls from the event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        services: Services,
        pulls: Pulls,
        tasks: TaskGroup,
        *,
        meetings: Meetings,
        telemetry: Telemetry,
        clock: Callable[[], float],
        limits: RequestLimits = REQUEST_LIMITS,
    ) -> None:
        self._endpoint = endpoint
        self._services = services
        self._pulls = pulls
        self._tasks = tasks
        self._telemetry = telemetry
        self._clock = clock
        telemetry.origin_of = self.origin_of
        self.rates = RequestRates(limits)
        self._held: dict[RequestKey, HeldRequest] = {}
        self._accounts: dict[int, set[Session]] = {}
        self._account_of: dict[Session, int] = {}
        self._present: dict[int, Session] = {}
        """The session of each account's present device."""
        self.meetings = meetings
        meetings.session_of = self.session_of
        self.dispatching: Dispatching | None = None
        self.in_flight = 0
        self.requests_done = 0
        self.idle = anyio.Event()

    # --- From peers --------------------------------------------------------------------------------------------------
    def take(self, session: Session, request: Request) -> None:
        """Hold a request and let dispatch decide. A request beyond its account's share or rate is answered as busy."""
        assert self.dispatching is not None
        key = RequestKey(session.remote_key, request.request)
        held = self._held.get(key)
        if held is not None:
            held.session = session
            self.dispatching.request_held(key)
            return
        if not self.rates.may_ask(session, self._clock()):
            self._refuse(session, request.request, RefusalCode.BUSY, _TOO_OFTEN)
            return
        if request.operation is None and not 0 < request.large_size <= MAX_REPLY_OBJECT_BYTES:
            raise MalformedMessage("a request without an operation")
        self._held[key] = HeldRequest(session, request, self._clock(), _kind_of(request.operation))
        if not self.dispatching.request_held(key):
            del self._held[key]
            self._refuse(session, request.request, RefusalCode.BUSY, _BUSY)

    def offered(self, session: Session, label: Label, offer: IncomingOffer) -> Incoming | None:
        """Accept an object that this node pulled; refuse every other."""
        if isinstance(label, UploadObject):
            return self._pulls.offered(session, label.request, "upload", offer)
        if isinstance(label, OperationObject):
            return self._pulls.offered(session, label.request, "operation", offer)
        return None

    def unwanted(self, session: Session, request: str) -> None:
        """The peer waits for a request no more: work on it ends here where it can, and is not begun anywhere."""
        assert self.dispatching is not None
        key = RequestKey(session.remote_key, request)
        if key not in self._held:
            return
        if self.dispatching.unwanted(key):
            self._pulls.unwanted(*key)
        else:
            del self._held[key]

    def closed(self, session: Session) -> None:
        """Forget whose session this was. What came in it is still served if that takes nothing more, as a sign-out."""
        self.meetings.closed(session)
        account = self._account_of.pop(session, None)
        if account is not None:
            if self._present.get(account) is session:
                del self._present[account]
            sessions = self._accounts[account]
            sessions.discard(session)
            if not sessions:
                del self._accounts[account]

    def forget(self, key: RequestKey) -> None:
        """Let go of a request that another node has answered."""
        del self._held[key]

    def nobody_serves(self, key: RequestKey, reason: str) -> None:
        """Tell the peer that its request waits, and why."""
        if (held := self._held.get(key)) is not None:
            self._post(held.session, NoLeader(request=key[1], reason=reason))

    @property
    def clients(self) -> int:
        """Accounts that have a session here."""
        return len(self._accounts)

    def origin_of(self, key: RequestKey) -> RequestOrigin:
        """Return the operation and the account of a request that is held here, as far as they are known."""
        held = self._held.get(key)
        return RequestOrigin() if held is None else RequestOrigin(held.kind, self._account_of.get(held.session))

    # --- From dispatch -----------------------------------------------------------------------------------------------
    def serve(self, key: RequestKey) -> None:
        """Serve a held request in a task of its own."""
        self.in_flight += 1
        self._tasks.start_soon(self._serve, key, self._held[key])

    async def _serve(self, key: RequestKey, held: HeldRequest) -> None:
        assert self.dispatching is not None
        try:
            refusal = await self._answer(key, held)
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self.idle.set()
                self.idle = anyio.Event()
        if refusal is None:
            if not self.dispatching.not_served(key, reachable=held.session.alive):
                del self._held[key]
            return
        self.requests_done += 1
        self._telemetry.answered(key, self.origin_of(key), self._clock() - held.since, refusal)
        del self._held[key]
        self.dispatching.served(key)

    async def _answer(self, key: RequestKey, held: HeldRequest) -> str | None:
        """Serve and answer one request.

        Returns the code of the refusal that was the answer, an empty text if it was none, None if another node should
        serve it.
        """
        request = key[1]
        code = ""
        try:
            exchange = SessionExchange(self._endpoint, self._pulls, self.meetings, held.session, request)
            caller = await self._services.caller(key.session_key, held.session.address[0])
            self.remember(held.session, caller)
            operation = await self._operation(held.request, caller, exchange)
            held.kind = _kind_of(operation)
            self._refuse_many_accounts(operation, caller)
            served = await self._services.serve(caller, request, operation, exchange)
            answer = Answer(request=request, outcome=served.outcome)
            await send_answer(self._endpoint, held.session, request, answer)
        except Refused as refusal:
            code = refusal.code
            self._refuse(held.session, request, code, str(refusal))
            for account in refusal.nudges if isinstance(refusal, GrantIsFrozen) else ():
                self.nudge(account)
        except (Unavailable, StorageError, TransferCancelled) as error:
            assert self.dispatching is not None
            level = logging.WARNING if self.dispatching.is_wanted(key) else logging.DEBUG
            log.log(level, "a request was not served", extra={"request": request, "reason": str(error)})
            if not isinstance(error, TransferFailed | TransferCancelled):
                self._post(held.session, NoLeader(request=request, reason=str(error)))
            return None
        except RemoteError as error:
            code = "invalid"
            self._refuse(held.session, request, code, str(error))
        except Exception:
            # A defect of this node: another, or the next version, may do it, so its peer must not take it for a no.
            log.exception("a request failed", extra={"request": request})
            code = FAILED
            self._refuse(held.session, request, code, _FAILED_TEXT)
        else:
            for account in served.nudges:
                self.nudge(account)
        return code

    async def _operation(self, request: Request, caller: Caller, exchange: SessionExchange) -> Operation:
        """Return what is asked for; pulled from the peer where it is long. Nothing is pulled from strangers."""
        if request.operation is not None:
            return request.operation
        if not caller.is_registered:
            raise refused(RefusalCode.UNKNOWN_ACCOUNT)
        if request.large_sha256 is None:
            raise MalformedMessage("a request without an operation")
        data = await exchange.pull_operation(request.large_size, request.large_sha256)
        if hashlib.sha256(data).digest() != request.large_sha256:
            raise MalformedMessage("an operation that is not the one announced")
        operation: Operation = decode(data, Operation, cap_bytes=MAX_REPLY_OBJECT_BYTES)
        return operation

    def _refuse_many_accounts(self, operation: Operation, caller: Caller) -> None:
        """Refuse, for the time being, another account of a host that has registered many lately."""
        is_new = isinstance(operation, Register) and not caller.is_registered
        if is_new and not self.rates.may_register(caller.host, self._clock()):
            raise Refused(RefusalCode.BUSY, _MANY_ACCOUNTS)

    # --- To peers ----------------------------------------------------------------------------------------------------
    def nudge(self, account: int) -> None:
        """Tell an account's peer, if it has a session here, that there is mail."""
        for session in self._accounts.get(account, ()):
            self._post(session, MailNudge())

    def _refuse(self, session: Session, request: str, code: str, text: str) -> None:
        self._post(session, Answer(request=request, code=code, text=text[:400]))

    def _post(self, session: Session, message: Message) -> None:
        if session.alive:
            self._endpoint.post(session, encode(message, cap_bytes=MAX_MESSAGE_BYTES))

    # --- Books -------------------------------------------------------------------------------------------------------
    def remember(self, session: Session, caller: Caller) -> None:
        """Note that this session is an account's, if it is one's, so that its peer can be nudged."""
        if caller.is_registered and session.alive and session not in self._account_of:
            self._account_of[session] = caller.account
            self._accounts.setdefault(caller.account, set()).add(session)

    def note_present(self, session: Session, account: int) -> None:
        """Note that this is the session of the device that an account's others are sent to."""
        if session.alive and self._account_of.get(session) == account:
            self._present[account] = session

    def session_of(self, account: int) -> Session | None:
        """Return the session of an account's present device, or else its youngest one; None where it has none here."""
        known = self._present.get(account)
        return known or max(self._accounts.get(account, ()), key=lambda session: session.opened_at, default=None)


def _kind_of(operation: Operation | None) -> int:
    """Return the kind of an operation, as it travels; 0 while it is not here yet."""
    tag = 0 if operation is None else operation.__struct_config__.tag
    return tag if isinstance(tag, int) else 0
