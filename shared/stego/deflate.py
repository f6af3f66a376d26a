"""Compressed data of single bytes under Huffman codes (RFC 1951), which zlib calls Z_HUFFMAN_ONLY.

Grain has no strings that come again: looking for some, a fast compressor finds short ones by chance, and codes them in
more bits than their bytes would take. Without them a picture with grain becomes a fifth smaller, and the bytes at its
beginning can be replaced in place: the code stays, so the length in bits is all that has to stay the same.

A block is its table and then the code of each byte; it is written with numpy, all bytes at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

Data = NDArray[np.uint8]
"""Bytes in one row."""

STORED, DYNAMIC = 0, 2
"""Kinds of blocks."""
END_OF_BLOCK: Final = 256
_MAX_LENGTH: Final = 15
_MAX_TABLE_LENGTH: Final = 7
_TABLE_ORDER: Final = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_REPEATS: Final = {16: (2, 3), 17: (3, 3), 18: (7, 11)}
"""Bits that follow these symbols of a table, and what is added to them: how often a length comes again."""
_MOST_TABLE_BYTES: Final = 1024
"""A table has no more, with what stands before it."""
_SAMPLE: Final = 16
"""One byte in so many is counted: counting them all takes a third of the time of writing them."""
_STEP_BYTES: Final = 1 << 16
"""So many bytes are coded at a time: few enough that what that takes stays in the processor's cache, and enough that
the calls of numpy, some fifty for each step, take little beside their work. A multiple of `_TOGETHER`."""
_FIRST_PIXEL: Final = 4
"""Bytes at the beginning that may be far from all others: what is above and left of the first pixel counts as zero."""
_REACH: Final = 2
"""So far beyond the lowest and highest byte of a block reach those that have a code: low bits may change later."""
_TOGETHER: Final = 16
"""Codes of so many bytes are put together, as far as they fit a word of 64 bits; four do, whatever they are."""
_WORD_BITS: Final = 64
_LENGTH_AT: Final = np.uint64(32)
_CODE_BITS: Final = np.uint64((1 << 32) - 1)
_DISTANCES: Final = 30
_DRAWN_BYTES: Final = 256
_STRINGS: Final = (12, 7)
"""The fewest codes for lengths of strings that a table has, and how many numbers of them there are. They are never
used, like those for distances. Without them, and other choices that are drawn by the data, every table would begin with
the same bytes, which those of compressors that look for strings do not."""


class DamagedTable(ValueError):
    """What stands there is no table of a block."""


# --- Codes -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Code:
    """The two Huffman codes of a block: `lengths` in bits by symbol (bytes, end of block, strings), then distances."""

    lengths: tuple[int, ...]
    distances: tuple[int, ...]
    drawn: bytes = field(default=bytes(64), compare=False)
    """What the table is drawn by where it could be this or that."""

    @classmethod
    def fitting(cls, data: Data) -> "Code":
        """Return a code for data like this; each byte in it, and near those in it, has one."""
        counts = [0] * END_OF_BLOCK
        signed = data.view(np.int8)
        for part in (*signed[:_FIRST_PIXEL, None], signed[_FIRST_PIXEL:]):
            for value in range(int(part.min()) - _REACH, int(part.max()) + _REACH + 1):
                counts[value & 0xFF] = 1
        sample = np.bincount(data[::_SAMPLE], minlength=END_OF_BLOCK).tolist()
        both = [present + count for present, count in zip(counts, sample, strict=True)]
        drawn = blake2b(data[:_DRAWN_BYTES].tobytes()).digest()
        strings = [1] * (_STRINGS[0] + drawn[-1] % _STRINGS[1])
        distances = code_lengths(
            [1 + place * (1 + byte % 4) for place, byte in enumerate(drawn[:_DISTANCES])], _MAX_LENGTH
        )
        return cls(tuple(code_lengths([*both, 1, *strings], _MAX_LENGTH)), tuple(distances), drawn)

    @cached_property
    def literal_lengths(self) -> Data:
        """Bits of each byte's code, 0 for those without one."""
        return np.array(self.lengths[:END_OF_BLOCK], dtype=np.uint8)

    @cached_property
    def _codes(self) -> list[int]:
        return codes_of(self.lengths)

    @cached_property
    def end(self) -> tuple[int, int]:
        """The code of the end of a block, and its bits."""
        return self._codes[END_OF_BLOCK], self.lengths[END_OF_BLOCK]

    @cached_property
    def _pairs(self) -> NDArray[np.uint64]:
        """The codes of two bytes in a row, by what they are together as a number, little endian; see `_joined`. What
        stands for bytes without a code means nothing."""
        present = np.flatnonzero(self.literal_lengths)
        codes, lengths = np.array(self._codes, dtype=np.uint64)[present], self.literal_lengths[present]
        each = codes | lengths.astype(np.uint64) << _LENGTH_AT
        table = np.empty((256, 256), dtype=np.uint64)  # a byte without a code is never looked up
        table[present[:, None], present] = _joined(each, each[:, None])
        return table.reshape(-1)

    def bits(self, data: Data) -> int:
        """Return how many bits the codes of these bytes have together."""
        return int(self.literal_lengths.take(data).sum(dtype=np.int64))

    def encode(self, data: Data, rest: int = 0, bits: int = 0) -> tuple[bytes, int]:
        """Return the codes of these bytes, of which each has one, the first in the lowest bits; and how many bits.

        They are put behind the fewer than eight bits of `rest`, which count.
        """
        whole, parts = len(data) // _TOGETHER * _TOGETHER, []
        carried, at = np.uint64(rest), bits
        for begin in range(0, whole, _STEP_BYTES):
            words, end = self._words(data[begin : min(begin + _STEP_BYTES, whole)], at)
            words[0] |= carried
            parts.append(words[: end // 64].tobytes())
            carried, at = words[end // 64], end % 64
        value, bits = int(carried), at + 64 * (sum(map(len, parts)) // 8)
        for byte in data[whole:].tolist():
            value |= self._codes[byte] << at
            at, bits = at + self.lengths[byte], bits + self.lengths[byte]
        parts.append(value.to_bytes(-(-at // 8), "little"))
        return b"".join(parts), bits

    def _words(self, data: Data, at: int) -> tuple[NDArray[np.uint64], int]:
        """Put the codes of some bytes into a number of 64 bits, shift it to its place, and join what shares a word.

        Returns words of which the first `at` bits are left free, and where the codes end in them.
        """
        code, length = self._put_together(data)
        places = np.cumsum(length)
        places += np.uint64(at)
        end = int(places[-1])
        places -= length
        word = places >> np.uint64(6)
        places &= np.uint64(63)
        last = np.append(np.flatnonzero(word[1:] != word[:-1]), len(word) - 1)
        words = np.zeros(len(last) + 1, dtype="<u8")
        words[:-1] = np.bitwise_or.reduceat(code << places, np.append(0, last[:-1] + 1))
        words[1:] |= (code[last] >> np.uint64(1)) >> (np.uint64(63) - places[last])
        return words, end

    def _put_together(self, data: Data) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the codes of as many bytes in a row as fit a word, at least four, and how many bits they have.

        Codes of pairs lie in rows, those of each group of bytes below each other, so that neighbours are joined row by
        row: numpy takes a third of the time for that of what it takes for every other element of one row.
        """
        pairs = np.ascontiguousarray(data.view("<u2").reshape(-1, _TOGETHER // 2).T).reshape(-1)
        found = self._pairs.take(pairs).reshape(_TOGETHER // 2, -1)
        code, length = found & _CODE_BITS, found >> _LENGTH_AT
        while len(code) > 1:
            both = length[0::2] + length[1::2]
            if len(code) < _TOGETHER // 2 and int(both.max()) > _WORD_BITS:
                break
            code = code[0::2] | code[1::2] << length[0::2]
            length = both
        return code.T.reshape(-1), length.T.reshape(-1)


def _joined(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return codes one after the other: the bits of each are the lower half of a number, their count is the upper."""
    length = first >> _LENGTH_AT
    codes = first & _CODE_BITS | (second & _CODE_BITS) << length
    return codes | (length + (second >> _LENGTH_AT)) << _LENGTH_AT


def code_lengths(counts: Sequence[int], limit: int) -> list[int]:
    """Return the lengths of a Huffman code, 0 for what does not occur; at least two symbols must.

    Where one would be longer than `limit`, counts are evened out until none is: little is lost by that, since so long a
    code is that of something rare.
    """
    while True:
        leaves = sorted((count, symbol) for symbol, count in enumerate(counts) if count)
        parents, depths = _tree([count for count, _ in leaves]), [0] * (2 * len(leaves) - 1)
        for node in range(len(depths) - 2, -1, -1):
            depths[node] = depths[parents[node]] + 1
        if max(depths) <= limit:
            break
        counts = [(count + 1) // 2 + 1 if count else 0 for count in counts]
    lengths = [0] * len(counts)
    for (_, symbol), depth in zip(leaves, depths, strict=False):
        lengths[symbol] = depth
    return lengths


def _tree(weights: list[int]) -> list[int]:
    """Return each node's parent: leaves first, as they are given in order of weight, then inner nodes as they arise."""
    leaves = len(weights)
    parents, leaf, inner = [0] * (2 * leaves - 1), 0, leaves
    while len(weights) < 2 * leaves - 1:
        weight = 0
        for _ in range(2):
            if leaf < leaves and (inner >= len(weights) or weights[leaf] <= weights[inner]):
                chosen, leaf = leaf, leaf + 1
            else:
                chosen, inner = inner, inner + 1
            weight += weights[chosen]
            parents[chosen] = len(weights)
        weights.append(weight)
    return parents


def codes_of(lengths: Sequence[int]) -> list[int]:
    """Return the canonical codes (RFC 1951 section 3.2.2), first bit lowest as they stand in the stream."""
    codes, code, before = [0] * len(lengths), 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - before
        codes[symbol] = int(f"{code:0{length}b}"[::-1], 2)
        code, before = code + 1, length
    return codes


# --- Tables ----------------------------------------------------------------------------------------------------------
def table_of(code: Code) -> tuple[int, int]:
    """Return what stands before the codes of a block that is not the last (RFC 1951 section 3.2.7), and its bits."""
    runs = list(_runs([*code.lengths, *code.distances]))
    counts = [byte % 16 if byte < 128 else 0 for byte in code.drawn[-19:]]
    for symbol, _ in runs:
        counts[symbol] += 1
    lengths = code_lengths(counts, _MAX_TABLE_LENGTH)
    codes = codes_of(lengths)
    ordered = [lengths[symbol] for symbol in _TABLE_ORDER]
    while not ordered[-1]:
        ordered.pop()
    value, bits = DYNAMIC << 1, 3
    fields = [(len(code.lengths) - 257, 5), (len(code.distances) - 1, 5), (len(ordered) - 4, 4)]
    fields += [(length, 3) for length in ordered]
    for symbol, more in runs:
        fields.append((codes[symbol], lengths[symbol]))
        if symbol in _REPEATS:
            fields.append((more, _REPEATS[symbol][0]))
    for number, width in fields:
        value |= number << bits
        bits += width
    return value, bits


def _runs(lengths: list[int]) -> Iterator[tuple[int, int]]:
    """Shorten a list of lengths as RFC 1951 section 3.2.7 says: symbols, each with the number that follows it."""
    at = 0
    while at < len(lengths):
        length, run = lengths[at], 1
        while at + run < len(lengths) and lengths[at + run] == length:
            run += 1
        at += run
        if length:
            yield length, 0
            run -= 1
        while run >= 3:
            symbol, most = (16, 6) if length else (17, 10) if run <= 10 else (18, 138)
            taken = min(run, most)
            yield symbol, taken - _REPEATS[symbol][1]
            run -= taken
        for _ in range(run):
            yield length, 0


def read_table(data: bytes, at: int) -> tuple[Code, int]:
    """Return the code of the dynamic block that begins `at` bits into `data`, and where its first byte's code begins.

    Raises `DamagedTable` for anything else.
    """
    bits = _Bits(data, at)
    bits.take(1)
    if bits.take(2) != DYNAMIC:
        raise DamagedTable
    literals, distances, tables = bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4
    lengths = [0] * 19
    for symbol in _TABLE_ORDER[:tables]:
        lengths[symbol] = bits.take(3)
    symbols = {
        (length, code): symbol
        for symbol, (length, code) in enumerate(zip(lengths, codes_of(lengths), strict=True))
        if length
    }
    found: list[int] = []
    while len(found) < literals + distances:
        symbol = bits.symbol(symbols)
        if symbol < 16:
            found.append(symbol)
            continue
        if symbol == 16 and not found:
            raise DamagedTable
        width, least = _REPEATS[symbol]
        found += [found[-1] if symbol == 16 else 0] * (least + bits.take(width))
    if len(found) != literals + distances or not found[END_OF_BLOCK]:
        raise DamagedTable
    return Code(tuple(found[:literals]), tuple(found[literals:])), bits.at


class _Bits:
    """Takes numbers out of a stream, lowest bit first."""

    def __init__(self, data: bytes, at: int) -> None:
        part = data[:_MOST_TABLE_BYTES]
        self._value, self._bits, self.at = int.from_bytes(part, "little"), len(part) * 8, at

    def take(self, width: int) -> int:
        if self.at + width > self._bits:
            raise DamagedTable
        found = self._value >> self.at & ((1 << width) - 1)
        self.at += width
        return found

    def symbol(self, symbols: dict[tuple[int, int], int]) -> int:
        code = 0
        for length in range(1, _MAX_TABLE_LENGTH + 1):
            code |= self.take(1) << (length - 1)
            if (length, code) in symbols:
                return symbols[length, code]
        raise DamagedTable


# --- Streams ---------------------------------------------------------------------------------------------------------
class Compressor:
    """Writes blocks one after the other; all together are a stream without header and checksum."""

    def __init__(self) -> None:
        self._begun = False
        self._rest, self._bits = 0, 0
        """What does not fill a byte yet."""

    def block(self, data: Data, *, last: bool) -> bytes:
        """Return the bytes that are complete with this block.

        One that would be the only one becomes two: the first bits of a stream hardly ever say that it is the last.
        """
        code, cut = Code.fitting(data), len(data) if self._begun or not last else len(data) * 3 // 4
        table, bits = table_of(code)
        written = [self._put(table | int(last and cut == len(data)), bits), self._encoded(code, data[:cut])]
        if cut < len(data):
            written += [self._put(table | 1, bits), self._encoded(code, data[cut:])]
        self._begun = True
        return b"".join(written) + (bytes([self._rest]) if last and self._bits else b"")

    def _put(self, field: int, width: int) -> bytes:
        value, bits = self._rest | field << self._bits, self._bits + width
        self._rest, self._bits = value >> (bits - bits % 8), bits % 8
        return value.to_bytes(-(-bits // 8), "little")[: bits // 8]

    def _encoded(self, code: Code, data: Data) -> bytes:
        written, bits = code.encode(data, self._rest, self._bits)
        self._rest, self._bits = written[-1] if bits % 8 else 0, bits % 8
        return written[: bits // 8] + self._put(*code.end)
