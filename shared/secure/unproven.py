"""What is answered to addresses that have proved nothing: little, seldom, and never longer than what it answers.

Token buckets bound how often a host is answered, and how many first messages are read. A cookie proves that whoever
sends from an address also receives there, while the responder keeps nothing for it (the idea of RFC 9147 section 5.1
and of WireGuard). Datagrams of no session get a short answer too, as a stateless reset does (RFC 9000 section 10.3).
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2s
from struct import pack
from typing import Final

from shared.config import Limits
from shared.errors import DatagramRefused
from shared.rates import TokenBuckets, network_of
from shared.secure.datagrams import (
    COOKIE_BYTES,
    MIN_DATA_BYTES,
    Address,
    DatagramType,
    Drop,
    routing_header,
    versions_spoken,
)

SLOT_S: Final = 60.0
"""A cookie holds for one to two slots; longer lets an attacker collect cookies of addresses it once had."""
_SECRET_BYTES: Final = 32
CLOSE_REPEATED_S: Final = 10.0
"""How long the CLOSE of a session is sent again to those who did not hear it."""
MAX_CLOSED: Final = 1_024
"""Closed sessions that are remembered; the oldest go first, so that closing many costs bounded memory."""


class FirstMessageGate:
    """Decides which first messages are read: reading one is what a datagram of a stranger costs most.

    Hosts that have proved their address have buckets of their own, so that forged sources cannot empty them.
    """

    __slots__ = ("_all", "_cookies", "_proven", "_unproven")

    def __init__(self, limits: Limits) -> None:
        capacity = limits.unproven_addresses
        self._unproven = TokenBuckets[str](limits.unproven_rate_per_s, capacity=capacity)
        self._proven = TokenBuckets[str](limits.unproven_rate_per_s, capacity=capacity)
        self._all = TokenBuckets[None](limits.first_messages_per_s, capacity=1)
        self._cookies = TokenBuckets[Address](limits.cookies_per_address_per_s, capacity=capacity)

    def may_read(self, address: Address, now: float, *, has_cookie: bool) -> bool:
        """Whether to read a first message; where not, the address is to be asked for a cookie.

        Raises `DatagramRefused` where even that would be too much.
        """
        host = network_of(address[0])
        if has_cookie:
            if not self._proven.take(host, now):
                raise DatagramRefused(Drop.RATE)
            return True
        if self._unproven.take(host, now):
            return self._all.take(None, now)
        if not self._cookies.take(address, now):
            raise DatagramRefused(Drop.RATE)
        return False


class CookieJar:
    """Makes address cookies and checks them.

    A cookie is a keyed BLAKE2s over the address and the number of a time slot. Each slot has a secret of its own;
    cookies of the current and of the previous slot hold.
    """

    __slots__ = ("_entropy", "_secrets", "_slot_s")

    def __init__(self, entropy: Callable[[int], bytes], *, slot_s: float = SLOT_S) -> None:
        self._entropy = entropy
        self._slot_s = slot_s
        self._secrets: dict[int, bytes] = {}

    def issue(self, address: Address, now: float) -> bytes:
        """Return the cookie of `address` for now: 16 bytes."""
        slot = int(now // self._slot_s)
        secret = self._secrets.get(slot)
        if secret is None:
            secret = self._entropy(_SECRET_BYTES)
            self._secrets = {known: kept for known, kept in self._secrets.items() if known == slot - 1}
            self._secrets[slot] = secret
        return _cookie(secret, address, slot)

    def verify(self, cookie: bytes, address: Address, now: float) -> bool:
        """Whether `cookie` was issued here for this address, in this time slot or the one before."""
        current = int(now // self._slot_s)
        for slot in (current, current - 1):
            secret = self._secrets.get(slot)
            if secret is not None and hmac.compare_digest(_cookie(secret, address, slot), cookie):
                return True
        return False


def _cookie(secret: bytes, address: Address, slot: int) -> bytes:
    host, port = address
    return blake2s(pack(">qH", slot, port) + host.encode(), key=secret, digest_size=COOKIE_BYTES).digest()


class StatelessResets:
    """Answers to datagrams of no open session: CLOSE once more if it was closed here lately, else a HINT."""

    __slots__ = ("_buckets", "_closed")

    def __init__(self, limits: Limits) -> None:
        self._buckets = TokenBuckets[str](limits.unproven_rate_per_s, capacity=limits.unproven_addresses)
        self._closed: OrderedDict[bytes, tuple[Address, bytes, float]] = OrderedDict()

    def remember_close(self, local_id: bytes, address: Address, datagram: bytes, now: float) -> None:
        """Remember the CLOSE datagram of a session that was closed here."""
        self._closed[local_id] = (address, datagram, now + CLOSE_REPEATED_S)
        while len(self._closed) > MAX_CLOSED or next(iter(self._closed.values()))[2] <= now:
            self._closed.popitem(last=False)

    def versions(self, address: Address, connection_id: bytes, now: float) -> bytes:
        """Return what to send back to a first message of another version. Raises `DatagramRefused` to stay silent."""
        if not self._buckets.take(network_of(address[0]), now):
            raise DatagramRefused(Drop.RATE)
        return versions_spoken(connection_id)

    def answer(self, address: Address, local_id: bytes, datagram: bytes, now: float) -> tuple[bytes, Drop]:
        """Return what to send back, and why the datagram is dropped. Raises `DatagramRefused` to stay silent."""
        if len(datagram) < MIN_DATA_BYTES:
            raise DatagramRefused(Drop.MALFORMED)
        if not self._buckets.take(network_of(address[0]), now):
            raise DatagramRefused(Drop.RATE)
        kept = self._closed.get(local_id)
        if kept is not None and kept[0] == address and now < kept[2]:
            return kept[1], Drop.CLOSED_CONNECTION
        return routing_header(DatagramType.HINT, local_id), Drop.UNKNOWN_CONNECTION
