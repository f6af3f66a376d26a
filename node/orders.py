"""Operators' orders to this node: who may give them, what each one does, and the record of each in the audit log.

An order is written to the audit log before it is obeyed; where it cannot be written, it is not obeyed. What strangers
try is written as refused, `STRANGER_BURST` times and then once in `STRANGER_EVERY_S`, for all strangers together, so
that they cannot fill a disk: at some 300 bytes a line that is half a megabyte a day. It stays on the node they reached.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import anyio

from node.audit_log import AuditLog
from node.control import Control
from node.election import Election
from node.encoder import Encoder
from node.following import Following
from node.machine import NodeMachine
from node.placement import Policy
from shared.cluster import MAX_CLUSTER_BYTES
from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError, StorageError
from shared.identity import words_of
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.text import clean
from shared.wire.codec import encode
from shared.wire.labels import OrderObject
from shared.wire.node_messages import AuditRecord
from shared.wire.peer_messages import OperatorAnswer, OperatorCommand

log = logging.getLogger(__name__)

STRANGER_BURST = 16
STRANGER_EVERY_S = 60.0
_MAX_DEAF_S = 600.0
_MAX_SLOWDOWN = 100.0
_REMEMBERED_ORDERS = 256
_KEPT_OBJECTS = 4
"""Objects that wait for their order at a time."""
_DEAF_NOTICE_HEARTBEATS = 0.25
"""How long a node that is to be deaf can still say so."""
_NO_OTHER = "No other node could take over now; wait until one is back."


class StrangerLimit:
    """How often orders of strangers are written down. Times in seconds of the caller's clock."""

    def __init__(self) -> None:
        self.suppressed = 0
        self._left = float(STRANGER_BURST)
        self._at = 0.0

    def allows(self, now: float) -> bool:
        """Return whether to write one down now; otherwise it is counted in `suppressed`."""
        self._left = min(STRANGER_BURST, self._left + (now - self._at) / STRANGER_EVERY_S)
        self._at = now
        if self._left < 1:
            self.suppressed += 1
            return False
        self._left -= 1
        return True


