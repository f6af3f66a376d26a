"""Stateless address cookies: proof that whoever speaks from an address also hears there.

A cookie is a keyed BLAKE2s over the address and the number of a time slot. Each slot has a secret of its own; cookies
of the current and of the previous slot hold. The idea is that of RFC 9147 section 5.1 and of WireGuard's cookies: the
responder keeps nothing for an address until it has come back with its cookie.
"""

import hmac
from collections.abc import Callable
from hashlib import blake2s
from struct import pack
from typing import Final

from shared.secure.datagrams import COOKIE_BYTES, Address

SLOT_S: Final = 60.0
"""A cookie verify for one to two slots; longer lets an attacker collect cookies of addresses it once had."""
_SECRET_BYTES: Final = 32


class CookieJar:
    """Bakes cookies and recognises them."""

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
        """Whether `cookie` was baked here for this address, in this time slot or the one before."""
        current = int(now // self._slot_s)
        for slot in (current, current - 1):
            secret = self._secrets.get(slot)
            if secret is not None and hmac.compare_digest(_cookie(secret, address, slot), cookie):
                return True
        return False


def _cookie(secret: bytes, address: Address, slot: int) -> bytes:
    host, port = address
    return blake2s(pack(">qH", slot, port) + host.encode(), key=secret, digest_size=COOKIE_BYTES).digest()
