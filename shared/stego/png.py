"""PNG files as Pillow lays them out (PNG specification third edition; RFC 1950, RFC 1951).

Signature, IHDR, the compressed rows in IDAT chunks of 64 KB, IEND. Rows are filtered by whatever of None, Up and Sub
gives the least sum of distances from zero, as Pillow chooses; Average and Paeth are left out, since undoing them takes
a step for each byte, and on the covers that nodes draw Pillow does not choose them either. What compresses is
`shared.stego.deflate`; how the top rows are changed in place is in `shared.stego.rewriting`.

Files with these filters are read here, whoever wrote them. Of any other PNG only what Pillow needs for the pixels is
handed to it, in a child process with limits, so that nothing else in a hostile file is ever parsed.
"""

import struct
import zlib
from io import BytesIO
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.config import MAX_STEGO_BYTES
from shared.decoding.children import CHILDREN
from shared.decoding.task import Task
from shared.errors import DamagedStego, UnusableImage
from shared.stego.deflate import Compressor, Data
from shared.stego.rights_strip import Pixels
from shared.stego.sizes import Size

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_IHDR: Final = struct.Struct(">IIBBBBB")
_CHUNK: Final = struct.Struct(">I4s")
_WORD: Final = struct.Struct(">I")
ZLIB_HEADER: Final = b"\x78\x9c"
HEAD_BYTES: Final = len(SIGNATURE) + 12 + _IHDR.size
"""Signature and IHDR."""
_COLOUR_AT: Final = len(SIGNATURE) + 8 + 9
_INTERLACE_AT: Final = len(SIGNATURE) + 8 + 12
_IEND: Final = _CHUNK.pack(0, b"IEND") + _WORD.pack(zlib.crc32(b"IEND"))
_RGB: Final = 2
_RGBA: Final = 6
NONE, SUB, UP = 0, 1, 2
_IDAT_BYTES: Final = 1 << 16
_BLOCK_BYTES: Final = 1 << 19
"""Bytes of rows that share one Huffman code: few enough to follow the picture, and not to need much memory."""
_SAMPLE: Final = 8
"""Of so many bytes of a row one is looked at when its filter is chosen."""
MAX_CHUNKS: Final = 100_000
"""A file of empty chunks would otherwise keep the reader busy; 80 MB in chunks of 8 KB are 10 000."""

_NOT_OURS: Final = (
    "This file is no stego image, or it was damaged on its way or re-encoded by another program; "
    "ask the owner for it again."
)


def damaged() -> DamagedStego:
    """Return the error for a file that is no PNG as Glimpse writes it."""
    return DamagedStego(_NOT_OURS)


