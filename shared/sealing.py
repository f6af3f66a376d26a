"""Seals: bytes for one recipient's key, and pictures under their content key.

Sealing to a key is HPKE in base mode (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305. It
says nothing about who sealed; that is what signatures are for.

A sealed picture is a header (magic, version, size, check, nonce) and one ChaCha20-Poly1305 ciphertext of the original
file. The check is a hash of the original under the content key: whoever lacks the key cannot even tell whether a
picture is one that he knows. The cipher's key is derived from the check too, so that a nonce which is used for two
originals by mistake gives nothing away.
"""

import hmac
from hashlib import sha256
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.config import MAX_ORIGINAL_BYTES
from shared.errors import BadSeal, LocalError, UnusableImage
from shared.framing import framed

CONTENT_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_PICTURE_MAGIC: Final = b"GP"
_PICTURE_VERSION: Final = 1
_PICTURE_HEADER: Final = Struct(">2sBI32s12s")


def derive_key(secret: bytes, info: bytes) -> bytes:
    """Return a key of 32 bytes: HKDF-SHA256 (RFC 5869) of a secret that is random already, without salt."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


# --- For one recipient -----------------------------------------------------------------------------------------------
def seal_to(session_key: bytes, plaintext: bytes, *, context: bytes) -> bytes:
    """Seal `plaintext` to an X25519 public key; it opens only with the same `context`.

    Two calls never give the same bytes: the ephemeral key of RFC 9180 is drawn inside the library. Adds 48 bytes, the
    encapsulated key and the tag. Raises `BadSeal` for a public key that is none.
    """
    try:
        return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(session_key), context)
    except (ValueError, InvalidTag):
        raise BadSeal("a public key that nothing can be sealed to") from None


def open_sealed(private: bytes, sealed: bytes, *, context: bytes) -> bytes:
    """Open what `seal_to` made. Raises `BadSeal` if it was sealed to another key or context, or was damaged."""
    try:
        return _SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private), context)
    except (InvalidTag, ValueError):
        raise BadSeal("a seal that does not open: damaged, or made for another key or purpose") from None


# --- Pictures --------------------------------------------------------------------------------------------------------
def sealed_size(original_size: int) -> int:
    """Return the size in bytes of the sealed form of an original of `original_size` bytes."""
    return _PICTURE_HEADER.size + original_size + TAG_BYTES


def seal_picture(content_key: bytes, original: bytes, *, owner_key: bytes, image_id: str, nonce: bytes) -> bytes:
    """Seal a picture file under its content key, bound to its owner's signing key and its image id.

    `nonce` are `NONCE_BYTES` fresh random bytes; the same arguments give the same sealed form. Raises `UnusableImage`
    for an empty original or one beyond `MAX_ORIGINAL_BYTES`.
    """
    if not 0 < len(original) <= MAX_ORIGINAL_BYTES:
        raise UnusableImage(
            f"The picture has {len(original)} bytes; it must have at least 1 and at most {MAX_ORIGINAL_BYTES}."
        )
    if len(nonce) != NONCE_BYTES:
        raise LocalError(f"a nonce has {NONCE_BYTES} bytes")
    check = _check(content_key, original)
    header = _PICTURE_HEADER.pack(_PICTURE_MAGIC, _PICTURE_VERSION, len(original), check, nonce)
    cipher = _picture_cipher(content_key, check)
    return header + cipher.encrypt(nonce, original, _picture_binding(header, owner_key, image_id))


def open_picture(content_key: bytes, sealed: bytes, *, owner_key: bytes, image_id: str) -> bytes:
    """Return the original file that `seal_picture` sealed, byte for byte.

    Raises `BadSeal` if it is damaged, or sealed under another key, for another owner or as another image.
    """
    if len(sealed) < _PICTURE_HEADER.size:
        raise BadSeal("a sealed picture that is cut off")
    header = bytes(sealed[: _PICTURE_HEADER.size])
    magic, version, size, check, nonce = _PICTURE_HEADER.unpack(header)
    if (magic, version) != (_PICTURE_MAGIC, _PICTURE_VERSION):
        raise BadSeal("no sealed picture, or one of a version that is not known here")
    if not 0 < size <= MAX_ORIGINAL_BYTES or len(sealed) != sealed_size(size):
        raise BadSeal("a sealed picture whose size is not what it says")
    body = memoryview(sealed)[_PICTURE_HEADER.size :]
    try:
        original = _picture_cipher(content_key, check).decrypt(
            nonce, body, _picture_binding(header, owner_key, image_id)
        )
    except InvalidTag:
        raise BadSeal("a sealed picture that does not open with this key for this owner and image") from None
    if not hmac.compare_digest(_check(content_key, original), check):
        raise BadSeal("a sealed picture whose content is not what it says")
    return original


def _check(content_key: bytes, original: bytes) -> bytes:
    return hmac.digest(_picture_key(content_key, "picture-check"), sha256(original).digest(), "sha256")


def _picture_cipher(content_key: bytes, check: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(_picture_key(content_key, "picture-key", check))


def _picture_key(content_key: bytes, domain: str, *parts: bytes) -> bytes:
    if len(content_key) != CONTENT_KEY_BYTES:
        raise LocalError(f"a content key has {CONTENT_KEY_BYTES} bytes")
    return derive_key(content_key, framed(domain, *parts))


def _picture_binding(header: bytes, owner_key: bytes, image_id: str) -> bytes:
    return framed("picture", header, owner_key, image_id.encode("ascii"))
