"""Objects that belong to a request: what the node pulls from the peer, and what it sends back."""

from dataclasses import dataclass

import anyio

from node.meetings import Meetings
from node.services.common import Caller
from shared.config import MAX_MESSAGE_BYTES, MAX_REPLY_OBJECT_BYTES, Timing
from shared.errors import Refused, TransferCancelled, TransferFailed
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.wire.base import Candidates, Message
from shared.wire.codec import encode
from shared.wire.labels import MAX_LABEL_BYTES, AnswerObject, StegoObject
from shared.wire.operations import Met
from shared.wire.peer_messages import Answer, Pull

_PULLS = 20
"""How often a pull is repeated before the peer is taken for gone; it asks again when it is back."""


@dataclass(slots=True)
class _Expected:
    size: int
    sha256: bytes
    offered: anyio.Event
    incoming: Incoming | None = None
    wanted: bool = True


class Pulls:
    """Objects that this node asked peers for. Anything that was not asked for is refused."""

    def __init__(self, endpoint: Endpoint, timing: Timing) -> None:
        self._endpoint = endpoint
        self._timing = timing
        self._expected: dict[tuple[bytes, str, str], _Expected] = {}

    def offered(self, session: Session, request: str, what: str, offer: IncomingOffer) -> Incoming | None:
        """Accept an offer that fits a pull; return None to refuse it."""
        expected = self._expected.get((session.remote_key, request, what))
        if expected is None or offer.size != expected.size or offer.sha256 != expected.sha256:
            return None
        if expected.incoming is None:
            expected.incoming = Incoming()
            expected.offered.set()
            return expected.incoming
        return None

    def unwanted(self, peer: bytes, request: str) -> None:
        """The peer with this key has said that it waits for a request no more: it will send nothing."""
        for what in ("operation", "upload"):
            expected = self._expected.get((peer, request, what))
            if expected is not None:
                expected.wanted = False
                expected.offered.set()

    async def pull(self, session: Session, request: str, what: str, *, size: int, sha256: bytes) -> bytes:
        """Ask the peer for an object and return it.

        Raises `TransferFailed` if the peer does not send it, `TransferCancelled` if it says that it waits no more.
        """
        key = (session.remote_key, request, what)
        expected = self._expected[key] = _Expected(size, sha256, anyio.Event())
        message = encode(Pull(request=request, what=what), cap_bytes=MAX_MESSAGE_BYTES)
        try:
            for _ in range(_PULLS):
                self._endpoint.post(session, message)
                with anyio.move_on_after(self._timing.heartbeat_s):
                    await expected.offered.wait()
                if expected.incoming is not None:
                    data: bytes = await expected.incoming.wait()
                    return data
                if not expected.wanted:
                    raise TransferCancelled("The peer waits for this no more.")
                if not session.alive:
                    break
            raise TransferFailed("The peer did not send what it announced.")
        finally:
            self._expected.pop(key, None)


class SessionExchange:
    """The objects of one request over the session in which it came, see `node.services.common.Exchange`."""

    def __init__(self, endpoint: Endpoint, pulls: Pulls, meetings: Meetings, session: Session, request: str) -> None:
        self._endpoint = endpoint
        self._pulls = pulls
        self._meetings = meetings
        self._session = session
        self._request = request

    async def pull_operation(self, size: int, sha256: bytes) -> bytes:
        """Return the encoded operation of a request that was too long for a datagram. Raises as `Pulls.pull`."""
        return await self._pulls.pull(self._session, self._request, "operation", size=size, sha256=sha256)

    async def pull_upload(self, size: int, sha256: bytes) -> bytes:
        """Return the upload that belongs to the request. Raises as `Pulls.pull`."""
        return await self._pulls.pull(self._session, self._request, "upload", size=size, sha256=sha256)

    async def send_stego(self, stego: bytes) -> None:
        """Send the stego image; the peer has it when this returns. Raises `TransferFailed`."""
        label = encode(StegoObject(request=self._request), cap_bytes=MAX_LABEL_BYTES)
        try:
            await self._endpoint.send_object(self._session, label, stego)
        except (Refused, TransferCancelled) as error:
            raise TransferFailed(f"The peer did not take the stego image: {error}") from error

    async def meet(self, caller: Caller, other_account: int, grant: str, candidates: Candidates) -> Met:
        """Bring whoever asks together with another account's peer. Raises as `Meetings.meet`."""
        return await self._meetings.meet(self._session, caller, other_account, grant, candidates)


async def send_answer(endpoint: Endpoint, session: Session, request: str, answer: Message) -> None:
    """Send an answer in one datagram, or as an object where it is longer.

    Raises `TransferFailed` if the peer went away while a long one was on its way.
    """
    data = encode(answer, cap_bytes=MAX_REPLY_OBJECT_BYTES)
    if not session.alive:
        raise TransferFailed("The peer is gone.")
    if len(data) <= MAX_MESSAGE_BYTES:
        endpoint.post(session, data)
        return
    endpoint.post(session, encode(Answer(request=request, follows=True), cap_bytes=MAX_MESSAGE_BYTES))
    await endpoint.send_object(session, encode(AnswerObject(request=request), cap_bytes=MAX_LABEL_BYTES), data)
