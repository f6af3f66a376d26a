"""Numbers that follow from an image's id: what hides a payload, and the cover that is drawn for it."""

from hashlib import blake2b

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray


class Stream:
    """A reproducible stream of bytes: AES-128 in counter mode, keyed with the image id and a purpose.

    numpy's own generators promise no equal numbers from one version to the next, and the reader must draw what the
    writer drew.
    """

    def __init__(self, key: bytes, purpose: bytes) -> None:
        derived = blake2b(purpose, key=key, digest_size=16, person=b"glimpse-stego").digest()
        self._cipher: CipherContext = Cipher(AES(derived), CTR(bytes(16))).encryptor()

    def take(self, count: int) -> NDArray[np.uint8]:
        """Return the next `count` bytes."""
        return np.frombuffer(self._cipher.update(bytes(count)), dtype=np.uint8)

    def over(self, data: bytes | memoryview) -> bytes:
        """Return `data` with the next bytes laid over it (exclusive or); twice gives it back."""
        return self._cipher.update(data)

    def bits(self, count: int) -> NDArray[np.uint8]:
        """Return `count` coins. `count` is a multiple of 8 in all calls but the last."""
        return np.unpackbits(self.take(-(-count // 8)), count=count)

    def below(self, limit: int, count: int) -> NDArray[np.int64]:
        """Return `count` numbers from 0 to `limit` - 1; `limit` has 16 bits."""
        drawn = self.take(2 * count).view("<u2").astype(np.int64)
        drawn *= limit
        drawn >>= 16
        return drawn

    def between(self, low: float, high: float, count: int) -> NDArray[np.float32]:
        """Return `count` numbers from `low` to below `high`, of 16 bits each."""
        drawn = self.take(2 * count).view("<u2").astype(np.float32)
        return np.asarray(low + drawn * np.float32((high - low) / 65536), dtype=np.float32)
