"""Copies that the cloud holds: an owner's peer leaves one for a viewer who is away, the viewer's peer fetches it.

Both go part by part, so that neither side nor a node has more than one part under way, and both go on where they were
when they were interrupted: the copy's id is made of its bytes, and what was fetched lies on disk.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Final

import anyio.to_thread

from shared.config import HELD_PART_BYTES
from shared.errors import Refused, RemoteError, Unavailable
from shared.net.partial_store import PartialKey
from shared.transfer import PartialObject, Ranges
from shared.wire import operations as ops
from shared.wire.refusals import RefusalCode
from tui.peer.asker import Asker
from tui.peer.context import Context

log = logging.getLogger(__name__)

Report = Callable[[int, int], None]
"""Called with the bytes that are through and all of them."""

_PART_S: Final = 60.0
"""How long one part may take."""
_ROUNDS: Final = 3
"""How often what is missing is looked at; a restored directory may lack parts that it had."""


class HeldCopies:
    """Leaves copies with the cloud, and fetches those that wait there."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cloud = Asker(context)

    async def leave(self, grant: str, data: bytes, report: Report) -> float:
        """Leave a copy until its viewer fetches it; return until when it waits, in seconds since 1970.

        Raises `Unavailable` where the cloud has no room or is away, `Refused` where the rights are over.
        """
        digest = hashlib.sha256(data).digest()
        copy = digest[:16].hex()
        wanted = ops.HoldCopy(grant=grant, copy=copy, size=len(data), sha256=digest)
        for _ in range(_ROUNDS):
            try:
                state = await self._cloud.query(wanted, ops.HeldCopy, at_once=frozenset({RefusalCode.NOT_READY}))
            except Refused as refusal:
                if refusal.code == RefusalCode.NOT_READY:
                    raise Unavailable(str(refusal)) from refusal
                raise
            if not state.missing:
                return state.until
            for part in state.missing:
                at = part * HELD_PART_BYTES
                piece = ops.HoldPart(grant=grant, copy=copy, part=part, data=data[at : at + HELD_PART_BYTES])
                await self._cloud.query(piece, ops.Done, wait_s=_PART_S)
                report(min(at + HELD_PART_BYTES, len(data)), len(data))
        raise Unavailable("The cloud lost parts of the image; it goes on later.")

    async def fetch(self, found: ops.HeldCopy, owner_key: bytes, report: Report) -> bytes | None:
        """Return a copy that waits; None where it is damaged, or gone meanwhile. Raises `Unavailable`.

        What has come is kept on disk beside what owners' peers (with the session key `owner_key`) send directly.
        """
        try:
            for _ in range(2):  # parts that were damaged on disk spoil the whole once
                data = await self._parts(found, PartialKey(found.sha256, found.size, owner_key), report)
                if data is not None:
                    return data
        except Refused as refusal:
            log.info("a copy waits in the cloud no more", extra={"grant": found.grant, "reason": str(refusal)})
            return None
        log.warning("the copy in the cloud is damaged", extra={"grant": found.grant})
        return None

    async def _parts(self, found: ops.HeldCopy, key: PartialKey, report: Report) -> bytes | None:
        """Fetch the parts of a copy that are not here; return it, or None where its hash is another."""
        store = self._context.partials
        partial = await store.take(key) or PartialObject(found.size, found.sha256, bytearray(found.size), Ranges())
        report(partial.have.total, found.size)
        for part in range(ops.parts_of(found.size)):
            at, end = part * HELD_PART_BYTES, min((part + 1) * HELD_PART_BYTES, found.size)
            if partial.have.contains(at, end):
                continue
            wanted = ops.FetchPart(grant=found.grant, copy=found.copy, part=part)
            data = (await self._cloud.query(wanted, ops.CopyPart, wait_s=_PART_S)).data
            if len(data) != end - at:
                raise RemoteError("a part of a copy that has another length")
            partial.data[at:end] = data
            partial.have.add(at, end)
            await store.keep(key, partial)
            report(partial.have.total, found.size)
        await store.discard(key)
        digest = await anyio.to_thread.run_sync(lambda: hashlib.sha256(partial.data).digest())
        return bytes(partial.data) if digest == found.sha256 else None

    async def find(self, grant: str) -> ops.HeldCopy | None:
        """Return what waits for a grant, None where nothing does. Raises `Unavailable`."""
        try:
            return await self._cloud.query(ops.FindHeld(grant=grant), ops.HeldCopy)
        except Refused as refusal:
            log.info("no copy waits in the cloud", extra={"grant": grant, "reason": str(refusal)})
            return None
