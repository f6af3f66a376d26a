"""Changed rights told from the owner's peer to the viewer's, at once and directly; mail tells them in any case.

A notice is one datagram with what a change can change. The viewer's peer fills the rest in from the record that it
holds, checks the owner's signature over the whole, takes it over like mail, and answers. The owner's peer repeats the
notice a few times until it is answered. Notices are taken from the session key of the grant's owner only, so many a
second from each.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import msgspec

from shared.config import MAX_MESSAGE_BYTES
from shared.errors import GlimpseError, RemoteError, Unavailable
from shared.identity import words_of
from shared.net.endpoint import Session
from shared.rates import TokenBuckets
from shared.records import RightsRecord, decode_record, encode_record
from shared.text import clean
from shared.wire import operations as ops
from shared.wire.codec import encode
from shared.wire.peer_messages import RightsNotice, RightsNoticed
from tui.peer.context import Context
from tui.peer.copies import Copies
from tui.peer.events import RightsHeard
from tui.peer.holding import Holding, Right
from tui.peer.paths import Paths
from tui.peer.people import People
from tui.peer.tending import attempt

log = logging.getLogger(__name__)

SENDS: Final = 5
"""How often a notice is sent before it is left to the mail."""
_PAUSES_S: Final = (0.3, 0.6, 1.2, 2.4, 4.8)
_SENT_AT_ONCE: Final = 16
"""Notices on their way at a time; more wait their turn. An owner may change the rights of many people at once."""
RATE_PER_S: Final = 20.0
"""Notices taken from one sender: a sender that floods makes this peer verify no more signatures than these."""
IN_WORK_PER_SENDER: Final = 4
"""Notices of one sender that are being applied, each with a write to the disk."""
_SENDERS: Final = 1_024


@dataclass(slots=True)
class _Waiting:
    """A notice that a viewer's peer has not answered yet."""

    grant: ops.GrantRow
    record: RightsRecord
    viewer_key: bytes = b""
    heard: anyio.Event | None = None


