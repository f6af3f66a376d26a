"""The handshake `Noise_IK_25519_ChaChaPoly_BLAKE2s` (Noise Protocol Framework, revision 34).

The initiator knows the responder's static key beforehand and sends its own, encrypted, in the first message:

    <- s
    ...
    -> e, es, s, ss
    <- e, ee, se

The primitives are those of `cryptography` and `hashlib`. Ephemeral keys are handed in as 32 random bytes; whoever calls
must never hand in the same bytes twice.
"""

import hmac
from dataclasses import dataclass
from hashlib import blake2s
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from shared.errors import HandshakeFailed, LocalError

PROTOCOL_NAME: Final = b"Noise_IK_25519_ChaChaPoly_BLAKE2s"
KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
MAX_NONCE: Final = 2**64 - 1
"""Reserved by the specification (section 5.1); never used to encrypt."""
_NONCE: Final = Struct("<4xQ")


class KeyPair:
    """An X25519 key pair."""

    __slots__ = ("_private", "public")

    def __init__(self, private: bytes) -> None:
        """Take the 32 bytes of the private key. Raises `LocalError` for any other length."""
        if len(private) != KEY_BYTES:
            raise LocalError(f"a private key has {KEY_BYTES} bytes, not {len(private)}")
        self._private = X25519PrivateKey.from_private_bytes(private)
        self.public = self._private.public_key().public_bytes_raw()

    def exchange(self, remote_public: bytes) -> bytes:
        """Return the shared secret. Raises `HandshakeFailed` for a remote key of low order or wrong length."""
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(remote_public))
        except ValueError:
            raise HandshakeFailed("a public key that yields no shared secret") from None


