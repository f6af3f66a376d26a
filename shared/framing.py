"""One unambiguous byte form for everything that is signed, sealed, committed to or derived from.

Whatever is bound to a meaning starts with a domain, so that bytes made for one purpose are never valid for another, and
gives the length of every part, so that no two lists of parts have the same form.
"""

from struct import Struct
from typing import Final

from shared.errors import LocalError

SCHEME_VERSION: Final = 1
"""Version of all constructions of identities, rights and seals; part of every framed byte string."""
MAX_DOMAIN_CHARS: Final = 64
_PREFIX: Final = b"glimpse" + SCHEME_VERSION.to_bytes(2, "big")
_DOMAIN_LENGTH: Final = Struct(">H")
_PART_LENGTH: Final = Struct(">Q")


def framed(domain: str, *parts: bytes) -> bytes:
    """Return the domain and the parts, each after its length, behind the version of the scheme.

    Raises `LocalError` for a domain that is empty, not ASCII, or longer than `MAX_DOMAIN_CHARS`.
    """
    if not domain.isascii() or not 0 < len(domain) <= MAX_DOMAIN_CHARS:
        raise LocalError(f"a domain has 1 to {MAX_DOMAIN_CHARS} ASCII characters")
    pieces = [_PREFIX, _DOMAIN_LENGTH.pack(len(domain)), domain.encode("ascii")]
    for part in parts:
        pieces += (_PART_LENGTH.pack(len(part)), part)
    return b"".join(pieces)
