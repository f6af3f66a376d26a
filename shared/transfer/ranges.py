"""A set of integers kept as sorted, disjoint, half-open intervals.

Serves for the bytes of an object that are held and for packet numbers. Appending at the end, which is what nearly
every datagram does, takes constant time; anything else a binary search and a move within two short lists.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from shared.errors import LocalError, MalformedMessage

VARINT_MAX_BYTES = 9
"""Longest variable-length integer that is read: 63 bits. Without it a hostile text grows integers without bound."""


class Ranges:
    """Half-open intervals `[start, end)` of non-negative integers; touching ones are merged."""

    __slots__ = ("_ends", "_starts", "total")

    total: int
    """How many integers are in the set."""

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0
        for start, end in intervals:
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]  # a mutable set

    def __repr__(self) -> str:
        return f"Ranges({list(self)!r})"

    @property
    def first(self) -> int:
        """The smallest integer of the set. Raises `IndexError` when it is empty."""
        return self._starts[0]

    @property
    def end(self) -> int:
        """One past the largest integer of the set, 0 when it is empty."""
        return self._ends[-1] if self._ends else 0

    def copy(self) -> "Ranges":
        """Return an independent copy."""
        other = Ranges()
        other._starts = self._starts.copy()
        other._ends = self._ends.copy()
        other.total = self.total
        return other

    def add(self, start: int, end: int) -> int:
        """Add `[start, end)` and return how many integers were new. Raises `LocalError` for an empty interval."""
        if not 0 <= start < end:
            raise LocalError(f"[{start}, {end}) is no interval")
        starts, ends = self._starts, self._ends
        if not ends or start > ends[-1]:
            starts.append(start)
            ends.append(end)
            self.total += end - start
            return end - start
        if start == ends[-1]:
            ends[-1] = end
            self.total += end - start
            return end - start
        low = bisect_left(ends, start)  # first interval that touches or follows
        high = bisect_right(starts, end)  # one past the last that touches
        if low == high:
            starts.insert(low, start)
            ends.insert(low, end)
            self.total += end - start
            return end - start
        covered = sum(ends[low:high]) - sum(starts[low:high])
        merged_start, merged_end = min(start, starts[low]), max(end, ends[high - 1])
        starts[low:high] = [merged_start]
        ends[low:high] = [merged_end]
        new = merged_end - merged_start - covered
        self.total += new
        return new

    def take(self, start: int, end: int) -> list[tuple[int, int]]:
        """Remove `[start, end)` and return, in ascending order, the parts of it that were in the set."""
        starts, ends = self._starts, self._ends
        low = bisect_right(ends, start)
        high = bisect_left(starts, end, low)
        if low == high:
            return []
        taken = [(max(a, start), min(b, end)) for a, b in zip(starts[low:high], ends[low:high], strict=True)]
        left = [(a, b) for a, b in ((starts[low], start), (end, ends[high - 1])) if a < b]
        starts[low:high] = [a for a, _ in left]
        ends[low:high] = [b for _, b in left]
        self.total -= sum(b - a for a, b in taken)
        return taken

    def drop_below(self, floor: int) -> None:
        """Remove every integer below `floor`."""
        if self._starts and self._starts[0] < floor:
            self.take(0, floor)

    def contains(self, start: int, end: int | None = None) -> bool:
        """Whether all of `[start, end)`, or the one integer `start`, is in the set."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and self._ends[index] >= (start + 1 if end is None else end)

    __contains__ = contains

    def missing(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield, in ascending order, the intervals of `[start, end)` that are not in the set."""
        index = bisect_right(self._ends, start)
        while index < len(self._starts) and self._starts[index] < end:
            if start < self._starts[index]:
                yield start, self._starts[index]
            start = self._ends[index]
            index += 1
        if start < end:
            yield start, end

    def newest(self, count: int, floor: int = 0) -> list[tuple[int, int]]:
        """Return up to `count` intervals from the top downwards, none that lies wholly below `floor`."""
        starts, ends = self._starts, self._ends
        newest: list[tuple[int, int]] = []
        for index in range(len(starts) - 1, max(len(starts) - 1 - count, -1), -1):
            if ends[index] <= floor:
                break
            newest.append((starts[index], ends[index]))
        return newest

    def encode(self, cap_bytes: int) -> bytes:
        """Return the set as at most `cap_bytes` bytes: gap and length in turn, as variable-length integers.

        Where the whole set does not fit, the shortest intervals are left out: what is not claimed to be held is
        merely sent again.
        """
        intervals = list(self)
        while len(encoded := _encode_intervals(intervals)) > cap_bytes:
            by_length = sorted(intervals, key=lambda interval: interval[0] - interval[1])
            intervals = sorted(by_length[: len(by_length) * 7 // 8])
        return encoded

    @classmethod
    def decode(cls, data: bytes | memoryview, *, limit: int, cap_bytes: int) -> "Ranges":
        """Return the set that `encode` wrote.

        Raises `MalformedMessage` for more than `cap_bytes` bytes (which bounds the number of intervals), anything
        beyond `limit`, and anything that `encode` would not have written.
        """
        if len(data) > cap_bytes:
            raise MalformedMessage(f"ranges of {len(data)} bytes, the cap is {cap_bytes}")
        ranges, numbers, position = cls(), _decode_varints(data), 0
        if len(numbers) % 2:
            raise MalformedMessage("ranges end within an interval")
        for index in range(0, len(numbers), 2):
            gap, length = numbers[index], numbers[index + 1]
            start, position = position + gap, position + gap + length
            if length == 0 or (gap == 0 and index > 0) or position > limit:
                raise MalformedMessage("ranges are out of order or beyond the object")
            ranges.add(start, position)
        return ranges


def _encode_intervals(intervals: list[tuple[int, int]]) -> bytes:
    encoded, position = bytearray(), 0
    for start, end in intervals:
        for number in (start - position, end - start):
            while number > 0x7F:
                encoded.append(number & 0x7F | 0x80)
                number >>= 7
            encoded.append(number)
        position = end
    return bytes(encoded)


def _decode_varints(data: bytes | memoryview) -> list[int]:
    numbers: list[int] = []
    number = shift = 0
    for byte in data:
        if shift >= 7 * VARINT_MAX_BYTES or (byte == 0 and shift > 0):
            raise MalformedMessage("a number in ranges is too long")
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number = shift = 0
    if shift:
        raise MalformedMessage("ranges end within a number")
    return numbers