def derive_keys(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """Return two keys: HKDF as the Noise specification defines it (section 4.3), on HMAC-BLAKE2s."""
    temporary = hmac.new(chaining_key, material, blake2s).digest()
    first = hmac.new(temporary, b"\x01", blake2s).digest()
    return first, hmac.new(temporary, first + b"\x02", blake2s).digest()


class CipherState:
    """A key and a nonce that counts up (section 5.1); without a key it passes plaintext through."""

    __slots__ = ("_cipher", "nonce")

    def __init__(self, key: bytes | None = None) -> None:
        self._cipher = None if key is None else ChaCha20Poly1305(key)
        self.nonce = 0

    def encrypt(self, associated: bytes, plaintext: bytes) -> bytes:
        """Return ciphertext and tag."""
        if self._cipher is None:
            return plaintext
        ciphertext = self._cipher.encrypt(self._next_nonce(), plaintext, associated)
        self.nonce += 1
        return ciphertext

    def decrypt(self, associated: bytes, ciphertext: bytes) -> bytes:
        """Return the plaintext. Raises `HandshakeFailed`, and keeps the nonce, where it does not authenticate."""
        if self._cipher is None:
            return ciphertext
        try:
            plaintext = self._cipher.decrypt(self._next_nonce(), ciphertext, associated)
        except InvalidTag:
            raise HandshakeFailed("a handshake message that does not authenticate") from None
        self.nonce += 1
        return plaintext

    def _next_nonce(self) -> bytes:
        if self.nonce >= MAX_NONCE:
            raise LocalError("the nonces of this key are used up")
        return _NONCE.pack(self.nonce)


class SymmetricState:
    """Chaining key, handshake hash and the cipher of the moment (section 5.2)."""

    __slots__ = ("chaining_key", "cipher", "handshake_hash")

    def __init__(self) -> None:
        self.handshake_hash = blake2s(PROTOCOL_NAME).digest()  # the name is longer than one hash
        self.chaining_key = self.handshake_hash
        self.cipher = CipherState()

    def copy(self) -> "SymmetricState":
        """Return a state that can fail without harm to this one. Ciphers are shared: they are replaced, not changed,
        between two messages of this pattern, and a failed decryption leaves them as they were."""
        other = SymmetricState()
        other.handshake_hash = self.handshake_hash
        other.chaining_key = self.chaining_key
        other.cipher = self.cipher
        return other

    def mix_key(self, material: bytes) -> None:
        """Take a shared secret in; the cipher gets a new key."""
        self.chaining_key, key = derive_keys(self.chaining_key, material)
        self.cipher = CipherState(key)

    def mix_hash(self, data: bytes) -> None:
        """Bind `data` to everything that follows."""
        self.handshake_hash = blake2s(self.handshake_hash + data).digest()

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Encrypt under the cipher of the moment and bind the result."""
        ciphertext = self.cipher.encrypt(self.handshake_hash, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """Decrypt under the cipher of the moment and bind the ciphertext."""
        plaintext = self.cipher.decrypt(self.handshake_hash, ciphertext)
        self.mix_hash(ciphertext)
        return plaintext


@dataclass(frozen=True, slots=True)
class HandshakeKeys:
    """What a finished handshake leaves to both sides: one key per direction, and a name for the session."""

    initiator_to_responder: bytes
    responder_to_initiator: bytes
    handshake_hash: bytes
    """Unique to this handshake, and public."""


def _split(state: SymmetricState) -> HandshakeKeys:
    first, second = derive_keys(state.chaining_key, b"")
    return HandshakeKeys(first, second, state.handshake_hash)


def _start(prologue: bytes, responder_static: bytes) -> SymmetricState:
    state = SymmetricState()
    state.mix_hash(prologue)
    state.mix_hash(responder_static)
    return state


class InitiatorHandshake:
    """The side that speaks first: `write_first`, then `read_second`."""

    MESSAGE_OVERHEAD_BYTES: Final = KEY_BYTES + KEY_BYTES + TAG_BYTES + TAG_BYTES

    __slots__ = ("_ephemeral", "_remote_static", "_state", "_static")

    def __init__(self, static: KeyPair, remote_static: bytes, *, ephemeral: bytes, prologue: bytes) -> None:
        """Take both static keys and 32 fresh random bytes. Both sides must hand in the same `prologue`."""
        self._static = static
        self._remote_static = remote_static
        self._ephemeral = KeyPair(ephemeral)
        self._state = _start(prologue, remote_static)

    def write_first(self, payload: bytes) -> bytes:
        """Return the first message. Its payload is protected against all but the theft of the responder's key, and can
        be replayed. Raises `HandshakeFailed` where the responder's key is no key."""
        state = self._state
        state.mix_hash(self._ephemeral.public)
        state.mix_key(self._ephemeral.exchange(self._remote_static))
        static = state.encrypt_and_hash(self._static.public)
        state.mix_key(self._static.exchange(self._remote_static))
        return self._ephemeral.public + static + state.encrypt_and_hash(payload)

    def read_second(self, message: bytes) -> tuple[bytes, HandshakeKeys]:
        """Return the payload of the answer and the keys.

        Raises `HandshakeFailed`; the handshake then stands where it stood, so that a forged answer does not spoil it.
        """
        if len(message) < KEY_BYTES + TAG_BYTES:
            raise HandshakeFailed("a second handshake message that is too short")
        state = self._state.copy()
        remote_ephemeral = message[:KEY_BYTES]
        state.mix_hash(remote_ephemeral)
        state.mix_key(self._ephemeral.exchange(remote_ephemeral))
        state.mix_key(self._static.exchange(remote_ephemeral))
        payload = state.decrypt_and_hash(message[KEY_BYTES:])
        return payload, _split(state)


class ResponderHandshake:
    """The side that answers: `read_first`, then `write_second`."""

    __slots__ = ("_remote_ephemeral", "_state", "_static", "remote_static")

    def __init__(self, static: KeyPair, *, prologue: bytes) -> None:
        """Take the static key pair. Both sides must hand in the same `prologue`."""
        self._static = static
        self._state = _start(prologue, static.public)
        self._remote_ephemeral = b""
        self.remote_static = b""

    def read_first(self, message: bytes) -> bytes:
        """Return the payload of the first message; `remote_static` then holds the initiator's key.

        Raises `HandshakeFailed`; the object is then of no further use.
        """
        if len(message) < InitiatorHandshake.MESSAGE_OVERHEAD_BYTES:
            raise HandshakeFailed("a first handshake message that is too short")
        static_end = 2 * KEY_BYTES + TAG_BYTES
        state = self._state
        self._remote_ephemeral = message[:KEY_BYTES]
        state.mix_hash(self._remote_ephemeral)
        state.mix_key(self._static.exchange(self._remote_ephemeral))
        self.remote_static = state.decrypt_and_hash(message[KEY_BYTES:static_end])
        state.mix_key(self._static.exchange(self.remote_static))
        return state.decrypt_and_hash(message[static_end:])

    def write_second(self, payload: bytes, *, ephemeral: bytes) -> tuple[bytes, HandshakeKeys]:
        """Return the answer and the keys. Takes 32 fresh random bytes. Raises `LocalError` before `read_first`."""
        if not self.remote_static:
            raise LocalError("there is no first message to answer yet")
        state = self._state
        own = KeyPair(ephemeral)
        state.mix_hash(own.public)
        state.mix_key(own.exchange(self._remote_ephemeral))
        state.mix_key(own.exchange(self.remote_static))
        return own.public + state.encrypt_and_hash(payload), _split(state)
