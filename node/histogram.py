"""Latencies in buckets of fixed bounds: exact to the bucket, cheap to count, and subtracted by whoever watches."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.wire.feed_messages import LATENCY_BOUNDS_MS


@dataclass(slots=True)
class Histogram:
    """Counts since it was made. Bucket i holds what took up to `LATENCY_BOUNDS_MS[i]`, the last one the rest."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))
    sum_ms: float = 0.0

    def add(self, latency_ms: float) -> None:
        """Count one."""
        self.counts[bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1
        self.sum_ms += latency_ms

    def copied(self) -> "Histogram":
        """Return what is counted by now."""
        return Histogram(list(self.counts), self.sum_ms)


def trimmed(counts: Sequence[int]) -> tuple[int, ...]:
    """Return counts without trailing zeros."""
    used = max((index + 1 for index, count in enumerate(counts) if count), default=0)
    return tuple(counts[:used])
