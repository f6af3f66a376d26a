"""Cloud shares at rest: encrypted under a key that the nodes hold and the directory does not.

ChaCha20-Poly1305 (RFC 8439) with a random nonce in front; the grant's id is authenticated with it, so that a share
moved to another row does not open.
"""

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from shared.errors import LocalError

SHARE_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class ShareBox:
    """Closes and opens shares. `entropy` gives that many random bytes."""

    def __init__(self, key: bytes, entropy: Callable[[int], bytes]) -> None:
        """Raise LocalError for a key that is not 32 bytes."""
        if len(key) != SHARE_KEY_BYTES:
            raise LocalError(f"The key of the shares takes {SHARE_KEY_BYTES} bytes, not {len(key)}.")
        self._aead = ChaCha20Poly1305(key)
        self._entropy = entropy

    def close(self, grant: str, share: bytes) -> bytes:
        """Return a share as it may lie in the directory."""
        nonce = self._entropy(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, share, _bound_to(grant))

    def open(self, grant: str, closed: bytes) -> bytes:
        """Return the share of a grant. Raises LocalError where another key closed it or the row was tampered with."""
        try:
            return self._aead.decrypt(closed[:_NONCE_BYTES], closed[_NONCE_BYTES:], _bound_to(grant))
        except (InvalidTag, ValueError):
            raise LocalError(
                "A share in the directory does not open: it was closed under another key than this node's."
            ) from None


def _bound_to(grant: str) -> bytes:
    return b"glimpse cloud share\x00" + grant.encode()
