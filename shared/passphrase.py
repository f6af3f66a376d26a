"""Keys from passphrases, by scrypt (RFC 7914)."""

import unicodedata
from typing import Final

from shared.errors import InvalidInput

SCRYPT_LOG2_N: Final = 17
"""Work factor of what is made today: 128 MiB and some tenths of a second for each guess at the passphrase."""
MAX_SCRYPT_LOG2_N: Final = 20
"""Largest work factor that is read: a crafted file could otherwise ask for any amount of memory (here 1 GiB)."""
MIN_SCRYPT_LOG2_N: Final = 10
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
MAX_PASSPHRASE_CHARS: Final = 1_024
_KEY_BYTES: Final = 32


def checked_passphrase(passphrase: object) -> str:
    """Return a passphrase. Raises `InvalidInput` for an empty or an endless one."""
    if not isinstance(passphrase, str) or not 0 < len(passphrase) <= MAX_PASSPHRASE_CHARS:
        raise InvalidInput(f"A passphrase has 1 to {MAX_PASSPHRASE_CHARS} characters.")
    return passphrase


def stretched(passphrase: str, salt: bytes, log2_n: int) -> bytes:
    """Return 32 bytes from a passphrase; one that is typed on two keyboards gives the same (Unicode form NFC).

    Takes 2^log2_n KiB of memory and, for the default, some tenths of a second, in which other threads run.
    """
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # not before there is a passphrase

    secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    return Scrypt(salt=salt, length=_KEY_BYTES, n=1 << log2_n, r=SCRYPT_R, p=SCRYPT_P).derive(secret)
