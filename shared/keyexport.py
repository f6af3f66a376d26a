"""An identity sealed under a passphrase, as text that survives mail and paper: the way to keep or to move an account.

The text holds one block: header (magic, version, scrypt parameters, salt, nonce), ChaCha20-Poly1305 ciphertext of both
private keys, and a checksum over all of it. The key comes from the passphrase by scrypt (RFC 7914). The checksum tells
a damaged copy from a wrong passphrase; what protects the keys is the passphrase alone.
"""

import base64
import binascii
import textwrap
from collections.abc import Callable
from hashlib import sha256
from secrets import token_bytes
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from shared.errors import InvalidInput, ProfileError, WrongPassphrase
from shared.identity import KEY_BYTES, Identity
from shared.passphrase import (
    MAX_SCRYPT_LOG2_N,
    MIN_SCRYPT_LOG2_N,
    SCRYPT_LOG2_N,
    SCRYPT_P,
    SCRYPT_R,
    stretched,
)

MAX_EXPORT_BYTES: Final = 4_096

_BEGIN: Final = "-----BEGIN GLIMPSE IDENTITY-----"
_END: Final = "-----END GLIMPSE IDENTITY-----"
_MAGIC: Final = b"GLIM"
_VERSION: Final = 1
_HEADER: Final = Struct(">4sBBBB16s12s")
_BODY_BYTES: Final = 2 * KEY_BYTES + 16
_CHECKSUM_BYTES: Final = 8
_LINE_CHARS: Final = 64


def export_identity(
    identity: Identity,
    passphrase: str,
    *,
    entropy: Callable[[int], bytes] = token_bytes,
    scrypt_log2_n: int = SCRYPT_LOG2_N,
) -> bytes:
    """Return the identity as text, sealed under the passphrase. Takes some tenths of a second and 128 MiB by default.

    Raises `InvalidInput` for an empty passphrase or a work factor outside what `import_identity` reads.
    """
    if not passphrase:
        raise InvalidInput("An export needs a passphrase.")
    if not MIN_SCRYPT_LOG2_N <= scrypt_log2_n <= MAX_SCRYPT_LOG2_N:
        raise InvalidInput(f"The work factor is between {MIN_SCRYPT_LOG2_N} and {MAX_SCRYPT_LOG2_N}.")
    salt, nonce = entropy(16), entropy(12)
    header = _HEADER.pack(_MAGIC, _VERSION, scrypt_log2_n, SCRYPT_R, SCRYPT_P, salt, nonce)
    cipher = ChaCha20Poly1305(stretched(passphrase, salt, scrypt_log2_n))
    block = header + cipher.encrypt(nonce, identity.signing_private + identity.session_private, header)
    text = base64.b64encode(block + _checksum(block)).decode("ascii")
    return "\n".join([_BEGIN, *textwrap.wrap(text, _LINE_CHARS), _END, ""]).encode("ascii")


def import_identity(data: bytes, passphrase: str) -> Identity:
    """Return the identity that `export_identity` sealed. Blanks, line ends and text around the block do not matter.

    Raises `WrongPassphrase` if the export is whole but does not open, `ProfileError` if it is damaged, none at all, or
    of a version that is not known here.
    """
    block = _block(data)
    magic, version, log2_n, r, p, salt, nonce = _HEADER.unpack_from(block)
    if magic != _MAGIC or version != _VERSION:
        raise ProfileError("This export was made by another version of Glimpse; import it with that one.")
    if (r, p) != (SCRYPT_R, SCRYPT_P) or not MIN_SCRYPT_LOG2_N <= log2_n <= MAX_SCRYPT_LOG2_N:
        raise ProfileError("This export asks for more work than any export of Glimpse does; it is not safe to open.")
    header, body = block[: _HEADER.size], block[_HEADER.size :]
    try:
        keys = ChaCha20Poly1305(stretched(passphrase, salt, log2_n)).decrypt(nonce, body, header)
    except InvalidTag:
        raise WrongPassphrase("The passphrase does not open this export; try again.") from None
    return Identity(keys[:KEY_BYTES], keys[KEY_BYTES:])


def _block(data: bytes) -> bytes:
    damaged = ProfileError("The export is damaged or incomplete; copy it again, from the BEGIN line to the END line.")
    if len(data) > MAX_EXPORT_BYTES:
        raise ProfileError("This file is too long for an export of an identity; choose another one.")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise damaged from None
    _before, begin, rest = text.partition(_BEGIN)
    inside, end, _after = rest.partition(_END)
    if not begin:
        raise ProfileError("This file holds no export of an identity; choose another one.")
    if not end:
        raise damaged
    try:
        block = base64.b64decode("".join(inside.split()), validate=True)
    except (binascii.Error, ValueError):
        raise damaged from None
    content, checksum = block[:-_CHECKSUM_BYTES], block[-_CHECKSUM_BYTES:]
    if len(content) != _HEADER.size + _BODY_BYTES or checksum != _checksum(content):
        raise damaged
    return content


def _checksum(block: bytes) -> bytes:
    return sha256(block).digest()[:_CHECKSUM_BYTES]
