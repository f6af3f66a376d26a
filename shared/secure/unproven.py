"""What is answered to addresses that have proved nothing: little, seldom, and never longer than what it answers.

Token buckets bound how often an address is answered. A cookie proves that whoever sends from an address also receives
there, while the responder keeps nothing for it (the idea of RFC 9147 section 5.1 and of WireGuard). Datagrams of no
session get a short answer too, as a stateless reset does (RFC 9000 section 10.3).
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2s
from struct import pack
from typing import Final

from shared.config import Limits
from shared.errors import DatagramRefused
from shared.secure.datagrams import COOKIE_BYTES, MIN_DATA_BYTES, Address, DatagramType, Drop, routing_header

SLOT_S: Final = 60.0
"""A cookie holds for one to two slots; longer lets an attacker collect cookies of addresses it once had."""
_SECRET_BYTES: Final = 32
CLOSE_REPEATED_S: Final = 10.0
"""How long the CLOSE of a session is sent again to those who did not hear it."""
MAX_CLOSED: Final = 1_024
"""Closed sessions that are remembered; the oldest go first, so that closing many costs bounded memory."""


class TokenBuckets:
    """Grants each address so many answers per second, with a burst of one second's worth."""

    __slots__ = ("_buckets", "_capacity", "_rate_per_s")

    def __init__(self, rate_per_s: float, *, capacity: int) -> None:
        """Take the rate per address, and how many addresses are remembered at most."""
        self._rate_per_s = rate_per_s
        self._capacity = capacity
        self._buckets: OrderedDict[Address, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, address: Address, now: float) -> bool:
        """Take one token of `address`; False if it has none left.

        Where the table is full, the address that was silent longest is forgotten: who forges that many sources gets a
        full bucket for each, which is why an answer is never longer than what it answers.
        """
        burst = max(self._rate_per_s, 1.0)
        tokens, updated_at = self._buckets.pop(address, (burst, now))
        tokens = min(burst, tokens + max(now - updated_at, 0.0) * self._rate_per_s)
        granted = tokens >= 1.0
        self._buckets[address] = (tokens - 1.0 if granted else tokens, now)
        if len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        return granted


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
        self._buckets = TokenBuckets(limits.unproven_rate_per_s, capacity=limits.unproven_addresses)
        self._closed: OrderedDict[bytes, tuple[Address, bytes, float]] = OrderedDict()

    def remember_close(self, local_id: bytes, address: Address, datagram: bytes, now: float) -> None:
        """Remember the CLOSE datagram of a session that was closed here."""
        self._closed[local_id] = (address, datagram, now + CLOSE_REPEATED_S)
        while len(self._closed) > MAX_CLOSED or next(iter(self._closed.values()))[2] <= now:
            self._closed.popitem(last=False)

    def answer(self, address: Address, local_id: bytes, datagram: bytes, now: float) -> tuple[bytes, Drop]:
        """Return what to send back, and why the datagram is dropped. Raises `DatagramRefused` to stay silent."""
        if len(datagram) < MIN_DATA_BYTES:
            raise DatagramRefused(Drop.MALFORMED)
        if not self._buckets.take(address, now):
            raise DatagramRefused(Drop.RATE)
        kept = self._closed.get(local_id)
        if kept is not None and kept[0] == address and now < kept[2]:
            return kept[1], Drop.CLOSED_CONNECTION
        return routing_header(DatagramType.HINT, local_id), Drop.UNKNOWN_CONNECTION
