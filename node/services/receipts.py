"""Receipts: by which an account gets back what a restored directory forgot, its number and its images.

A receipt is the nodes' own word that they gave an account number to a signing key, or made an image for one. Only nodes
can make one, under a key that follows from the one that all of them share; it is worth nothing to anybody who lacks the
signing key.

What the receipt of an image does not cover: after a restore, and before the owner's peer is back, another account that
knows the image's id can still hide a picture of its own under it. The owner's image is then refused as a conflict; no
key and no view is lost to the other, whose picture opens under no grant of the owner's. An image whose receipt its peer
never got (its nodes gave none, and it was not signed in since) is not made again.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from shared.framing import framed

_KEY_DOMAIN: Final = "glimpse account receipt key"
_DOMAIN: Final = "glimpse account receipt"
_IMAGE_DOMAIN: Final = "glimpse image receipt"


class Receipts:
    """Makes and checks receipts of one cluster. Those that were made under one of `others` hold as well."""

    def __init__(self, share_key: bytes, cluster_id: str, others: Sequence[bytes] = ()) -> None:
        self._key, *self._others = (
            hmac.digest(key, framed(_KEY_DOMAIN), hashlib.sha256) for key in (share_key, *others)
        )
        self._cluster = cluster_id.encode()

    def of(self, account: int, signing_key: bytes) -> bytes:
        """Return the receipt for a number that was given to a signing key: 32 bytes."""
        return self._made(self._key, _DOMAIN, str(account), signing_key)

    def holds(self, account: int, signing_key: bytes, receipt: bytes) -> bool:
        """Tell whether a receipt is genuine."""
        return self._is_made(_DOMAIN, str(account), signing_key, receipt)

    def of_image(self, image: str, signing_key: bytes) -> bytes:
        """Return the receipt for an image that was made for a signing key: 32 bytes."""
        return self._made(self._key, _IMAGE_DOMAIN, image, signing_key)

    def holds_image(self, image: str, signing_key: bytes, receipt: bytes) -> bool:
        """Tell whether the receipt of an image is genuine."""
        return self._is_made(_IMAGE_DOMAIN, image, signing_key, receipt)

    def _made(self, key: bytes, domain: str, what: str, signing_key: bytes) -> bytes:
        return hmac.digest(key, framed(domain, self._cluster, what.encode(), signing_key), hashlib.sha256)

    def _is_made(self, domain: str, what: str, signing_key: bytes, receipt: bytes) -> bool:
        keys = (self._key, *self._others)
        return any(hmac.compare_digest(self._made(key, domain, what, signing_key), receipt) for key in keys)
