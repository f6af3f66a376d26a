"""Data keys: what is secret in a profile is encrypted under one, which lies on disk under a passphrase.

A data key is random and encrypts what is secret in a profile. It is kept in a small file, encrypted ("wrapped") under a
key that comes from the passphrase by scrypt (RFC 7914), so that a new passphrase rewrites that file and nothing else.
Salt and work factor stand in the file; one with less work than is made today opens, and is to be wrapped anew.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes
from typing import Annotated, Final, Literal

import msgspec
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from shared.errors import ProfileError, WrongPassphrase
from shared.framing import framed
from shared.passphrase import (
    MAX_SCRYPT_LOG2_N,
    MIN_SCRYPT_LOG2_N,
    SCRYPT_LOG2_N,
    SCRYPT_P,
    SCRYPT_R,
    checked_passphrase,
    stretched,
)

SALT_BYTES: Final = 16
SEALED_MAGIC: Final = b"\x00Glimp1\x00"
"""What encrypted bytes begin with. No key is as long as they are, and no stored message begins so."""

_KDF: Final = "scrypt"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True, repr=False)
class DataKey:
    """The key of what is encrypted in one profile. Its `repr` does not show it."""

    secret: bytes
    """32 random bytes."""

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes] = token_bytes) -> "DataKey":
        """Return a fresh key."""
        return cls(entropy(_KEY_BYTES))

    @property
    def id(self) -> str:
        """What tells this key from others: 32 hexadecimal digits that give nothing away."""
        return sha256(framed("data-key-id", self.secret)).hexdigest()[:32]

    def seal(self, purpose: str, plain: bytes) -> bytes:
        """Encrypt (ChaCha20-Poly1305, RFC 8439). It opens for the same purpose only. Adds 36 bytes."""
        nonce = token_bytes(_NONCE_BYTES)
        return SEALED_MAGIC + nonce + ChaCha20Poly1305(self.secret).encrypt(nonce, plain, _binding(purpose))

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Return what `seal` encrypted. Raises `ProfileError` for anything else, or under another key."""
        start = len(SEALED_MAGIC)
        if is_sealed(sealed) and len(sealed) >= start + _NONCE_BYTES + _TAG_BYTES:
            nonce, body = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
            try:
                return ChaCha20Poly1305(self.secret).decrypt(nonce, body, _binding(purpose))
            except InvalidTag:
                pass
        raise ProfileError("What is encrypted here is damaged, or was encrypted under another key.")


def is_sealed(data: object) -> bool:
    """Return whether something looks like what `DataKey.seal` returns."""
    return isinstance(data, bytes) and data.startswith(SEALED_MAGIC)


def _binding(purpose: str) -> bytes:
    return framed("at-rest", purpose.encode())


# --- Wrapping --------------------------------------------------------------------------------------------------------
class _Wrapped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file of a data key holds. `check` tells damage from a wrong passphrase; it protects nothing."""

    glimpse: Literal["data-key"]
    version: Literal[1]
    kdf: Literal["scrypt"]
    log2_n: Annotated[int, msgspec.Meta(ge=MIN_SCRYPT_LOG2_N, le=MAX_SCRYPT_LOG2_N)]
    salt: str
    sealed: str
    check: str


def wrap(key: DataKey, passphrase: str) -> bytes:
    """Return the content of a file from which only this passphrase gets the key."""
    checked_passphrase(passphrase)
    log2_n, salt = SCRYPT_LOG2_N, token_bytes(SALT_BYTES)
    sealed = DataKey(stretched(passphrase, salt, log2_n)).seal(_purpose(_KDF, log2_n, salt), key.secret)
    content = _Wrapped("data-key", 1, _KDF, log2_n, _text(salt), _text(sealed), _check(log2_n, salt, sealed))
    return orjson.dumps(msgspec.to_builtins(content), option=orjson.OPT_APPEND_NEWLINE)


def unwrap(data: bytes, passphrase: str, *, name: str) -> tuple[DataKey, bool]:
    """Return the key in a file that `wrap` made, and whether it should be wrapped anew, with the work of today.

    `name` is what messages call the file. Raises `WrongPassphrase` where the file is whole and does not open,
    `ProfileError` where it is damaged or was made by a newer Glimpse.
    """
    damaged = ProfileError(
        f"{name} is damaged, and nothing of this profile opens without it; restore it from a copy of the profile, or"
        " import an export of the account into a new profile."
    )
    try:
        fields = orjson.loads(data)
    except ValueError:
        raise damaged from None
    if isinstance(fields, dict) and fields.get("glimpse") == "data-key" and fields.get("version") in range(2, 1_000):
        raise ProfileError(f"{name} was written by a newer Glimpse; update this one.")
    try:
        content = msgspec.convert(fields, type=_Wrapped, strict=True)
        salt, sealed = (base64.b64decode(text, validate=True) for text in (content.salt, content.sealed))
    except (ValueError, msgspec.ValidationError):
        raise damaged from None
    if content.check != _check(content.log2_n, salt, sealed):
        raise damaged
    wrapping = DataKey(stretched(checked_passphrase(passphrase), salt, content.log2_n))
    try:
        secret = wrapping.open(_purpose(content.kdf, content.log2_n, salt), sealed)
    except ProfileError:
        raise WrongPassphrase(
            "The passphrase does not open this profile; try again. Nobody can find out one that is forgotten: then"
            " import an export of the account into a new profile."
        ) from None
    return DataKey(secret), content.log2_n < SCRYPT_LOG2_N


def _purpose(kdf: str, log2_n: int, salt: bytes) -> str:
    return f"data key, {kdf} {log2_n} {SCRYPT_R} {SCRYPT_P} {salt.hex()}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _check(log2_n: int, salt: bytes, sealed: bytes) -> str:
    return sha256(framed("data-key-check", str(log2_n).encode(), salt, sealed)).hexdigest()[:16]
