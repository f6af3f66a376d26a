"""Embedding of bytes in the channels of a picture by +-1 matching.

A channel whose low bits differ from the payload's is moved by the smallest step, up or down as a keyed coin says,
instead of having its bits replaced: replacement pairs up neighbouring values, which sample-pairs analysis sees
(Sharp, "An implementation of key-based digital signal steganography", 2001; Ker, "Steganalysis of LSB matching in
grayscale images", 2005). Positions and coins come from a stream keyed with the image id: up to half fill one symbol
lies in every stride of channels, at a keyed offset; above it symbols follow each other.

The key is public. It spreads the payload; what keeps it secret is that the payload is ciphertext.

Layout of the body, which is the picture below the rights strip: a header of 16 bytes in the first 128 channels, one
bit each, and the payload in the rest.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from shared.config import MAX_SEALED_BYTES, TWO_BITS_ABOVE_BYTES
from shared.errors import DamagedStego, LocalError

Channels = NDArray[np.uint8]
"""The channels of the body in one row: red, green, blue of the first pixel and so on."""

KEY_BYTES: Final = 16
_HEADER: Final = struct.Struct(">2sBBI8s")
"""Magic, version, bits per channel, payload bytes, check of the payload."""
HEADER_CHANNELS: Final = _HEADER.size * 8
_MAGIC: Final = b"Gl"
_VERSION: Final = 1
_WHITENING: Final = blake2b(b"glimpse stego header 1", digest_size=_HEADER.size).digest()
"""Laid over the header so that its zeros and small numbers do not stand out as runs of equal bits."""
_BLOCK_SYMBOLS: Final = 1 << 19
"""Symbols per step, so that positions and coins of a large payload do not need memory many times its size."""
_MAX_STRIDE: Final = 0xFFFF
"""Offsets within a stride are drawn from 16 bits."""

_DAMAGED: Final = (
    "This picture no longer yields what was hidden in it: it was re-encoded or edited by another program, or belongs "
    "to another image; ask the owner for it again."
)


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the payload. `check` is keyed with the image id."""

    bits_per_channel: int
    payload_bytes: int
    check: bytes


def capacity(channels: int, bits_per_channel: int) -> int:
    """Return the payload bytes that a body of `channels` holds, 0 where not even the header fits."""
    return max(channels - HEADER_CHANNELS, 0) * bits_per_channel // 8


def bits_per_channel_for(payload_bytes: int, channels: int) -> int:
    """Return 1, or 2 for payloads that are large or do not fit otherwise: two bits halve the file and cost 5 dB."""
    return 1 if payload_bytes <= min(TWO_BITS_ABOVE_BYTES, capacity(channels, 1)) else 2


