"""Embedding of bytes in the channels of a picture: many bits for each channel that is moved by one.

A group of n = 2^(k-1) channels carries k bits: the sum of i times channel i, for i from 1 to n, modulo 2^k. One channel
moved by one, up or down, gives it any value (Zhang and Wang, "Efficient steganographic embedding by exploiting
modification direction", 2006, with a power of two for the modulus). With k = 5 a bit costs 0.19 changes, where setting
low bits costs 0.5. And values are moved, not replaced: replacement of low bits pairs up neighbouring values, which
sample-pairs analysis sees (Sharp, "An implementation of key-based digital signal steganography", 2001; Ker,
"Steganalysis of LSB matching in grayscale images", 2005).

Header and payload are laid under a stream keyed with the image id, so that whoever lacks the id finds nothing there but
random bits. The id is no secret among those who share pictures; what keeps the payload secret is that it is ciphertext.

Layout of the body, which is the picture below the rights strip: a header of 16 bytes in the first 128 channels, one
bit each, and the payload in the rest.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.config import MAX_SEALED_BYTES, TWO_BITS_ABOVE_BYTES
from shared.errors import DamagedStego, LocalError
from shared.stego.keyed import Stream
from shared.stego.sizes import HEADER_CHANNELS, TWO_BITS, capacity, group_channels

Channels = NDArray[np.uint8]
"""The channels of the body in one row: red, green, blue of the first pixel and so on."""

KEY_BYTES: Final = 16
_HEADER: Final = struct.Struct(">2sBBI8s")
"""Magic, version, code, payload bytes, check of the payload."""
assert _HEADER.size * 8 == HEADER_CHANNELS
_MAGIC: Final = b"Gl"
_VERSION: Final = 2
_CODES: Final = range(2, 8)
"""The other codes are the bits that a group of channels carries; with more, groups are longer than small bodies are."""
_BLOCK_SYMBOLS: Final = 1 << 19
"""Symbols per step, so that a large payload does not need memory many times its size. A multiple of 8."""

_WHITENING_1: Final = blake2b(b"glimpse stego header 1", digest_size=_HEADER.size).digest()
"""What was laid over the header in version 1, the same for all images."""
_MAX_STRIDE_1: Final = 0xFFFF
"""Offsets within a stride were drawn from 16 bits."""

_DAMAGED: Final = (
    "This picture no longer yields what was hidden in it: it was re-encoded or edited by another program, or belongs "
    "to another image; ask the owner for it again."
)


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the payload. `check` is keyed with the image id; in version 1, `code` is bits per channel."""

    version: int
    code: int
    payload_bytes: int
    check: bytes


def code_for(payload_bytes: int, channels: int) -> int:
    """Return the code that changes least among those by which the body holds the payload; large ones take two bits."""
    if payload_bytes <= TWO_BITS_ABOVE_BYTES:
        for code in reversed(_CODES):
            if payload_bytes <= capacity(channels, code):
                return code
    return TWO_BITS


def embed(body: Channels, payload: bytes, key: bytes) -> None:
    """Write header and payload into `body` in place. The result depends on nothing but the three arguments.

    Raises `LocalError` for a key that is not 16 bytes and for a payload that is empty or too long for the body.
    """
    _check_key(key)
    code = code_for(len(payload), len(body))
    if not 0 < len(payload) <= min(capacity(len(body), code), MAX_SEALED_BYTES):
        raise LocalError(f"a payload of {len(payload)} bytes does not fit {len(body)} channels")
    white, coins = Stream(key, b"white"), Stream(key, b"coins")
    header = white.over(_HEADER.pack(_MAGIC, _VERSION, code, len(payload), _check_of(payload, key)))
    _match(body[:HEADER_CHANNELS], _to_symbols(header, 1), 1, coins)
    groups, bits = _groups(body[HEADER_CHANNELS:], code), code or 2
    for part, (first, count) in zip(_parts(payload, bits), _spans(len(payload), bits), strict=True):
        block, symbols = groups[:, first : first + count], _to_symbols(white.over(part), bits)
        if code:
            _write(block, symbols, bits, coins)
        else:
            _match(block[0], symbols, bits, coins)


