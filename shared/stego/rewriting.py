"""Another rights record in a stego image's file, in place: a few KB however large the picture is.

The record is in the top rows, and these are at the beginning of the compressed data, in one block with one code for
each byte (`shared.stego.deflate`). A new record changes low bits there and so some bytes; under the code that stands in
the file they may take more bits or fewer than before. The strip has more room than a record takes: low bits behind the
record are changed until the number of bits is what it was, and everything behind them stays in its place. Then the
checksums are patched. A strip in a stored block, as files of version 1 have it, is simply overwritten.

What is to be written is worked out first, as edits that may be made again as often as is needed: whoever makes them
keeps them in a journal until they are on the disk.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.stego.deflate import STORED, Code, DamagedTable, read_table
from shared.stego.png import (
    HEAD_BYTES,
    MAX_CHUNKS,
    SIGNATURE,
    SUB,
    UP,
    can_unfilter,
    checksum,
    damaged,
    is_plain,
    read_size,
    refiltered,
    unfiltered,
)
from shared.stego.rights_strip import Pixels, partners, record_channels, write_record
from shared.stego.sizes import Size

_CHUNK: Final = Struct(">I4s")
_WHOLE_CHUNK_BYTES: Final = 1 << 20
"""Longer chunks are not read whole, so nothing in them can be changed in place; no common encoder writes such."""
_PART_BYTES: Final = 1 << 16
_ADLER_MODULUS: Final = 65521
_HEADER_BITS: Final = 16
"""Bits of the zlib header."""
_STORED_BYTES_AT: Final = 7
"""Where the bytes of a stored block begin that follows the zlib header."""
_TRIES: Final = 8
_NO_CODE: Final = 1 << 20
"""Bits that are said of a byte that cannot be written."""
_GAP_BYTES: Final = 256
"""Changes that are further apart are two edits."""


class Edit(NamedTuple):
    """Bytes of a file that are replaced by as many others."""

    at: int
    old: bytes
    new: bytes


class Source(Protocol):
    """A file or bytes in memory, read where one likes."""

    @property
    def length(self) -> int:
        """Bytes in all."""

    def read(self, at: int, count: int) -> bytes:
        """Return the bytes there, fewer at the end."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes as a source."""

    data: bytes

    @property
    def length(self) -> int:  # noqa: D102 - see `Source`
        return len(self.data)

    def read(self, at: int, count: int) -> bytes:  # noqa: D102 - see `Source`
        return self.data[at : at + count]


class _NotInPlace(Exception):
    """This file has another layout: it has to be written whole."""


class _Part(NamedTuple):
    """The data of one IDAT chunk."""

    at: int
    length: int


# --- Reading the top rows --------------------------------------------------------------------------------------------
def top_rows(source: Source) -> Pixels | None:
    """Return the rows that hold the record, read from the beginning of a file; None where that is not enough.

    Raises `DamagedStego` for what is no PNG of a usable size, and for a wrong checksum.
    """
    try:
        size, _, rows = _top(source)
    except _NotInPlace:
        return None
    if not can_unfilter(rows[: size.strip_rows, 0]):
        return None
    return unfiltered(rows[: size.strip_rows]).reshape(size.strip_rows, size.width, 3)


def _top(source: Source) -> tuple[Size, bytes, NDArray[np.uint8]]:
    """Return the size, compressed data from its beginning, and the filtered rows that a new strip changes."""
    head = source.read(0, HEAD_BYTES)
    size = read_size(head)
    if not is_plain(head):
        raise _NotInPlace
    data, strip_bytes = b"", size.strip_rows * size.row_bytes
    for part in _parts(source):
        whole = part.length <= _WHOLE_CHUNK_BYTES
        data += _checked(source, part) if whole else source.read(part.at, _PART_BYTES)
        try:
            raw = zlib.decompressobj().decompress(data, strip_bytes + size.row_bytes)
        except zlib.error as error:
            raise damaged() from error
        if len(raw) > strip_bytes:
            rows = size.strip_rows + (raw[strip_bytes] >= UP)  # the next row depends on the one above it
            if len(raw) >= rows * size.row_bytes:
                return size, data, np.frombuffer(raw, dtype=np.uint8, count=rows * size.row_bytes).reshape(rows, -1)
        if not whole:
            break
    raise _NotInPlace


def _parts(source: Source) -> Iterator[_Part]:
    """Find the IDAT chunks in turn. Raises `DamagedStego` where the file does not end with IEND."""
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        head = source.read(at, _CHUNK.size)
        if len(head) < _CHUNK.size:
            raise damaged()
        length, kind = _CHUNK.unpack(head)
        if kind == b"IDAT":
            yield _Part(at + _CHUNK.size, length)
        at += length + 12
        if kind == b"IEND":
            if at != source.length:
                raise damaged()
            return
    raise damaged()


