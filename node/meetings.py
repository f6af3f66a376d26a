"""Peers that look for a path to each other: a node tells one of the other, and carries datagrams between the two.

Which pairs there are and how much each account may send is the table's to say (`node.relay_table`). A datagram waits
nowhere here: what does not fit the socket's queue is lost, as on any path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from node.relay_table import Party, RelayTable
from node.services.common import Caller
from shared.config import MAX_MESSAGE_BYTES, RequestLimits, Timing
from shared.errors import Refused
from shared.net.endpoint import Endpoint, Session
from shared.rates import TokenBuckets
from shared.secure.relayed import HANDLE_BYTES, LONGEST_BODY_BYTES, SHORTEST_BODY_BYTES
from shared.wire.base import Candidates
from shared.wire.codec import encode
from shared.wire.operations import Met
from shared.wire.peer_messages import Meeting, MeetingAnswer
from shared.wire.refusals import RefusalCode

ANSWER_S: Final = 3.0
"""How long the other peer has to answer: it may have to fetch its mail first."""
_REMEMBERED: Final = 16_384
_TOO_OFTEN = "This account looks for paths to others more often than a node takes from one; try again in a moment."


@dataclass(slots=True)
class _Asked:
    session: Session
    answered: anyio.Event
    candidates: Candidates = ()


class Meetings:
    """Brings peers together. All calls from the event loop."""

    def __init__(
        self,
        node: str,
        endpoint: Endpoint,
        *,
        timing: Timing,
        limits: RequestLimits,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        """Take the node's name and the endpoint that its peers' sessions are in."""
        self.table = RelayTable[Session](limits)
        self._node = node
        self._endpoint = endpoint
        self._timing = timing
        self.session_of: Callable[[int], Session | None] = lambda _account: None
        """Returns the session of an account's present device at this node."""
        self._clock = clock
        self._entropy = entropy
        self._rate = TokenBuckets[int](limits.meetings_per_s, capacity=_REMEMBERED, burst=limits.meetings_burst)
        self._asked: dict[bytes, _Asked] = {}

    @property
    def pairs(self) -> int:
        """Pairs of peers for whom datagrams are carried."""
        return self.table.pairs(self._clock())

    async def meet(
        self, session: Session, caller: Caller, other_account: int, grant: str, candidates: Candidates
    ) -> Met:
        """Bring the caller, whose session this is, together with another account's peer, if that is in touch here.

        Raises `Refused` for now where the account asks too often.
        """
        if not self._rate.take(caller.account, self._clock()):
            raise Refused(RefusalCode.BUSY, _TOO_OFTEN)
        other = self.session_of(other_account)
        if other is None or other.remote_key == session.remote_key:
            return Met(node=self._node)
        handle = self._entropy(HANDLE_BYTES)
        asker = Party(caller.account, session.remote_key, session)
        self.table.bind(handle, asker, Party(other_account, other.remote_key, other), self._clock())
        asked = self._asked[handle] = _Asked(other, anyio.Event())
        message = Meeting(handle=handle, grant=grant, key=session.remote_key, candidates=candidates)
        try:
            if await self._tell(asked, encode(message, cap_bytes=MAX_MESSAGE_BYTES)):
                return Met(node=self._node, handle=handle, candidates=asked.candidates)
        finally:
            del self._asked[handle]
            if not asked.answered.is_set():
                self.table.unbind(handle)
        return Met(node=self._node)

    async def _tell(self, asked: _Asked, message: bytes) -> bool:
        """Tell a peer again and again; return whether it has answered."""
        with anyio.move_on_after(ANSWER_S):
            while asked.session.alive:
                self._endpoint.post(asked.session, message)
                with anyio.move_on_after(self._timing.heartbeat_s):
                    await asked.answered.wait()
                    return True
        return asked.answered.is_set()

    def answered(self, session: Session, answer: MeetingAnswer) -> None:
        """A peer is willing. An answer to nothing, or of another peer, is passed over."""
        asked = self._asked.get(answer.handle)
        if asked is not None and asked.session is session:
            asked.candidates = answer.candidates
            asked.answered.set()

    def relay(self, session: Session, bodies: list[bytes]) -> None:
        """Pass datagrams on to the other peers of their pairs, or drop them."""
        runs: dict[bytes, list[bytes]] = {}
        for body in bodies:
            if SHORTEST_BODY_BYTES <= len(body) <= LONGEST_BODY_BYTES:
                runs.setdefault(body[:HANDLE_BYTES], []).append(body)
            else:
                self.table.refused["malformed"] += 1
        now = self._clock()
        for handle, run in runs.items():
            target, count = self.table.carry_run(handle, session, session.remote_key, run, now)
            if target is not None:
                self._endpoint.relay(target, run if count == len(run) else run[:count])

    def closed(self, session: Session) -> None:
        """A session is over."""
        self.table.closed(session)
