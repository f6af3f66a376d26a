"""Cumulative counters: rates of the last seconds, and sums over a node's lives."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

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
