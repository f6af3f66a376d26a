"""Receipts: by which an account gets its number back from a directory that was restored to before its registration.

A receipt is the nodes' own word that they gave a number to a signing key. Only nodes can make one, under a key that
follows from the one that all of them share; it is worth nothing to anybody who lacks the signing key.
"""

import hashlib
import hmac
from typing import Final

from shared.framing import framed

_KEY_DOMAIN: Final = "glimpse account receipt key"
_DOMAIN: Final = "glimpse account receipt"


class Receipts:
    """Makes and checks receipts of one cluster."""

    def __init__(self, share_key: bytes, cluster_id: str) -> None:
        self._key = hmac.digest(share_key, framed(_KEY_DOMAIN), hashlib.sha256)
        self._cluster = cluster_id.encode()

    def of(self, account: int, signing_key: bytes) -> bytes:
        """Return the receipt for a number that was given to a signing key: 32 bytes."""
        parts = (self._cluster, str(account).encode(), signing_key)
        return hmac.digest(self._key, framed(_DOMAIN, *parts), hashlib.sha256)

    def holds(self, account: int, signing_key: bytes, receipt: bytes) -> bool:
        """Tell whether a receipt is genuine."""
        return hmac.compare_digest(self.of(account, signing_key), receipt)