# --- Writing ---------------------------------------------------------------------------------------------------------
def encode(pixels: Pixels) -> bytes:
    """Return the PNG of `pixels` (rows, columns, 3). The size must be `usable`."""
    size = Size(pixels.shape[1], pixels.shape[0])
    assert size.usable
    out, pending = BytesIO(), bytearray(ZLIB_HEADER)
    out.write(SIGNATURE + chunk(b"IHDR", _IHDR.pack(size.width, size.height, 8, _RGB, 0, 0, 0)))
    compressor, adler = Compressor(), 1
    step = max(size.strip_rows + 1, _BLOCK_BYTES // size.row_bytes)
    for first in range(0, size.height, step):
        rows = _filtered(pixels.reshape(size.height, -1), first, min(first + step, size.height))
        adler = zlib.adler32(rows.data, adler)
        pending += compressor.block(rows, last=first + step >= size.height)
        _write_chunks(out, pending, least=_IDAT_BYTES)
    pending += _WORD.pack(adler)
    _write_chunks(out, pending, least=1)
    out.write(_IEND)
    return out.getvalue()


def _write_chunks(out: BytesIO, pending: bytearray, *, least: int) -> None:
    """Write IDAT chunks while at least so many bytes are left, which go from `pending`."""
    while len(pending) >= least:
        out.write(chunk(b"IDAT", pending[:_IDAT_BYTES]))
        del pending[:_IDAT_BYTES]


def _filtered(rows: NDArray[np.uint8], first: int, last: int) -> Data:
    """Return some rows as they stand in the file, each behind the number of its filter."""
    block = rows[first:last]
    filtered = np.empty((last - first, 1 + block.shape[1]), dtype=np.uint8)
    filtered[:, 0], found = UP, filtered[:, 1:]
    found[0] = block[0] - rows[first - 1] if first else block[0]
    np.subtract(block[1:], block[:-1], out=found[1:])
    chosen = _chosen(block, found)
    for row in np.flatnonzero(chosen != UP):
        filtered[row, 0], found[row] = chosen[row], block[row]
        if chosen[row] == SUB:
            found[row, 3:] -= block[row, :-3]
    return filtered.reshape(-1)


def _chosen(block: NDArray[np.uint8], up: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return each row's filter: Up where it is better than None, Sub where it is better than both."""
    here, left = block[:, 3::_SAMPLE], block[:, :-3:_SAMPLE]
    none, above, sub = _distance(here), _distance(up[:, 3::_SAMPLE]), _distance(here - left)
    return np.where(sub < np.minimum(none, above), SUB, np.where(above < none, UP, NONE)).astype(np.uint8)


def _distance(values: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the sum of each row's distances from zero, 255 being as far from it as 1."""
    return np.asarray(np.abs(values.view(np.int8)).view(np.uint8).sum(axis=1, dtype=np.uint32))


def refiltered(pixels: NDArray[np.uint8], filters: NDArray[np.uint8]) -> Data:
    """Return the first rows of a picture as they stand in a file, by filters that are given: None, Up and Sub."""
    filtered = np.empty((len(pixels), 1 + pixels.shape[1]), dtype=np.uint8)
    filtered[:, 0], filtered[:, 1:] = filters, pixels
    for row, kind in enumerate(filters):
        if kind == UP and row:
            filtered[row, 1:] -= pixels[row - 1]
        elif kind == SUB:
            filtered[row, 4:] -= pixels[row, :-3]
    return filtered.reshape(-1)


def chunk(kind: bytes, data: bytes | bytearray) -> bytes:
    """Return a chunk with its length and checksum."""
    return b"".join((_CHUNK.pack(len(data), kind), data, checksum(kind, data)))


def checksum(kind: bytes, data: bytes | bytearray | memoryview) -> bytes:
    """Return what stands at the end of a chunk."""
    return _WORD.pack(zlib.crc32(data, zlib.crc32(kind)))


# --- Reading ---------------------------------------------------------------------------------------------------------
def read_size(head: bytes) -> Size:
    """Return the size of a PNG from its first bytes. Raises `DamagedStego` for what no stego image can be."""
    if head[: len(SIGNATURE)] != SIGNATURE or len(head) < HEAD_BYTES:
        raise damaged()
    kind, data = _chunk_at(head, len(SIGNATURE))
    if kind != b"IHDR" or len(data) != _IHDR.size:
        raise damaged()
    width, height, depth, colour, compression, filtering, interlace = _IHDR.unpack(data)
    size = Size(width, height)
    if depth != 8 or colour not in (_RGB, _RGBA) or compression or filtering or interlace > 1 or not size.usable:
        raise damaged()
    return size


def is_plain(head: bytes) -> bool:
    """Say whether rows are three bytes a pixel, one row after the other. `head` was read by `read_size`."""
    return head[_COLOUR_AT] == _RGB and not head[_INTERLACE_AT]


def decode(png: bytes) -> Pixels:
    """Return the pixels of a PNG of any layout, three channels of 8 bits, opaque.

    Raises `DamagedStego` for anything else, for wrong checksums, and for sizes that no stego image has.
    """
    if len(png) > MAX_STEGO_BYTES:
        raise damaged()
    size = read_size(png)
    chunks = _image_data(png)
    if is_plain(png):
        rows = _inflated(chunks, size)
        if can_unfilter(rows[:, 0]):
            return unfiltered(rows).reshape(size.height, size.width, 3)
    return _decode_by_pillow(png, size, chunks)


def _inflated(chunks: list[memoryview], size: Size) -> NDArray[np.uint8]:
    """Return the rows, still filtered. Raises `DamagedStego`; never makes more than they have bytes."""
    rows = np.empty((size.height, size.row_bytes), dtype=np.uint8)
    inflater, into, done = zlib.decompressobj(), rows.reshape(-1).data, 0
    try:
        for data in chunks:
            part = inflater.decompress(data, len(into) - done + 1)
            if len(part) > len(into) - done or inflater.unconsumed_tail:
                raise damaged()
            into[done : done + len(part)] = part
            done += len(part)
    except zlib.error as error:
        raise damaged() from error
    if done != len(into) or not inflater.eof or inflater.unused_data:
        raise damaged()
    return rows


def can_unfilter(filters: NDArray[np.uint8]) -> bool:
    """Say whether rows with these filters are read here."""
    return bool((filters <= UP).all())


def unfiltered(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels of the first rows of a picture, each behind its filter, of which none is Average or Paeth."""
    filters, pixels = rows[:, 0], np.empty((len(rows), rows.shape[1] - 1), dtype=np.uint8)
    begins = [0, *(np.flatnonzero(filters[1:] != filters[:-1]) + 1).tolist(), len(rows)]
    for first, last in pairwise(begins):
        run, out = rows[first:last, 1:], pixels[first:last]
        if filters[first] == UP:
            _summed(run, pixels[first - 1] if first else None, out)
        elif filters[first] == SUB:
            colours = run.reshape(len(run), -1, 3)
            np.add.accumulate(colours, axis=1, dtype=np.uint8, out=out.reshape(colours.shape))
        else:
            out[:] = run
    return pixels


def _summed(run: NDArray[np.uint8], above: NDArray[np.uint8] | None, out: NDArray[np.uint8]) -> None:
    """Give each row of `out` the row of `run` and the one before it. Row by row: `add.accumulate` goes down the columns
    byte by byte, which takes several times as long for wide pictures."""
    out[0] = run[0] if above is None else run[0] + above
    for before, row, here in zip(out, run[1:], out[1:], strict=False):
        np.add(before, row, out=here)


def _chunk_at(png: bytes, at: int) -> tuple[bytes, memoryview]:
    """Return kind and data of the chunk at an offset. Raises `DamagedStego` where it is cut or its checksum wrong."""
    if len(png) < at + 12:
        raise damaged()
    length, kind = _CHUNK.unpack_from(png, at)
    if len(png) < at + 12 + length:
        raise damaged()
    data = memoryview(png)[at + 8 : at + 8 + length]
    if checksum(kind, data) != png[at + 8 + length : at + 12 + length]:
        raise damaged()
    return kind, data


def _image_data(png: bytes) -> list[memoryview]:
    """Return the data of all IDAT chunks after every chunk's checksum was found right and the file ends with IEND."""
    at, found = len(SIGNATURE), []
    for _ in range(MAX_CHUNKS):
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


def _decode_by_pillow(png: bytes, size: Size, chunks: list[memoryview]) -> Pixels:
    """Have Pillow read the pixels, in a child process, from IHDR and IDAT alone; what else the file carries is left
    out."""
    bare = b"".join((png[:HEAD_BYTES], chunk(b"IDAT", b"".join(chunks)), _IEND))
    try:
        found = CHILDREN.decode(bare, Task("PNG", size.width, size.height, solid=True), "The stego image")
    except UnusableImage as error:
        raise damaged() from error
    return np.frombuffer(found.pixels, dtype=np.uint8).reshape(size.height, size.width, 3)