def embed(body: Channels, payload: bytes, key: bytes) -> None:
    """Write header and payload into `body` in place. The result depends on nothing but the three arguments.

    Raises `LocalError` for a key that is not 16 bytes and for a payload that is empty or too long for the body.
    """
    _check_key(key)
    bits = bits_per_channel_for(len(payload), len(body))
    if not 0 < len(payload) <= min(capacity(len(body), bits), MAX_SEALED_BYTES):
        raise LocalError(f"a payload of {len(payload)} bytes does not fit {len(body)} channels")
    header = _HEADER.pack(_MAGIC, _VERSION, bits, len(payload), _check_of(payload, key))
    whitened = bytes(a ^ b for a, b in zip(header, _WHITENING, strict=True))
    head, rest = body[:HEADER_CHANNELS], body[HEADER_CHANNELS:]
    coins = _Stream(key, b"header")
    head[:] = _matched(head, _to_symbols(whitened, 1), coins.bits(HEADER_CHANNELS), 1)
    offsets, coins = _Stream(key, b"offsets"), _Stream(key, b"coins")
    count, view = len(payload) * 8 // bits, memoryview(payload)
    for first in range(0, count, _BLOCK_SYMBOLS):
        block = _to_symbols(view[first * bits // 8 : (first + _BLOCK_SYMBOLS) * bits // 8], bits)
        where = _places(first, len(block), count, len(rest), offsets)
        rest[where] = _matched(rest[where], block, coins.bits(len(block)), bits)


def read_header(head: Channels) -> Header:
    """Return the header from the first `HEADER_CHANNELS` channels of a body. Raises `DamagedStego` where none is."""
    whitened = np.packbits(head[:HEADER_CHANNELS] & 1).tobytes()
    if len(whitened) != _HEADER.size:
        raise DamagedStego(_DAMAGED)
    magic, version, bits, length, check = _HEADER.unpack(
        bytes(a ^ b for a, b in zip(whitened, _WHITENING, strict=True))
    )
    if magic != _MAGIC or version != _VERSION or bits not in (1, 2) or not 0 < length <= MAX_SEALED_BYTES:
        raise DamagedStego(_DAMAGED)
    return Header(bits, length, check)


def extract(body: Channels, key: bytes) -> bytes:
    """Return the payload. Raises `DamagedStego` where there is none, or not the one that was written."""
    _check_key(key)
    header = read_header(body)
    if header.payload_bytes > capacity(len(body), header.bits_per_channel):
        raise DamagedStego(_DAMAGED)
    bits, rest = header.bits_per_channel, body[HEADER_CHANNELS:]
    count = header.payload_bytes * 8 // bits
    offsets = _Stream(key, b"offsets")
    blocks = []
    for first in range(0, count, _BLOCK_SYMBOLS):
        length = min(_BLOCK_SYMBOLS, count - first)
        blocks.append(_from_symbols(rest[_places(first, length, count, len(rest), offsets)], bits))
    payload = b"".join(blocks)
    if _check_of(payload, key) != header.check:
        raise DamagedStego(_DAMAGED)
    return payload


class _Stream:
    """A reproducible stream of numbers: AES-128 in counter mode, keyed with the image id and a purpose.

    numpy's own generators promise no equal numbers from one version to the next, and the reader must draw what the
    writer drew.
    """

    def __init__(self, key: bytes, purpose: bytes) -> None:
        derived = blake2b(purpose, key=key, digest_size=16, person=b"glimpse-stego").digest()
        self._cipher: CipherContext = Cipher(AES(derived), CTR(bytes(16))).encryptor()

    def _take(self, count: int) -> bytes:
        return self._cipher.update(bytes(count))

    def bits(self, count: int) -> NDArray[np.uint8]:
        """Return `count` coins. `count` is a multiple of 8 in all blocks but the last."""
        return np.unpackbits(np.frombuffer(self._take(-(-count // 8)), dtype=np.uint8), count=count)

    def below(self, limit: int, count: int) -> NDArray[np.int64]:
        """Return `count` numbers from 0 to `limit` - 1; `limit` has 16 bits."""
        drawn = np.frombuffer(self._take(2 * count), dtype="<u2").astype(np.int64)
        drawn *= limit
        drawn >>= 16
        return drawn


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise LocalError(f"an image id has {KEY_BYTES} bytes, this one has {len(key)}")


def _check_of(payload: bytes, key: bytes) -> bytes:
    return blake2b(payload, key=key, digest_size=8, person=b"glimpse-check").digest()


def _places(first: int, count: int, symbols: int, channels: int, offsets: _Stream) -> slice | NDArray[np.int64]:
    """Return where `count` symbols go, beginning with number `first` of `symbols`.

    From half fill on they follow each other. Below, the channels are divided into as many equal strides as there are
    symbols, and each symbol lies somewhere in its own.
    """
    stride = min(channels // symbols, _MAX_STRIDE)
    if stride < 2:
        return slice(first, first + count)
    places = np.arange(first, first + count, dtype=np.int64)
    places *= channels
    places //= symbols
    places += offsets.below(stride, count)
    return places


def _to_symbols(payload: bytes | memoryview, bits: int) -> NDArray[np.uint8]:
    """Split bytes into bits or pairs of bits, most significant first."""
    data = np.frombuffer(payload, dtype=np.uint8)
    if bits == 1:
        return np.unpackbits(data)
    pairs = np.empty((len(data), 4), dtype=np.uint8)
    for column, shift in enumerate((6, 4, 2, 0)):
        np.right_shift(data, shift, out=pairs[:, column])
    pairs &= 3
    return pairs.reshape(-1)


def _from_symbols(symbols: NDArray[np.uint8], bits: int) -> bytes:
    if bits == 1:
        return np.packbits(symbols & 1).tobytes()
    pairs = (symbols & 3).reshape(-1, 4)
    return (pairs[:, 0] << 6 | pairs[:, 1] << 4 | pairs[:, 2] << 2 | pairs[:, 3]).tobytes()


def _matched(values: Channels, symbols: NDArray[np.uint8], coins: NDArray[np.uint8], bits: int) -> Channels:
    """Return `values` moved by the smallest steps so that their low bits are `symbols`; coins decide up or down."""
    index = values.astype(np.uint16)
    index <<= bits
    index |= symbols
    index |= coins.astype(np.uint16) << (8 + bits)
    return _matching_table(bits)[index]


@lru_cache(maxsize=2)
def _matching_table(bits: int) -> NDArray[np.uint8]:
    """Return the new value for every coin, old value and symbol, the index made of these three in this order.

    The new value is the nearest one with the wanted low bits; the coin decides between two that are equally near.
    """
    modulus = 1 << bits
    values, symbols = np.arange(256)[:, None], np.arange(modulus)
    up, down = (symbols - values) % modulus, (values - symbols) % modulus
    table = np.empty((2, 256, modulus), dtype=np.uint8)
    for coin in range(2):
        climbs = (up < down) | ((up == down) & (coin == 1))
        climbs = np.where(values + up > 255, False, np.where(values - down < 0, True, climbs))
        table[coin] = np.where(climbs, values + up, values - down)
    flat = table.reshape(-1)
    flat.setflags(write=False)
    return flat