def read_header(head: Channels, key: bytes) -> Header:
    """Return the header from the first `HEADER_CHANNELS` channels of a body. Raises `DamagedStego` where none is."""
    found = np.packbits(head[:HEADER_CHANNELS] & 1).tobytes()
    if len(found) != _HEADER.size:
        raise DamagedStego(_DAMAGED)
    version_1 = bytes(a ^ b for a, b in zip(found, _WHITENING_1, strict=True))
    for expected, header, codes in (
        (_VERSION, Stream(key, b"white").over(found), (TWO_BITS, *_CODES)),
        (1, version_1, (1, 2)),
    ):
        magic, version, code, length, check = _HEADER.unpack(header)
        if (magic, version) == (_MAGIC, expected) and code in codes and 0 < length <= MAX_SEALED_BYTES:
            return Header(version, code, length, check)
    raise DamagedStego(_DAMAGED)


def extract(body: Channels, key: bytes) -> bytes:
    """Return the payload. Raises `DamagedStego` where there is none, or not the one that was written."""
    _check_key(key)
    header = read_header(body, key)
    payload = (_extract if header.version == _VERSION else _extract_1)(body[HEADER_CHANNELS:], header, key)
    if _check_of(payload, key) != header.check:
        raise DamagedStego(_DAMAGED)
    return payload


def _extract(rest: Channels, header: Header, key: bytes) -> bytes:
    if header.payload_bytes > capacity(len(rest) + HEADER_CHANNELS, header.code):
        raise DamagedStego(_DAMAGED)
    groups, bits = _groups(rest, header.code), header.code or 2
    white = Stream(key, b"white")
    white.take(_HEADER.size)
    found = []
    for first, count in _spans(header.payload_bytes, bits):
        block = groups[:, first : first + count]
        found.append(_from_symbols(_carried(block, bits) if header.code else block[0] & np.uint8(3), bits))
    return white.over(b"".join(found)[: header.payload_bytes])


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise LocalError(f"an image id has {KEY_BYTES} bytes, this one has {len(key)}")


def _check_of(payload: bytes, key: bytes) -> bytes:
    return blake2b(payload, key=key, digest_size=8, person=b"glimpse-check").digest()