def _checked(source: Source, part: _Part) -> bytes:
    """Return the data of a chunk. Raises `DamagedStego` where it is cut or its checksum is wrong."""
    found = source.read(part.at, part.length + 4)
    data = found[: part.length]
    if len(found) != part.length + 4 or checksum(b"IDAT", data) != found[part.length :]:
        raise damaged()
    return data


# --- Working out what to write ---------------------------------------------------------------------------------------
def edits_for(source: Source, record: bytes, key: bytes) -> list[Edit] | None:
    """Return what has to be written for another record, None where the file must be written whole. `key`: image id.

    Raises `DamagedStego`, and `LocalError` for a record that does not fit.
    """
    try:
        return _edits(source, record, key)
    except _NotInPlace:
        return None


def _edits(source: Source, record: bytes, key: bytes) -> list[Edit]:
    size, data, old = _top(source)
    if not can_unfilter(old[:, 0]):
        raise _NotInPlace
    rows = unfiltered(old)
    strip = rows[: size.strip_rows].reshape(size.strip_rows, size.width, 3)
    rows[: size.strip_rows] = write_record(strip, record, key).reshape(size.strip_rows, -1)
    stream = _Stream(source)
    if data[2] >> 1 & 3 == STORED:
        new = _overwritten(stream, data, old, rows)
    else:
        new = _recoded(stream, data, old, _Tuning(rows, old[:, 0], size.strip_rows, record_channels(record), key))
    adler = int.from_bytes(stream.get(stream.length - 4, 4), "big")
    behind = size.height * size.row_bytes - old.size
    stream.put(stream.length - 4, patch_adler(adler, old.tobytes(), new, behind).to_bytes(4, "big"))
    return stream.edits()


def _overwritten(stream: "_Stream", data: bytes, old: NDArray[np.uint8], rows: NDArray[np.uint8]) -> bytes:
    if int.from_bytes(data[3:5], "little") < old.size:
        raise _NotInPlace
    new = refiltered(rows, old[:, 0]).tobytes()
    stream.put(_STORED_BYTES_AT, new)
    return new


def _recoded(stream: "_Stream", data: bytes, old: NDArray[np.uint8], tuning: "_Tuning") -> bytes:
    try:
        code, at = read_table(data, _HEADER_BITS)
    except DamagedTable:
        raise _NotInPlace from None
    before = old.reshape(-1)
    if not code.literal_lengths.take(before).all():
        raise _NotInPlace
    encoded, bits = code.encode(before)
    value, first, last = int.from_bytes(encoded, "little"), at // 8, -(-(at + bits) // 8)
    shift, there = at % 8, int.from_bytes(data[first:last], "little")
    if there >> shift & ((1 << bits) - 1) != value:
        raise _NotInPlace
    new = tuning.of(code, bits)
    there ^= (value ^ int.from_bytes(code.encode(new)[0], "little")) << shift
    stream.put(first, there.to_bytes(last - first, "little"))
    return new.tobytes()


