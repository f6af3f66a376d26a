"""Rights records as they stand in stego images: sealed to the two who are parties to them.

The top rows of a stego image can be read by anybody who has the file. What stands there is a text that says nothing to
others: not whose image it is, who may see it, how often or until when, and no two files of one person have any of it in
common. Owner and viewer open it, each with the own private key and the other's public one; the owner's own record is
sealed to the owner alone.

Form: base64 of salt (16 bytes) and ChaCha20-Poly1305 ciphertext. Both keys follow from the secret that the two session
keys have in common (X25519, RFC 7748), so that a record is sealed to the same text whenever that is done: a copy that
is sent again is the same object. The salt is a hash of the record under the first key, as in SIV mode (RFC 5297), and
the second key is of that salt, so that it seals one record. Inside stand the length of the record, the record, and
zeros up to a length that follows from the image id: it tells neither a grant from an owner's record nor one record of
an image from the next.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from shared.errors import BadSeal, MalformedMessage
from shared.framing import framed
from shared.records import AnyRecord, decode_any_record, pack_record, unpack_record
from shared.sealing import TAG_BYTES, derive_key

_SALT_BYTES: Final = 16
_SINGLE_USE_NONCE: Final = bytes(12)
_LEAST_BYTES: Final = 424
"""Length and largest record; with salt and tag a multiple of 3, so that base64 needs no padding."""
_STEPS: Final = 40
"""Different lengths there are, 3 bytes apart."""
_DOMAIN: Final = "rights-strip"


def seal_record(record: AnyRecord, private: bytes, other_public: bytes) -> bytes:
    """Return the text for the rights strip. `private` is the own session key, `other_public` the other party's.

    An owner gives the own public key for the own record. Raises `BadSeal` for a public key that is none.
    """
    shared, packed = _shared(private, other_public), pack_record(record)
    salt = hmac.digest(derive_key(shared, framed(_DOMAIN, b"salt")), packed, "sha256")[:_SALT_BYTES]
    step = sha256(framed(_DOMAIN, record.image_id.encode())).digest()[0] % _STEPS
    body = len(packed).to_bytes(2, "big") + packed
    body = body.ljust(_LEAST_BYTES + 3 * step, b"\0")
    return b64encode(salt + _cipher(shared, salt).encrypt(_SINGLE_USE_NONCE, body, None))


def open_record(text: bytes, private: bytes, other_public: bytes) -> AnyRecord:
    """Return the record in a text of the rights strip; a plain one of an earlier version too. Checks no signature.

    Raises `BadSeal` if it was sealed for others, `MalformedMessage` for what is no record.
    """
    if text.startswith(b"{"):
        return decode_any_record(text)
    try:
        raw = b64decode(text, validate=True)
    except (NotBase64, ValueError):
        raise MalformedMessage("no rights record: not base64") from None
    if len(raw) < _SALT_BYTES + TAG_BYTES:
        raise MalformedMessage("a rights record that is cut off")
    salt, sealed = raw[:_SALT_BYTES], raw[_SALT_BYTES:]
    try:
        body = _cipher(_shared(private, other_public), salt).decrypt(_SINGLE_USE_NONCE, sealed, None)
    except InvalidTag:
        raise BadSeal("a rights record that is sealed for others, or damaged") from None
    return unpack_record(body[2 : 2 + int.from_bytes(body[:2], "big")])


def _shared(private: bytes, other_public: bytes) -> bytes:
    try:
        exchanged = X25519PrivateKey.from_private_bytes(private).exchange(
            X25519PublicKey.from_public_bytes(other_public)
        )
    except ValueError:
        raise BadSeal("a public key that nothing can be sealed to") from None
    return derive_key(exchanged, framed(_DOMAIN, b"shared"))


def _cipher(shared: bytes, salt: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(derive_key(shared, framed(_DOMAIN, b"key", salt)))