class OrderDesk:
    """Takes orders, one at a time."""

    def __init__(
        self,
        me: str,
        endpoint: Endpoint,
        *,
        control: Control,
        encoder: Encoder,
        audit: AuditLog,
        operators: frozenset[bytes],
        heartbeat_s: float,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        stop: Callable[[], None],
        hurry: Callable[[], None],
        following: Following,
        change_settings: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """`change_settings` takes what the order `settings` brought; it raises `GlimpseError` types."""
        self._me = me
        self._endpoint = endpoint
        self._control = control
        self._encoder = encoder
        self._audit = audit
        self._operators = operators
        self._notice_s = _DEAF_NOTICE_HEARTBEATS * heartbeat_s
        self._clock = clock
        self._wall_clock = wall_clock
        self._stop = stop
        self._hurry = hurry
        self._following = following
        self._change_settings = change_settings
        self._objects: OrderedDict[tuple[bytes, str], Incoming] = OrderedDict()
        self._number = 0
        self._turn = anyio.Lock()
        self._strangers = StrangerLimit()
        self._answers: OrderedDict[tuple[bytes, str], OperatorAnswer | None] = OrderedDict()

    def wants(self, session: Session, order: OperatorCommand) -> bool:
        """Return whether `take` has anything to do; a repeat is answered here, a stranger's flood ends here."""
        if session.remote_key not in self._operators:
            return self._strangers.allows(self._clock())
        key = (session.remote_key, order.request)
        if key not in self._answers:
            self._answers[key] = None
            if len(self._answers) > _REMEMBERED_ORDERS:
                self._answers.popitem(last=False)
            return True
        if (answer := self._answers[key]) is not None:
            self._post(session, answer)
        return False

    def offered(self, session: Session, label: OrderObject, offer: IncomingOffer) -> Incoming | None:
        """Accept what belongs to an order that an operator is about to give; refuse everything else."""
        if session.remote_key not in self._operators or offer.size > MAX_CLUSTER_BYTES:
            return None
        incoming = self._objects[session.remote_key, label.request] = Incoming()
        if len(self._objects) > _KEPT_OBJECTS:
            self._objects.popitem(last=False)
        return incoming

    async def take(self, session: Session, order: OperatorCommand) -> None:
        """Write an order down, carry it out, and say so; a stranger's is written down and gets no answer."""
        async with self._turn:
            if session.remote_key not in self._operators:
                await self._take_stranger(session, order)
                return
            try:
                text = await self._carry_out(session, order)
            except StorageError as error:
                log.error("an order was not obeyed", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours
                text = str(error)
            answer = OperatorAnswer(request=order.request, ok=not text, text=text[:400])
            self._answers[session.remote_key, order.request] = answer
            self._post(session, answer)
            if order.command == "stop" and not text:
                self._stop()

    async def _carry_out(self, session: Session, order: OperatorCommand) -> str:
        """Write an order down and obey it; return why it was not obeyed, an empty text if it was.

        Raises `StorageError`, and obeys nothing, where it cannot be written down.
        """
        text = self._objection(order)
        record = await self._record(session, order, text)
        # Between the check and here others had their turn; what no longer fits is harmless to carry out.
        if not text:
            text = await self._obey(session, order)
        self._control.ordered(record)
        if text and record.obeyed:
            self._control.ordered(await self._record(session, order, text))
        return text

    async def _take_stranger(self, session: Session, order: OperatorCommand) -> None:
        text = "not an operator's key"
        if self._strangers.suppressed:
            text, self._strangers.suppressed = f"{text}; {self._strangers.suppressed} more before", 0
        log.warning("an order of a stranger", extra={"order": order.command, "key": words_of(session.remote_key)})
        try:
            self._control.ordered(await self._record(session, order, text))
        except StorageError as error:
            log.error("the audit log", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours

    async def _record(self, session: Session, order: OperatorCommand, text: str) -> AuditRecord:
        record = AuditRecord(
            self._me,
            self._control.election.incarnation,
            self._number + 1,
            round(self._wall_clock(), 3),
            words_of(session.remote_key),
            order.command,
            _value(order),
            not text,
            clean(text, max_chars=100),
        )
        await self._audit.write(record)
        self._number += 1
        return record

    def _objection(self, order: OperatorCommand) -> str:
        """Return why an order cannot be carried out, an empty text if it can."""
        with self._control.lock:
            return self._objection_of(self._control.election, order)

    def _objection_of(self, election: Election, order: OperatorCommand) -> str:
        now = self._clock()
        match order.command:
            case "deaf" if not 0 < order.number <= _MAX_DEAF_S:
                return f"A node can be deaf for up to {_MAX_DEAF_S:.0f} s."
            case "slow" if not 1 <= order.number <= _MAX_SLOWDOWN:
                return f"An encoder can be slowed 1 to {_MAX_SLOWDOWN:.0f} times."
            case "policy" if order.text not in {policy.value for policy in Policy}:
                return f"The policies are {', '.join(policy.value for policy in Policy)}."
            case "policy" if not self._control.directory_ok:
                return "The directory, which keeps the policy, does not answer or cannot be written; try again later."
            case "token" if order.text not in ("", "start", "stop"):
                return "The token can be told to start or to stop."
            case "token" if election.leader is None:
                return "There is no leader to send the token round; wait until there is one."
            case "lead" if election.draining:
                return f"Node {self._me} drains; undrain it first."
            case "step_down" if not election.is_leader(now):
                return f"Node {self._me} does not lead."
            case "step_down" | "drain" if not election.others_fit(now):
                return _NO_OTHER
            case _:
                return ""

    async def _obey(self, session: Session, order: OperatorCommand) -> str:
        """Carry an order out; return why it could not be, an empty text if it could."""
        match order.command:
            case "policy":
                try:
                    await self._control.choose_policy(Policy(order.text))
                except GlimpseError as error:
                    log.error("the policy was not chosen", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours
                    return str(error)
            case "slow":
                self._encoder.slowdown = order.number
            case "cluster" | "settings":
                return await self._take_object(session, order)
            case "stop":
                pass  # once the answer is on its way
            case _:
                with self._control.ordering() as machine:
                    self._give(machine, order)
        return ""

    async def _take_object(self, session: Session, order: OperatorCommand) -> str:
        """Carry out an order whose content came as an object; return why it could not be."""
        incoming = self._objects.pop((session.remote_key, order.request), None)
        if incoming is None:
            return "What belongs to this order did not arrive; give it again."
        try:
            data = await incoming.wait()
            await (self._following.take(data) if order.command == "cluster" else self._change_settings(data))
        except (GlimpseError, OSError) as error:
            log.error("an order was not obeyed", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours
            return str(error)
        return ""

    def _give(self, machine: NodeMachine, order: OperatorCommand) -> None:
        """Give the node's machine an order."""
        election, faults, now = machine.election, machine.faults, self._clock()
        match order.command:
            case "deaf":
                faults.make_deaf(now, order.number, notice_s=self._notice_s)
                self._hurry()
            case "token":
                (faults.stop_token if order.text == "stop" else faults.start_token)(now)
            case "lead":
                election.request_leadership(now)
            case "step_down":
                election.stand_down(now)
            case "drain":
                election.drain(now)
            case "undrain":
                election.undrain(now)

    def _post(self, session: Session, answer: OperatorAnswer) -> None:
        if session.alive:
            self._endpoint.post(session, encode(answer, cap_bytes=MAX_MESSAGE_BYTES))


def _value(order: OperatorCommand) -> str:
    if order.command in ("deaf", "slow"):
        return f"{order.number:g}"
    return clean(order.text, max_chars=32)
