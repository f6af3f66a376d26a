"""Serving an encrypt request: pull the upload, hide it, record the image, send the stego image back."""

import hashlib
import logging
from dataclasses import dataclass

import anyio

from node.encoder import Encoder
from node.services.operations import Caller, Served, Services
from shared.config import MAX_MESSAGE_BYTES, Timing
from shared.errors import MalformedMessage, Refused, TransferCancelled, TransferFailed
from shared.net.endpoint import Endpoint, Incoming, IncomingOffer, Session
from shared.wire.codec import encode
from shared.wire.labels import MAX_LABEL_BYTES, StegoObject
from shared.wire.operations import Encrypt
from shared.wire.peer_messages import Pull
from shared.wire.upload import decode_upload

log = logging.getLogger(__name__)

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


class EncryptService:
    """Serves `Encrypt` requests with an encoder and the directory."""

    def __init__(self, endpoint: Endpoint, services: Services, encoder: Encoder, pulls: Pulls) -> None:
        self._endpoint = endpoint
        self._services = services
        self._encoder = encoder
        self._pulls = pulls

    async def serve(self, session: Session, caller: Caller, request: str, operation: Encrypt) -> Served:
        """Do all of one request; the stego image is with the peer when this returns.

        Raises `Refused` for an upload that cannot be hidden, `TransferFailed` if the peer went away.
        """
        if caller.account is None:
            raise Refused("unknown_account", "Register before you encrypt pictures.")
        data = await self._pulls.pull(
            session, request, "upload", size=operation.upload_size, sha256=operation.upload_sha256
        )
        try:
            upload = decode_upload(data)
        except MalformedMessage as error:
            raise Refused("invalid", f"The upload is damaged: {error}.") from error
        stego = await self._encoder.hide(upload.sealed, upload.record, bytes.fromhex(operation.image), upload.cover)
        digest = await _sha256(stego)
        served = await self._services.image_ready(caller, request, operation, digest, len(stego))
        label = encode(StegoObject(request=request), cap_bytes=MAX_LABEL_BYTES)
        try:
            await self._endpoint.send_object(session, label, stego)
        except (Refused, TransferCancelled) as error:
            raise TransferFailed(f"The peer did not take the stego image: {error}") from error
        return served


_HASH_IN_THREAD_BYTES = 1_000_000


async def _sha256(data: bytes) -> bytes:
    if len(data) < _HASH_IN_THREAD_BYTES:
        return hashlib.sha256(data).digest()
    return await anyio.to_thread.run_sync(lambda: hashlib.sha256(data).digest())