class DirectNotices:
    """Sends notices as an owner, takes them as a viewer."""

    def __init__(self, context: Context, people: People, paths: Paths, copies: Copies, holding: Holding) -> None:
        self._context = context
        self._people = people
        self._paths = paths
        self._copies = copies
        self._holding = holding
        self._waiting: dict[str, _Waiting] = {}
        self._turns = anyio.CapacityLimiter(_SENT_AT_ONCE)
        self._buckets = TokenBuckets[bytes](RATE_PER_S, capacity=_SENDERS)
        self._in_work: Counter[bytes] = Counter()
        self.dropped: Counter[str] = Counter()
        """Notices that were not taken, by reason."""

    # --- As the owner ------------------------------------------------------------------------------------------------
    def changed(self, grant: ops.GrantRow) -> None:
        """Tell the viewer's peer of a change that the cloud has confirmed; never waits and never fails."""
        waiting = _Waiting(grant, decode_record(grant.record))
        newer = self._waiting.get(grant.grant)
        if newer is not None and newer.record.version > waiting.record.version:
            return  # two changes were confirmed in the other order; the newest is under way
        self._waiting[grant.grant] = waiting
        self._context.tasks.start_soon(attempt, "notice to a viewer", partial(self._send, waiting))

    async def _send(self, waiting: _Waiting) -> None:
        grant = waiting.grant
        try:
            async with self._turns:
                if (viewer := await self._heard_in_time(waiting)) is not None:
                    left = 0 if grant.revoked else max(0, grant.granted - grant.consumed)
                    name, words = clean(viewer.name), words_of(viewer.signing_key)
                    self._context.events.emit(RightsHeard(grant.image, grant.grant, name, left, grant.revoked, words))
                else:
                    log.info("a viewer's peer did not answer a notice; mail tells it", extra={"grant": grant.grant})
        except GlimpseError as error:
            log.info("a viewer's peer cannot be told directly; mail tells it", extra={"reason": str(error)})
        finally:
            if self._waiting.get(grant.grant) is waiting:
                del self._waiting[grant.grant]

    async def _heard_in_time(self, waiting: _Waiting) -> ops.Account | None:
        """Return the viewer whose peer has answered, None where it has not."""
        viewer = await self._people.find(waiting.grant.viewer)
        data = encode(notice_of(waiting.record, waiting.grant.consumed), cap_bytes=MAX_MESSAGE_BYTES)
        waiting.viewer_key, waiting.heard = viewer.session_key, anyio.Event()
        for pause_s in _PAUSES_S[:SENDS]:
            if self._waiting.get(waiting.grant.grant) is not waiting:
                raise Unavailable("A later change is told instead.")
            session = await self._paths.reach(viewer, waiting.grant.grant)
            self._context.endpoint.post(session, data)
            with anyio.move_on_after(pause_s):
                await waiting.heard.wait()
                return viewer
        return None

    def answered(self, session: Session, message: RightsNoticed) -> None:
        """Take a viewer's word that it knows a record. A false one costs its sender the news, and nobody else."""
        waiting = self._waiting.get(message.grant)
        if waiting is None or waiting.heard is None or session.remote_key != waiting.viewer_key:
            self.dropped["an answer that nobody waits for"] += 1
        elif message.version >= waiting.record.version:
            waiting.heard.set()

    # --- As the viewer -----------------------------------------------------------------------------------------------
    def told(self, session: Session, notice: RightsNotice) -> None:
        """Take a notice from the peer of a grant's owner. Raises `RemoteError` for one from anybody else."""
        key = session.remote_key
        if not self._copies.comes_from(notice.grant, key):
            self.dropped["not from the owner"] += 1
            raise RemoteError("a notice of rights that does not come from the owner of the grant")
        if not self._buckets.take(key, self._context.clock()):
            self._drop("too many a second", notice)
        elif self._in_work[key] >= IN_WORK_PER_SENDER:
            self._drop("too many at once", notice)
        else:
            self._in_work[key] += 1
            self._context.tasks.start_soon(attempt, "notice of an owner", partial(self._apply, session, notice))

    def _drop(self, reason: str, notice: RightsNotice) -> None:
        """Leave a notice: its sender repeats it, and its mail says the same."""
        self.dropped[reason] += 1
        log.info("a notice of rights is left to its mail", extra={"grant": notice.grant, "reason": reason})

    async def _apply(self, session: Session, notice: RightsNotice) -> None:
        try:
            right = await self._holding.right(notice.grant)
            if right is None:
                self._drop("no such grant is held", notice)
                return
            known = await self._holding.learn(notice.grant, record=record_of(right, notice), consumed=notice.consumed)
        except GlimpseError as error:
            self.dropped["not taken over"] += 1
            log.warning("a notice of rights was not taken over", extra={"grant": notice.grant, "reason": str(error)})
            return
        finally:
            self._in_work[session.remote_key] -= 1
            if not self._in_work[session.remote_key]:
                del self._in_work[session.remote_key]
        if known is not None and session.alive:
            reply = RightsNoticed(grant=notice.grant, version=known.record.version)
            self._context.endpoint.post(session, encode(reply, cap_bytes=MAX_MESSAGE_BYTES))


def notice_of(record: RightsRecord, consumed: int) -> RightsNotice:
    """Return what is told of a record. It fits one datagram, whatever the record holds."""
    return RightsNotice(
        grant=record.grant_id,
        version=record.version,
        granted=record.granted,
        expires=record.expires,
        revoked=record.revoked,
        look_s=record.look_s,
        signature=record.signature,
        consumed=consumed,
    )


def record_of(held: Right, notice: RightsNotice) -> RightsRecord:
    """Return the record that a notice tells of, its signature not checked yet. Raises `RemoteError` if it is none."""
    record = msgspec.structs.replace(
        held.record,
        version=notice.version,
        granted=notice.granted,
        expires=notice.expires,
        revoked=notice.revoked,
        look_s=notice.look_s,
        signature=notice.signature,
        left=min(held.record.left, notice.granted),
    )
    return decode_record(encode_record(record))
