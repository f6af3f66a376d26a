"""Cloud shares at rest: encrypted under a key that the nodes hold and the directory does not.

ChaCha20-Poly1305 (RFC 8439) with a random nonce in front; the grant's id is authenticated with it, so that a share
moved to another row does not open. Where an operator replaced the key, shares are closed anew, page by page.
"""

from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from node.directory.interface import Query, Step, Transaction, Tx
from shared.errors import LocalError

SHARE_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class ShareBox:
    """Closes and opens shares. `entropy` gives that many random bytes.

    Shares that were closed under one of the `others` open as well: keys that were replaced, and the one that is next.
    """

    def __init__(self, key: bytes, entropy: Callable[[int], bytes], others: Sequence[bytes] = ()) -> None:
        """Raise LocalError for a key that is not 32 bytes."""
        for one in (key, *others):
            if len(one) != SHARE_KEY_BYTES:
                raise LocalError(f"The key of the shares takes {SHARE_KEY_BYTES} bytes, not {len(one)}.")
        self._aead, *self._others = map(ChaCha20Poly1305, (key, *others))
        self._entropy = entropy

    def close(self, grant: str, share: bytes) -> bytes:
        """Return a share as it may lie in the directory."""
        nonce = self._entropy(_NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, share, _bound_to(grant))

    def open(self, grant: str, closed: bytes) -> bytes:
        """Return the share of a grant. Raises LocalError where another key closed it or the row was tampered with."""
        for aead in (self._aead, *self._others):
            if (share := _opened(aead, grant, closed)) is not None:
                return share
        raise LocalError("A share in the directory does not open: it was closed under another key than this node's.")

    def closed_anew(self, grant: str, closed: bytes) -> bytes | None:
        """Return a share that another key closed under the present one; None for one that is, or that does not open."""
        if _opened(self._aead, grant, closed) is not None:
            return None
        try:
            return self.close(grant, self.open(grant, closed))
        except LocalError:
            return None


def _opened(aead: ChaCha20Poly1305, grant: str, closed: bytes) -> bytes | None:
    try:
        return aead.decrypt(closed[:_NONCE_BYTES], closed[_NONCE_BYTES:], _bound_to(grant))
    except (InvalidTag, ValueError):
        return None


def _bound_to(grant: str) -> bytes:
    return b"glimpse cloud share\x00" + grant.encode()


def close_page_anew(box: ShareBox, after: str) -> Transaction[str | None]:
    """Close the shares of the next grants by id under the present key; return the last id, None when none was left."""

    def run(_: Tx) -> Step[str | None]:
        found = yield Query(
            "SELECT id, cloud_share FROM grants WHERE id > :after ORDER BY id LIMIT 100", {"after": after}
        )
        for row in found.rows:
            if (closed := box.closed_anew(row["id"], bytes(row["cloud_share"]))) is not None:
                yield Query(
                    "UPDATE grants SET cloud_share = :closed WHERE id = :grant AND cloud_share = :found",
                    {"closed": closed, "grant": row["id"], "found": row["cloud_share"]},
                )
        return str(found.rows[-1]["id"]) if found.rows else None

    return run
