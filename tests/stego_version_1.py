"""Stego images as version 1 made them, for tests: written by docs/protocol.md ("Stego image", version 01), and laid out
as those files are that are kept in `tests/unit/stego_version_1`.

They have what version 2 is without: a strip in a stored block of its own chunk, a last chunk of four bytes, a header
under a mask that is the same in all, and the rights record as JSON in clear.
"""

import struct
import zlib
from hashlib import blake2b

import numpy as np

from shared.stego.keyed import Stream
from shared.stego.png import HEAD_BYTES, NONE, SIGNATURE, UP, chunk, refiltered
from shared.stego.sizes import strip_rows
from tests.stego_files import Picture

_HEADER = struct.Struct(">2sBBI8s")
_MASK = blake2b(b"glimpse stego header 1", digest_size=_HEADER.size).digest()
_HEADER_CHANNELS = 8 * _HEADER.size
_MAX_STRIDE = 0xFFFF


def hide_1(payload: bytes, record: bytes, *, image_id: bytes, cover: Picture) -> bytes:
    """Return a file of version 1 that holds both, one bit in a channel. The cover stays as it is."""
    pixels = cover.copy()
    rows = strip_rows(pixels.shape[1])
    strip, body = pixels[:rows].reshape(-1), pixels[rows:].reshape(-1)
    text = _bits(b"%d:%b" % (len(record), record))
    strip[: len(text)] = strip[: len(text)] & 0xFE | text
    check = blake2b(payload, key=image_id, digest_size=8, person=b"glimpse-check").digest()
    header = _HEADER.pack(b"Gl", 1, 1, len(payload), check)
    _match(body[:_HEADER_CHANNELS], _bits(bytes(a ^ b for a, b in zip(header, _MASK, strict=True))))
    rest, symbols = body[_HEADER_CHANNELS:], _bits(payload)
    places = _places(len(symbols), len(rest), image_id)
    values = rest[places]
    _match(values, symbols)
    rest[places] = values
    return _file(pixels, rows)


def _bits(data: bytes) -> Picture:
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8))


def _match(channels: Picture, bits: Picture) -> None:
    """Move channels by one where their lowest bit is not the one that is wanted, up and down in turn."""
    wrong = np.flatnonzero((channels & 1) != bits)
    steps = np.where(np.arange(len(wrong)) % 2 == 0, 1, -1)
    values = channels[wrong].astype(int)
    channels[wrong] = np.where((values + steps < 0) | (values + steps > 255), values - steps, values + steps)


def _places(symbols: int, channels: int, image_id: bytes) -> Picture:
    stride = min(channels // symbols, _MAX_STRIDE)
    first = np.arange(symbols, dtype=np.int64)
    if stride < 2:
        return first
    return first * channels // symbols + Stream(image_id, b"offsets").below(stride, symbols)


def _file(pixels: Picture, strip: int) -> bytes:
    height, width = pixels.shape[:2]
    filters = np.full(height, UP, dtype=np.uint8)
    filters[: strip + 1] = NONE
    rows = refiltered(pixels.reshape(height, -1), filters).reshape(height, -1)
    top, rest = rows[:strip].tobytes(), rows[strip:].tobytes()
    deflater = zlib.compressobj(1, wbits=-15)
    stored = b"\x78\x01" + struct.pack("<BHH", 0, len(top), len(top) ^ 0xFFFF) + top
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (
        chunk(b"IHDR", head),
        chunk(b"IDAT", stored),
        chunk(b"IDAT", deflater.compress(rest) + deflater.flush()),
        chunk(b"IDAT", struct.pack(">I", zlib.adler32(top + rest))),
        chunk(b"IEND", b""),
    )
    file = SIGNATURE + b"".join(parts)
    assert file[:HEAD_BYTES].endswith(parts[0])
    return file
