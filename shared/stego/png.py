"""PNG files whose top rows can be rewritten in place (PNG specification third edition; RFC 1950, RFC 1951).

Layout: signature; IHDR; IDAT 1 with the zlib header and the top rows in one stored block; IDAT 2 with the other rows,
compressed, the first of them unfiltered so that it does not depend on the rows above, the rest with filter Up; IDAT 3
with the Adler-32 of all rows; IEND. Every offset follows from the size of the picture and the length of IDAT 2, so a
new strip changes two chunks of known place and length however large the picture is.

Files of this layout are read here. Any other PNG is taken apart chunk by chunk and only what Pillow needs for the
pixels is handed to it, in a child process with limits, so that nothing else in a hostile file is ever parsed.
"""

import struct
import zlib
from dataclasses import dataclass
from importlib import import_module
from io import SEEK_END, BytesIO
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.config import MAX_ASPECT_RATIO, MAX_COVER_PIXELS, MAX_STEGO_BYTES, MIN_COVER_WIDTH_PX
from shared.decoding.children import CHILDREN
from shared.decoding.task import Task
from shared.errors import DamagedStego, UnusableImage
from shared.stego.rights_strip import Pixels, strip_rows

_fast: ModuleType
try:
    _fast = import_module("isal.isal_zlib")
except ImportError:  # no wheel for this machine: the standard library writes the same format at half the speed
    _fast = zlib
HAS_ISAL: Final = _fast is not zlib

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_IHDR: Final = struct.Struct(">IIBBBBB")
_CHUNK: Final = struct.Struct(">I4s")
_WORD: Final = struct.Struct(">I")
_STORED: Final = struct.Struct("<BHH")
_ZLIB_HEADER: Final = b"\x78\x01"
STRIP_CHUNK_AT: Final = len(SIGNATURE) + 12 + _IHDR.size
"""Where IDAT 1 begins, with its length."""
STRIP_DATA_BEFORE_ROWS: Final = len(_ZLIB_HEADER) + _STORED.size
TAIL_BYTES: Final = 12 + 4 + 12
"""IDAT 3 and IEND."""
_COLOUR_AT: Final = len(SIGNATURE) + 8 + 9
_INTERLACE_AT: Final = len(SIGNATURE) + 8 + 12
_IEND: Final = _CHUNK.pack(0, b"IEND") + _WORD.pack(zlib.crc32(b"IEND"))
_ADLER_MODULUS: Final = 65521
_RGB: Final = 2
_RGBA: Final = 6
_BLOCK_BYTES: Final = 1 << 20
_MAX_CHUNKS: Final = 100_000
"""A file of empty chunks would otherwise keep the reader busy; 80 MB in chunks of 8 KB are 10 000."""

_NOT_OURS: Final = (
    "This file is no stego image, or it was damaged on its way or re-encoded by another program; "
    "ask the owner for it again."
)


def damaged() -> DamagedStego:
    """Return the error for a file that is no PNG as Glimpse writes it."""
    return DamagedStego(_NOT_OURS)


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, and what follows from them."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def row_bytes(self) -> int:
        """Bytes of one row with its filter byte."""
        return 1 + 3 * self.width

    @property
    def strip_rows(self) -> int:
        """Top rows that belong to the rights record."""
        return strip_rows(self.width)

    @property
    def strip_bytes(self) -> int:
        """Bytes of the top rows in IDAT 1."""
        return self.strip_rows * self.row_bytes

    @property
    def rest_bytes(self) -> int:
        """Bytes of the other rows before compression."""
        return (self.height - self.strip_rows) * self.row_bytes

    @property
    def strip_chunk_bytes(self) -> int:
        """Length of IDAT 1's data."""
        return STRIP_DATA_BEFORE_ROWS + self.strip_bytes

    @property
    def rest_chunk_at(self) -> int:
        """Where IDAT 2 begins, with its length."""
        return STRIP_CHUNK_AT + 12 + self.strip_chunk_bytes

    @property
    def usable(self) -> bool:
        """Whether a stego image can have this size: caps what a hostile header can make us hold."""
        width, height = self.width, self.height
        return (
            width >= MIN_COVER_WIDTH_PX
            and self.pixels <= MAX_COVER_PIXELS
            and max(width, height) <= MAX_ASPECT_RATIO * min(width, height) + 1
            and height > self.strip_rows
        )