class _Tuning:
    """Finds low bits behind the record with which the top rows take a given number of bits."""

    def __init__(
        self, rows: NDArray[np.uint8], filters: NDArray[np.uint8], strip_rows: int, first_free: int, key: bytes
    ) -> None:
        self._filters = filters.tolist()
        self._width = rows.shape[1]
        self._free = range(first_free, strip_rows * self._width)
        self._partners = partners(rows[:strip_rows].reshape(-1), key).tolist()
        self._rows: list[list[int]] = rows.tolist()
        self._lengths: Sequence[int] = ()

    def of(self, code: Code, bits: int) -> NDArray[np.uint8]:
        """Return the top rows as they stand in the file. Raises `_NotInPlace` where no such low bits were found."""
        new = self._filtered()
        if not code.literal_lengths.take(new).all():
            raise _NotInPlace
        self._lengths, missing = code.lengths, bits - code.bits(new)
        for place in self._free:
            if not missing:
                break
            gain = self._move(place)
            if abs(missing - gain) < abs(missing):
                missing -= gain
            else:
                self._move(place)
        if missing and not self._moved_two(missing):
            raise _NotInPlace
        return self._filtered()

    def _moved_two(self, missing: int) -> bool:
        """Look for two channels that together add what is missing, where none does alone, and move them."""
        gains: dict[int, list[int]] = {}
        for place in self._free:
            gains.setdefault(self._move(place), []).append(place)
            self._move(place)
        for gain, places in gains.items():
            first, others = places[0], gains.get(missing - gain, [])
            self._move(first)
            for other in others[:_TRIES]:
                if other != first and self._move(other) == missing - gain:  # it may depend on the first
                    return True
                if other != first:
                    self._move(other)
            self._move(first)
        return False

    def _move(self, place: int) -> int:
        """Move a channel to its partner, or back; return the bits that this adds, many where a byte has no code."""
        row, column = divmod(place, self._width)
        before = self._bits(row, column)
        self._rows[row][column], self._partners[place] = self._partners[place], self._rows[row][column]
        return self._bits(row, column) - before

    def _bits(self, row: int, column: int) -> int:
        """Return the bits of the bytes that depend on a channel."""
        bits = self._lengths[self._byte(row, column)] or _NO_CODE
        if self._filters[row] == SUB and column + 3 < self._width:
            bits += self._lengths[self._byte(row, column + 3)] or _NO_CODE
        if row + 1 < len(self._rows) and self._filters[row + 1] == UP:
            bits += self._lengths[self._byte(row + 1, column)] or _NO_CODE
        return bits

    def _byte(self, row: int, column: int) -> int:
        """Return a channel as it stands in the file."""
        value, kind = self._rows[row][column], self._filters[row]
        if kind == UP and row:
            value -= self._rows[row - 1][column]
        elif kind == SUB and column >= 3:
            value -= self._rows[row][column - 3]
        return value & 0xFF

    def _filtered(self) -> NDArray[np.uint8]:
        return refiltered(np.array(self._rows, dtype=np.uint8), np.array(self._filters, dtype=np.uint8))


def patch_adler(adler: int, old: bytes, new: bytes, behind: int) -> int:
    """Return the Adler-32 of data whose beginning has changed (RFC 1950 section 8.2); `behind` bytes have not."""
    before, after = zlib.adler32(old), zlib.adler32(new)
    low = (adler & 0xFFFF) + (after & 0xFFFF) - (before & 0xFFFF)
    high = (adler >> 16) + (after >> 16) - (before >> 16) + behind * ((after & 0xFFFF) - (before & 0xFFFF))
    return (high % _ADLER_MODULUS) << 16 | low % _ADLER_MODULUS


class _Stream:
    """The compressed data of a file, wherever its chunks are cut, and what is changed in it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts = list(_parts(source))
        self._loaded: dict[int, tuple[bytes, bytearray]] = {}
        self.length = sum(part.length for part in self._parts)

    def get(self, at: int, count: int) -> bytes:
        """Return some bytes. Raises as `put`."""
        return b"".join(bytes(self._load(number)[1][first:last]) for number, first, last, _ in self._places(at, count))

    def put(self, at: int, data: bytes) -> None:
        """Change some bytes.

        Raises `DamagedStego` for a chunk with a wrong checksum, `_NotInPlace` for one that is too long.
        """
        for number, first, last, offset in self._places(at, len(data)):
            self._load(number)[1][first:last] = data[offset : offset + last - first]

    def edits(self) -> list[Edit]:
        """Return what has changed in the file, checksums of chunks too."""
        found = []
        for number, (old, new) in sorted(self._loaded.items()):
            differs = np.flatnonzero(np.frombuffer(old, dtype=np.uint8) != np.frombuffer(new, dtype=np.uint8))
            if not len(differs):
                continue
            at = self._parts[number].at
            for run in np.split(differs, np.flatnonzero(np.diff(differs) > _GAP_BYTES) + 1):
                first, last = int(run[0]), int(run[-1]) + 1
                found.append(Edit(at + first, old[first:last], bytes(new[first:last])))
            found.append(Edit(at + len(old), checksum(b"IDAT", old), checksum(b"IDAT", new)))
        return found

    def _places(self, at: int, count: int) -> Iterator[tuple[int, int, int, int]]:
        """Return for each chunk that has a part of it: its number, from where to where in it, and the offset."""
        begin = 0
        for number, part in enumerate(self._parts):
            first, last = max(at, begin), min(at + count, begin + part.length)
            if first < last:
                yield number, first - begin, last - begin, first - at
            begin += part.length

    def _load(self, number: int) -> tuple[bytes, bytearray]:
        if number not in self._loaded:
            part = self._parts[number]
            if part.length > _WHOLE_CHUNK_BYTES:
                raise _NotInPlace
            data = _checked(self._source, part)
            self._loaded[number] = data, bytearray(data)
        return self._loaded[number]
