"""Latencies of the last minute, from the differences of the nodes' cumulative histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.wire.feed_messages import LATENCY_BOUNDS_MS
from tui.monitor.model.series import MINUTE_S

SECOND_S: Final = 1.0
BUCKETS: Final = len(LATENCY_BOUNDS_MS) + 1


@dataclass(frozen=True, slots=True)
class Latency:
    """Answered requests of a stretch of time. Percentiles in ms, None where nothing was answered."""

    answered: int
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    counts: tuple[int, ...] = ()
    """How many lie in each bucket of `LATENCY_BOUNDS_MS`, and in the last one beyond it; empty where none does."""


NONE_ANSWERED: Final = Latency(0, None, None, None, None)


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

    __slots__ = ("_newest", "_seconds", "_sum", "_sums_ms")

    def __init__(self) -> None:
        size = round(MINUTE_S / SECOND_S)
        self._seconds: list[list[int] | None] = [None] * size
        self._sums_ms = [0.0] * size
        self._sum = [0] * BUCKETS
        self._newest = -1

    def add(self, grown: Sequence[float], sum_ms: float, now: float) -> None:
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
        self._sums_ms[index] += sum_ms

    def read(self, now: float) -> Latency:
        """Return the last minute's latencies."""
        self._index(now)
        answered = sum(self._sum)
        if not answered:
            return NONE_ANSWERED
        return Latency(
            answered,
            sum(self._sums_ms) / answered,
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
            self._seconds[index], self._sums_ms[index] = None, 0.0
        self._newest = max(self._newest, number)
        return number % size