# --- Writing ---------------------------------------------------------------------------------------------------------
def encode(pixels: Pixels) -> bytes:
    """Return the PNG of `pixels` (rows, columns, 3). The size must be `usable`."""
    size = Size(pixels.shape[1], pixels.shape[0])
    assert size.usable
    strip = strip_bytes(pixels[: size.strip_rows])
    out = BytesIO()
    out.write(SIGNATURE + _chunk(b"IHDR", _IHDR.pack(size.width, size.height, 8, _RGB, 0, 0, 0)) + strip_chunk(strip))
    adler = _write_rest(out, pixels[size.strip_rows :].reshape(size.height - size.strip_rows, -1))
    out.write(adler_chunk(combine_adler(zlib.adler32(strip), adler, size.rest_bytes)) + _IEND)
    return out.getvalue()


def _write_rest(out: BytesIO, body: NDArray[np.uint8]) -> int:
    """Write IDAT 2 and return its Adler-32. Some rows at a time: all of them once more, filtered, would take 48 MB."""
    started = out.tell()
    out.write(_CHUNK.pack(0, b"IDAT"))
    deflater = _fast.compressobj(level=1, wbits=-15)
    adler, crc = 1, zlib.crc32(b"IDAT")
    rows = max(1, _BLOCK_BYTES // body.shape[1])
    for first in range(0, len(body), rows):
        filtered = _filtered(body, first, min(first + rows, len(body)))
        adler = _fast.adler32(filtered, adler)
        crc = _fast.crc32(deflated := deflater.compress(filtered), crc)
        out.write(deflated)
    out.write(deflated := deflater.flush())
    crc = _fast.crc32(deflated, crc)
    length = out.tell() - started - _CHUNK.size
    out.write(_WORD.pack(crc))
    out.seek(started)
    out.write(_WORD.pack(length))
    out.seek(0, SEEK_END)
    return adler


def _filtered(body: NDArray[np.uint8], first: int, last: int) -> memoryview:
    """Return rows as they stand in the file: the very first as it is, each other less the one above it (Up)."""
    rows = np.empty((last - first, 1 + body.shape[1]), dtype=np.uint8)
    rows[:, 0] = 2
    np.subtract(body[first:last], body[first - 1 : last - 1] if first else 0, out=rows[:, 1:])
    if not first:
        rows[0, 0] = 0
        np.subtract(body[1:last], body[: last - 1], out=rows[1:, 1:])
    return rows.reshape(-1).data


def strip_bytes(strip: Pixels) -> bytes:
    """Return the top rows as they stand in the file: unfiltered, each behind its filter byte."""
    rows = np.zeros((len(strip), 1 + 3 * strip.shape[1]), dtype=np.uint8)
    rows[:, 1:] = strip.reshape(len(strip), -1)
    return rows.tobytes()


def strip_chunk(strip: bytes) -> bytes:
    """Return IDAT 1 for the bytes of the top rows: one stored block, not the last one of the stream."""
    return _chunk(b"IDAT", _ZLIB_HEADER + _STORED.pack(0, len(strip), len(strip) ^ 0xFFFF) + strip)


def adler_chunk(adler: int) -> bytes:
    """Return IDAT 3."""
    return _chunk(b"IDAT", _WORD.pack(adler))


def combine_adler(first: int, second: int, second_bytes: int) -> int:
    """Return the Adler-32 of two byte strings after each other from their own ones (RFC 1950 section 8.2)."""
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_bytes * ((first & 0xFFFF) - 1)
    return (high % _ADLER_MODULUS) << 16 | low % _ADLER_MODULUS


def patch_adler(adler: int, old_strip: bytes, new_strip: bytes, rest_bytes: int) -> int:
    """Return the Adler-32 of the whole picture after its strip has changed, without reading the rest."""
    old, new = zlib.adler32(old_strip), zlib.adler32(new_strip)
    low = (adler & 0xFFFF) + (new & 0xFFFF) - (old & 0xFFFF)
    high = (adler >> 16) + (new >> 16) - (old >> 16) + rest_bytes * ((new & 0xFFFF) - (old & 0xFFFF))
    return (high % _ADLER_MODULUS) << 16 | low % _ADLER_MODULUS


def whole_adler(strip: bytes, rest: bytes | memoryview, size: Size) -> int:
    """Return the Adler-32 of all rows as they stand in the file."""
    return combine_adler(zlib.adler32(strip), _fast.adler32(rest), size.rest_bytes)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join((_CHUNK.pack(len(data), kind), data, _WORD.pack(_fast.crc32(data, zlib.crc32(kind)))))


# --- Reading our layout ----------------------------------------------------------------------------------------------
def read_size(head: bytes) -> Size:
    """Return the size of a PNG from its first bytes. Raises `DamagedStego` for what no stego image can be."""
    if head[: len(SIGNATURE)] != SIGNATURE or len(head) < STRIP_CHUNK_AT:
        raise damaged()
    kind, data = _chunk_at(head, len(SIGNATURE))
    if kind != b"IHDR" or len(data) != _IHDR.size:
        raise damaged()
    width, height, depth, colour, compression, filtering, interlace = _IHDR.unpack(data)
    size = Size(width, height)
    if depth != 8 or colour not in (_RGB, _RGBA) or compression or filtering or interlace > 1 or not size.usable:
        raise damaged()
    return size


def read_strip(head: bytes, size: Size) -> bytes | None:
    """Return the bytes of the top rows from the first bytes of a file, or None where its layout is not ours.

    Raises `DamagedStego` where the layout is ours and the checksum is wrong.
    """
    strip, intact = read_torn_strip(head, size)
    if strip is not None and not intact:
        raise damaged()
    return strip


def read_torn_strip(head: bytes, size: Size) -> tuple[bytes | None, bool]:
    """Return the bytes of the top rows and whether their checksum is right: an interrupted rewrite leaves a wrong one.

    No bytes where the layout is not ours.
    """
    start = STRIP_CHUNK_AT + 8 + STRIP_DATA_BEFORE_ROWS
    strip = head[start : start + size.strip_bytes]
    if head[_COLOUR_AT] != _RGB or head[_INTERLACE_AT] or len(head) < size.rest_chunk_at:
        return None, False
    expected, found = strip_chunk(strip), head[STRIP_CHUNK_AT : size.rest_chunk_at]
    if found[: -len(strip) - 4] != expected[: -len(strip) - 4] or any(strip[:: size.row_bytes]):
        return None, False
    return strip, found == expected


def strip_pixels(strip: bytes, size: Size) -> Pixels:
    """Return the top rows as pixels."""
    rows = np.frombuffer(strip, dtype=np.uint8).reshape(size.strip_rows, size.row_bytes)
    return np.ascontiguousarray(rows[:, 1:]).reshape(size.strip_rows, size.width, 3)


def decode(png: bytes) -> Pixels:
    """Return the pixels of a PNG of any layout, three channels of 8 bits, opaque.

    Raises `DamagedStego` for anything else, for wrong checksums, and for sizes that no stego image has.
    """
    if len(png) > MAX_STEGO_BYTES:
        raise damaged()
    size = read_size(png)
    chunks = _image_data(png)
    strip = read_strip(png, size)
    if strip is None or len(chunks) != 3 or len(chunks[2]) != 4:
        return _decode_foreign(png, size, chunks)
    rest = inflate_rest(chunks[1], size)
    if _WORD.pack(whole_adler(strip, rest, size)) != chunks[2]:
        raise damaged()
    return _unfiltered(strip, rest, size)


def inflate_rest(data: bytes | memoryview, size: Size) -> bytes:
    """Return the rows below the strip, still filtered. Raises `DamagedStego`; never makes more than they have bytes.

    The standard library's zlib reads, although isal is faster: what reads bytes of strangers is the better tested one.
    """
    inflater = zlib.decompressobj(wbits=-15)
    try:
        rest = inflater.decompress(data, size.rest_bytes + 1)
    except zlib.error as error:
        raise damaged() from error
    if len(rest) != size.rest_bytes or not inflater.eof or inflater.unused_data:
        raise damaged()
    return rest


def is_rest_chunk(head: bytes, size: Size, file_bytes: int) -> bool:
    """Say whether the chunk after IDAT 1 reaches as far as IDAT 2 does in a file of this length."""
    at = size.rest_chunk_at
    length = file_bytes - at - 12 - TAIL_BYTES
    return length > 0 and head[at : at + 8] == _CHUNK.pack(length, b"IDAT")


def rest_chunk(png: bytes, size: Size) -> memoryview | None:
    """Return the data of IDAT 2, or None where the layout is not ours. Its checksum is not looked at."""
    if not is_rest_chunk(png, size, len(png)):
        return None
    return memoryview(png)[size.rest_chunk_at + 8 : len(png) - TAIL_BYTES - 4]


def read_adler(tail: bytes) -> tuple[int, bool] | None:
    """Return the Adler-32 in the last `TAIL_BYTES` of a file and whether its chunk is intact; None: not our layout."""
    if len(tail) != TAIL_BYTES or tail[:8] != _CHUNK.pack(4, b"IDAT") or tail[-12:] != _IEND:
        return None
    adler = int(_WORD.unpack_from(tail, 8)[0])
    return adler, tail[:16] == adler_chunk(adler)


def _unfiltered(strip: bytes, rest: bytes, size: Size) -> Pixels:
    rows = np.frombuffer(rest, dtype=np.uint8).reshape(-1, size.row_bytes)
    if rows[0, 0] != 0 or np.any(rows[1:, 0] != 2):
        raise damaged()
    pixels = np.empty((size.height, 3 * size.width), dtype=np.uint8)
    pixels[: size.strip_rows] = strip_pixels(strip, size).reshape(size.strip_rows, -1)
    np.add.accumulate(rows[:, 1:], axis=0, dtype=np.uint8, out=pixels[size.strip_rows :])
    return pixels.reshape(size.height, size.width, 3)


# --- Reading any layout ----------------------------------------------------------------------------------------------
def _chunk_at(png: bytes, at: int) -> tuple[bytes, memoryview]:
    """Return kind and data of the chunk at an offset. Raises `DamagedStego` where it is cut or its checksum wrong."""
    if len(png) < at + 12:
        raise damaged()
    length, kind = _CHUNK.unpack_from(png, at)
    if len(png) < at + 12 + length:
        raise damaged()
    view = memoryview(png)
    data = view[at + 8 : at + 8 + length]
    if _fast.crc32(view[at + 4 : at + 8 + length]) != _WORD.unpack_from(png, at + 8 + length)[0]:
        raise damaged()
    return kind, data


def _image_data(png: bytes) -> list[memoryview]:
    """Return the data of all IDAT chunks after every chunk's checksum was found right and the file ends with IEND."""
    at, found = len(SIGNATURE), []
    for _ in range(_MAX_CHUNKS):
        kind, data = _chunk_at(png, at)
        at += 12 + len(data)
        if kind == b"IDAT":
            found.append(data)
        elif kind == b"IEND":
            break
    else:
        raise damaged()
    if at != len(png) or not found:
        raise damaged()
    return found


def _decode_foreign(png: bytes, size: Size, chunks: list[memoryview]) -> Pixels:
    """Have Pillow read the pixels, in a child process, from IHDR and IDAT alone; what else the file carries is left
    out."""
    bare = b"".join((png[:STRIP_CHUNK_AT], _chunk(b"IDAT", b"".join(chunks)), _IEND))
    try:
        found = CHILDREN.decode(bare, Task("PNG", size.width, size.height, solid=True), "The stego image")
    except UnusableImage as error:
        raise damaged() from error
    return np.frombuffer(found.pixels, dtype=np.uint8).reshape(size.height, size.width, 3)
