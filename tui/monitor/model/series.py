"""Values and counters over the last minute: what charts, rates and percentiles are made from."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from shared.wire.feed_messages import LATENCY_BOUNDS_MS

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


RATE_WINDOW_S: Final = 3.0
_KEPT: Final = 32
"""Readings kept; at most so many lie in the window at five a second."""


class Tallies:
    """Counters of one node that start at 0 with each of its lives and only grow within one."""

    __slots__ = ("_base", "_nothing", "_readings", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._base = [0.0] * size
        self._nothing: tuple[float, ...] = (0,) * size
        self._readings: deque[tuple[float, tuple[float, ...]]] = deque(maxlen=_KEPT)

    def take(self, at_s: float, values: Sequence[float]) -> tuple[float, ...]:
        """Take a reading at a moment of the node's clock; return what each counter grew by since the one before.

        Missing values count as 0, those beyond `size` are passed over. A reading that is older than the last one is
        nothing new and grows nothing.
        """
        missing = self.size - len(values)
        padded = (*values, *(0,) * missing) if missing > 0 else tuple(values[: self.size])
        if not self._readings:
            self._readings.append((at_s, padded))
            return self._nothing
        last_at, last = self._readings[-1]
        if at_s <= last_at:
            return self._nothing
        self._readings.append((at_s, padded))
        while len(self._readings) > 2 and self._readings[1][0] < at_s - RATE_WINDOW_S:
            self._readings.popleft()
        if padded == last:
            return self._nothing
        return tuple([new - old if new > old else 0 for new, old in zip(padded, last, strict=True)])

    def begin(self) -> None:
        """The node began a new life: what the last one counted stays in the totals."""
        for index, value in enumerate(self.latest):
            self._base[index] += value
        self._readings.clear()

    @property
    def latest(self) -> tuple[float, ...]:
        """The last reading of the present life."""
        return self._readings[-1][1] if self._readings else self._nothing

    def total(self, index: int) -> float:
        """Return a counter over all lives that were seen."""
        return self._base[index] + self.latest[index]

    def rate(self, index: int) -> float:
        """Return the growth of a counter per second of the node's clock, over the last readings; 0 if unknown."""
        if len(self._readings) < 2:
            return 0.0
        (first_at, first), (last_at, last) = self._readings[0], self._readings[-1]
        passed = last_at - first_at
        return max(0.0, last[index] - first[index]) / passed if passed > 0 else 0.0


SECOND_S: Final = 1.0
BUCKETS: Final = len(LATENCY_BOUNDS_MS) + 1


@dataclass(frozen=True, slots=True)
class Latency:
    """Answered requests of a stretch of time. Percentiles in ms, None where nothing was answered."""

    answered: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    counts: tuple[int, ...] = ()
    """How many lie in each bucket of `LATENCY_BOUNDS_MS`, and in the last one beyond it; empty where none does."""


NONE_ANSWERED: Final = Latency(0, None, None, None)


def percentile_ms(counts: Sequence[int], share: float) -> float | None:
    """Return the `share` quantile (0 < share <= 1), taking it that a bucket's latencies lie evenly in it.

    None where nothing was counted. What lies in the last bucket, which has no upper bound, is given its lower one.
    """
    wanted = share * sum(counts)
    if wanted <= 0:
        return None
    passed = 0.0
    for index, count in enumerate(counts):
        if count and passed + count >= wanted:
            lower = LATENCY_BOUNDS_MS[index - 1] if index else 0.0
            upper = LATENCY_BOUNDS_MS[index] if index < len(LATENCY_BOUNDS_MS) else lower
            return lower + (upper - lower) * (wanted - passed) / count
        passed += count
    return LATENCY_BOUNDS_MS[-1]


class LatencyWindow:
    """A histogram for each second of the last minute, and their sum. Times in seconds of the monitor's clock."""

    __slots__ = ("_newest", "_seconds", "_sum")

    def __init__(self) -> None:
        size = round(MINUTE_S / SECOND_S)
        self._seconds: list[list[int] | None] = [None] * size
        self._sum = [0] * BUCKETS
        self._newest = -1

    def add(self, grown: Sequence[float], now: float) -> None:
        """Add what was answered since the reading before."""
        if not any(grown):
            return
        index = self._index(now)
        second = self._seconds[index]
        if second is None:
            second = self._seconds[index] = [0] * BUCKETS
        for bucket, count in enumerate(grown):
            if count:
                second[bucket] += int(count)
                self._sum[bucket] += int(count)

    def read(self, now: float) -> Latency:
        """Return the last minute's latencies."""
        self._index(now)
        answered = sum(self._sum)
        if not answered:
            return NONE_ANSWERED
        return Latency(
            answered,
            percentile_ms(self._sum, 0.5),
            percentile_ms(self._sum, 0.9),
            percentile_ms(self._sum, 0.99),
            tuple(self._sum),
        )

    def _index(self, now: float) -> int:
        size, number = len(self._seconds), int(now / SECOND_S)
        for passed in range(max(self._newest + 1, number - size + 1), number + 1):
            index = passed % size
            old = self._seconds[index]
            if old is not None:
                for bucket, count in enumerate(old):
                    self._sum[bucket] -= count
            self._seconds[index] = None
        self._newest = max(self._newest, number)
        return number % size