# --- Groups and symbols ----------------------------------------------------------------------------------------------
def _groups(channels: Channels, code: int) -> Channels:
    """Return channels as a view with a column for each group: the members of one lie far apart in the picture."""
    members = group_channels(code)
    return channels[: len(channels) // members * members].reshape(members, -1)


def _spans(payload_bytes: int, bits: int) -> Iterator[tuple[int, int]]:
    """Return the first symbol and the number of symbols of each step; the last symbol may be part filler."""
    symbols = -(-payload_bytes * 8 // bits)
    for first in range(0, symbols, _BLOCK_SYMBOLS):
        yield first, min(_BLOCK_SYMBOLS, symbols - first)


def _parts(payload: bytes, bits: int) -> Iterator[memoryview]:
    """Return the bytes of each step."""
    view, length = memoryview(payload), _BLOCK_SYMBOLS * bits // 8
    for first in range(0, len(payload), length):
        yield view[first : first + length]


def _to_symbols(data: bytes, bits: int) -> NDArray[np.uint8]:
    """Split bytes into symbols of some bits, most significant first; what the last lacks is zero."""
    each = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    if bits == 1:
        return each
    if missing := -len(each) % bits:
        each = np.append(each, np.zeros(missing, dtype=np.uint8))
    symbols = each[0::bits]
    for place in range(1, bits):
        symbols = symbols << np.uint8(1) | each[place::bits]
    return symbols


def _from_symbols(symbols: NDArray[np.uint8], bits: int) -> bytes:
    """Put symbols together to bytes; what does not fill a byte at the end is left out."""
    whole = len(symbols) * bits // 8
    if bits == 1:
        return np.packbits(symbols).tobytes()[:whole]
    if missing := -len(symbols) % 8:
        symbols = np.append(symbols, np.zeros(missing, dtype=np.uint8))
    together = symbols[0::8].astype(">u8")  # eight symbols are `bits` bytes, the lowest of a number
    for place in range(1, 8):
        together = together << np.uint64(bits) | symbols[place::8]
    each = together.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - bits :]
    return each.tobytes()[:whole]


def _carried(groups: Channels, bits: int) -> NDArray[np.uint8]:
    """Return the symbol that each group carries."""
    found: NDArray[np.uint8] = groups[0].copy()
    times = np.empty_like(found)
    for number in range(2, len(groups) + 1):
        np.multiply(groups[number - 1], np.uint8(number), out=times)
        found += times
    found &= np.uint8((1 << bits) - 1)
    return found


def _write(groups: Channels, symbols: NDArray[np.uint8], bits: int, coins: Stream) -> None:
    """Give each group its symbol by moving at most one of its channels by one.

    The last channel of a group may go either way, as a coin says. Where a channel is 0 and would have to go down, or
    255 and up, it goes the other way, and the group is looked at again.
    """
    numbers = np.arange(1, len(groups) + 1, dtype=np.uint8)[:, None]
    missing = _missing(groups, symbols, bits)
    while missing.any():
        down = (missing > len(groups)).view(np.uint8)
        either = np.flatnonzero(missing == len(groups))
        down[either] = coins.bits(len(either))
        chosen = np.where(down, np.uint8(0) - missing, missing) & np.uint8((1 << bits) - 1) == numbers
        stuck = (chosen & (groups == down - np.uint8(1))).any(axis=0)  # 255 for those that go up, 0 for the others
        down ^= stuck
        groups += chosen * (np.uint8(1) - down - down)
        if not stuck.any():
            return
        missing = _missing(groups, symbols, bits)


def _missing(groups: Channels, symbols: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Return what each group carries too little, modulo what it can carry."""
    return np.asarray((symbols - _carried(groups, bits)) & np.uint8((1 << bits) - 1))


# --- Low bits --------------------------------------------------------------------------------------------------------
def _match(channels: Channels, symbols: NDArray[np.uint8], bits: int, coins: Stream) -> None:
    """Move channels by the smallest steps so that their low bits are `symbols`; coins decide up or down.

    A channel that would come below 0 or above 255 goes the other way.
    """
    modulus = 1 << bits
    steps = (symbols - channels) & np.uint8(modulus - 1)
    falls = steps + (coins.bits(len(symbols)) ^ 1) > modulus // 2
    moved = channels + steps - (falls.view(np.uint8) << np.uint8(bits))
    stuck = np.flatnonzero(((moved > channels) == falls) & (steps != 0))
    moved[stuck] += np.where(falls[stuck], np.uint8(modulus), np.uint8(256 - modulus))
    channels[:] = moved


# --- Version 1, which is only read -----------------------------------------------------------------------------------
def _extract_1(rest: Channels, header: Header, key: bytes) -> bytes:
    bits = header.code
    if header.payload_bytes > len(rest) * bits // 8:
        raise DamagedStego(_DAMAGED)
    symbols = header.payload_bytes * 8 // bits
    offsets, found = Stream(key, b"offsets"), []
    for first, count in _spans(header.payload_bytes, bits):
        places = _places_1(first, count, symbols, len(rest), offsets)
        found.append(_from_symbols(rest[places] & np.uint8((1 << bits) - 1), bits))
    return b"".join(found)


def _places_1(first: int, count: int, symbols: int, channels: int, offsets: Stream) -> slice | NDArray[np.int64]:
    """Return where `count` symbols are, beginning with number `first` of `symbols`.

    From half fill on they follow each other. Below, the channels are divided into as many equal strides as there are
    symbols, and each symbol lies somewhere in its own.
    """
    stride = min(channels // symbols, _MAX_STRIDE_1)
    if stride < 2:
        return slice(first, first + count)
    places = np.arange(first, first + count, dtype=np.int64)
    places *= channels
    places //= symbols
    places += offsets.below(stride, count)
    return places
