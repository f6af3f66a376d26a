"""Values over the last minute, in buckets of fixed length: what charts and strips are drawn from."""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")
MINUTE_S: Final = 60.0
"""What charts and strips show at least."""
SPAN_S: Final = 2 * MINUTE_S
"""What is kept, so that a picture of a minute fills its width whatever that is."""
BUCKET_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Curve:
    """A series as it stands: `values` oldest first, None where nothing is known.

    `first` is the number of the first bucket since the monitor's time 0: with it a chart that puts several buckets into
    one column keeps the same ones together from paint to paint.
    """

    first: int
    bucket_s: float
    values: tuple[float | None, ...]

    @property
    def peak(self) -> float:
        """The largest value, 0 where there is none."""
        return max((value for value in self.values if value is not None), default=0.0)

    @property
    def last(self) -> float | None:
        """The newest value that is known."""
        return next((value for value in reversed(self.values) if value is not None), None)


def blank(ring: MutableSequence[T], behind: int, nothing: T) -> None:
    """Blank what a ring, turned so that it ends with the present, still holds of an earlier round.

    `behind`: how many buckets its newest one is behind the present; negative if it is ahead.
    """
    size = len(ring)
    start, end = (max(0, size - behind), size) if behind >= 0 else (0, min(size, -behind))
    ring[start:end] = [nothing] * (end - start)


class Series:
    """Values in a ring of buckets; what is older than the span falls out. Times in seconds of the monitor's clock."""

    __slots__ = ("_newest", "_values", "bucket_s")

    def __init__(self, span_s: float = SPAN_S, bucket_s: float = BUCKET_S) -> None:
        self.bucket_s = bucket_s
        self._values: list[float | None] = [None] * max(1, round(span_s / bucket_s))
        self._newest = -1

    def put(self, at: float, value: float) -> None:
        """Set the bucket of this moment; one that is too old is passed over."""
        if (index := self._index(at)) is not None:
            self._values[index] = value

    def add(self, at: float, amount: float) -> None:
        """Add to the bucket of this moment; one that is too old is passed over."""
        if (index := self._index(at)) is not None:
            self._values[index] = (self._values[index] or 0.0) + amount

    def curve(self, now: float) -> Curve:
        """Return the buckets up to the one of `now`."""
        size, last = len(self._values), int(now / self.bucket_s)
        first = last - size + 1
        values = self._values[first % size :] + self._values[: first % size]
        blank(values, last - self._newest, None)
        return Curve(first, self.bucket_s, tuple(values))

    def _index(self, at: float) -> int | None:
        size, number = len(self._values), int(at / self.bucket_s)
        if number <= self._newest - size or number < 0:
            return None
        if number > self._newest:
            for skipped in range(max(self._newest + 1, number - size + 1), number + 1):
                self._values[skipped % size] = None
            self._newest = number
        return number % size
