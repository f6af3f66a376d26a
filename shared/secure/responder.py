"""The answering side of handshakes, until the initiator has proved that it receives the answer.

A first message can be replayed and its address can be forged, so it has no effect by itself: it makes a half-open
handshake that no one else sees, that lapses soon, and that becomes a session only with the first datagram under the
session's keys. When many are half-open, or come in at all, an address first gets a cookie and nothing is kept for it.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2s
from typing import Final

from shared.errors import DatagramRefused
from shared.rates import TokenBuckets
from shared.secure.context import SocketContext
from shared.secure.datagrams import (
    CONNECTION_ID_BYTES,
    COOKIE_BYTES,
    ROUTING_BYTES,
    Address,
    DatagramType,
    Drop,
    routing_header,
)
from shared.secure.noise import KEY_BYTES, HandshakeKeys, ResponderHandshake
from shared.secure.relayed import init_bytes
from shared.secure.unproven import CookieJar, FirstMessageGate

_REPEATS_PER_S: Final = 50.0
"""How often a first message that is repeated is answered again, per address."""
_COOKIE_END = ROUTING_BYTES + COOKIE_BYTES


@dataclass(slots=True)
class HalfOpen:
    """A handshake that was answered and not yet confirmed."""

    local_id: bytes
    remote_id: bytes
    remote_key: bytes
    address: Address
    keys: HandshakeKeys
    answered_at: float
    answer: bytes
    """Repeated as it is when the first message is repeated."""
    fingerprint: bytes
    """Tells a repeated first message from a new one."""
    repeated: bool = False


class Responder:
    """Answers first messages and remembers what is half-open."""

    def __init__(self, context: SocketContext) -> None:
        self._context = context
        limits = context.limits
        self._cookies = CookieJar(context.entropy)
        self._gate = FirstMessageGate(limits)
        self._repeats = TokenBuckets[Address](_REPEATS_PER_S, capacity=limits.unproven_addresses)
        self._half_open: OrderedDict[bytes, HalfOpen] = OrderedDict()  # by own connection id, oldest first
        self._by_fingerprint: dict[bytes, HalfOpen] = {}
        self._per_key: dict[bytes, OrderedDict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._half_open)

    def answer(self, address: Address, datagram: bytes, now: float) -> tuple[bytes, Drop | None]:
        """Return the answer to an INIT datagram, always shorter than the datagram, and whether it is only a cookie.

        Raises `DatagramRefused` or `HandshakeFailed` where there is nothing to answer.
        """
        if len(datagram) != init_bytes(address):
            raise DatagramRefused(Drop.MALFORMED)
        cookie, message = datagram[ROUTING_BYTES:_COOKIE_END], datagram[_COOKIE_END:]
        remote_id = datagram[ROUTING_BYTES - CONNECTION_ID_BYTES : ROUTING_BYTES]
        fingerprint = _fingerprint(address, remote_id, message)
        known = self._by_fingerprint.get(fingerprint)
        if known is not None:
            if not self._repeats.take(address, now):
                raise DatagramRefused(Drop.RATE)
            known.repeated = True
            return known.answer, None
        self.expire(now)
        has_cookie = self._cookies.verify(cookie, address, now)
        is_crowded = len(self) >= self._context.limits.cookie_threshold
        if not self._gate.may_read(address, now, has_cookie=has_cookie) or (is_crowded and not has_cookie):
            return self._ask_cookie(address, remote_id, now)
        handshake = ResponderHandshake(self._context.static, prologue=self._context.prologue + datagram[:ROUTING_BYTES])
        handshake.read_first(message)
        of_key = self._per_key.get(handshake.remote_static, ())
        if len(of_key) >= self._context.limits.sessions_per_key:
            # Only a proven address may push out others: who recorded a first message could otherwise replay it from
            # forged addresses and keep the true owner of the key from ever getting through.
            if not has_cookie:
                return self._ask_cookie(address, remote_id, now)
            self.forget(next(iter(of_key)))
        if len(self) >= self._context.limits.half_open_handshakes:
            self.forget(next(iter(self._half_open)))
        return self._open_half(handshake, address, remote_id, fingerprint, now).answer, None

    def get(self, local_id: bytes) -> HalfOpen | None:
        """The half-open handshake of this connection id."""
        return self._half_open.get(local_id)

    def forget(self, local_id: bytes) -> None:
        """Drop a half-open handshake, because it lapsed or became a session."""
        half_open = self._half_open.pop(local_id)
        del self._by_fingerprint[half_open.fingerprint]
        of_key = self._per_key[half_open.remote_key]
        del of_key[local_id]
        if not of_key:
            del self._per_key[half_open.remote_key]

    def expire(self, now: float) -> None:
        """Drop what was never confirmed."""
        while self._half_open:
            oldest = next(iter(self._half_open.values()))
            if oldest.answered_at + self._context.timing.handshake_timeout_s > now:
                return
            self.forget(oldest.local_id)

    def next_deadline(self) -> float | None:
        """When the next half-open handshake lapses."""
        oldest = next(iter(self._half_open.values()), None)
        return None if oldest is None else oldest.answered_at + self._context.timing.handshake_timeout_s

    def _ask_cookie(self, address: Address, remote_id: bytes, now: float) -> tuple[bytes, Drop]:
        return routing_header(DatagramType.COOKIE, remote_id) + self._cookies.issue(address, now), Drop.COOKIE_ASKED

    def _open_half(
        self, handshake: ResponderHandshake, address: Address, remote_id: bytes, fingerprint: bytes, now: float
    ) -> HalfOpen:
        local_id = self._context.new_id()
        message, keys = handshake.write_second(local_id, ephemeral=self._context.entropy(KEY_BYTES))
        half_open = HalfOpen(
            local_id=local_id,
            remote_id=remote_id,
            remote_key=handshake.remote_static,
            address=address,
            keys=keys,
            answered_at=now,
            answer=routing_header(DatagramType.RESPONSE, remote_id) + message,
            fingerprint=fingerprint,
        )
        self._half_open[local_id] = half_open
        self._by_fingerprint[fingerprint] = half_open
        self._per_key.setdefault(half_open.remote_key, OrderedDict())[local_id] = None
        return half_open


def _fingerprint(address: Address, remote_id: bytes, message: bytes) -> bytes:
    host, port = address
    return blake2s(port.to_bytes(4, "big") + host.encode() + b"\0" + remote_id + message).digest()
